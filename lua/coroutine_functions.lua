-- lua-resty-core's functions of `coroutine`, which take the scheduler's or LuaJIT's own by the running code. Here a C
-- function chooses: in Lua, that takes two calls of C symbols, which LuaJIT interprets whenever a coroutine is resumed.
local chosen = ...
local create, wrap, resume = chosen.create, chosen.wrap, chosen.resume
local yield, status = chosen.yield, chosen.status

function coroutine.create(...)
    return create(...)
end

function coroutine.wrap(...)
    return wrap(...)
end

function coroutine.resume(...)
    return resume(...)
end

function coroutine.yield(...)
    return yield(...)
end

function coroutine.status(...)
    return status(...)
end
