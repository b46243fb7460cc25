-- Options for sslhandshake of TCP cosockets: lua-resty-core, which knows none, sets its function in the
-- metatable of cosockets, now or later, and gets in its place one that takes them first.
local methods, prepare = ...
local error, pcall, rawset, select, setmetatable = error, pcall, rawset, select, setmetatable

-- lua-resty-core's items of a cosocket.
local CERTIFICATE, KEY = 6, 7

-- The socket has its own certificate again.
local function restore(sock, certificate, key, ...)
    sock[CERTIFICATE], sock[KEY] = certificate, key
    return ...
end

-- An error may have come before the handshake has taken its options: the next one must not have them.
local function finish(sock, ok, ...)
    if ok then
        return ...
    end
    prepare(sock, {})
    error(..., 0)
end

local function with_options(plain)
    return function(sock, session, name, verify, status, options, ...)
        if select("#", ...) > 0 then
            return plain(sock, session, name, verify, status, options, ...)
        elseif options == nil then
            return plain(sock, session, name, verify, status)
        end
        local wrong = prepare(sock, options)
        if wrong then
            error("bad argument #5 to 'sslhandshake' (" .. wrong .. ")", 2)
        end
        local certificate, key = options.client_cert, options.client_priv_key
        if certificate == nil and key == nil then
            return finish(sock, pcall(plain, sock, session, name, verify, status))
        end
        local own_certificate, own_key = sock[CERTIFICATE], sock[KEY]
        local ok, err = sock:setclientcert(certificate, key)
        if not ok then
            prepare(sock, {})
            return nil, err
        end
        return finish(sock, restore(sock, own_certificate, own_key,
            pcall(plain, sock, session, name, verify, status)))
    end
end

-- It is never in the metatable itself: setting it there comes here each time.
local outer = {}
setmetatable(methods, {
    __index = outer,
    __newindex = function(t, name, method)
        if name == "sslhandshake" then
            outer.sslhandshake = method and with_options(method)
        else
            rawset(t, name, method)
        end
    end,
})
