-- What became of claimed events. ARGV: topic, name, then {act, seq, fence, value} each. Acts: `h` handled; `f` failed,
-- to be offered again after `value` ms, with an attempt counted; `b` the same without; `d` dead, `value` says why.
-- A claim that is no more, or is another's by now, is left alone.
-- Answers {handled, dead, depth, dead in all, {seq refused}...}.

local topic, name = ARGV[4], ARGV[5]
local group = topic .. '/' .. name
local handled, dead, refused, given_back = 0, 0, {}, false

for i = 6, #ARGV, 4 do
    local act, seq, fence, value = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
    local text = call('HGET', held_key(group), seq)
    local held_under, _, attempts, envelope
    if text then
        held_under, _, attempts, envelope = read_held(text)
    end
    if held_under ~= fence then
        refused[#refused + 1] = seq
    elseif act == 'h' then
        let_go(group, seq)
        handled = handled + 1
    elseif act == 'd' then
        let_go(group, seq)
        bury(topic, name, seq, attempts + 1, value, envelope)
        dead = dead + 1
    else
        attempts = attempts + (act == 'f' and 1 or 0)
        call('HSET', held_key(group), seq, '0 - ' .. plain(attempts) .. ' ' .. envelope)
        call('ZADD', due_key(group), plain(now + value), seq)
        given_back = given_back or act == 'b'
    end
end
if given_back then
    wake(group)
end
return { handled, dead, depth_of(group), dead_of(group), refused }
