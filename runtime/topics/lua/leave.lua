-- A consumer goes: what it holds goes back at once. ARGV: topic, name, consumer.

local group = ARGV[4] .. '/' .. ARGV[5]
call('ZREM', consumers_key(group), ARGV[6])
if disown(group, ARGV[6], {}) then
    take_back(group)
    wake(group)
end
return 1
