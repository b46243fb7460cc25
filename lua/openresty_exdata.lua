-- thread.exdata of OpenResty's LuaJIT, by which lua-resty-core asks for the request that the running
-- code runs for. Here that is in a C variable, at the address that is the argument.
local error = error
local running = require "ffi".cast("void **", ...)

local function exdata(value)
    if value ~= nil then
        error("thread.exdata sets nothing: this LuaJIT is not OpenResty's", 2)
    end
    return running[0]
end

package.preload["thread.exdata"] = function()
    return exdata
end
