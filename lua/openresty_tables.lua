-- The table functions of OpenResty's LuaJIT, for LuaJIT as it comes from its authors.
local new = require "table.new"
local error, floor, next, pairs, type = error, math.floor, next, pairs, type

local function check(name, t)
    if type(t) ~= "table" then
        error("bad argument #1 to '" .. name .. "' (table expected, got " .. type(t) .. ")", 3)
    end
end

local functions = {}

function functions.isempty(t)
    check("isempty", t)
    return next(t) == nil
end

function functions.nkeys(t)
    check("nkeys", t)
    local n = 0
    for _ in next, t do
        n = n + 1
    end
    return n
end

-- Whether all keys are whole numbers.
function functions.isarray(t)
    check("isarray", t)
    for key in next, t do
        if type(key) ~= "number" or floor(key) ~= key then
            return false
        end
    end
    return true
end

-- A copy without the metatable, of the same values.
function functions.clone(t)
    check("clone", t)
    local copy = new(#t, 0)
    for key, value in next, t do
        copy[key] = value
    end
    return copy
end

for name, f in pairs(functions) do
    package.preload["table." .. name] = function()
        table[name] = f
        return f
    end
end
