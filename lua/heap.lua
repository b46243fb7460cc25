-- Walks over the objects that the VM's code can reach, and adds up what they take, by who holds them. `...` is the
-- most objects that are looked at. Returns a function that goes on for that many entries and returns whether there
-- are no more, and one that returns what has been found.
local most = ...
local debug = require "debug"
local getmetatable, getupvalue, getfenv = debug.getmetatable, debug.getupvalue, debug.getfenv
local getlocal, getinfo, getregistry = debug.getlocal, debug.getinfo, debug.getregistry
local next, type, pcall, rawget = next, type, pcall, rawget
local util, ffi = require "jit.util", require "ffi"
local funcinfo, funck = util.funcinfo, util.funck
-- The walk allocates much. An allocation that fails in compiled code can end the worker, so it stays interpreted.
require "jit".off(true, true)
local concat, globals, loaded = table.concat, _G, package.loaded

-- How deep holders are told apart, how many there are at most, and how much of a name is shown.
local DEEPEST, MOST_HOLDERS, LONGEST = 6, 4000, 60

local seen, count = {}, 0
local kinds, bytes, code = {}, {}, {}
-- What has been seen and not been looked into, with its holders.
local queue, queued_for, first, last = {}, {}, 1, 0
local holders = {}
local root = { depth = 0, children = {}, bytes = {} }

local function label(key)
    if type(key) == "string" then
        return (key:sub(1, LONGEST):gsub("[;%c]", "?"))
    end
    return type(key) == "number" and "[n]" or "[" .. type(key) .. "]"
end

local function below(holder, name)
    local child = holder.children[name]
    if not child and holder.depth < DEEPEST and #holders < MOST_HOLDERS then
        child = { depth = holder.depth + 1, children = {}, bytes = {} }
        child.path = holder.path and holder.path .. ";" .. name or name
        holder.children[name] = child
        holders[#holders + 1] = child
    end
    return child or holder
end

local function add(holder, kind, size)
    holder.bytes[kind] = (holder.bytes[kind] or 0) + size
    bytes[kind] = (bytes[kind] or 0) + size
    kinds[kind] = (kinds[kind] or 0) + 1
end

local HELD = { string = true, table = true, ["function"] = true, userdata = true, thread = true, cdata = true }

local function visit(object, holder, name)
    local kind = type(object)
    if not HELD[kind] or seen[object] or count >= most then
        return
    end
    seen[object] = true
    count = count + 1
    if kind == "string" then
        return add(holder, kind, 25 + #object)
    end
    last = last + 1
    queue[last], queued_for[last] = object, below(holder, name)
end

-- What is below those that are not tables; returns their sizes.
local look_into = {}

-- The code of a Lua function, which all closures of it have in common, and its constants.
local function look_into_code(object, holder)
    local info = funcinfo(object)
    if not info.bytecodes then
        return
    end
    local id = info.loc .. "-" .. info.lastlinedefined .. "-" .. info.bytecodes
    if code[id] then
        return
    end
    code[id] = true
    local constants = info.gcconsts + info.nconsts
    add(holder, "code", 104 + 6 * info.bytecodes + 8 * constants + 2 * info.upvalues)
    for i = 1, info.gcconsts do
        visit(funck(object, -i), holder, "constant")
    end
end

look_into["function"] = function(object, holder)
    look_into_code(object, holder)
    local i = 1
    while true do
        local name, value = getupvalue(object, i)
        if not name then
            break
        end
        visit(value, holder, name == "" and "upvalue" or "upvalue " .. label(name))
        i = i + 1
    end
    visit(getfenv(object), holder, "environment")
    return 40 + 48 * (i - 1)
end

function look_into.userdata(object, holder)
    visit(getmetatable(object), holder, "metatable")
    visit(getfenv(object), holder, "environment")
    return 48
end

function look_into.cdata(object)
    local ok, size = pcall(ffi.sizeof, object)
    return 16 + (ok and size or 0)
end

function look_into.thread(object, holder)
    local level, slots = 0, 0
    while true do
        local info = getinfo(object, level, "f")
        if not info then
            break
        end
        visit(info.func, holder, "running function")
        local i = 1
        while true do
            local name, value = getlocal(object, level, i)
            if not name then
                break
            end
            visit(value, holder, "local " .. label(name))
            i = i + 1
        end
        level, slots = level + 1, slots + i
    end
    return 104 + 8 * (40 + slots)
end

-- The table that is being looked into, up to a key, with the numbers of its entries.
local current, holder, key, array, hash, weak_keys, weak_values

local function begin(object)
    local metatable = getmetatable(object)
    visit(metatable, holder, "metatable")
    local mode = type(metatable) == "table" and rawget(metatable, "__mode")
    mode = type(mode) == "string" and mode or ""
    weak_keys, weak_values = mode:find("k", 1, true), mode:find("v", 1, true)
    current, key, array, hash = object, nil, 0, 0
end

local function finish()
    local slots = hash > 0 and 1 or 0
    while slots < hash do
        slots = slots * 2
    end
    add(holder, "table", 64 + 8 * array + 24 * slots)
    current = nil
end

local function entries(budget)
    for _ = 1, budget do
        local value
        key, value = next(current, key)
        if key == nil then
            return finish()
        end
        if type(key) == "number" then
            array = array + 1
        else
            hash = hash + 1
        end
        -- A weak table holds its strings.
        if not weak_keys or type(key) == "string" then
            visit(key, holder, "[key]")
        end
        if not weak_values or type(value) == "string" then
            visit(value, holder, label(key))
        end
    end
end

local function step(budget)
    while budget > 0 do
        if current then
            -- A table that has changed meanwhile may not have the key any more.
            if not pcall(entries, budget) then
                finish()
            end
            budget = current and 0 or budget - array - hash - 1
        elseif first > last then
            return true
        else
            local object = queue[first]
            holder = queued_for[first]
            queue[first], queued_for[first] = nil, nil
            first = first + 1
            local kind = type(object)
            if kind == "table" then
                begin(object)
            else
                local ok, size = pcall(look_into[kind], object, holder)
                add(holder, kind, ok and size or 0)
                budget = budget - 8
            end
        end
    end
    return false
end

local function report()
    local lines = {}
    for i = 1, #holders do
        for kind, size in next, holders[i].bytes do
            lines[#lines + 1] = holders[i].path .. ";[" .. kind .. "] " .. size
        end
    end
    local types = {}
    for kind, number in next, kinds do
        types[#types + 1] = kind .. " " .. number .. " " .. bytes[kind]
    end
    return concat(lines, "\n"), concat(types, "\n"), count >= most
end

-- Not what this code itself holds.
for _, own in next, { seen, queue, queued_for, holders, root, kinds, bytes, code, look_into, step, report } do
    seen[own] = true
end
local modules = below(root, "package.loaded")
for name, module in next, loaded do
    if module ~= globals then
        visit(module, modules, label(name))
    end
end
visit(globals, root, "globals")
visit(getmetatable(""), root, "metatable of strings")
visit(getregistry(), root, "registry")

return step, report
