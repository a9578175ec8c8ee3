-- Claims events for a consumer. ARGV: topic, name, consumer, how many at most, lease (ms), how long the consumer counts
-- as there (ms), then `sure`, or `unsure` and every seq that the consumer knows to hold: what else it holds goes back,
-- for the answer to an earlier claim was lost.
-- Answers {fence, ms until something is due or -1, depth, dead, {seq, attempts, envelope}...}.

local topic, name, consumer, most, lease_ms, there_ms, surely = unpack(ARGV, 4, 10)
local group = topic .. '/' .. name

call('SADD', groups_key(topic), name)
call('ZADD', consumers_key(group), plain(now + there_ms), consumer)
if surely == 'unsure' then
    local known = {}
    for i = 11, #ARGV do
        known[ARGV[i]] = true
    end
    disown(group, consumer, known)
end
take_back(group)

local fence, claimed = '0', {}
local texts = tonumber(most) > 0 and call('LPOP', waiting_key(group), most) or {}
if #texts > 0 then
    fence = plain(next_in('fence'))
end
for _, text in ipairs(texts) do
    local seq, attempts, at = string.match(text, '^(%d+) (%d+) ()')
    if seq then
        local envelope = string.sub(text, at)
        call('HSET', held_key(group), seq, fence .. ' ' .. consumer .. ' ' .. attempts .. ' ' .. envelope)
        call('ZADD', due_key(group), plain(now + lease_ms), seq)
        claimed[#claimed + 1], claimed[#claimed + 2], claimed[#claimed + 3] = seq, attempts, envelope
    else
        bury(topic, name, plain(next_in('seq')), 0, 'not an entry of this system', text)
    end
end

local next_due = call('ZRANGE', due_key(group), 0, 0, 'WITHSCORES')[2]
local due_ms = next_due and math.max(0, math.ceil(tonumber(next_due)) - now) or -1
return { fence, due_ms, depth_of(group), dead_of(group), claimed }
