-- The figures of the topics given in ARGV. Answers {dead events by group} and then, for each topic, {number of the last
-- event, {name, depth}...}.

local found = { call('HGETALL', DEAD_COUNTS) }
for i = 4, #ARGV do
    local of_topic = { tonumber(call('HGET', NUMBERS, ARGV[i]) or 0) }
    for _, name in ipairs(call('SMEMBERS', groups_key(ARGV[i]))) do
        of_topic[#of_topic + 1] = name
        of_topic[#of_topic + 1] = depth_of(ARGV[i] .. '/' .. name)
    end
    found[#found + 1] = of_topic
end
return found
