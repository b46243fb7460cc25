-- Looks at each new global variable: globals are shared by all requests of a worker. `...` is nil, "warn" or
-- "error", as lua_strict_globals says.
local mode = ...
local log, WARN = ngx.log, ngx.WARN
local get_phase = ngx.get_phase
local error, rawset, tostring = error, rawset, tostring
local traceback, getinfo = require "debug".traceback, require "debug".getinfo

-- The places that have been named.
local known = {}

local function warn_once(name)
    local at = getinfo(3, "Sl")
    local place = at and at.short_src .. ":" .. at.currentline or "?"
    if not known[place] then
        known[place] = true
        log(WARN, place, ": the global variable '", tostring(name), "' is written for the first time")
    end
end

setmetatable(_G, {
    __newindex = function(globals, name, value)
        local phase = get_phase()
        local may_write = phase == "init_worker" or phase == "init"
        if mode == "error" and not may_write then
            error("attempt to write a new global variable '" .. tostring(name) .. "'", 2)
        end

        rawset(globals, name, value)
        if may_write then
            return
        end
        if mode == "warn" then
            warn_once(name)
            return
        end

        log(WARN, "writing a global Lua variable ('", tostring(name),
            "') which may lead to race conditions between concurrent requests, ",
            "so prefer the use of 'local' variables", traceback("", 2))
    end,
})
