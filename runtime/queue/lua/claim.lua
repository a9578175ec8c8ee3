-- Claims up to `batch` tasks of the types that there is room for. Higher priorities come first, but of every EVERY slots
-- each lower priority has one of its own, so that none starves. A task of a type that this worker has no room for steps
-- aside into the list of its type, where it keeps its place and blocks nobody. Answers {text, fence, ...} and whether
-- all was searched, or only as much as one call may.

local SCANNED_AT_MOST = 2000
local ORDER = { 'critical', 'high', 'normal', 'low' }

local function claim(batch, every, names, rooms)
    local fence = math.max(tonumber(call('HGET', STATE, 'fence') or 0), now_us)
    local turn = tonumber(call('HGET', STATE, 'turn') or 0)
    local parked = {}
    local beside = call('HGETALL', PARKED)
    for i = 1, #beside, 2 do
        parked[beside[i]] = tonumber(beside[i + 1])
    end
    local budget, taken = SCANNED_AT_MOST, 0
    local replies, records, leases, texts = {}, {}, {}, {}
    local mine = {}

    local function park(text, type, priority)
        local field = priority .. ' ' .. type
        call('LPUSH', LISTS[priority] .. ':' .. type, text)
        parked[field] = call('HINCRBY', PARKED, field, 1)
    end

    local function accept(text, priority, record)
        local id, type, _, _, _, visibility = header(text)
        if not id then
            call('LPUSH', FOREIGN, text)
        elseif record == 'x' and not mine[id] then
            call('HDEL', TASKS, id)
        elseif mine[id] or (record and record ~= 'w') then
            count('duplicate')
        elseif (rooms[type] or 0) <= 0 then
            park(text, type, priority)
        else
            rooms[type] = rooms[type] - 1
            fence = fence + 1
            taken = taken + 1
            mine[id] = true
            local mark = plain(fence)
            local n = #replies
            replies[n + 1], replies[n + 2] = text, mark
            records[n + 1], records[n + 2] = id, mark .. ' ' .. text
            leases[n + 1], leases[n + 2] = plain(now + visibility), id
            texts[#texts + 1] = text
        end
    end

    local function pop(key, priority, most)
        local popped = call('RPOP', key, most)
        if not popped then
            return 0
        end
        local ids = {}
        for i, text in ipairs(popped) do
            ids[i] = header(text) or ''
        end
        local known = call('HMGET', TASKS, unpack(ids))
        for i, text in ipairs(popped) do
            accept(text, priority, known[i])
        end
        budget = budget - #popped
        return #popped
    end

    local function take(priority, most)
        local until_taken = taken + most
        for _, type in ipairs(next(parked) and names or {}) do
            local field = priority .. ' ' .. type
            while (parked[field] or 0) > 0 and rooms[type] > 0 and taken < until_taken and budget > 0 do
                local popped = pop(LISTS[priority] .. ':' .. type, priority, math.min(until_taken - taken, rooms[type]))
                parked[field] = call('HINCRBY', PARKED, field, -popped)
                if popped == 0 or parked[field] <= 0 then
                    call('HDEL', PARKED, field)
                    parked[field] = nil
                end
            end
        end
        while taken < until_taken and budget > 0 do
            if pop(LISTS[priority], priority, math.min(until_taken - taken, budget)) == 0 then
                break
            end
        end
    end

    -- How many of the slots turn .. turn + batch - 1 are a multiple of `every`, shifted by `offset`.
    local function own_slots(offset)
        return math.floor((turn + batch + offset) / every) - math.floor((turn + offset) / every)
    end
    local quarter = math.floor(every / 4)
    local own = { low = own_slots(0), normal = own_slots(quarter), high = own_slots(2 * quarter) }

    local function strictly(most)
        for _, priority in ipairs(ORDER) do
            if taken < most then
                take(priority, most - taken)
            end
        end
    end
    strictly(batch - math.min(batch, own.high + own.normal + own.low))
    for _, priority in ipairs({ 'low', 'normal', 'high' }) do
        take(priority, math.min(own[priority], batch - taken))
    end
    strictly(batch)

    if taken > 0 then
        call('HSET', TASKS, unpack(records))
        call('ZADD', LEASES, unpack(leases))
        call('LPUSH', PROCESSING, unpack(texts))
        call('HSET', STATE, 'fence', plain(fence), 'turn', plain((turn + taken) % (every * 1000000)))
    end
    return replies, budget > 0
end
