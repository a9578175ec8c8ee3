-- Takes events in. ARGV: limit of a group, how long a message id is remembered (ms), number of groups to admit, their
-- {topic, name} each, then {kind, topic, message id, envelope} each. Kind `p`: number it, publish it, and keep it for
-- the topic's groups. Kind `a`: a stranger has published it, keep it only. All of an event happens, or nothing.
-- Answers a verdict for each (`ok`, `again` for one taken in before, or `full NAME`) and the depths of the groups met.

local limit, remembered_ms, admitted = tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
local FIRST = 7 + 2 * admitted
local names, depths = {}, {}

for i = 7, FIRST - 1, 2 do
    call('SADD', groups_key(ARGV[i]), ARGV[i + 1])
end

local function names_of(topic)
    if not names[topic] then
        names[topic] = call('SMEMBERS', groups_key(topic))
        for _, name in ipairs(names[topic]) do
            depths[topic .. '/' .. name] = depth_of(topic .. '/' .. name)
        end
    end
    return names[topic]
end

local function keep(topic, envelope)
    for _, name in ipairs(names_of(topic)) do
        local group = topic .. '/' .. name
        call('RPUSH', waiting_key(group), plain(next_in('seq')) .. ' 0 ' .. envelope)
        depths[group] = depths[group] + 1
    end
end

local function take(kind, topic, id, envelope)
    local seen = KEYS_AT .. 'seen:' .. id
    if call('EXISTS', seen) == 1 then
        return 'again'
    end
    for _, name in ipairs(names_of(topic)) do
        if depths[topic .. '/' .. name] >= limit then
            return 'full ' .. name
        end
    end
    call('SET', seen, '', 'PX', remembered_ms)
    keep(topic, envelope)
    if kind == 'p' then
        local number = call('HINCRBY', NUMBERS, topic, 1)
        call('PUBLISH', CHANNELS .. topic, string.sub(envelope, 1, -2) .. ',"number":' .. plain(number) .. '}')
    else
        for _, name in ipairs(names_of(topic)) do
            wake(topic .. '/' .. name)
        end
    end
    return 'ok'
end

local verdicts, found = {}, {}
for i = FIRST, #ARGV, 4 do
    verdicts[#verdicts + 1] = take(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
end
for group, depth in pairs(depths) do
    found[#found + 1] = group
    found[#found + 1] = depth
end
return { verdicts, found }
