# content_by_lua*: output, HTTP/1.0, files, where the code comes from.

use Test::Nginx::Socket::Lua;

repeat_each(2);

plan tests => repeat_each() * (blocks() * 3 + 10);

no_long_string();
run_tests();

__DATA__

=== TEST 1: values of every printable kind
--- config
    location /t {
        content_by_lua_block {
            ngx.say("s", 1, 2.5, -0.5, 1e15, true, false, nil, ngx.null)
            ngx.print({ "a", { 1, "b", { true } }, nil }, "\n")
            ngx.say()
            ngx.say(2 ^ 53, " ", 100000000000000, " ", 0.1)
        }
    }
--- request
GET /t
--- response_body
s12.5-0.51e+15truefalsenilnull
a1btrue

9.007199254741e+15 1e+14 0.1
--- no_error_log
[error]



=== TEST 2: what cannot be printed is named
--- config
    location /t {
        content_by_lua_block {
            local function try(value)
                ngx.say((select(2, pcall(ngx.print, value))))
            end
            try(print)
            try({ a = 1 })
            try({ print })
        }
    }
--- request
GET /t
--- response_body
bad argument #1 to '?' (string, number, boolean, nil, ngx.null, or array table expected, but got function)
bad argument #1 to '?' (non-array table found)
bad argument #1 to '?' (bad data type function found)
--- no_error_log
[error]



=== TEST 3: HTTP/1.0: one Content-Length for all that was said
--- config
    location /t {
        content_by_lua_block {
            ngx.say("one")
            ngx.sleep(0.001)
            ngx.say("two")
        }
    }
--- request
GET /t HTTP/1.0
--- response_headers
Content-Length: 8
--- response_body
one
two
--- no_error_log
[error]



=== TEST 4: lua_http10_buffering off: as it comes, until the connection closes
--- config
    location /t {
        lua_http10_buffering off;
        content_by_lua_block {
            ngx.say("one")
            ngx.flush(true)
            ngx.say("two")
        }
    }
--- request
GET /t HTTP/1.0
--- response_headers
!Content-Length
--- response_body
one
two
--- no_error_log
[error]



=== TEST 5: a file, found below the prefix, its path with a variable
--- config
    location ~ /run/(.*) {
        content_by_lua_file html/$1.lua;
    }
--- user_files
>>> hello.lua
#!/usr/bin/env lua
ngx.say("line ", debug.getinfo(1, "l").currentline)
--- request
GET /run/hello
--- response_body
line 2
--- no_error_log
[error]



=== TEST 6: a file that is not there is a 404
--- config
    location /t {
        content_by_lua_file html/nosuch.lua;
    }
--- request
GET /t
--- error_code: 404
--- response_body_like: 404 Not Found
--- error_log eval
qr/failed to load external Lua file ".*nosuch\.lua": cannot open .*nosuch\.lua/



=== TEST 7: code that does not compile is a 500, with Lua's reason
--- config
    location /t {
        content_by_lua_block {
            local x = = 1
        }
    }
--- request
GET /t
--- error_code: 500
--- response_body_like: 500 Internal Server Error
--- error_log
failed to load inlined Lua code: content_by_lua(nginx.conf:



=== TEST 8: an error has the coroutines it went through
--- config
    location /t {
        content_by_lua_block {
            local function inner() error("deep") end
            coroutine.wrap(inner)()
        }
    }
--- request
GET /t
--- error_code: 500
--- response_body_like: 500 Internal Server Error
--- error_log eval
[qr/lua entry thread aborted: runtime error: content_by_lua\(nginx\.conf:\d+\):2: deep/,
 "stack traceback:", "coroutine 0:", "coroutine 1:"]



=== TEST 9: the body of an unread request does not become the next request
--- config
    location /t {
        content_by_lua_block { ngx.say("not read") }
    }
    location /smuggled {
        content_by_lua_block { ngx.log(ngx.ERR, "smuggled in") }
    }
--- pipelined_requests eval
["POST /t
GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n", "GET /t"]
--- response_body eval
["not read\n", "not read\n"]
--- no_error_log
smuggled in



=== TEST 10: each piece is a chunk of its own
--- config
    location /pieces {
        content_by_lua_block {
            ngx.say("one")
            ngx.print("two", 2)
            ngx.print("")
            ngx.print({ "three", { 3 } })
            ngx.say()
        }
    }
    location /t {
        content_by_lua_block {
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", ngx.var.server_port))
            assert(sock:send("GET /pieces HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
            local raw = assert(sock:receive("*a"))
            ngx.say((raw:match("\r\n\r\n(.*)"):gsub("\r\n", "|"):gsub("\n", "+")))
        }
    }
--- request
GET /t
--- response_body
4|one+|4|two2|6|three3|1|+|0||
--- no_error_log
[error]



=== TEST 11: so is each around a wait, a flush, a large piece, and behind the work of filters
--- config
    location /pieces {
        content_by_lua_block {
            ngx.print("a")
            ngx.print("b")
            ngx.sleep(0.001)
            ngx.print("c")
            ngx.print("d")
            ngx.flush()
            ngx.print("e")
            ngx.print("f")
            ngx.flush(true)
            ngx.print("g")
            ngx.print(("x"):rep(5000))
            ngx.print("h")
            ngx.print("i")
            ngx.eof()
        }
    }
    location /t {
        content_by_lua_block {
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", ngx.var.server_port))
            assert(sock:send("GET /pieces HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
            local raw = assert(sock:receive("*a"))
            ngx.say((raw:match("\r\n\r\n(.*)"):gsub("\r\n", "|"):gsub("x+", "x")))
        }
    }
--- request
GET /t
--- response_body
1|a|1|b|1|c|1|d|1|e|1|f|1|g|1388|x|1|h|1|i|0||
--- no_error_log
[error]



=== TEST 12: and each of many, more than nginx holds back
--- config
    location /pieces {
        content_by_lua_block {
            for i = 1, 3000 do
                ngx.print("piece")
            end
        }
    }
    location /t {
        content_by_lua_block {
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", ngx.var.server_port))
            assert(sock:send("GET /pieces HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
            local raw = assert(sock:receive("*a"))
            local body = raw:match("\r\n\r\n(.*)")
            ngx.say(body == ("5\r\npiece\r\n"):rep(3000) .. "0\r\n\r\n")
        }
    }
--- request
GET /t
--- response_body
true
--- no_error_log
[error]



=== TEST 13: HTTP/1.0: one body with its length
--- config
    location /t {
        content_by_lua_block {
            ngx.say("one")
            ngx.print("two", 2)
            ngx.say()
        }
    }
--- request
GET /t HTTP/1.0
--- response_headers
Content-Length: 9
!Transfer-Encoding
--- response_body
one
two2
--- no_error_log
[error]



=== TEST 14: many small pieces behind a filter that changes them
--- config
    location /sub {
        sub_filter_types *;
        sub_filter_once off;
        sub_filter 39 thirty-nine;
        content_by_lua_block {
            for i = 1, 2000 do
                ngx.print(i, ",")
            end
        }
    }
    location /t {
        content_by_lua_block {
            local expected = {}
            for i = 1, 2000 do
                expected[i] = tostring(i):gsub("39", "thirty-nine") .. ","
            end
            local body = ngx.location.capture("/client").body
            ngx.say(body == table.concat(expected))
        }
    }
    location /client {
        proxy_http_version 1.1;
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/sub;
    }
--- request
GET /t
--- response_body
true
--- no_error_log
[error]



=== TEST 15: many small pieces for a client at a limited rate, with other output between them
--- config
    location /pieces {
        limit_rate 12k;
        postpone_output 1000;
        content_by_lua_block {
            for i = 1, 600 do
                ngx.print("piece ", i, ",")
                if i % 100 == 0 then
                    ngx.print(("x"):rep(1500), ",")
                end
                if i % 150 == 0 then
                    ngx.flush(i % 300 == 0)
                end
            end
        }
    }
    location /t {
        content_by_lua_block {
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", ngx.var.server_port))
            assert(sock:send("GET /pieces HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
            local raw = assert(sock:receive("*a"))
            local expected = {}
            for i = 1, 600 do
                local piece = "piece " .. i .. ","
                expected[#expected + 1] = ("%x\r\n%s\r\n"):format(#piece, piece)
                if i % 100 == 0 then
                    expected[#expected + 1] = "5dd\r\n" .. ("x"):rep(1500) .. ",\r\n"
                end
            end
            expected[#expected + 1] = "0\r\n\r\n"
            ngx.say(raw:match("\r\n\r\n(.*)") == table.concat(expected))
        }
    }
--- timeout: 10
--- request
GET /t
--- response_body
true
--- no_error_log
[error]



=== TEST 16: a finalizer that prints while a number is printed
--- config
    location = /t {
        content_by_lua_block {
            local function proxy()
                local made = newproxy(true)
                getmetatable(made).__gc = function() ngx.print("finalizer ") end
                return made
            end
            -- The tail call leaves nothing on the stack that keeps the proxy.
            local function print_number(made) return ngx.print(1.5, 2) end

            -- From now on, each allocation is preceded by a whole collection.
            local pause = collectgarbage("setpause", 0)
            local step = collectgarbage("setstepmul", 1e8)
            collectgarbage()
            print_number(proxy())
            collectgarbage("setpause", pause)
            collectgarbage("setstepmul", step)
            collectgarbage()
            ngx.say(" end")
        }
    }
--- request
GET /t
--- response_body
finalizer 1.52 end
--- no_error_log
[error]
