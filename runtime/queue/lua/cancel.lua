-- Cancels a task. ARGV: prefix, dead limit, id. Answers `cancelled` (it waited, and will not run), `cancelling` (its
-- worker is told) or `unknown` (done, dead, cancelled before, or never heard of).

local id = ARGV[3]
local record = call('HGET', TASKS, id)
if not record or record == 'x' then
    return 'unknown'
end
if record == 'w' or record == 'd' then
    finish_cancelled(id, CANCELLED_KEPT_MS)
    call('HSET', TASKS, id, 'x')
    return 'cancelled'
end
call('SADD', CANCELLING, id)
call('PUBLISH', PREFIX .. 'queue:wake', 'cancel ' .. id)
return 'cancelling'
