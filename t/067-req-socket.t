# ngx.req.socket: request bodies read by Lua code.

use Test::Nginx::Socket::Lua;

repeat_each(2);

plan tests => repeat_each() * (blocks() * 3 + 5);

no_long_string();
run_tests();

__DATA__

=== TEST 1: the body, and nothing behind it
--- config
    location /t {
        content_by_lua_block {
            local sock = assert(ngx.req.socket())
            ngx.say(sock:receive(3))
            ngx.say(sock:receive())
            ngx.say(sock:receiveuntil("--")())
            ngx.say(sock:receive("*a"))
            ngx.say(sock:receive(1))
        }
    }
--- request eval
"POST /t
one line
until--rest"
--- response_body
one
 line
until
rest
nilclosed
--- no_error_log
[error]



=== TEST 2: what keeps a body from being read
--- config
    location /t {
        content_by_lua_block {
            if ngx.var.arg_read then ngx.req.read_body() end
            ngx.say((ngx.req.socket()))
            ngx.say(select(2, ngx.req.socket()))
        }
    }
    location /all {
        content_by_lua_block {
            ngx.print(ngx.location.capture("/get").body)
            ngx.say(select(2, ngx.req.socket()) or "first")
            ngx.say(select(2, ngx.req.socket()))
            -- Releases say in different words how many there may be.
            ngx.say((select(2, pcall(ngx.req.socket, 1, 2)):gsub("0 or 1 argument,", "zero arguments,")))
        }
    }
    location /get {
        content_by_lua_block {
            ngx.say(select(2, pcall(ngx.req.socket)))
        }
    }
--- pipelined_requests eval
["GET /t", "POST /t?read=1\nbody", "POST /all\nbody"]
--- response_body eval
["nil\nno body\n", "nil\nrequest body already exists\n",
 "attempt to read the request body in a subrequest\nfirst\nrequest body already exists\n" .
 "expecting zero arguments, but got 2\n"]
--- no_error_log
[error]



=== TEST 3: chunked bodies
--- config
    location /t {
        content_by_lua_block {
            local sock = assert(ngx.req.socket())
            ngx.say(sock:receive(3), sock:receive("*a"), sock:receive(1))
        }
    }
--- raw_request eval
"POST /t HTTP/1.1\r
Host: localhost\r
Transfer-Encoding: chunked\r
Connection: close\r
\r
5\r
hello\r
0\r
\r
"
--- response_body
hellonilclosed
--- no_error_log
[error]



=== TEST 4: a body that comes in pieces
--- config
    location /t {
        content_by_lua_block {
            local sock = assert(ngx.req.socket())
            for i = 1, 5 do ngx.say(sock:receive(2)) end
            ngx.say(sock:receive(1))
        }
    }
--- raw_request eval
["POST /t HTTP/1.1\r
Host: localhost\r
Content-Length: 10\r
Connection: close\r
\r
a", "bcd", "efghi", "jKLM"]
--- raw_request_middle_delay: 0.02
--- response_body
ab
cd
ef
gh
ij
nilclosed
--- no_error_log
[error]



=== TEST 5: all of a body that comes in pieces
--- config
    location /t {
        content_by_lua_block {
            local sock = assert(ngx.req.socket())
            sock:settimeout(1000)
            ngx.say(sock:receive("*a"))
        }
    }
--- raw_request eval
["POST /t HTTP/1.1\r
Host: localhost\r
Content-Length: 10\r
Connection: close\r
\r
a", "bcd", "efghi", "j"]
--- raw_request_middle_delay: 0.02
--- response_body
abcdefghij
--- no_error_log
[error]



=== TEST 6: a client that is too slow, and goes on
--- config
    location /t {
        content_by_lua_block {
            local sock = assert(ngx.req.socket())
            sock:settimeout(20)
            ngx.say(sock:receive(8))
            sock:settimeout(2000)
            ngx.say(sock:receive(4))
        }
    }
--- raw_request eval
["POST /t HTTP/1.1\r
Host: localhost\r
Content-Length: 8\r
Connection: close\r
\r
slow", "down"]
--- raw_request_middle_delay: 0.1
--- response_body
niltimeoutslow
down
--- error_log
lua tcp socket read timed out



=== TEST 7: a client that leaves before its body has come
--- config
    location /t {
        content_by_lua_block {
            local sock = assert(ngx.req.socket())
            ngx.log(ngx.WARN, "got ", table.concat({ tostring((sock:receive(1))),
                                                     select(2, sock:receive(8)) }, ", "))
        }
    }
--- raw_request eval
"POST /t HTTP/1.1\r
Host: localhost\r
Content-Length: 8\r
\r
part"
--- shutdown: 1
--- ignore_response
--- no_error_log
[error]
--- error_log
got p, client aborted, art



=== TEST 8: no writing, closing or keeping
--- config
    location /t {
        content_by_lua_block {
            local sock = assert(ngx.req.socket())
            ngx.say(sock.send, sock.close, sock.setkeepalive, sock.connect)
            local tcp = getmetatable(ngx.socket.tcp())
            ngx.say(select(2, pcall(tcp.send, sock, "x")))
            ngx.say(tcp.close(sock))
            ngx.say(select(2, pcall(tcp.connect, sock, "127.0.0.1", 1)))
            ngx.say(tcp.setkeepalive(sock))
        }
    }
--- request
POST /t
body
--- response_body
nilnilnilnil
attempt to write to request sockets
nilattempt to close a request socket
attempt to re-connect a request socket
nilattempt to keep a request socket
--- no_error_log
[error]
