-- Notes how far claimed tasks are. ARGV: prefix, dead limit, {id, fence, JSON} each.

for i = 3, #ARGV, 3 do
    if claimed_text(call('HGET', TASKS, ARGV[i])) == ARGV[i + 1] then
        call('HSET', PROGRESS, ARGV[i], ARGV[i + 2])
    end
end
return 1
