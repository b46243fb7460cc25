-- `string.gsub` with a function in Lua: unlike below LuaJIT's own, which is a C function, that function may wait.
-- So may the metamethod `__index` of a table. What is looked for, and the text that is made, are Rust's
-- (`src/api/gsub.rs`). Every other call goes to LuaJIT's own, which also raises the errors about arguments.
local new, begin, step, captures = ...

local gsub = string.gsub
local error, type, getmetatable = error, type, getmetatable

-- Substitutions that nobody uses: the second one is for a `string.gsub` in the first one's function.
local idle, spare

-- Calls `f` for each match: with any number of captures, those of the first match here.
local function go_on(substitution, s, f, ...)
    if not ... then
        return ...
    end
    return go_on(substitution, s, f, step(substitution, s, (f(...))))
end

function string.gsub(...)
    local s, _, f = ...
    local kind = type(f)
    if kind ~= "function" and (kind ~= "table" or getmetatable(f) == nil) then
        return gsub(...)
    end
    local substitution = idle or new()
    idle, spare = spare, nil
    -- The captures of the first match; nil, the text and the number of matches; or false and an error.
    local a, b, c = begin(substitution, ...)
    if not a then
        -- There is none.
    elseif kind == "table" then
        repeat
            a, b, c = step(substitution, s, f[a])
        until not a
    elseif b == nil then
        repeat
            a, b, c = step(substitution, s, (f(a)))
        until not a
    elseif c == nil then
        repeat
            a, b, c = step(substitution, s, (f(a, b)))
        until not a
    else
        a, b, c = go_on(substitution, s, f, captures(substitution, s))
    end
    idle, spare = substitution, idle
    if a == false then
        error(b, c)
    elseif b == nil then
        return gsub(...)
    end
    return b, c
end
