-- Tells of the cycles of the garbage collector, and of what the compiler does, by calling these functions.
local collected, compiled, aborted, flushed = ...
local newproxy, getmetatable = newproxy, getmetatable

-- Garbage: its finalizer runs once in each cycle.
local function leave_garbage()
    local proxy = newproxy(true)
    getmetatable(proxy).__gc = function()
        collected()
        leave_garbage()
    end
end
leave_garbage()

jit.attach(function(what)
    if what == "stop" then
        compiled()
    elseif what == "abort" then
        aborted()
    elseif what == "flush" then
        flushed()
    end
end, "trace")
