-- Dead events. ARGV: `list`, how many, below which seq: answers {seq, text}, the newest first.
-- Or `replay` or `drop` and seqs: answers {group, how many, depth, dead}. What belongs to no group is not replayed.

if ARGV[4] == 'list' then
    local found = {}
    for _, seq in ipairs(call('ZREVRANGEBYSCORE', DEAD, '(' .. ARGV[6], '-inf', 'LIMIT', 0, ARGV[5])) do
        found[#found + 1], found[#found + 2] = seq, call('HGET', DEAD_TEXTS, seq)
    end
    return found
end

local moved = {}
local function move(seq)
    local text = call('HGET', DEAD_TEXTS, seq)
    local topic, name = unpack(text and cjson.decode(string.match(text, '^[^\n]*')) or {})
    if not topic or (ARGV[4] == 'replay' and call('SISMEMBER', groups_key(topic), name) == 0) then
        return
    end
    local _, _, envelope = drop_dead(seq)
    local group = topic .. '/' .. name
    if ARGV[4] == 'replay' then
        call('RPUSH', waiting_key(group), plain(next_in('seq')) .. ' 0 ' .. envelope)
    end
    moved[group] = (moved[group] or 0) + 1
end
for i = 5, #ARGV do
    move(ARGV[i])
end
local told = {}
for group, count in pairs(moved) do
    if ARGV[4] == 'replay' then
        wake(group)
    end
    for _, value in ipairs({ group, count, depth_of(group), dead_of(group) }) do
        told[#told + 1] = value
    end
end
return told
