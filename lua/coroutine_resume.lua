-- LuaJIT's own `coroutine.resume`, which lua-resty-core takes in filters, for all coroutines but those whose results
-- the scheduler waits for: to it, these would be lost.
local coroutine, check = ...
local resume = coroutine._resume

function coroutine._resume(co, ...)
    local refusal = check(co)
    if refusal then
        return false, refusal
    end
    return resume(co, ...)
end
