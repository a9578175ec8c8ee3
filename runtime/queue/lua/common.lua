-- Stands before every script: the keys, the time of the server, and the steps that several scripts take.
--
-- A task is in exactly one place: a priority list (or the list of its type beside it), `delayed`, `processing_queue`
-- or `dead_letter_queue`. `tasks` says which by its id: w waiting, d delayed, x cancelled and still to be taken out of
-- its list, or `FENCE TEXT` while it is claimed. Lists are pushed at the left and taken from at the right.

local LISTS = { critical = KEYS[1], high = KEYS[2], normal = KEYS[3], low = KEYS[4] }
local PROCESSING, DEAD_LETTERS, TASKS, LEASES, DELAYED, PARKED, FOREIGN = KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local DEAD, CANCELLING, COUNTS, PROGRESS, IDLE, STATE = KEYS[12], KEYS[13], KEYS[14], KEYS[15], KEYS[16], KEYS[17]
local PREFIX, DEAD_LIMIT = ARGV[1], tonumber(ARGV[2])
local REPLY_KEPT_MS = 120000

local call = redis.call
local clock = call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local now = math.floor(now_us / 1000)

-- A number as text without an exponent.
local function plain(number)
    return string.format('%.0f', number)
end

-- What our own form of a message begins with. Nothing is returned for any other text.
local HEADER = '^{"id":"([%w_.:-]+)","type":"([%w_.]+)","priority":"(%l+)","timestamp":"[^"\\]*","retry_count":(%d+),'
    .. '"max_retries":(%d+),"timeout":[%d.]+,"visibility_timeout":([%d.]+),"source":'
local function header(text)
    local id, type, priority, retries, most, visibility = string.match(text, HEADER)
    visibility = tonumber(visibility)
    if id and LISTS[priority] and visibility and not ALIASES[type] then
        return id, type, priority, tonumber(retries), tonumber(most), visibility * 1000
    end
end

local function with_retries(text, count)
    return (string.gsub(text, '"retry_count":%d+', '"retry_count":' .. plain(count), 1))
end

-- The fence and the text of a claimed task's record; nothing for any other record.
local function claimed_text(record)
    if record and string.find(record, '^%d') then
        local at = string.find(record, ' ', 1, true)
        return string.sub(record, 1, at - 1), string.sub(record, at + 1)
    end
end

local function count(what, by)
    call('HINCRBY', COUNTS, what, by or 1)
end

local function result_key(id)
    return PREFIX .. 'queue:result:' .. id
end

-- Takes a claimed task out of the processing list and ends its lease.
local function let_go(id, text)
    call('LREM', PROCESSING, -1, text)
    call('ZREM', LEASES, id)
    call('HDEL', PROGRESS, id)
    call('SREM', CANCELLING, id)
end

local function wait_last(id, text, priority)
    call('LPUSH', LISTS[priority], text)
    call('HSET', TASKS, id, 'w')
end

local function wait_next(id, text, priority)
    call('RPUSH', LISTS[priority], text)
    call('HSET', TASKS, id, 'w')
end

local function dead_id(text)
    return header(text) or ('malformed-' .. redis.sha1hex(text))
end

-- Puts a text among the dead letters; the oldest make room.
local function bury(text, reason)
    local id = dead_id(text)
    call('LPUSH', DEAD_LETTERS, text)
    call('HSET', DEAD, id, plain(now) .. ' ' .. reason)
    call('HDEL', TASKS, id)
    count('dead')
    while call('LLEN', DEAD_LETTERS) > DEAD_LIMIT do
        call('HDEL', DEAD, dead_id(call('RPOP', DEAD_LETTERS)))
        count('dead_dropped')
    end
end

local function finish_cancelled(id, ttl_ms)
    call('HDEL', TASKS, id)
    call('SET', result_key(id), 'cancelled', 'PX', ttl_ms)
    count('cancelled')
end

local CANCELLED_KEPT_MS = 3600000

local function wake()
    if call('DEL', IDLE) == 1 then
        call('PUBLISH', PREFIX .. 'queue:wake', 'wake')
    end
end

-- An attempt at a claimed task came to nothing: it waits again, or is dead when it has had its retries.
local function failed(id, text, delay_ms, reason, next)
    local cancelled = call('SISMEMBER', CANCELLING, id) == 1
    let_go(id, text)
    local _, _, priority, retries, most = header(text)
    if cancelled then
        finish_cancelled(id, CANCELLED_KEPT_MS)
    elseif retries >= most then
        bury(text, reason)
    else
        local again = with_retries(text, retries + 1)
        count('retried')
        if delay_ms > 0 then
            call('ZADD', DELAYED, plain(now + delay_ms), again)
            call('HSET', TASKS, id, 'd')
        elseif next then
            wait_next(id, again, priority)
        else
            wait_last(id, again, priority)
        end
    end
end
