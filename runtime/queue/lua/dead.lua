-- The dead letters. ARGV: prefix, dead limit, what to do, an id, an offset, how many.
-- list: {id, ms, reason, text} each, newest first. find: the same for one id. replay, drop: of an id, or with no id of
-- the oldest; answers {how many were, ids that could not be}.

local act, wanted, offset, most = ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local CHUNK = 500

local function described(text, into)
    local id = dead_id(text)
    local noted = call('HGET', DEAD, id) or '0 '
    local at = string.find(noted, ' ', 1, true)
    local n = #into
    into[n + 1], into[n + 2], into[n + 3], into[n + 4] = id, string.sub(noted, 1, at - 1), string.sub(noted, at + 1), text
end

local function find(id)
    local from = 0
    while true do
        local texts = call('LRANGE', DEAD_LETTERS, from, from + CHUNK - 1)
        for _, text in ipairs(texts) do
            if dead_id(text) == id then
                return text
            end
        end
        if #texts < CHUNK then
            return nil
        end
        from = from + CHUNK
    end
end

local function replayed(text)
    local id, _, priority = header(text)
    if not id or call('HEXISTS', TASKS, id) == 1 then
        return false
    end
    wait_last(id, with_retries(text, 0), priority)
    wake()
    return true
end

if act == 'list' then
    local answer = {}
    for _, text in ipairs(call('LRANGE', DEAD_LETTERS, offset, offset + most - 1)) do
        described(text, answer)
    end
    return answer
end
local texts
if wanted == '' then
    texts = call('LRANGE', DEAD_LETTERS, -most - offset, -1 - offset)
else
    texts = { find(wanted) }
end
if act == 'find' then
    local answer = {}
    if texts[1] then
        described(texts[1], answer)
    end
    return answer
end
local moved, refused = 0, {}
for i = #texts, 1, -1 do
    local text = texts[i]
    if act == 'drop' or replayed(text) then
        call('LREM', DEAD_LETTERS, -1, text)
        call('HDEL', DEAD, dead_id(text))
        moved = moved + 1
    else
        refused[#refused + 1] = dead_id(text)
    end
end
return { moved, refused }
