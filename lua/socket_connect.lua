-- ngx.socket.connect: makes a TCP cosocket and connects it.
local sock = ngx.socket.tcp()
local ok, err = sock:connect(...)
if not ok then
    return nil, err
end
return sock
