-- What time brings about: tasks that are due begin to wait, tasks whose worker gave no sign of life wait again.

local AT_ONCE = 200

-- Both answer how many tasks wait that did not before.
local function promote()
    local moved = 0
    for _, text in ipairs(call('ZRANGEBYSCORE', DELAYED, '-inf', plain(now), 'LIMIT', 0, AT_ONCE)) do
        call('ZREM', DELAYED, text)
        local id, _, priority = header(text)
        if call('HGET', TASKS, id) == 'x' then
            call('HDEL', TASKS, id)
        else
            wait_last(id, text, priority)
            moved = moved + 1
        end
    end
    return moved
end

local function reap()
    local moved = 0
    for _, id in ipairs(call('ZRANGEBYSCORE', LEASES, '-inf', plain(now), 'LIMIT', 0, AT_ONCE)) do
        local _, text = claimed_text(call('HGET', TASKS, id))
        if text then
            count('reaped')
            failed(id, text, 0, 'its lease ran out: the worker died or hung', true)
            moved = moved + 1
        else
            call('ZREM', LEASES, id)
        end
    end
    return moved
end

-- Milliseconds until the next task is due or the next lease runs out; -1 when nothing is coming.
local function next_ms()
    local first = -1
    for _, key in ipairs({ DELAYED, LEASES }) do
        local found = call('ZRANGE', key, 0, 0, 'WITHSCORES')
        if found[2] then
            local ms = math.max(0, tonumber(found[2]) - now)
            first = first < 0 and ms or math.min(first, ms)
        end
    end
    return first
end
