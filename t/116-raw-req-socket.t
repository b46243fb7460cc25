# ngx.req.socket(true): the client's connection in the hands of Lua code.

use Test::Nginx::Socket::Lua;

repeat_each(2);

plan tests => repeat_each() * (blocks() * 3 + 4);

no_long_string();
run_tests();

__DATA__

=== TEST 1: a response of one's own
--- config
    location /t {
        content_by_lua_block {
            ngx.req.read_body()
            local sock = assert(ngx.req.socket(true))
            sock:send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
            ngx.log(ngx.WARN, "say: ", select(2, ngx.say("x")))
            ngx.log(ngx.WARN, "again: ", select(2, ngx.req.socket(true)))
        }
    }
--- request
GET /t
--- response_body chomp
hello
--- error_log
say: raw request socket acquired
again: duplicate call



=== TEST 2: a conversation
--- config
    location /t {
        content_by_lua_block {
            ngx.req.read_body()
            local sock = assert(ngx.req.socket(true))
            sock:send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            for line in function () return sock:receive() end do
                sock:send("<" .. line .. ">\n")
                if line == "end" then return end
            end
        }
    }
--- raw_request eval
["GET /t HTTP/1.1\r
Host: localhost\r
\r
one\r
t", "wo\r\nend\r\nmore\r\n"]
--- raw_request_middle_delay: 0.02
--- response_body
<one>
<two>
<end>
--- no_error_log
[error]



=== TEST 3: output that nginx has not sent yet, or holds back
--- config
    location /t {
        content_by_lua_block {
            ngx.say("held")
            ngx.say(select(2, ngx.req.socket(true)))
        }
    }
--- request
GET /t HTTP/1.0
--- response_body
held
http 1.0 buffering
--- no_error_log
[error]



=== TEST 4: more than the client takes at once
--- config
    location /t {
        content_by_lua_block {
            ngx.req.read_body()
            local sock = assert(ngx.req.socket(true))
            local size = 5000000
            sock:send("HTTP/1.1 200 OK\r\nContent-Length: " .. size .. "\r\n\r\n")
            ngx.log(ngx.WARN, "sent ", sock:send(("x"):rep(size)))
        }
    }
    location /length {
        content_by_lua_block {
            local sock = assert(ngx.socket.connect("127.0.0.1", $TEST_NGINX_SERVER_PORT))
            sock:send("GET /t HTTP/1.0\r\n\r\n")
            ngx.sleep(0.05)
            ngx.say(#sock:receive("*a"))
        }
    }
--- request
GET /length
--- response_body
5000044
--- error_log
sent 5000000



=== TEST 5: timeouts, and a client that leaves
--- config
    location /t {
        content_by_lua_block {
            ngx.req.read_body()
            local sock = assert(ngx.req.socket(true))
            sock:settimeouts(1000, 1000, 20)
            ngx.log(ngx.WARN, "first: ", select(2, sock:receive()))
            sock:settimeout(2000)
            sock:send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            ngx.log(ngx.WARN, "second: ", select(2, sock:receive()))
        }
    }
    location /leave {
        content_by_lua_block {
            local sock = assert(ngx.socket.connect("127.0.0.1", $TEST_NGINX_SERVER_PORT))
            sock:send("GET /t HTTP/1.0\r\n\r\n")
            ngx.say(sock:receive())
            sock:close()
            ngx.sleep(0.02)
        }
    }
--- request
GET /leave
--- response_body
HTTP/1.1 200 OK
--- error_log
first: timeout
second: closed



=== TEST 6: the socket of the body before it takes nothing along
--- config
    location /t {
        content_by_lua_block {
            local body = assert(ngx.req.socket())
            body:receive(4)
            local raw = assert(ngx.req.socket(true))
            raw:settimeout(100)
            local reader = ngx.thread.spawn(function() return raw:receive(5) end)
            ngx.log(ngx.WARN, "behind the body: ", select(2, body:receive(1)))
            body = nil
            collectgarbage()
            collectgarbage()
            local _, data, err = ngx.thread.wait(reader)
            ngx.log(ngx.WARN, "at first: ", data or err)
            reader = ngx.thread.spawn(function() return raw:receive(5) end)
            raw:send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            _, data, err = ngx.thread.wait(reader)
            ngx.log(ngx.WARN, "then: ", data or err)
        }
    }
    location /ask {
        content_by_lua_block {
            local sock = assert(ngx.socket.connect("127.0.0.1", $TEST_NGINX_SERVER_PORT))
            sock:settimeout(2000)
            sock:send("POST /t HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
            ngx.say(sock:receive())
            sock:send("again")
            sock:receive("*a")
        }
    }
--- request
GET /ask
--- response_body
HTTP/1.1 200 OK
--- error_log
behind the body: closed
at first: timeout
then: again
--- timeout: 5
