# TCP cosockets: connecting, sending, receiving, closing, and what each says when it fails.

use Test::Nginx::Socket::Lua;

repeat_each(2);

plan tests => repeat_each() * (blocks() * 3);

our $HttpConfig = <<'_EOC_';
    server {
        listen unix:$TEST_NGINX_SERVER_ROOT/echo.sock;
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        # A server of one's own: each line names what it is to do.
        location / {
            content_by_lua_block {
                local sock = assert(ngx.req.socket(true))
                while true do
                    local line = sock:receive()
                    if not line then return end
                    local verb, rest = line:match("^(%S+) ?(.*)$")
                    if verb == "send" then
                        sock:send((rest:gsub("\\n", "\n"):gsub("\\r", "\r")))
                    elseif verb == "repeat" then
                        sock:send(("x"):rep(tonumber(rest)))
                    elseif verb == "drip" then
                        for i = 1, #rest do
                            sock:send(rest:sub(i, i))
                            ngx.sleep(0.005)
                        end
                    elseif verb == "read" then
                        local data = sock:receive(tonumber(rest))
                        sock:send("got " .. #data .. "\n")
                    elseif verb == "close" then
                        return
                    end
                end
            }
        }
    }
    init_by_lua_block {
        function start(path, port)
            local sock = ngx.socket.tcp()
            assert(sock:connect(path, port))
            assert(sock:send("GET / HTTP/1.0\r\n\r\n"))
            return sock
        end
    }
_EOC_

no_long_string();
run_tests();

__DATA__

=== TEST 1: lines, sizes, and all that is left
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local sock = start("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
            ngx.say(sock:send("send one\\r\\ntwo\\nthree and more\nclose\n"))
            ngx.say(sock:receive())
            ngx.say(sock:receive("*l"))
            ngx.say(sock:receive(5))
            ngx.say(sock:receive("*a"))
            ngx.say(sock:receive("*a"))
            ngx.say(sock:receive())
            ngx.say(sock:receive())
            ngx.say(sock:close())
            ngx.say(sock:close())
        }
    }
--- request
GET /t
--- response_body
38
one
two
three
 and more

nilclosed
nilclosed
1
nilclosed
--- error_log
attempt to receive data on a closed socket



=== TEST 2: a byte at a time
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local sock = start("unix:$TEST_NGINX_SERVER_ROOT/echo.sock")
            sock:send("drip abcdefgh\nsend \\nrest\\n\n")
            ngx.say(sock:receive(3))
            ngx.say(sock:receive())
            ngx.say(sock:receive())
        }
    }
--- request
GET /t
--- response_body
abc
defgh
rest
--- no_error_log
[error]



=== TEST 3: what send takes
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local sock = start("unix:$TEST_NGINX_SERVER_ROOT/echo.sock")
            ngx.say(sock:send({"send ", {"a", 1, {2.5}}, "\\n", "\n"}))
            ngx.say(sock:receive())
            ngx.say(sock:send(""), sock:send({}))
            ngx.say(sock:send("send "), sock:send(nil), sock:send(true), sock:send(10),
                    sock:send("\\n\n"))
            ngx.say(sock:receive())
            for _, bad in ipairs({{nil, "a"}, {true}, {a = 1}, {ngx.null}, print, ngx.null}) do
                ngx.say(select(2, pcall(sock.send, sock, bad)))
            end
        }
    }
--- request
GET /t
--- response_body
13
a12.5
00
53423
niltrue10
bad argument #2 to '?' (bad data type nil found)
bad argument #2 to '?' (bad data type boolean found)
bad argument #2 to '?' (non-array table found)
bad argument #2 to '?' (bad data type userdata found)
bad argument #2 to '?' (string, number, boolean, nil, or array table expected, got function)
bad argument #2 to '?' (string, number, boolean, nil, or array table expected, got userdata)
--- no_error_log
[error]



=== TEST 4: more than the kernel takes at once, both ways
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local sock = start("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
            local size = 20 * 1024 * 1024
            sock:send("read " .. size .. "\n")
            ngx.say(sock:send(("y"):rep(size)))
            ngx.say(sock:receive())
            sock:send("repeat " .. size .. "\nsend end\nclose\n")
            ngx.say(#sock:receive(size - 10))
            ngx.say(sock:receive("*a"))
        }
    }
--- request
GET /t
--- response_body
20971520
got 20971520
20971510
xxxxxxxxxxend
--- no_error_log
[error]



=== TEST 5: what comes before the end, with the error
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            for _, what in ipairs({"*l", 10}) do
                local sock = start("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
                sock:send("send par\\rt\nclose\n")
                local data, err, partial = sock:receive(what)
                ngx.say(data, " ", err, " ", (partial:gsub("\r", "<CR>")))
            end
            local sock = start("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
            sock:settimeout(30)
            sock:send("send par\n")
            ngx.say(sock:receive(10))
            sock:send("send tial\\n\n")
            ngx.say(sock:receive())
        }
    }
--- request
GET /t
--- response_body
nil closed part
nil closed par<CR>t
niltimeoutpar
tial
--- error_log
lua tcp socket read timed out



=== TEST 6: receiveany gives what there is
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local sock = start("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
            sock:send("send hello\nclose\n")
            ngx.say(sock:receiveany(2))
            ngx.say(sock:receiveany(100))
            ngx.say(sock:receiveany(100))
            sock = start("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
            for _, bad in ipairs({0, -1, "x"}) do
                ngx.say(select(2, pcall(sock.receiveany, sock, bad)))
            end
        }
    }
--- request
GET /t
--- response_body
he
llo
nilclosed
bad argument #2 to '?' (bad max argument)
bad argument #2 to '?' (bad max argument)
bad argument #2 to '?' (bad max argument)
--- no_error_log
[error]



=== TEST 7: receiveuntil, in pieces and between other reads
--- http_config eval: $::HttpConfig
--- config
    location /t {
        lua_socket_buffer_size 1;
        content_by_lua_block {
            local sock = start("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
            sock:send("send hello--world-----end\nclose\n")
            local until_dashes = sock:receiveuntil("--")
            ngx.say(until_dashes(3), "|", until_dashes(3), "|", tostring(until_dashes(3)))
            ngx.say(sock:receive(2))
            ngx.say(until_dashes())
            local inclusive = sock:receiveuntil("--", { inclusive = true })
            ngx.say(inclusive())
            ngx.say(sock:receive("*a"))
            ngx.say(until_dashes())
            ngx.say(sock:receiveuntil(""))
        }
    }
--- request
GET /t
--- response_body
hel|lo|nil
wo
rld
--
-end
nilclosed
nilpattern is empty
--- no_error_log
[error]



=== TEST 8: connecting fails
--- http_config eval: $::HttpConfig
--- http_config
--- config
    location /t {
        content_by_lua_block {
            local sock = ngx.socket.tcp()
            ngx.say(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_2))
            ngx.say(sock:connect("127.0.0.1", 65536))
            ngx.say(sock:connect("127.0.0.1"))
            ngx.say(sock:connect("unix:/nowhere"))
            ngx.say(sock:connect("a:b:c", 80))
            ngx.say(sock:send("x"))
            ngx.say(sock:setkeepalive())
            ngx.say(sock:getreusedtimes())
        }
    }
--- request
GET /t
--- response_body
nilconnection refused
nilbad port number: 65536
nilmissing the port number
nilno such file or directory
nilfailed to parse host name "a:b:c": invalid port
nilclosed
nilclosed
nilclosed
--- error_log eval
[qr/connect\(\) failed \(111: Connection refused\)/]



=== TEST 9: two threads on one socket
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local sock = start("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
            local reader = ngx.thread.spawn(function ()
                return sock:receive()
            end)
            ngx.say(sock:receive())
            ngx.say(sock:close())
            ngx.say(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
            ngx.say(sock:setkeepalive())
            ngx.say(sock:send("send done\\n\n"))
            ngx.say(ngx.thread.wait(reader))
            ngx.say(sock:close())
        }
    }
--- request
GET /t
--- response_body
nilsocket busy reading
nilsocket busy reading
nilsocket busy reading
nilsocket busy reading
12
truedone
1
--- no_error_log
[error]



=== TEST 10: a thread that is killed takes its wait along, and the other direction stays
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local sock = start("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
            local reader = ngx.thread.spawn(function () sock:receive() end)
            ngx.say(ngx.thread.kill(reader))
            ngx.say(sock:send("x"))

            sock = start("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
            sock:send("drip abcdefgh\n")
            local writer = ngx.thread.spawn(function () sock:send(("x"):rep(20000000)) end)
            local reader = ngx.thread.spawn(function () return sock:receive(8) end)
            ngx.say(sock:send("x"))
            ngx.say(ngx.thread.kill(writer))
            ngx.say(sock:send("x"))
            ngx.say(ngx.thread.wait(reader))
        }
    }
--- request
GET /t
--- response_body
1
nilclosed
nilsocket busy writing
1
nilclosed
trueabcdefgh
--- error_log
attempt to send data on a closed socket



=== TEST 11: a socket that belongs to another request
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local store = package.loaded
            store.kept = start("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
            local res = ngx.location.capture("/other")
            ngx.print(res.body)
            store.kept:send("send mine\\n\n")
            ngx.say(store.kept:receive())
            local sock = store.kept
            store.kept = nil
            ngx.timer.at(0, function ()
                ngx.sleep(0.05)
                ngx.log(ngx.WARN, "later: ", select(2, sock:receive()))
            end)
        }
    }
    location /other {
        content_by_lua_block {
            local kept = package.loaded.kept
            for _, method in ipairs({"receive", "close", "setkeepalive"}) do
                ngx.say(method, ": ", select(2, pcall(kept[method], kept)))
            end
            ngx.say("connect: ", select(2, pcall(kept.connect, kept, "127.0.0.1", 1)))
        }
    }
--- request
GET /t
--- response_body
receive: bad request
close: bad request
setkeepalive: bad request
connect: bad request
mine
--- wait: 0.1
--- error_log
later: closed



=== TEST 12: options of the socket
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local sock = start("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
            ngx.say(sock:setoption("keepalive", 1), " ", sock:getoption("keepalive"))
            local sndbuf, rcvbuf = sock:getoption("sndbuf"), sock:getoption("rcvbuf")
            ngx.say(sock:setoption("sndbuf", 8192), " ", sock:getoption("sndbuf"),
                    " ", sock:getoption("rcvbuf") == rcvbuf)
            ngx.say(sock:setoption("rcvbuf", 8192), " ", sock:getoption("rcvbuf"),
                    " ", sock:getoption("sndbuf"))
            sock:close()
            ngx.say(sock:getoption("sndbuf"))
        }
    }
--- request
GET /t
--- response_body
true 1
true 16384 true
true 16384 16384
nilclosed
--- no_error_log
[error]



=== TEST 13: where no socket can be
--- http_config eval: $::HttpConfig
--- config
    location /t {
        set_by_lua_block $err {
            return select(2, pcall(ngx.socket.tcp))
        }
        return 200 "$err\n";
    }
--- request
GET /t
--- response_body
API disabled in the context of set_by_lua*, which cannot wait: use rewrite_by_lua*, and set ngx.var there
--- no_error_log
[error]



=== TEST 14: timeouts
--- http_config eval: $::HttpConfig
--- config
    location /t {
        lua_socket_read_timeout 40ms;
        lua_socket_send_timeout 40ms;
        content_by_lua_block {
            local sock = start("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
            ngx.say(sock:receive())
            sock:settimeouts(0, 20, 20)
            ngx.say(sock:receive())
            sock:send("read 100000000\n")
            sock:setoption("sndbuf", 4096)
            ngx.say(pcall(sock.settimeout, sock, -1))
        }
    }
--- request
GET /t
--- response_body
niltimeout
niltimeout
falsebad timeout value
--- error_log
lua tcp socket read timed out



=== TEST 15: the descriptor, and an option that lua-resty-core only notes
--- http_config eval: $::HttpConfig
--- config
    location = /t {
        content_by_lua_block {
            local ffi = require "ffi"
            ffi.cdef[[
                int ngx_http_lua_ffi_socket_tcp_getfd(ngx_http_request_t *r,
                    ngx_http_lua_socket_tcp_upstream_t *u, char **err);
            ]]
            local r, err = require("resty.core.base").get_request(), ffi.new("char *[1]")
            local function fd(sock)
                return ffi.C.ngx_http_lua_ffi_socket_tcp_getfd(r, sock[1], err)
            end
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
            ngx.say(fd(sock) > 2)
            sock:close()
            ngx.say(fd(sock), " ", ffi.string(err[0]))
        }
    }
--- request
GET /t
--- response_body
true
-1 closed
--- no_error_log
[error]



=== TEST 16: a socket that only the wait for it knows is not collected
--- http_config eval: $::HttpConfig
--- config
    location = /t {
        content_by_lua_block {
            local function waiting(method, line, argument)
                local sock = start("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
                return ngx.thread.spawn(function()
                    sock:send(line)
                    return sock[method](sock, argument)
                end)
            end
            local reader = waiting("receive", "drip 0123456789\n", 10)
            local writer = waiting("send", "read 20000000\n", ("x"):rep(20000000))
            for _ = 1, 20 do
                collectgarbage()
                ngx.sleep(0.002)
            end
            ngx.say(ngx.thread.wait(reader))
            ngx.say(ngx.thread.wait(writer))
        }
    }
--- request
GET /t
--- response_body
true0123456789
true20000000
--- no_error_log
[error]



=== TEST 17: what a size may be
Releases say in different words which argument is bad.
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local sock = start("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
            sock:send("send 0123456789abcdef\\n\n")
            for _, size in ipairs({ 1, "2", 3.9, "0x3", 0, "0", 0.5 }) do
                ngx.say(size, ": ", sock:receive(size), ".")
            end
            for _, size in ipairs({ -1, "-1", 0 / 0, 1e30, "x", "*x", {}, true }) do
                local ok, err = pcall(sock.receive, sock, size)
                ngx.say(ok, " ", err and (err:match("%((.*)%)$"):gsub("^bad %a* ?argument", "bad argument")))
            end
            ngx.say(sock:receive())
        }
    }
--- request
GET /t
--- response_body
1: 0.
2: 12.
3.9: 345.
0x3: 678.
0: .
0: .
0.5: .
false bad argument
false bad argument
false bad argument
false bad argument
false bad argument: x
false bad argument
false bad argument
false bad argument
9abcdef
--- no_error_log
[error]



=== TEST 18: what a closed socket had not handed out is nobody's
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            for i = 1, 3 do
                local sock = start("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
                sock:send("send " .. i .. "-line and more\\n--rest--\\n\n")
                local reader = sock:receiveuntil(i == 2 and "--rest" or "and ")
                ngx.say(sock:receive(2), " ", reader(i ~= 3 and 3 or 0), " ", sock:receive(3))
                sock:close()
                ngx.say(sock:receive(), " ", sock:getreusedtimes(), " ", reader())
            end
        }
    }
--- request
GET /t
--- response_body
1- lin e a
nil nil nilclosed
2- lin e a
nil nil nilclosed
3- line  mor
nil nil nilclosed
--- error_log
attempt to receive data on a closed socket



=== TEST 19: what is no timeout
--- config
    location = /t {
        content_by_lua_block {
            local socket = ngx.socket.tcp()
            for _, milliseconds in ipairs { -1, 0 / 0, 1 / 0, -1 / 0, 2 ^ 31, 2 ^ 53 } do
                ngx.print((select(2, pcall(socket.settimeout, socket, milliseconds))), ", ")
                ngx.say((select(2, pcall(socket.settimeouts, socket, 1, 1, milliseconds))))
            end
            ngx.say(pcall(socket.settimeout, socket, 2 ^ 31 - 1))
        }
    }
--- request
GET /t
--- response_body
bad timeout value, bad timeout value
bad timeout value, bad timeout value
bad timeout value, bad timeout value
bad timeout value, bad timeout value
bad timeout value, bad timeout value
bad timeout value, bad timeout value
true
--- no_error_log
[error]



=== TEST 20: bind to an address and a port
--- http_config
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        location / { return 200 "$remote_addr $remote_port"; }
    }
--- config
    location = /t {
        content_by_lua_block {
            local function from(...)
                local sock = ngx.socket.tcp()
                local ok, err = sock:bind(...)
                if not ok then return tostring(ok) .. " " .. err end
                assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
                assert(sock:send("GET / HTTP/1.0\r\n\r\n"))
                local address, port = assert(sock:receive("*a")):match("(%S+) (%d+)$")
                return address, tonumber(port)
            end
            ngx.say((from("127.0.0.5")))
            -- A port that is free, and whose connection the client closes last.
            local base = 20000 + ngx.worker.pid() % 10000
            local address, port, wanted
            for i = 0, 50 do
                wanted = base + i
                local ok
                ok, address, port = pcall(from, "127.0.0.6", wanted)
                if ok then break end
            end
            ngx.say(address, " ", port == wanted)
            ngx.say((select(2, from("127.0.0.5", 0))) ~= 0)
            for _, port in ipairs{ -1, 65536, 2^40 } do ngx.say((from("127.0.0.1", port))) end
            ngx.say((from("127.0.0.1", {})))
            ngx.say((from("localhost", 80)))
            ngx.say(select(2, pcall(from)):match("expecting.*"))
            ngx.say(select(2, pcall(from, "127.0.0.1", 1, 2)):match("expecting.*"))
        }
    }
--- request
GET /t
--- response_body
127.0.0.5
127.0.0.6 true
true
nil bad port number: -1
nil bad port number: 65536
nil bad port number: 1099511627776
nil expecting port to be anumber but got type: table
nil bad address
expecting 2 or 3 arguments, but got 1
expecting 2 or 3 arguments, but got 4
--- no_error_log
[error]



=== TEST 21: how often a connection is asked whether it lives
--- http_config eval: $::HttpConfig
--- config
    location = /t {
        content_by_lua_block {
            local ffi = require "ffi"
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
            -- lua-resty-core has names for them from release 0.1.29 on: keepintvl, keepcnt.
            local value, err, len = ffi.new("int[1]"), ffi.new("unsigned char[64]"), ffi.new("size_t[1]")
            for i, wanted in ipairs{ 7, 3 } do
                local option = 5 + i
                assert(ffi.C.ngx_http_lua_ffi_socket_tcp_setoption(sock[1], option, wanted, err, len) == 0)
                assert(ffi.C.ngx_http_lua_ffi_socket_tcp_getoption(sock[1], option, value, err, len) == 0)
                ngx.say(value[0])
            end
            len[0] = 64
            ngx.say(ffi.C.ngx_http_lua_ffi_socket_tcp_setoption(sock[1], 6, -1, err, len), " ",
                ffi.string(err, len[0]))
        }
    }
--- request
GET /t
--- response_body
7
3
-1 Invalid argument
--- no_error_log
[error]



=== TEST 22: connecting from another machine's address
--- http_config eval: $::HttpConfig
--- config
    location = /t {
        lua_socket_log_errors off;
        content_by_lua_block {
            local function connect(transparent, address)
                local sock = ngx.socket.tcp()
                sock:settimeout(50)
                -- lua-resty-core has a name for it from release 0.1.32 on: ip-transparent.
                sock[9] = transparent
                if address then sock:bind(address) end
                local ok, err = sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
                ngx.say(ok and "connected" or err)
            end
            connect(true)
            connect(nil, "192.0.2.1")
            connect(false, "192.0.2.1")
            -- The super-user may; nobody answers there. Emulators do not know the option.
            connect(true, "192.0.2.1")
        }
    }
--- request
GET /t
--- response_body_like
^connected
cannot assign requested address
cannot assign requested address
(?:timeout|operation not permitted|protocol not available)$
--- no_error_log
[emerg]



=== TEST 23: a name without a resolver
--- skip_eval: 3: qx{$Test::Nginx::Util::NginxBinary -v 2>&1} =~ /Angie/ # which has the system's
--- http_config
    lua_system_resolver off;
--- config
    location = /t {
        content_by_lua_block { ngx.say(ngx.socket.tcp():connect("name.test", 80)) }
    }
--- request
GET /t
--- response_body
nilno resolver defined to resolve "name.test"
--- no_error_log
[alert]



=== TEST 24: a socket of a request that has ended
--- http_config
    lua_package_path '$prefix/html/?.lua;;';
--- config
    location = /first {
        content_by_lua_block {
            local kept = require "kept"
            kept.sock = ngx.socket.tcp()
            ngx.print(kept.sock:connect("127.0.0.1", ngx.var.server_port))
        }
    }
    location = /second {
        content_by_lua_block {
            local kept = require "kept"
            ngx.say(" ", select(2, kept.sock:send("x")), " ", select(2, kept.sock:receive()))
        }
    }
    location = /t {
        content_by_lua_block {
            for _, uri in ipairs { "/first", "/second" } do
                local sock = ngx.socket.tcp()
                assert(sock:connect("127.0.0.1", ngx.var.server_port))
                sock:send("GET " .. uri .. " HTTP/1.0\r\n\r\n")
                ngx.print((sock:receive("*a"):gsub("^.-\r\n\r\n", "")))
                sock:close()
            end
        }
    }
--- user_files
>>> kept.lua
return {}
--- request
GET /t
--- response_body
1 closed closed
--- error_log eval
qr/attempt to send data on a closed socket: .* request(?:_line)?: "GET \/second HTTP/



=== TEST 25: a finalizer that closes the socket while the result of its read is pushed
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local answer
            local function wrapper(sock)
                local proxy = newproxy(true)
                getmetatable(proxy).__gc = function() answer = { sock:close() } end
                return { sock = sock, proxy = proxy }
            end
            -- The tail call leaves nothing on the stack that keeps the proxy.
            local function receive(object) return object.sock:receive(3) end

            local sock = start("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
            sock:send("send abcdef\n")
            ngx.sleep(0.05)
            -- From now on, each allocation is preceded by a whole collection.
            local pause = collectgarbage("setpause", 0)
            local step = collectgarbage("setstepmul", 1e8)
            collectgarbage()
            local data = receive(wrapper(sock))
            collectgarbage("setpause", pause)
            collectgarbage("setstepmul", step)
            collectgarbage()
            ngx.say(data, " ", tostring(answer[1]), " ", answer[2])
            ngx.say(sock:receive(3), " ", sock:close())
        }
    }
--- request
GET /t
--- response_body
abc nil socket busy reading
def 1
--- no_error_log
[alert]



=== TEST 26: receiveany gives more at once as long as more has come
--- http_config eval: $::HttpConfig
--- config
    location /t {
        lua_socket_buffer_size 4k;
        content_by_lua_block {
            local sock = start("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
            local function sizes(max, size)
                sock:send("repeat " .. size .. "\n")
                ngx.sleep(0.1)
                local sizes = {}
                while size > 0 do
                    local data = assert(sock:receiveany(max))
                    sizes[#sizes + 1], size = #data, size - #data
                end
                return table.concat(sizes, " ")
            end
            ngx.say(sizes(100000, 52 * 1024))
            ngx.say(sizes(5000, 20 * 1024))
            ngx.say(sizes(100000, 100))
            ngx.say(sizes(100000, 12 * 1024))
        }
    }
--- request
GET /t
--- response_body
4096 8192 16384 16384 8192
4096 5000 5000 5000 1384
100
4096 8192
--- no_error_log
[error]
