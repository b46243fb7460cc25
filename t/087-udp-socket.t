# ngx.socket.udp.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3 + 13);
no_long_string();

# A resolver for which every name has the address 127.0.0.1.
our $AnswerDns = sub {
    my $query = shift;
    my $address = pack 'n3 N n C4', 0xc00c, 1, 1, 60, 4, 127, 0, 0, 1;
    return pack( 'a2 n5', $query, 0x8180, 1, 1, 0, 0 ) . substr( $query, 12 ) . $address;
};

run_tests();

__DATA__

=== TEST 1: a datagram there and back
--- config
    location = /t {
        content_by_lua_block {
            local sock = ngx.socket.udp()
            sock:settimeout(2000)
            ngx.say("set: ", sock:setpeername("127.0.0.1", 19230))
            ngx.say("sent: ", sock:send("ping"))
            ngx.say("received: ", sock:receive())
            ngx.say("closed: ", sock:close())
            ngx.say("closed again: ", sock:close())
        }
    }
--- udp_listen: 19230
--- udp_query: ping
--- udp_reply: pong
--- request
GET /t
--- response_body
set: 1
sent: 1
received: pong
closed: 1
closed again: nilclosed
--- no_error_log
[error]
[crit]
--- log_level: debug
--- error_log
lua udp socket receive buffer size: 65536



=== TEST 2: what does not fit into the size that was asked for is lost
--- config
    location = /t {
        content_by_lua_block {
            local sock = ngx.socket.udp()
            sock:settimeout(2000)
            sock:setpeername("127.0.0.1", 19230)
            sock:send("ping")
            ngx.say(sock:receive(3))
            sock:settimeout(20)
            ngx.say(sock:receive(3))
        }
    }
--- udp_listen: 19230
--- udp_reply: pong
--- request
GET /t
--- response_body
pon
niltimeout
--- error_log
lua udp socket read timed out
--- no_error_log
[crit]



=== TEST 3: numbers, booleans, nil and nested tables
--- config
    location = /t {
        content_by_lua_block {
            local sock = ngx.socket.udp()
            sock:setpeername("127.0.0.1", 19230)
            for _, data in ipairs { 3.14, 1234567890123, true, false, { "a", { 1, "bc" }, {} } } do
                ngx.say(sock:send(data))
            end
            ngx.say(sock:send(nil))
        }
    }
--- udp_listen: 19230
--- udp_reply: pong
--- request
GET /t
--- response_body
1
1
1
1
1
1
--- no_error_log
[error]
--- log_level: debug
--- grep_error_log eval
qr/send: fd:\d+ \d+ of \d+/
--- grep_error_log_out eval
qr/^send: fd:\d+ 4 of 4
send: fd:\d+ 13 of 13
send: fd:\d+ 4 of 4
send: fd:\d+ 5 of 5
send: fd:\d+ 4 of 4
send: fd:\d+ 3 of 3
/



=== TEST 4: data that cannot be sent
--- config
    location = /t {
        content_by_lua_block {
            local sock = ngx.socket.udp()
            sock:setpeername("127.0.0.1", 19230)
            local function try(...)
                local ok, err = pcall(sock.send, sock, ...)
                ngx.say(err)
            end
            try(function () end)
            try(ngx.null)
            try({ "a", true })
            try({ "a", { ngx.null } })
            try({ a = 1 })
            try()
            try("a", "b")
            sock:close()
            ngx.say(sock:send("a"))
        }
    }
--- request
GET /t
--- response_body
bad argument #2 to '?' (string, number, boolean, nil, or array table expected, got function)
bad argument #2 to '?' (string, number, boolean, nil, or array table expected, got userdata)
bad argument #2 to '?' (bad data type boolean found)
bad argument #2 to '?' (bad data type userdata found)
bad argument #2 to '?' (non-array table found)
expecting 2 arguments (including the object), but got 1
expecting 2 arguments (including the object), but got 3
nilclosed
--- error_log eval
qr/attempt to send data on a closed socket: u:[0-9A-F]{16}, c:0{16}[, ]/
--- no_error_log
[crit]



=== TEST 5: bad arguments
--- config
    location = /t {
        content_by_lua_block {
            local function try(...)
                local ok, err = pcall(...)
                ngx.say(err)
            end
            local sock = ngx.socket.udp()
            try(ngx.socket.udp, 1)
            try(sock.setpeername, sock)
            try(sock.setpeername, sock, "127.0.0.1", 1, 2)
            try(sock.setpeername, "sock", "127.0.0.1")
            try(sock.setpeername, sock, {}, 1)
            try(sock.setpeername, sock, "127.0.0.1", "x")
            try(sock.receive, sock, 1, 2)
            try(sock.receive)
            try(sock.settimeout, sock)
            try(sock.settimeout, 1, 2)
            try(sock.close, sock, 1)
            ngx.say(sock:setpeername("127.0.0.1", 65536))
            ngx.say(sock:setpeername("127.0.0.1", -1))
            sock:setpeername("127.0.0.1", 19230)
            try(sock.receive, sock, "x")
        }
    }
--- request
GET /t
--- response_body
expecting zero arguments, but got 1
ngx.socket.udp setpeername: expecting 2 or 3 arguments (including the object), but seen 1
ngx.socket.udp setpeername: expecting 2 or 3 arguments (including the object), but seen 4
bad argument #1 to '?' (table expected, got string)
bad argument #2 to '?' (string expected, got table)
bad argument #3 to '?' (number expected, got string)
expecting 1 or 2 arguments (including the object), but got 3
expecting 1 or 2 arguments (including the object), but got 0
ngx.socket settimeout: expecting at least 2 arguments (including the object) but seen 1
bad argument #1 to '?' (table expected, got number)
expecting 1 argument (including the object) but seen 2
nilbad port number: 65536
nilbad port number: -1
bad argument #2 to '?' (number expected, got string)
--- no_error_log
[error]



=== TEST 6: nobody listens
--- config
    location = /t {
        content_by_lua_block {
            local sock = ngx.socket.udp()
            sock:settimeout(2000)
            ngx.say(sock:setpeername("127.0.0.1", $TEST_NGINX_SERVER_PORT))
            ngx.say(sock:send("ping"))
            ngx.say(sock:receive())
            ngx.say(sock:close())
        }
    }
--- request
GET /t
--- response_body
1
1
nilconnection refused
1
--- error_log eval
qr/recv\(\) failed \(\d+: Connection refused\)/



=== TEST 7: a timeout of the configuration, which may not be logged
--- config
    lua_socket_read_timeout 20ms;
    lua_socket_log_errors off;
    location = /t {
        content_by_lua_block {
            local sock = ngx.socket.udp()
            sock:setpeername("127.0.0.1", 19230)
            ngx.say(sock:receive())
            sock:settimeout(0)
            ngx.say(sock:receive())
            sock:close()
            ngx.say(sock:receive())
        }
    }
--- udp_listen: 19230
--- udp_reply: pong
--- request
GET /t
--- response_body
niltimeout
niltimeout
nilclosed
--- no_error_log
[error]



=== TEST 8: a datagram that comes after a timeout
--- config
    location = /t {
        content_by_lua_block {
            local sock = ngx.socket.udp()
            sock:setpeername("127.0.0.1", 19230)
            sock:send("ping")
            sock:settimeout(10)
            ngx.say(sock:receive())
            sock:settimeout(3000)
            ngx.say(sock:receive())
        }
    }
--- udp_listen: 19230
--- udp_reply: pong
--- udp_reply_delay: 200ms
--- request
GET /t
--- response_body
niltimeout
pong
--- error_log
lua udp socket read timed out



=== TEST 9: unix domain sockets
--- config
    location = /t {
        content_by_lua_block {
            local sock = ngx.socket.udp()
            sock:settimeout(2000)
            ngx.say(sock:setpeername("unix:a.sock"))
            ngx.say(sock:send("ping"))
            ngx.say(sock:receive())
            ngx.say(sock:setpeername("unix:none.sock"))
            ngx.say(sock:send("ping"))
        }
    }
--- udp_listen: a.sock
--- udp_reply: pong
--- request
GET /t
--- response_body
1
1
pong
nilno such file or directory
nilclosed
--- error_log
connect() failed (2: No such file or directory)



=== TEST 10: another peer
--- config
    location = /t {
        content_by_lua_block {
            local sock = ngx.socket.udp()
            sock:settimeout(2000)
            ngx.say(sock:setpeername("127.0.0.1", 19230))
            ngx.say(sock:setpeername("127.0.0.1", 19231))
            ngx.say(sock:send("ping"))
            ngx.say(sock:receive())
        }
    }
--- udp_listen: 19231
--- udp_reply: pong
--- request
GET /t
--- response_body
1
1
1
pong
--- log_level: debug
--- error_log
lua udp socket reconnect without shutting down
lua reuse socket upstream ctx
--- no_error_log
[error]



=== TEST 11: names that cannot be
--- config
    location = /t {
        content_by_lua_block {
            local sock = ngx.socket.udp()
            ngx.say(sock:setpeername("unix:", 53))
            ngx.say(sock:setpeername("", 53))
        }
    }
--- request
GET /t
--- response_body
nilfailed to parse host name "unix:": no path in the unix domain socket
nilfailed to parse host name "": no host
--- no_error_log
[error]



=== TEST 12: a name by way of the resolver
--- config
    resolver 127.0.0.1:19232 ipv6=off;
    location = /t {
        content_by_lua_block {
            local sock = ngx.socket.udp()
            sock:settimeout(2000)
            ngx.say(sock:setpeername("peer.example", $TEST_NGINX_SERVER_PORT))
            ngx.say(sock:send("ping"))
            ngx.say(sock:receive())
        }
    }
--- udp_listen: 19232
--- udp_reply eval
$::AnswerDns
--- request
GET /t
--- response_body
1
1
nilconnection refused
--- log_level: debug
--- error_log
name was resolved to 127.0.0.1



=== TEST 13: the resolver does not answer
--- config
    resolver 127.0.0.1:19232 ipv6=off;
    resolver_timeout 20ms;
    location = /t {
        content_by_lua_block {
            local sock = ngx.socket.udp()
            ngx.say(sock:setpeername("peer.example", 53))
            ngx.say(sock:send("ping"))
        }
    }
--- udp_listen: 19232
--- udp_reply: x
--- udp_reply_delay: 500ms
--- request
GET /t
--- response_body
nilpeer.example could not be resolved (110: Operation timed out)
nilclosed
--- error_log
attempt to send data on a closed socket



=== TEST 14: busy while a thread waits; killing that closes the socket
--- config
    location = /t {
        content_by_lua_block {
            local sock = ngx.socket.udp()
            sock:setpeername("127.0.0.1", 19230)
            local thread = ngx.thread.spawn(function () return sock:receive() end)
            ngx.say(sock:send("ping"))
            ngx.say(sock:receive())
            ngx.say(sock:setpeername("127.0.0.1", 19230))
            ngx.say(sock:close())
            ngx.say(ngx.thread.kill(thread))
            ngx.say(sock:close())
            ngx.say(sock:setpeername("127.0.0.1", 19230))
        }
    }
--- request
GET /t
--- response_body
nilsocket busy
nilsocket busy
nilsocket busy
nilsocket busy
1
nilclosed
1
--- no_error_log
[error]
--- log_level: debug
--- error_log
lua close socket connection



=== TEST 15: killing a thread that waits for a name frees the socket
--- config
    resolver 127.0.0.1:19232 ipv6=off;
    location = /t {
        content_by_lua_block {
            local sock = ngx.socket.udp()
            -- A name that the resolver has not seen.
            local name = ngx.var.request_id .. ".example"
            local thread = ngx.thread.spawn(function () sock:setpeername(name, 53) end)
            ngx.say(sock:setpeername("127.0.0.1", 19230))
            ngx.say(ngx.thread.kill(thread))
            ngx.say(sock:setpeername("127.0.0.1", 19230))
            ngx.sleep(0.1)
            ngx.say(sock:close())
        }
    }
--- udp_listen: 19232
--- udp_reply eval
$::AnswerDns
--- request
GET /t
--- response_body
nilsocket busy
1
1
1
--- no_error_log
[error]



=== TEST 16: a request that ends closes its sockets, while a thread waits too
--- config
    location = /t {
        content_by_lua_block {
            kept = ngx.socket.udp()
            kept:setpeername("127.0.0.1", 19230)
            ngx.thread.spawn(function () return kept:receive() end)
            ngx.say("over")
            ngx.exit(200)
        }
    }
--- request
GET /t
--- response_body
over
--- log_level: debug
--- error_log
lua close socket connection
--- no_error_log
[alert]



=== TEST 17: a socket of another request
--- config
    location = /main {
        content_by_lua_block {
            kept = ngx.socket.udp()
            kept:setpeername("127.0.0.1", 19230)
            local res = ngx.location.capture("/sub")
            ngx.print(res.body)
            ngx.say(kept:close())
        }
    }
    location = /sub {
        content_by_lua_block {
            for _, name in ipairs { "setpeername", "send", "receive", "close" } do
                local method = kept[name]
                local ok, err
                if name == "setpeername" or name == "send" then
                    ok, err = pcall(method, kept, "127.0.0.1")
                else
                    ok, err = pcall(method, kept)
                end
                ngx.say(name, ": ", err)
            end
        }
    }
--- request
GET /main
--- response_body
setpeername: bad request
send: bad request
receive: bad request
close: bad request
1
--- no_error_log
[crit]



=== TEST 18: collected while connected
--- config
    location = /t {
        content_by_lua_block {
            for i = 1, 3 do
                ngx.socket.udp():setpeername("127.0.0.1", 19230)
            end
            collectgarbage()
            ngx.say("collected")
        }
    }
--- request
GET /t
--- response_body
collected
--- log_level: debug
--- grep_error_log: lua close socket connection
--- grep_error_log_out
lua close socket connection
lua close socket connection
lua close socket connection
--- no_error_log
[error]



=== TEST 19: what a script puts in place of the socket's own data
--- config
    location = /t {
        content_by_lua_block {
            local sock = ngx.socket.udp()
            for _, other in ipairs { 1, "x", newproxy(), io.stdout, {} } do
                sock[1] = other
                ngx.say(sock:close())
            end
        }
    }
--- request
GET /t
--- response_body
nilclosed
nilclosed
nilclosed
nilclosed
nilclosed
--- no_error_log
[error]



=== TEST 20: phases
--- config
    location = /t {
        rewrite_by_lua_block {
            local sock = ngx.socket.udp()
            sock:settimeout(2000)
            sock:setpeername("127.0.0.1", 19230)
            sock:send("ping")
            ngx.ctx.rewrite = sock:receive()
        }
        access_by_lua_block {
            local sock = ngx.socket.udp()
            sock:settimeout(2000)
            sock:setpeername("127.0.0.1", 19230)
            sock:send("ping")
            ngx.ctx.access = sock:receive()
        }
        content_by_lua_block {
            ngx.say(ngx.ctx.rewrite, " ", ngx.ctx.access)
        }
        set_by_lua_block $err {
            local ok, err = pcall(ngx.socket.udp)
            ngx.log(ngx.WARN, err)
            return err
        }
    }
--- udp_listen: 19230
--- udp_reply: pong
--- request
GET /t
--- response_body
pong pong
--- error_log
API disabled in the context of set_by_lua*
--- no_error_log
[error]



=== TEST 21: in a timer
--- config
    location = /t {
        content_by_lua_block {
            local said
            ngx.timer.at(0, function ()
                local sock = ngx.socket.udp()
                sock:settimeout(2000)
                sock:setpeername("127.0.0.1", 19230)
                sock:send("ping")
                said = sock:receive()
            end)
            for i = 1, 100 do
                if said then break end
                ngx.sleep(0.02)
            end
            ngx.say(said)
        }
    }
--- udp_listen: 19230
--- udp_reply: pong
--- request
GET /t
--- response_body
pong
--- no_error_log
[error]



=== TEST 22: a socket that only the wait for it knows is not collected
--- config
    location = /t {
        content_by_lua_block {
            local function waiting()
                local sock = ngx.socket.udp()
                sock:settimeout(2000)
                sock:setpeername("127.0.0.1", 19230)
                sock:send("ping")
                return ngx.thread.spawn(function() return sock:receive() end)
            end
            local reader = waiting()
            for _ = 1, 20 do
                collectgarbage()
                ngx.sleep(0.002)
            end
            ngx.say(ngx.thread.wait(reader))
        }
    }
--- udp_listen: 19230
--- udp_reply: pong
--- udp_reply_delay: 300ms
--- request
GET /t
--- response_body
truepong
--- no_error_log
[error]



=== TEST 23: what a timeout may be; one that is not positive is the configuration's
--- config
    location /t {
        lua_socket_read_timeout 30ms;
        content_by_lua_block {
            local sock = ngx.socket.udp()
            ngx.say(select(2, pcall(sock.settimeout, sock, 0 / 0)))
            -- A thread that waits so long waits.
            sock:setpeername("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
            for _, timeout in ipairs{ 1 / 0, 1e300, 2^63 } do
                sock:settimeout(timeout)
                local reader = ngx.thread.spawn(function() return sock:receive() end)
                ngx.sleep(0.01)
                ngx.say(coroutine.status(reader))
                ngx.thread.kill(reader)
                sock:setpeername("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
            end
            for _, timeout in ipairs{ 0, -1, -1 / 0 } do
                ngx.say(pcall(sock.settimeout, sock, timeout), " ", sock:receive())
            end
        }
    }
--- request
GET /t
--- response_body
bad timeout value
running
running
running
true niltimeout
true niltimeout
true niltimeout
--- error_log
lua udp socket read timed out



=== TEST 24: bind to an address
--- config
    location = /t {
        content_by_lua_block {
            local function new() return ngx.socket.udp() end
            local receiver, sender = new(), new()
            ngx.say(sender:bind("127.0.0.7"))
            assert(sender:setpeername("127.0.0.1", 19230))
            assert(sender:send("ping"))
            ngx.say(sender:receive())
            for _, address in ipairs{ "localhost", "", "unix:/tmp/x", "127.0.0.1:80" } do
                ngx.say(new():bind(address))
            end
            local foreign = new()
            assert(foreign:bind("192.0.2.1"))
            ngx.say(foreign:setpeername("127.0.0.1", 19230))
            ngx.say(select(2, pcall(sender.bind, sender)))
        }
    }
--- udp_listen: 19230
--- udp_query: ping
--- udp_reply: pong
--- request
GET /t
--- response_body
1
pong
nilbad address
nilbad address
nilbad address
nilbad address
nilcannot assign requested address
expecting 2 arguments, but got 1
--- error_log
bind(192.0.2.1) failed (99: Cannot assign requested address)



=== TEST 25: a name without a resolver
--- skip_eval: 3: qx{$Test::Nginx::Util::NginxBinary -v 2>&1} =~ /Angie/ # which has the system's
--- http_config
    lua_system_resolver off;
--- config
    location = /t {
        content_by_lua_block { ngx.say(ngx.socket.udp():setpeername("peer.example", 53)) }
    }
--- request
GET /t
--- response_body
nilno resolver defined to resolve "peer.example"
--- no_error_log
[alert]
