-- Settles what workers have to say of their claims. A claim that is theirs no more is refused: its id is returned.

local function settle(from, number)
    local rejected, ids = {}, {}
    for i = 0, number - 1 do
        ids[i + 1] = ARGV[from + i * 5 + 1]
    end
    local records = number > 0 and call('HMGET', TASKS, unpack(ids)) or {}
    local done, cancelling = {}, number > 0 and call('EXISTS', CANCELLING) == 1
    local settled = {}
    for i, id in ipairs(ids) do
        local at = from + (i - 1) * 5
        local how, fence, first, second = ARGV[at], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
        local held, text = claimed_text(records[i])
        if held ~= fence or settled[id] then
            rejected[#rejected + 1] = id
        elseif how == 'c' then
            settled[id] = true
            call('LREM', PROCESSING, -1, text)
            done[#done + 1] = id
            if second ~= '0' then
                call('SET', result_key(id), 'done ' .. first, 'PX', second)
            end
        else
            settled[id] = true
            local _, _, priority = header(text)
            if how == 'f' then
                failed(id, text, tonumber(first), second, false)
            elseif how == 'd' then
                let_go(id, text)
                bury(text, first)
            elseif how == 'r' and not (cancelling and call('SISMEMBER', CANCELLING, id) == 1) then
                let_go(id, text)
                wait_next(id, text, priority)
                wake()
            else
                let_go(id, text)
                finish_cancelled(id, CANCELLED_KEPT_MS)
            end
        end
    end
    if #done > 0 then
        call('HDEL', TASKS, unpack(done))
        call('ZREM', LEASES, unpack(done))
        call('HDEL', PROGRESS, unpack(done))
        if cancelling then
            call('SREM', CANCELLING, unpack(done))
        end
        count('done', #done)
    end
    return rejected
end
