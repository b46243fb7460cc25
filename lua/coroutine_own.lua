-- LuaJIT's own `coroutine.resume` and `coroutine.wrap`, in the fields with these names, with what they lack: a check
-- before each resume. It refuses coroutines whose results the scheduler waits for, which would be lost to it, and those
-- that would be too deep: each that resumes another takes some of the C stack.
local coroutine, resume_name, wrap_name, check = ...
local resume, wrap = coroutine[resume_name], coroutine[wrap_name]
local type, error = type, error

coroutine[resume_name] = function(co, ...)
    local refusal = check(co)
    if refusal then
        return false, refusal
    end
    return resume(co, ...)
end

coroutine[wrap_name] = function(...)
    if type((...)) ~= "function" then
        return wrap(...)
    end
    local call = wrap((...))
    return function(...)
        local refusal = check()
        if refusal then
            error(refusal, 0)
        end
        return call(...)
    end
end
