-- `receive` of TCP cosockets through the FFI, so that LuaJIT compiles the code that uses it.
--
-- Only what succeeds at once, with the usual arguments: all else is done, or refused, by the C function for
-- Lua. Nothing has been changed then. A call from code that is not compiled costs more than one of the C
-- function; so this takes its place in a socket that many calls may follow for, by `use`, which is returned.
local methods, raw_methods, owner, capacity, receive_line, receive_size = ...

local ffi = require "ffi"
local getmetatable, ipairs, rawget, rawset, select, type = getmetatable, ipairs, rawget, rawset, select, type
local ffi_string, compiler_is_on = ffi.string, jit.status

receive_line = ffi.cast("int (*)(void *socket, char *text)", receive_line)
receive_size = ffi.cast("int (*)(void *socket, char *text, int size)", receive_size)

local text = ffi.new("char[?]", capacity)
-- Whether `text` has what has not become a string yet. A finalizer may run then, where compiled code ends, and
-- receive too: it has to do without. (After an error in between, all have.)
local taken = false

-- The userdata in the table of a cosocket; nil for anything else.
local function userdata(sock)
    local socket = type(sock) == "table" and rawget(sock, 1)
    if type(socket) == "userdata" and getmetatable(socket) == owner then
        return socket
    end
end

-- Its parameters are fixed: LuaJIT compiles a function with any number of them as a part of its callers only.
local function receive_buffered(sock, size)
    local socket, length = userdata(sock), -1
    if not socket or taken then
        return nil
    end
    taken = true
    if size == "*l" then
        length = receive_line(socket, text)
    elseif type(size) == "number" and size >= 1 and size <= capacity then
        length = receive_size(socket, text, size)
    end
    local received
    if length >= 0 then
        received = ffi_string(text, length)
    end
    taken = false
    return received
end

-- The function for the sockets with this metatable, beside the C function for Lua. A script may put one of its own in
-- the place of that, also later.
local function at_once(metatable)
    local receive = metatable.receive
    return receive, function(...)
        if metatable.receive ~= receive then
            return metatable.receive(...)
        end
        local sock, size = ...
        local n, received = select("#", ...)
        if n == 1 then
            received = receive_buffered(sock, "*l")
        elseif n == 2 then
            received = receive_buffered(sock, size)
        end
        if received then
            return received
        end
        return receive(...)
    end
end

-- By the metatables of both kinds of sockets: the C functions, and those at once.
local functions, at_once_functions = {}, {}
for _, metatable in ipairs { methods, raw_methods } do
    functions[metatable], at_once_functions[metatable] = at_once(metatable)
end

-- A script may have turned the compiler off.
local function use(sock)
    local metatable = getmetatable(sock)
    local plain = functions[metatable]
    if plain and compiler_is_on() and rawget(metatable, "receive") == plain and rawget(sock, "receive") == nil then
        rawset(sock, "receive", at_once_functions[metatable])
    end
end

return use
