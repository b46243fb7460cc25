-- `table.sort` with a function that compares, in Lua: unlike below LuaJIT's own, which is a C function, that
-- function may wait, and LuaJIT compiles both together. So may the metamethod `__lt` of the elements. Every other
-- call goes to LuaJIT's own, which also raises the errors about arguments.
--
-- It makes the same calls as LuaJIT's own, in the same order. That one asks no metamethod of the table: so it gets a
-- table in which elements are missing and that has a metatable.
local sort = table.sort

local type, error, rawget = type, error, rawget
local getmetatable = debug.getmetatable
local length_of = rawlen or function(t) return #t end

-- Orders the first element from `low` to `high`, the last one and that in the middle of them.
local function order_three(t, low, middle, high, is_less)
    local a, b = t[middle], t[low]
    if is_less(a, b) then
        t[middle], t[low] = b, a
    else
        b = t[high]
        if is_less(b, a) then
            t[middle], t[high] = b, a
        end
    end
end

-- Divides the elements from `low` to `high`, and returns the place between the parts; nil where they are in
-- order then, false if `is_less` contradicts itself.
local function divide(t, low, high, is_less)
    local a, b = t[low], t[high]
    if is_less(b, a) then
        t[low], t[high] = b, a
    end
    if high - low == 1 then
        return nil
    end
    local i = (low + high - (low + high) % 2) / 2
    order_three(t, low, i, high, is_less)
    if high - low == 2 then
        return nil
    end
    -- The middle one of the three divides the others; it waits next to the end.
    local pivot, j = t[i], high - 1
    t[i], t[j] = t[j], pivot
    i = low
    while true do
        i = i + 1
        a = t[i]
        while is_less(a, pivot) do
            if i >= high then
                return false
            end
            i = i + 1
            a = t[i]
        end
        j = j - 1
        b = t[j]
        while is_less(pivot, b) do
            if j <= low then
                return false
            end
            j = j - 1
            b = t[j]
        end
        if j < i then
            break
        end
        t[i], t[j] = b, a
    end
    t[high - 1], t[i] = t[i], t[high - 1]
    return i
end

-- Sorts the elements from 1 to `high`; returns false if `is_less` contradicts itself.
local function sort_calling(t, high, is_less)
    local low, parts, depth = 1, nil, 0
    while true do
        local place
        if low < high then
            place = divide(t, low, high, is_less)
        end
        if place then
            -- The smaller part comes first, the other one later.
            parts, depth = parts or {}, depth + 2
            if place - low < high - place then
                parts[depth - 1], parts[depth] = place + 1, high
                high = place - 1
            else
                parts[depth - 1], parts[depth] = low, place - 1
                low = place + 1
            end
        elseif place == false then
            return false
        elseif depth == 0 then
            return true
        else
            low, high, depth = parts[depth - 1], parts[depth], depth - 2
        end
    end
end

local function is_less_than(a, b)
    return a < b
end

local function has_less_than(value)
    local metatable = getmetatable(value)
    return metatable and rawget(metatable, "__lt")
end

-- Whether metamethods of the table would be asked for elements: for those that are nil.
local function has_asked_holes(t, length)
    if getmetatable(t) then
        for i = 1, length do
            if rawget(t, i) == nil then
                return true
            end
        end
    end
    return false
end

function table.sort(...)
    local t, is_less = ...
    if type(t) == "table" then
        if is_less == nil then
            local first = rawget(t, 1)
            if type(first) == "table" and has_less_than(first) then
                is_less = is_less_than
            end
        end
        if type(is_less) == "function" then
            local length = length_of(t)
            if not has_asked_holes(t, length) then
                if not sort_calling(t, length, is_less) then
                    error("invalid order function for sorting", 2)
                end
                return
            end
        end
    end
    return sort(...)
end
