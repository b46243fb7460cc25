# Connections that rest in pools: reuse, sizes, the queue of connects, idle times, what ends them.

use Test::Nginx::Socket::Lua;

repeat_each(2);

plan tests => repeat_each() * (blocks() * 3);

our $HttpConfig = <<'_EOC_';
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        # Answers each line with the number of the connection and of the line.
        location / {
            content_by_lua_block {
                local sock = assert(ngx.req.socket(true))
                local lines = 0
                while true do
                    local line = sock:receive()
                    if not line then return end
                    lines = lines + 1
                    if line == "close" then return end
                    if line == "half" then sock:send("half ") end
                    if line == "half" or line == "later" then ngx.sleep(0.3) end
                    sock:send(ngx.var.connection .. " " .. lines .. "\n")
                    if line == "twice" then sock:send("unasked\n") end
                end
            }
        }
    }
    init_by_lua_block {
        local port = $TEST_NGINX_RAND_PORT_1

        function open(opts)
            local sock = ngx.socket.tcp()
            local ok, err = sock:connect("127.0.0.1", port, opts)
            if not ok then return nil, err end
            if sock:getreusedtimes() == 0 then
                sock:send("GET / HTTP/1.0\r\n\r\n")
            end
            return sock
        end

        -- The line's number on its connection.
        function ask(sock, line)
            assert(sock:send((line or "x") .. "\n"))
            return (assert(sock:receive()):match("%d+$"))
        end

        local ffi = require "ffi"
        ffi.cdef[[
            int socket(int domain, int type, int protocol);
            int bind(int fd, const void *address, unsigned len);
            int listen(int fd, int backlog);
            int accept(int fd, void *address, unsigned *len);
            int getsockname(int fd, void *address, unsigned *len);
            ssize_t write(int fd, const void *bytes, size_t len);
            int close(int fd);
        ]]

        -- A server that speaks and closes while nginx does not look: the worker itself.
        function listen()
            local address, len = ffi.new("uint8_t[16]"), ffi.new("unsigned[1]", 16)
            address[0], address[4], address[7] = 2, 127, 1
            local fd, peer = ffi.C.socket(2, 1, 0)
            assert(ffi.C.bind(fd, address, 16) == 0 and ffi.C.listen(fd, 5) == 0)
            assert(ffi.C.getsockname(fd, address, len) == 0)
            return {
                port = address[2] * 256 + address[3],
                accept = function() peer = ffi.C.accept(fd, nil, nil) assert(peer > 0) end,
                say = function(text) assert(ffi.C.write(peer, text, #text) == #text) end,
                hang_up = function() assert(ffi.C.close(peer) == 0) end,
                close = function() ffi.C.close(fd) end,
            }
        end
    }
_EOC_

no_long_string();
run_tests();

__DATA__

=== TEST 1: a connection is used again
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            for i = 1, 3 do
                local sock = open({ pool = "reuse" .. ngx.var.connection })
                ngx.say(sock:getreusedtimes(), " ", ask(sock), " ", sock:setkeepalive())
                ngx.say(sock:send("x"))
            end
        }
    }
--- request
GET /t
--- response_body
0 1 1
nilclosed
1 2 1
nilclosed
2 3 1
nilclosed
--- error_log
lua tcp socket keepalive create connection pool for key "reuse



=== TEST 2: what cannot rest
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local sock = open({ pool = "unread" .. ngx.var.connection })
            ask(sock, "twice")
            ngx.say(sock:receive(2), " ", sock:setkeepalive())
            sock:receive()
            sock:send("close\n")
            sock:receive()
            ngx.say(sock:setkeepalive())
            sock = open({ pool = "new" .. ngx.var.connection })
            sock:receiveuntil("x")
            ngx.say(select(2, pcall(sock.setkeepalive, sock, 1000, 0)))
            ngx.say(select(2, pcall(sock.setkeepalive, sock, {})))
            ngx.say(sock:setkeepalive(1000, 1))
        }
    }
--- request
GET /t
--- response_body
un nilunread data in buffer
nilclosed
bad argument #3 to '?' (bad "pool_size" option value: 0)
bad argument #2 to '?' (number expected, got table)
1
--- no_error_log
[error]



=== TEST 3: one that speaks or closes while it rests is gone
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local sock = open({ pool = "gone" })
            ask(sock)
            sock:send("x\n")
            ngx.say(sock:setkeepalive())
            ngx.sleep(0.1)
            sock = open({ pool = "gone" })
            ngx.say(sock:getreusedtimes())
            sock:send("close\n")
            ngx.say(sock:setkeepalive())
            ngx.sleep(0.1)
            ngx.say(open({ pool = "gone" }):getreusedtimes())
        }
    }
--- request
GET /t
--- response_body
1
0
1
0
--- error_log
lua tcp socket keepalive close handler



=== TEST 4: idle times
--- http_config eval: $::HttpConfig
--- config
    location /t {
        lua_socket_keepalive_timeout 20ms;
        content_by_lua_block {
            local sock = open({ pool = "idle" })
            ask(sock)
            ngx.say(sock:setkeepalive())
            ngx.sleep(0.05)
            sock = open({ pool = "idle" })
            ngx.say(sock:getreusedtimes())
            ask(sock)
            ngx.say(sock:setkeepalive(0))
            ngx.sleep(0.05)
            sock = open({ pool = "idle" })
            ngx.say(sock:getreusedtimes())
            sock:close()
        }
    }
--- request
GET /t
--- response_body
1
0
1
1
--- error_log
lua tcp socket keepalive max idle timeout



=== TEST 5: a full pool lets go of the one that rested longest
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local opts = { pool = "full", pool_size = 2 }
            local socks = {}
            for i = 1, 3 do
                socks[i] = open(opts)
                for _ = 1, i do ask(socks[i]) end
            end
            for i = 1, 3 do ngx.say(socks[i]:setkeepalive()) end
            for i = 1, 3 do
                socks[i] = open(opts)
                ngx.say(socks[i]:getreusedtimes(), " ", ask(socks[i]))
            end
            for i = 1, 3 do socks[i]:close() end
        }
    }
--- request
GET /t
--- response_body
1
1
1
1 4
1 3
0 1
--- error_log
lua tcp socket connection pool size: 2



=== TEST 6: connects wait for a place, in order, and get the connections that come back
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local opts = { pool = "queue", pool_size = 1, backlog = 2 }
            local first = open(opts)
            ask(first)
            local order = {}
            local function wait(name)
                local sock = ngx.socket.tcp()
                local ok, err = sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1, opts)
                order[#order + 1] = name .. " " .. tostring(ok) .. " " .. tostring(err)
                if not ok then return end
                if sock:getreusedtimes() == 0 then sock:send("GET / HTTP/1.0\r\n\r\n") end
                order[#order + 1] = name .. " " .. ask(sock)
                if name == "a" then sock:setkeepalive() else sock:close() end
            end
            local a = ngx.thread.spawn(wait, "a")
            local b = ngx.thread.spawn(wait, "b")
            wait("c")
            first:setkeepalive()
            ngx.thread.wait(a)
            ngx.thread.wait(b)
            ngx.say(table.concat(order, "\n"))
        }
    }
--- request
GET /t
--- response_body
c nil too many waiting connect operations
a 1 nil
a 2
b 1 nil
b 3
--- error_log
lua tcp socket queue connect operation for connection pool "queue"



=== TEST 7: waiting in the queue ends in time, or with its thread; then there is room again
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local opts = { pool = "late", pool_size = 1, backlog = 1 }
            local first = open(opts)
            local sock = ngx.socket.tcp()
            sock:settimeout(20)
            ngx.say(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1, opts))
            local waiting = ngx.thread.spawn(open, opts)
            ngx.say(open(opts))
            ngx.thread.kill(waiting)
            waiting = ngx.thread.spawn(open, opts)
            first:close()
            local _, second = ngx.thread.wait(waiting)
            ngx.say(ask(second))
            second:close()
        }
    }
--- request
GET /t
--- response_body
niltimeout
niltoo many waiting connect operations
1
--- error_log eval
[qr/lua tcp socket queued connect timed out, when trying to connect to 127\.0\.0\.1:\d+/]



=== TEST 8: a connect that fails gives its place back
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local opts = { pool = "refused", pool_size = 1, backlog = 0 }
            local sock = ngx.socket.tcp()
            for i = 1, 3 do
                ngx.say(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_2, opts))
            end
            local one = open(opts)
            ngx.say(open(opts))
            one:close()
        }
    }
--- request
GET /t
--- response_body
nilconnection refused
nilconnection refused
nilconnection refused
niltoo many waiting connect operations
--- error_log
Connection refused



=== TEST 9: a request that ends closes its sockets, and their places are free
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            for i = 1, 3 do
                ngx.print(ngx.location.capture("/leaves").body)
                ngx.timer.at(0, function ()
                    open({ pool = "timer", pool_size = 1, backlog = 0 })
                end)
                ngx.sleep(0.02)
            end
            ngx.say(open({ pool = "timer" }) ~= nil)
        }
    }
    location /leaves {
        content_by_lua_block {
            ngx.say(open({ pool = "leaves" .. ngx.var.connection }):getreusedtimes())
        }
    }
--- request
GET /t
--- response_body
0
0
0
true
--- error_log
lua close socket connection



=== TEST 10: bad options
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            for _, opts in ipairs({ { pool_size = 0 }, { pool_size = {} }, { backlog = -1 },
                                    { pool = {} } }) do
                ngx.say(select(2, pcall(open, opts)))
            end
        }
    }
--- request
GET /t
--- response_body eval
qr/\A.*bad "pool_size" option value: 0\)
.*bad "pool_size" option type: table\)
.*bad "backlog" option value: -1\)
.*bad "pool" option type: table\)
\z/
--- no_error_log
[error]



=== TEST 11: an object whose connection rests connects again
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local port, opts = $TEST_NGINX_RAND_PORT_1, { pool = "again" .. ngx.var.connection }
            local sock = open(opts)
            local reader = sock:receiveuntil("\n")
            ngx.say(ask(sock), " ", sock:setkeepalive())
            collectgarbage()
            ngx.say(sock:setkeepalive())
            ngx.say(sock:close())
            ngx.say(sock:getreusedtimes())
            ngx.say(reader())
            sock:settimeout(1000)
            ngx.say(sock:connect("127.0.0.1", port, opts), " ", sock:getreusedtimes(), " ", ask(sock))
            sock:send("x\n")
            ngx.say(reader():match("%d+$"), " ", sock:close())
            ngx.say(sock:connect("127.0.0.1", port, opts), " ", sock:getreusedtimes())
        }
    }
--- request
GET /t
--- response_body
1 1
nilclosed
nilclosed
nilclosed
nilclosed
1 1 2
3 1
1 0
--- no_error_log
[error]



=== TEST 12: a connection whose answer did not come in time is not for the next one
--- http_config eval: $::HttpConfig
--- config
    lua_socket_log_errors off;
    location /t {
        content_by_lua_block {
            local pool = "late" .. ngx.var.connection
            local function late(line, read)
                local sock = open{ pool = pool }
                sock:settimeout(50)
                sock:send(line .. "\n")
                local data, err, part = read(sock)
                ngx.say(data, " ", err, " '", part, "': ", sock:setkeepalive())
                ngx.say(sock:setkeepalive())
            end
            late("later", function(sock) return sock:receive() end)
            late("half", function(sock) return sock:receive() end)
            late("later", function(sock) return sock:receive(100) end)
            late("later", function(sock) return sock:receive("*a") end)
            late("later", function(sock) return sock:receiveany(100) end)
            late("half", function(sock) return sock:receiveuntil("\n")() end)
            ngx.say(open{ pool = pool }:getreusedtimes())
        }
    }
--- request
GET /t
--- response_body
nil timeout '': nilconnection in dubious state
nilclosed
nil timeout 'half ': nilconnection in dubious state
nilclosed
nil timeout '': nilconnection in dubious state
nilclosed
nil timeout '': nilconnection in dubious state
nilclosed
nil timeout '': nilconnection in dubious state
nilclosed
nil timeout 'half ': nilconnection in dubious state
nilclosed
0
--- no_error_log
[error]



=== TEST 13: once the answer has come, it is
--- http_config eval: $::HttpConfig
--- config
    lua_socket_log_errors off;
    location /t {
        content_by_lua_block {
            local pool = "came" .. ngx.var.connection
            local sock = open{ pool = pool }
            sock:settimeout(100)
            sock:send("later\n")
            ngx.say(sock:receive())
            sock:settimeout(3000)
            ngx.say((sock:receive():match("%d+$")), " ", sock:setkeepalive())
            sock = open{ pool = pool }
            ngx.say(sock:getreusedtimes(), " ", ask(sock), " ", sock:setkeepalive())
        }
    }
--- request
GET /t
--- response_body
niltimeout
1 1
1 2 1
--- no_error_log
[error]



=== TEST 14: bytes that nginx has not heard of yet
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local peer = listen()
            local opts = { pool = "unheard" .. ngx.var.connection }
            local function connect()
                local sock = ngx.socket.tcp()
                assert(sock:connect("127.0.0.1", peer.port, opts))
                if sock:getreusedtimes() == 0 then peer.accept() end
                return sock
            end
            local function answered()
                local sock = connect()
                sock:send("question")
                peer.say("answer\n")
                return sock:receive(), sock
            end

            local answer, sock = answered()
            peer.say("more\n")
            ngx.say(answer, " ", sock:setkeepalive())
            sock = connect()
            ngx.say(sock:getreusedtimes(), " ", sock:setkeepalive())

            -- While it rests.
            peer.say("more\n")
            sock = connect()
            ngx.say(sock:getreusedtimes(), " ", sock:setkeepalive())
            peer.hang_up()
            sock = connect()
            ngx.say(sock:getreusedtimes(), " ", sock:setkeepalive())
            ngx.say(connect():getreusedtimes())
            peer.close()
        }
    }
--- request
GET /t
--- response_body
answer nilconnection in dubious state
0 1
0 1
0 1
1
--- no_error_log
[error]



=== TEST 15: one that was found closed leaves its place in the pool to the new one
--- http_config eval: $::HttpConfig
--- config
    lua_socket_log_errors off;
    location /t {
        content_by_lua_block {
            local peer = listen()
            local opts = { pool = "place" .. ngx.var.connection, pool_size = 1, backlog = 1 }
            local function connect()
                local sock = ngx.socket.tcp()
                sock:settimeout(100)
                local ok, err = sock:connect("127.0.0.1", peer.port, opts)
                return ok and sock, err
            end
            local sock = connect()
            peer.accept()
            ngx.say(sock:setkeepalive())
            peer.hang_up()
            sock = connect()
            ngx.say(sock:getreusedtimes())
            ngx.say(connect())
            ngx.say(sock:setkeepalive())
            ngx.say(connect():getreusedtimes())
            peer.close()
        }
    }
--- request
GET /t
--- response_body
1
0
niltimeout
1
1
--- no_error_log
[error]



=== TEST 16: a thread that is killed while it reads or writes, and others that are busy
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local sock = open{ pool = "killed" .. ngx.var.connection }
            sock:send("later\n")
            local reader = ngx.thread.spawn(function() return sock:receive() end)
            ngx.say(sock:setkeepalive())
            ngx.thread.kill(reader)
            ngx.say(sock:setkeepalive())

            local peer = listen()
            sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", peer.port))
            local writer = ngx.thread.spawn(function() sock:send(("x"):rep(8000000)) end)
            ngx.say(sock:setkeepalive())
            ngx.thread.kill(writer)
            ngx.say(sock:setkeepalive())

            sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", peer.port))
            sock:settimeouts(1000, 50, 1000)
            ngx.say(sock:send(("x"):rep(8000000)), " ", sock:setkeepalive())
            peer.close()
        }
    }
--- request
GET /t
--- response_body
nilsocket busy reading
nilclosed
nilsocket busy writing
nilclosed
nil nilclosed
--- error_log
lua tcp socket write timed out



=== TEST 17: bytes that an iterator holds back, for they may begin its pattern, are unread
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local peer = listen()
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", peer.port))
            peer.accept()
            peer.say("aaa")
            local read = sock:receiveuntil("aab")
            ngx.say(read(1), " ", sock:setkeepalive())
            peer.say("b")
            ngx.say(read(1), " ", sock:setkeepalive())
            peer.close()
        }
    }
--- request
GET /t
--- response_body
a nilunread data in buffer
 1
--- no_error_log
[error]



=== TEST 18: wrong arguments are errors where the pool exists, and where the socket is closed
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local sock = open({ pool = "checked" })
            ngx.say(sock:setkeepalive())
            sock = open({ pool = "checked" })
            ngx.say(select(2, pcall(sock.setkeepalive, sock, 10, "not a number")))
            ngx.say(select(2, pcall(sock.setkeepalive, sock, "not a number", 10)))
            ngx.say(sock:setkeepalive(10, 10))
            ngx.say(select(2, pcall(sock.setkeepalive, sock, 10, {})))
            ngx.say(select(2, pcall(sock.setkeepalive, ngx.socket.tcp(), {})))
        }
    }
--- request
GET /t
--- response_body
1
bad argument #3 to '?' (number expected, got string)
bad argument #2 to '?' (number expected, got string)
1
bad argument #3 to '?' (number expected, got table)
bad argument #2 to '?' (number expected, got table)
--- no_error_log
[error]
