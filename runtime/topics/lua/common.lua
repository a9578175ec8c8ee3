-- Stands before every script: the names of the keys, the time of the server, and the steps that several scripts take.
--
-- A group `TOPIC/NAME` has a list `waiting` of `SEQ ATTEMPTS ENVELOPE`, oldest at the left; a hash `held` of what is not
-- to be claimed now, SEQ to `FENCE CONSUMER ATTEMPTS ENVELOPE` (`0 -` for what waits for its next attempt); and a sorted
-- set `due` that says when each of those goes back to the front of `waiting`: when its lease ends, or its delay.
-- A SEQ, and a FENCE, is higher than any before it, also when the server has lost its last second.

local KEYS_AT, CHANNELS, DEAD_LIMIT = ARGV[1], ARGV[2], tonumber(ARGV[3])
local STATE, NUMBERS = KEYS_AT .. 'state', KEYS_AT .. 'numbers'
local DEAD, DEAD_TEXTS, DEAD_COUNTS = KEYS_AT .. 'dead', KEYS_AT .. 'dead:texts', KEYS_AT .. 'dead:counts'
local RETURNED_AT_ONCE = 1000

local call = redis.call
local clock = call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local now = math.floor(now_us / 1000)

local function groups_key(topic) return KEYS_AT .. 'groups:' .. topic end
local function waiting_key(group) return KEYS_AT .. 'waiting:' .. group end
local function held_key(group) return KEYS_AT .. 'held:' .. group end
local function due_key(group) return KEYS_AT .. 'due:' .. group end
local function consumers_key(group) return KEYS_AT .. 'consumers:' .. group end

-- A number as text without an exponent.
local function plain(number)
    return string.format('%.0f', number)
end

local function next_in(field)
    local number = math.max(tonumber(call('HGET', STATE, field) or 0) + 1, now_us)
    call('HSET', STATE, field, plain(number))
    return number
end

local function depth_of(group)
    return call('LLEN', waiting_key(group)) + call('HLEN', held_key(group))
end

local function dead_of(group)
    return tonumber(call('HGET', DEAD_COUNTS, group) or 0)
end

local function wake(group)
    call('PUBLISH', KEYS_AT .. 'wake', group)
end

-- Fence, consumer, attempts and envelope of what is held.
local function read_held(text)
    local fence, consumer, attempts, at = string.match(text, '^(%d+) (%S+) (%d+) ()')
    return fence, consumer, tonumber(attempts), string.sub(text, at)
end

local function let_go(group, seq)
    call('HDEL', held_key(group), seq)
    call('ZREM', due_key(group), seq)
end

local function drop_dead(seq)
    local text = call('HGET', DEAD_TEXTS, seq)
    if not text then
        return nil
    end
    local topic, name = unpack(cjson.decode(string.match(text, '^[^\n]*')))
    call('HDEL', DEAD_TEXTS, seq)
    call('ZREM', DEAD, seq)
    if call('HINCRBY', DEAD_COUNTS, topic .. '/' .. name, -1) <= 0 then
        call('HDEL', DEAD_COUNTS, topic .. '/' .. name)
    end
    return topic, name, string.sub(text, string.find(text, '\n', 1, true) + 1)
end

-- Puts an event among the dead; the oldest make room.
local function bury(topic, name, seq, attempts, why, envelope)
    call('HSET', DEAD_TEXTS, seq, cjson.encode({ topic, name, attempts, why }) .. '\n' .. envelope)
    call('ZADD', DEAD, seq, seq)
    call('HINCRBY', DEAD_COUNTS, topic .. '/' .. name, 1)
    while call('ZCARD', DEAD) > DEAD_LIMIT do
        drop_dead(call('ZRANGE', DEAD, 0, 0)[1])
        call('HINCRBY', STATE, 'dead_dropped', 1)
    end
end

-- What this consumer holds is to go back at once, but for what `known` says.
local function disown(group, consumer, known)
    local held = call('HGETALL', held_key(group))
    local some = false
    for i = 1, #held, 2 do
        local _, holder = read_held(held[i + 1])
        if holder == consumer and not known[held[i]] then
            call('ZADD', due_key(group), 0, held[i])
            some = true
        end
    end
    return some
end

-- What is due goes back to the front, in order.
local function take_back(group)
    local due = call('ZRANGEBYSCORE', due_key(group), '-inf', plain(now), 'LIMIT', 0, RETURNED_AT_ONCE)
    if #due == 0 then
        return
    end
    table.sort(due, function(one, other) return tonumber(one) > tonumber(other) end)
    for _, seq in ipairs(due) do
        local text = call('HGET', held_key(group), seq)
        if text then
            local _, _, attempts, envelope = read_held(text)
            call('LPUSH', waiting_key(group), seq .. ' ' .. plain(attempts) .. ' ' .. envelope)
        end
        let_go(group, seq)
    end
end
