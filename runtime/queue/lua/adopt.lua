-- Takes in what others have put into a list in a form that is not ours. ARGV: prefix, dead limit, {their text, our text
-- or nothing, what is wrong with theirs} each. Whoever comes second finds nothing left to do.

for i = 3, #ARGV, 3 do
    local theirs, ours, fault = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    if call('LREM', FOREIGN, -1, theirs) == 1 then
        local id, _, priority = header(ours)
        if not id then
            bury(theirs, fault)
        elseif call('HSETNX', TASKS, id, 'w') == 1 then
            call('RPUSH', LISTS[priority], ours)
            wake()
        else
            count('duplicate')
        end
    end
end
return 1
