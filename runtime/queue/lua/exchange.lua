-- One round trip of a worker: settle, tidy up, claim.
-- ARGV: prefix, dead limit, caller, call, how many settlements, {how, id, fence, first, second} each, batch, every,
-- {type, room} each. Answers {{text, fence, ...}, refused ids, ms until something is due or -1, foreign texts}.
--
-- The same call of the same caller answers again what it answered first: a lost reply loses no task.

local reply_key = PREFIX .. 'queue:reply:' .. ARGV[3]
local last = call('GET', reply_key)
if last and string.match(last, '^%S+') == ARGV[4] then
    local again = {}
    for id, mark in string.gmatch(string.sub(last, #ARGV[4] + 1), '(%S+) (%S+)') do
        local fence, text = claimed_text(call('HGET', TASKS, id))
        if fence == mark then
            again[#again + 1], again[#again + 2] = text, fence
        end
    end
    return { again, {}, next_ms(), call('LLEN', FOREIGN) }
end

local settlements = tonumber(ARGV[5])
local rejected = settle(6, settlements)
if promote() + reap() > 0 then
    wake()
end

local at = 6 + settlements * 5
local batch, every = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
local names, rooms = {}, {}
for i = at + 2, #ARGV, 2 do
    names[#names + 1] = ARGV[i]
    rooms[ARGV[i]] = tonumber(ARGV[i + 1])
end
local claims, searched = {}, true
if batch > 0 then
    claims, searched = claim(batch, every, names, rooms)
end
if searched and #claims < batch * 2 then
    call('SET', IDLE, 1)
end
if settlements > 0 or #claims > 0 then
    local ids = { ARGV[4] }
    for i = 1, #claims, 2 do
        ids[#ids + 1] = (header(claims[i]))
        ids[#ids + 1] = claims[i + 1]
    end
    call('SET', reply_key, table.concat(ids, ' '), 'PX', REPLY_KEPT_MS)
end
return { claims, rejected, searched and next_ms() or 0, call('LLEN', FOREIGN) }
