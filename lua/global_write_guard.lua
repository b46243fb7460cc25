-- Warns of each new global variable: globals are shared by all requests of a worker.
local log, WARN = ngx.log, ngx.WARN
local get_phase = ngx.get_phase
local rawset, tostring = rawset, tostring
local traceback = require "debug".traceback

setmetatable(_G, {
    __newindex = function(globals, name, value)
        rawset(globals, name, value)

        local phase = get_phase()
        if phase == "init_worker" or phase == "init" then
            return
        end

        log(WARN, "writing a global Lua variable ('", tostring(name),
            "') which may lead to race conditions between concurrent requests, ",
            "so prefer the use of 'local' variables", traceback("", 2))
    end,
})
