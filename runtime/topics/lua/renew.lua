-- Prolongs leases. ARGV: lease (ms), then {group, seq, fence} each. Answers how many are no more.

local lost = 0
for i = 5, #ARGV, 3 do
    local group, seq, fence = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    local text = call('HGET', held_key(group), seq)
    if text and read_held(text) == fence then
        call('ZADD', due_key(group), plain(now + ARGV[4]), seq)
    else
        lost = lost + 1
    end
end
return lost
