-- A worker's sign of life. ARGV: prefix, dead limit, {id, fence, visibility ms} each. Answers {ids of claims that are
-- its own no more, ids that somebody wants cancelled}.

local lost, cancelled = {}, {}
for i = 3, #ARGV, 3 do
    local id = ARGV[i]
    local fence = claimed_text(call('HGET', TASKS, id))
    if fence == ARGV[i + 1] then
        call('ZADD', LEASES, 'XX', plain(now + tonumber(ARGV[i + 2])), id)
        if call('SISMEMBER', CANCELLING, id) == 1 then
            cancelled[#cancelled + 1] = id
        end
    else
        lost[#lost + 1] = id
    end
end
return { lost, cancelled }
