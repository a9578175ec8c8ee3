"""The store's and the inboxes' transitions, one Lua script each.

Keys of the store share one hash tag, and so do those of an inbox. Numbers that only grow are at least the server's
clock in microseconds: what a crash of the server lost is not given out twice.
"""

from __future__ import annotations

from typing import Final

from runtime.redis import Script

_STORE: Final = """
local nodes, meta, leases, prefix = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

local function grow(what)
  local now = redis.call('TIME')
  local floor = now[1] * 1000000 + now[2]
  local last = tonumber(redis.call('HGET', meta, what) or '0')
  local number = math.max(last + 1, floor)
  redis.call('HSET', meta, what, string.format('%.0f', number))
  return number
end

local function bury(id)
  local held = prefix .. 'held:' .. id
  for _, entity in ipairs(redis.call('HKEYS', held)) do
    local lease = redis.call('HGET', leases, entity)
    if lease and string.match(lease, ' (.+)') == id then redis.call('HDEL', leases, entity) end
  end
  redis.call('DEL', held, prefix .. 'node:' .. id)
  redis.call('HDEL', nodes, id)
  redis.call('SET', prefix .. 'buried:' .. id, 1, 'PX', 86400000)
end

local function text(fence, id) return string.format('%.0f', fence) .. ' ' .. id end
"""

JOIN: Final = Script(_STORE + "return grow('epoch')")

BEAT: Final = Script(
    _STORE
    + """
local id, record, seen, ttl_ms, may_bury = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
if redis.call('EXISTS', prefix .. 'buried:' .. id) == 1 then return {0, 1, 0} end
local before = redis.call('HGET', nodes, id)
local changed = before ~= record
redis.call('HSET', nodes, id, record)
redis.call('SET', prefix .. 'node:' .. id, seen, 'PX', ttl_ms)
local all, answer = redis.call('HGETALL', nodes), {0, 0, 0}
for i = 1, #all, 2 do
  local known = redis.call('GET', prefix .. 'node:' .. all[i])
  if known or may_bury == '0' then
    table.insert(answer, all[i + 1])
    table.insert(answer, tonumber(known or '0'))
  else
    bury(all[i])
    changed = true
  end
end
local born = redis.call('HGET', meta, 'born')
answer[3] = tonumber(born or grow('born'))
answer[1] = changed and grow('version') or tonumber(redis.call('HGET', meta, 'version') or '0')
return answer
"""
)

LEAVE: Final = Script(
    _STORE
    + """
if redis.call('HEXISTS', nodes, ARGV[1]) == 1 then
  bury(ARGV[1])
  grow('version')
end
"""
)

ACQUIRE: Final = Script(
    _STORE
    + """
local id, answer = ARGV[1], {}
local member = redis.call('HEXISTS', nodes, id) == 1
for i = 2, #ARGV do
  local lease = redis.call('HGET', leases, ARGV[i])
  local holder = lease and string.match(lease, ' (.+)')
  if not member then
    table.insert(answer, '')
  elseif holder and holder ~= id and redis.call('HEXISTS', nodes, holder) == 1 then
    table.insert(answer, holder)
  else
    local fence = grow('fence')
    if holder and holder ~= id then redis.call('HDEL', prefix .. 'held:' .. holder, ARGV[i]) end
    redis.call('HSET', leases, ARGV[i], text(fence, id))
    redis.call('HSET', prefix .. 'held:' .. id, ARGV[i], string.format('%.0f', fence))
    table.insert(answer, fence)
  end
end
return answer
"""
)

VERIFY: Final = Script(
    _STORE
    + """
local id, answer = ARGV[1], {}
for i = 2, #ARGV, 2 do
  local mine = ARGV[i + 1] .. ' ' .. id
  local lease = redis.call('HGET', leases, ARGV[i])
  if not lease then
    redis.call('HSET', leases, ARGV[i], mine)
    redis.call('HSET', prefix .. 'held:' .. id, ARGV[i], ARGV[i + 1])
  end
  table.insert(answer, (not lease or lease == mine) and 1 or 0)
end
return answer
"""
)

RELEASE: Final = Script(
    _STORE
    + """
local id = ARGV[1]
for i = 2, #ARGV, 2 do
  if redis.call('HGET', leases, ARGV[i]) == ARGV[i + 1] .. ' ' .. id then
    redis.call('HDEL', leases, ARGV[i])
    redis.call('HDEL', prefix .. 'held:' .. id, ARGV[i])
  end
end
"""
)

SEND: Final = Script(
    """
local inbox, bell, limit, keep_ms = KEYS[1], KEYS[2], tonumber(ARGV[1]), ARGV[2]
if redis.call('LLEN', inbox) >= limit then return 0 end
redis.call('RPUSH', inbox, ARGV[3])
redis.call('PEXPIRE', inbox, keep_ms)
if redis.call('LLEN', bell) == 0 then
  redis.call('RPUSH', bell, '1')
  redis.call('PEXPIRE', bell, keep_ms)
end
return 1
"""
)
"""Into an inbox, and ring. What nobody fetches, because its node is gone, expires."""

CLAIM: Final = Script(
    """
local inbox, processing, done, most = KEYS[1], KEYS[2], tonumber(ARGV[1]), tonumber(ARGV[2])
if done < 0 then
  local left = redis.call('LRANGE', processing, 0, -1)
  if #left > 0 then return left end
elseif done > 0 then
  redis.call('LTRIM', processing, done, -1)
end
local taken = redis.call('LPOP', inbox, most)
if not taken then return {} end
redis.call('RPUSH', processing, unpack(taken))
return taken
"""
)
"""Acknowledge `done` parcels and take up to `most` more. `done` -1: how far it got is not known, so the rest again."""
