-- Loads lua-resty-core so that LuaJIT can compile its functions.
--
-- Many of them end in `return ffi.string(...)`. The compiler gives up on a function that ends in a tail call of
-- one of LuaJIT's own functions, unless it compiles a loop around it. So lua-resty-core gets functions in Lua in
-- their place, which the compiler makes part of their callers.
local ffi = require "ffi"
local pcall, require, string, get = pcall, require, ffi.string, rawget

ffi.string = function(data, length)
    local text = string(data, length)
    return text
end
rawget = function(table, key)
    local value = get(table, key)
    return value
end
local ok, reason = pcall(require, "resty.core")
ffi.string, rawget = string, get
if not ok then
    error(reason, 0)
end
