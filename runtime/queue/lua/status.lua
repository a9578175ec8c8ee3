-- What is known of one task. ARGV: prefix, dead limit, id. Answers {state, progress, result, reason}.

local id = ARGV[3]
local record = call('HGET', TASKS, id)
if record == 'w' then
    return { 'waiting', '', '', '' }
elseif record == 'd' then
    return { 'delayed', '', '', '' }
elseif record and record ~= 'x' then
    return { 'running', call('HGET', PROGRESS, id) or '', '', '' }
end
local dead = call('HGET', DEAD, id)
if dead then
    return { 'dead', '', '', string.sub(dead, string.find(dead, ' ', 1, true) + 1) }
end
local result = call('GET', result_key(id))
if not result then
    return { 'unknown', '', '', '' }
elseif result == 'cancelled' then
    return { 'cancelled', '', '', '' }
end
return { 'done', '', string.sub(result, 6), '' }
