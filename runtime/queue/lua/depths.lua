-- How many tasks are where. ARGV: prefix, dead limit.

local lengths = {}
for i = 1, 6 do
    lengths[i] = call('LLEN', KEYS[i])
end
lengths[7] = call('ZCARD', DELAYED)
lengths[8] = call('LLEN', FOREIGN)
return { lengths, call('HGETALL', PARKED), call('HGETALL', COUNTS) }
