-- `require` and `dofile` in Lua. Unlike below LuaJIT's own, which are C functions, the code that they
-- run may wait, and LuaJIT compiles the `require` of a module that has been loaded.
--
-- A module may be asked for while its code waits for another request: who asks waits too. Unlike with
-- LuaJIT's own, nothing stands in `package.loaded` for a module whose code has not ended, and one whose
-- code has failed is loaded anew by the next `require`, which tells what is wrong.
local has_resumed_running, sleep = ...

local error, pcall, type, loadfile = error, pcall, type, loadfile
local running, status = coroutine.running, coroutine._status
local getinfo, getlocal = debug.getinfo, debug.getlocal
local package = package
local loaded = package.loaded

-- How long to wait for a module that another request loads, and between two looks, in seconds.
local LIMIT, FIRST_PAUSE, LONGEST_PAUSE = 60, 0.001, 0.05

-- By the name of each module whose code runs: the coroutine that it runs in.
local loads = {}
-- By coroutine: the module that it waits for. What ended while it waited may still be here; so may the
-- coroutine, which then runs other code.
local waits = setmetatable({}, { __mode = "k" })

local require_module
-- What `lua/code_watch.lua` does when a module is loaded, if it is there.
local hooks

-- Whether the coroutine `thread`, or the running one, is still in the `require` with this load. It may
-- have left that by an error. (The module's own function may have left by a tail call.)
local function is_in(thread, load)
    local level = 0
    repeat
        local info
        if thread then
            info = getinfo(thread, level, "f")
        else
            info = getinfo(level, "f")
        end
        if info and info.func == require_module then
            local index, name, value = 1
            repeat
                if thread then
                    name, value = getlocal(thread, level, index)
                else
                    name, value = getlocal(level, index)
                end
                if value == load then
                    return true
                end
                index = index + 1
            until not name
        end
        level = level + 1
    until not info
    return false
end

-- Whether the code of a load has neither ended nor failed.
local function is_alive(load)
    local thread = load.thread
    return not (thread and status(thread) == "dead") and is_in(thread ~= running() and thread, load)
end

-- What a load does: "waits", for another request's code; "loops", if it is what asks; nothing where it
-- has failed, or its request has ended.
local function state(load)
    local thread, self = load.thread, running()
    if not thread and self then
        -- Of `init_by_lua`, where nobody could tell.
        return "loops"
    end
    if not is_alive(load) then
        return nil
    end
    if thread == self then
        return "loops"
    end
    -- Nil where no task runs in it.
    local has_resumed_self = has_resumed_running(thread)
    if has_resumed_self or has_resumed_self == nil and status(thread) == "normal" then
        return "loops"
    end
    return has_resumed_self == false and "waits"
end

-- Whether the coroutine `thread` waits for what `self` loads.
local function waits_for(thread, self)
    while thread and thread ~= self do
        local load = loads[waits[thread] or ""]
        thread = load and is_alive(load) and load.thread
    end
    return thread == self
end

-- Waits while another request loads the module. Returns an error's text where that cannot be.
local function await(name)
    local self, waited, pause = running(), 0, FIRST_PAUSE
    while loads[name] do
        local load = loads[name]
        local doing = state(load)
        if not doing then
            loads[name] = nil
            return
        end
        if doing == "loops" or self and waits_for(load.thread, self) then
            return "loop or previous error loading module '" .. name .. "'"
        end
        if waited >= LIMIT then
            return "timed out waiting for another request to load module '" .. name .. "'"
        end
        if self then
            waits[self] = name
        end
        local slept, err = pcall(sleep, pause)
        if self then
            waits[self] = nil
        end
        if not slept then
            return "module '" .. name .. "' is being loaded by another request, whose code waits: " .. err
        end
        waited, pause = waited + pause, pause * 2
        if pause > LONGEST_PAUSE then
            pause = LONGEST_PAUSE
        end
    end
end

-- The function with the code of the module, or nil and an error.
local function find(name)
    local loaders = package.loaders
    if type(loaders) ~= "table" then
        return nil, "'package.loaders' must be a table"
    end
    local tried, i = "", 1
    local loader = rawget(loaders, i)
    while loader ~= nil do
        -- Protected, so that no position in this file is put before the text of an error.
        local ok, found = pcall(loader, name)
        if not ok then
            return nil, found, 0
        end
        if type(found) == "function" then
            return found
        end
        if type(found) == "string" or type(found) == "number" then
            tried = tried .. found
        end
        i = i + 1
        loader = rawget(loaders, i)
    end
    return nil, "module '" .. name .. "' not found:" .. tried
end

-- Notes the result of a module's code.
local function finish(name, result)
    loads[name] = nil
    if result ~= nil then
        loaded[name] = result
    elseif loaded[name] == nil then
        loaded[name] = true
    end
    return loaded[name]
end

function require_module(name)
    local module = loaded[name]
    if module then
        return module
    end
    if type(name) == "number" then
        name = tostring(name)
    elseif type(name) ~= "string" then
        local found = name == nil and "no value" or type(name)
        error("bad argument #1 to 'require' (string expected, got " .. found .. ")", 2)
    end
    local err = await(name)
    if err then
        error(err, 2)
    end
    if loaded[name] then
        return loaded[name]
    end
    local seen = hooks and hooks.before(name)
    local code, err, level = find(name)
    if not code then
        if hooks then
            hooks.missing(name, seen)
        end
        error(err, level or 2)
    end
    local self = running()
    local load = { thread = self }
    loads[name] = load
    if self then
        waits[self] = nil
    end
    if hooks then
        hooks.loads(name, code, load, seen)
    end
    return finish(name, (code(name)))
end
require = require_module

function dofile(path)
    local code, err = loadfile(path)
    if not code then
        error(err, 0)
    end
    return code()
end

-- For `lua/code_watch.lua`.
return function(watching)
    hooks = watching
    return require_module, is_in, state, loads
end
