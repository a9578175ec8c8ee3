-- Lets go of a group and of what it has not handled. ARGV: topic, name. Answers how many events those are, or -1 when
-- some node still subscribes for it.

local group = ARGV[4] .. '/' .. ARGV[5]
call('ZREMRANGEBYSCORE', consumers_key(group), '-inf', plain(now))
if call('ZCARD', consumers_key(group)) > 0 then
    return -1
end
local depth = depth_of(group)
call('SREM', groups_key(ARGV[4]), ARGV[5])
call('DEL', waiting_key(group), held_key(group), due_key(group), consumers_key(group))
return depth
