-- Takes tasks in. ARGV: prefix, dead limit, caller, call, limit of a list, ms that an idempotency key is kept, then
-- {id, priority, delay ms, due ms or 0, key or nothing, text} each. Answers for each the id under which it is known:
-- its own, that of the task which holds its key, or nothing when the list is full.
--
-- The same call of the same caller answers again what it answered first, and takes nothing in twice.

local reply_key = PREFIX .. 'queue:reply:' .. ARGV[3]
local last = call('GET', reply_key)
if last and string.match(last, '^%S+') == ARGV[4] then
    local again = {}
    for id in string.gmatch(string.sub(last, #ARGV[4] + 1), '%S+') do
        again[#again + 1] = id == '-' and '' or id
    end
    return again
end

local limit, key_ttl_ms = tonumber(ARGV[5]), ARGV[6]
local lengths = { delayed = call('ZCARD', DELAYED) }
for priority, key in pairs(LISTS) do
    lengths[priority] = call('LLEN', key)
end
local beside = call('HGETALL', PARKED)
for i = 1, #beside, 2 do
    local priority = string.match(beside[i], '^%S+')
    lengths[priority] = lengths[priority] + tonumber(beside[i + 1])
end

local answers, kept, come = {}, { ARGV[4] }, false

local function take_in(id, priority, delay_ms, due_ms, key, text)
    if due_ms == 0 and delay_ms > 0 then
        due_ms = now + delay_ms
    end
    local place = due_ms > now and 'delayed' or priority
    if lengths[place] >= limit then
        return ''
    end
    if key ~= '' then
        local name = PREFIX .. 'queue:key:' .. key
        if not call('SET', name, id, 'NX', 'PX', key_ttl_ms) then
            return call('GET', name)
        end
    end
    if call('HSETNX', TASKS, id, place == 'delayed' and 'd' or 'w') == 0 then
        return id
    end
    lengths[place] = lengths[place] + 1
    if place == 'delayed' then
        call('ZADD', DELAYED, plain(due_ms), text)
    else
        call('LPUSH', LISTS[priority], text)
    end
    come = true
    return id
end

for i = 7, #ARGV, 6 do
    local id = take_in(ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3]), ARGV[i + 4], ARGV[i + 5])
    answers[#answers + 1] = id
    kept[#kept + 1] = id == '' and '-' or id
end
call('SET', reply_key, table.concat(kept, ' '), 'PX', REPLY_KEPT_MS)
if come then
    wake()
end
return answers
