# body_filter_by_lua* that waits: the rest of the body waits behind it, and goes on in order.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * 61;
no_long_string();

add_block_preprocessor(sub {
    my ($block) = @_;
    my $config = $block->config;
    $config .= <<'_EOC_';

    location = /word {
        content_by_lua_block { ngx.print("word") }
    }
    location = /large {
        content_by_lua_block {
            local length = 0
            for i = 1, 200 do
                local lines = {}
                for j = 1, 100 do lines[j] = "line " .. (i - 1) * 100 + j .. "\n" end
                ngx.print(lines)
            end
        }
    }
_EOC_
    $block->set_value("config", $config);
});

run_tests();

__DATA__

=== TEST 1: a sleep, a cosocket, a semaphore, a light thread
--- config
    location = /t {
        content_by_lua_block {
            for i = 1, 3 do
                ngx.print(i, " ")
                ngx.flush(true)
            end
        }
        body_filter_by_lua_block {
            local piece, last = ngx.arg[1], ngx.arg[2]
            if last then ngx.arg[1] = "end\n" return end
            if piece == "" then return end
            ngx.sleep(0.001)
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", ngx.var.server_port))
            assert(sock:send("GET /word HTTP/1.0\r\n\r\n"))
            local response = assert(sock:receive("*a"))
            sock:close()
            local sema = require "ngx.semaphore".new()
            local thread = ngx.thread.spawn(function()
                ngx.sleep(0.001)
                sema:post()
                return ngx.get_phase()
            end)
            assert(sema:wait(1))
            local _, phase = ngx.thread.wait(thread)
            assert(ngx.arg[1] == piece and ngx.arg[2] == false)
            ngx.arg[1] = table.concat({ response:sub(-4), phase, piece }, " ")
        }
    }
--- request
GET /t
--- response_body
word body_filter 1 word body_filter 2 word body_filter 3 end
--- no_error_log
[error]



=== TEST 2: what comes while the code waits is one piece for it, in order
--- config
    location = /t {
        content_by_lua_block {
            for i = 1, 9 do ngx.print(i) end
            ngx.say()
        }
        body_filter_by_lua_block {
            local calls = (ngx.ctx.calls or 0) + 1
            ngx.ctx.calls = calls
            ngx.sleep(0.002)
            ngx.arg[1] = calls .. " [" .. ngx.arg[1]:gsub("\n", "") .. "]\n"
        }
    }
--- request
GET /t
--- response_body
1 [1]
2 [23456789]
--- no_error_log
[error]



=== TEST 3: code that has sent its response waits in ngx.flush
--- config
    location = /t {
        content_by_lua_block {
            ngx.ctx.order = {}
            for i = 1, 3 do
                ngx.print(i, " ")
                ngx.flush(true)
                table.insert(ngx.ctx.order, "flushed")
            end
            ngx.ctx.order = table.concat(ngx.ctx.order, " ")
            ngx.say(ngx.ctx.order)
        }
        body_filter_by_lua_block {
            if type(ngx.ctx.order) == "table" and ngx.arg[1] ~= "" then
                ngx.sleep(0.002)
                table.insert(ngx.ctx.order, "slept")
            end
        }
    }
--- request
GET /t
--- response_body
1 2 3 slept flushed slept flushed slept flushed
--- no_error_log
[error]



=== TEST 4: the end of the response is said early, after a wait
--- config
    location = /t {
        content_by_lua_block {
            for _, piece in ipairs { "one ", "two ", "three " } do
                ngx.print(piece)
                ngx.flush(true)
            end
        }
        body_filter_by_lua_block {
            ngx.sleep(0.001)
            if ngx.arg[1] == "two " then
                ngx.arg[1] = "end\n"
                ngx.arg[2] = true
            end
        }
    }
--- request
GET /t
--- response_body
one end
--- no_error_log
[error]



=== TEST 5: an error after a wait cuts the response off
--- config
    location = /t {
        content_by_lua_block {
            ngx.print("one ")
            ngx.flush(true)
            ngx.print("two ")
            ngx.sleep(0.05)
            ngx.print("three")
        }
        body_filter_by_lua_block {
            if ngx.arg[1] == "two " then
                ngx.sleep(0.001)
                error("no two today")
            end
        }
    }
--- request
GET /t
--- ignore_response
--- error_log eval
qr/\[error\] .*failed to run body_filter_by_lua\*: body_filter_by_lua\(nginx\.conf:\d+\):4: no two today/
--- no_error_log
[alert]
[crit]



=== TEST 6: the code's result, after a wait, refuses the rest
--- config
    location = /t {
        content_by_lua_block {
            ngx.print("one ")
        }
        body_filter_by_lua_block {
            ngx.sleep(0.001)
            return ngx.ERROR
        }
    }
--- request
GET /t
--- ignore_response
--- no_error_log
[error]
[alert]



=== TEST 7: a large proxied response, buffered
--- config
    location = /t {
        proxy_pass http://127.0.0.1:$server_port/large;
        proxy_buffers 4 4k;
        proxy_buffer_size 4k;
        proxy_busy_buffers_size 8k;
        proxy_max_temp_file_size 0;
        header_filter_by_lua_block { ngx.header.content_length = nil }
        body_filter_by_lua_block {
            ngx.sleep(0)
            ngx.ctx.length = (ngx.ctx.length or 0) + #ngx.arg[1]
            ngx.ctx.md5 = ngx.md5((ngx.ctx.md5 or "") .. #ngx.arg[1])
            if ngx.arg[2] then
                ngx.arg[1] = ngx.ctx.length .. "\n"
            else
                ngx.arg[1] = nil
            end
        }
    }
--- request
GET /t
--- response_body
208894
--- no_error_log
[error]



=== TEST 8: a large proxied response, unbuffered, passes unchanged
--- config
    location = /t {
        proxy_pass http://127.0.0.1:$server_port/large;
        proxy_buffering off;
        body_filter_by_lua_block { ngx.sleep(0) }
    }
    location = /check {
        content_by_lua_block {
            local changed = ngx.location.capture("/t").body
            local plain = ngx.location.capture("/large").body
            ngx.say(changed == plain, " ", #plain)
        }
    }
--- request
GET /check
--- response_body
true 208894
--- no_error_log
[error]



=== TEST 9: a file
--- user_files eval
">>> file.txt\n" . join "", map { "line $_\n" } 1 .. 20000
--- config
    location = /file.txt {
        output_buffers 2 4k;
        header_filter_by_lua_block { ngx.sleep(0.001) ngx.header.content_length = nil }
        body_filter_by_lua_block {
            ngx.sleep(0)
            ngx.ctx.pieces = (ngx.ctx.pieces or 0) + 1
            ngx.ctx.length = (ngx.ctx.length or 0) + #ngx.arg[1]
            ngx.arg[1] = nil
            if ngx.arg[2] then
                ngx.arg[1] = ngx.ctx.length .. " " .. tostring(ngx.ctx.pieces > 20) .. "\n"
            end
        }
    }
--- request
GET /file.txt
--- response_body
208894 true
--- no_error_log
[error]



=== TEST 10: subrequests of a page, and gzip behind it
--- config
    location = /t {
        default_type text/html;
        ssi on;
        return 200 "<!--#include virtual=\"/one\" --> and <!--#include virtual=\"/two\" -->\n";
        body_filter_by_lua_block { ngx.sleep(0.001) }
    }
    location = /one {
        return 200 "first";
        body_filter_by_lua_block { ngx.sleep(0.003) ngx.arg[1] = ngx.arg[1]:upper() }
    }
    location = /two {
        return 200 "second";
        body_filter_by_lua_block { ngx.sleep(0.001) ngx.arg[1] = ngx.arg[1]:upper() }
    }
--- request
GET /t
--- response_body
FIRST and SECOND
--- no_error_log
[error]



=== TEST 11: a captured subrequest
--- config
    location = /t {
        content_by_lua_block {
            local slow, none = ngx.location.capture_multi { { "/slow" }, { "/none" } }
            ngx.say(slow.status, " ", tostring(slow.truncated), " ", slow.body)
            ngx.say(none.status, " ", tostring(none.truncated), " ", none.body)
        }
    }
    location = /slow {
        content_by_lua_block { ngx.print("inner") }
        body_filter_by_lua_block { ngx.sleep(0.002) ngx.arg[1] = ngx.arg[1]:upper() }
    }
    location = /none {
        return 404 "missing";
        body_filter_by_lua_block { ngx.sleep(0.001) }
    }
--- request
GET /t
--- response_body
200 false INNER
404 false missing
--- no_error_log
[error]



=== TEST 12: requests behind each other on one connection
--- config
    location = /t {
        content_by_lua_block { ngx.say(ngx.var.arg_n) }
        body_filter_by_lua_block { ngx.sleep(0.002) }
    }
--- pipelined_requests eval
["GET /t?n=1", "GET /t?n=2", "GET /t?n=3"]
--- response_body eval
["1\n", "2\n", "3\n"]
--- no_error_log
[error]



=== TEST 13: nginx's own page, HTTP/1.0, a Content-Length that is kept
--- config
    location = /t {
        return 404;
        body_filter_by_lua_block { ngx.sleep(0.001) }
    }
    location = /ten {
        content_by_lua_block {
            ngx.print("0123456789")
        }
        body_filter_by_lua_block { ngx.sleep(0.001) ngx.arg[1] = ngx.arg[1]:reverse() }
    }
--- request eval
["GET /t", "GET /ten HTTP/1.0"]
--- error_code eval
[404, 200]
--- response_body_like eval
["404 Not Found", "^9876543210\$"]
--- no_error_log
[error]



=== TEST 14: a wait longer than send_timeout, and the functions that stay refused
--- config
    location = /t {
        send_timeout 100ms;
        content_by_lua_block { ngx.print("body ") }
        body_filter_by_lua_block {
            if ngx.arg[1] == "" then return end
            ngx.sleep(0.5)
            local found = {}
            for i, call in ipairs { { "say", "x" }, { "exit", 403 }, { "exec", "/x" } } do
                local _, err = pcall(ngx[call[1]], call[2])
                found[i] = call[1] .. (err:match("API disabled in the context of body_filter_by_lua%*") and " refused" or err)
            end
            local _, err = pcall(ngx.location.capture, "/word")
            ngx.arg[1] = ngx.arg[1] .. table.concat(found, ", ") .. ", " .. err .. "\n"
        }
    }
--- request
GET /t
--- response_body
body say refused, exit refused, exec refused, API disabled in the context of body_filter_by_lua*
--- no_error_log
client timed out
[error]



=== TEST 15: a flush before the data, which waits with the code
--- config
    location = /t {
        content_by_lua_block {
            ngx.send_headers()
            ngx.flush()
            ngx.say("one")
            ngx.flush(true)
            ngx.say("two")
        }
        body_filter_by_lua_block { if not ngx.arg[2] then ngx.sleep(0.001) end }
    }
--- request
GET /t
--- response_body
one
two
--- no_error_log
[error]
[alert]



=== TEST 16: of a captured subrequest whose body filter fails after a wait, the response is broken, and the connection is not
nginx marks the connection as broken when any filter of any request fails.
--- config
    location = /t {
        content_by_lua_block {
            local ready = require("ngx.semaphore").new()
            local other = ngx.thread.spawn(function()
                for i = 1, 3 do
                    assert(ready:wait(1))
                    ngx.print("other ")
                    assert(ngx.flush(true))
                end
            end)
            for _, kind in ipairs { "page", "lua", "proxied" } do
                local res = ngx.location.capture("/" .. kind)
                ngx.say(kind, ": ", res.status, " ", res.truncated)
                assert(ngx.flush(true))
                ready:post()
            end
            assert(ngx.thread.wait(other))
            ngx.say("end")
        }
    }
    location = /done { return 200 "done\n"; }
    location = /page {
        body_filter_by_lua_file html/fails.lua;
        return 200 "not this";
    }
    location = /lua {
        body_filter_by_lua_file html/fails.lua;
        content_by_lua_block { ngx.print("not this") ngx.flush(true) ngx.sleep(0.003) ngx.print("nor this") }
    }
    location = /proxied {
        body_filter_by_lua_file html/fails.lua;
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/done;
    }
--- user_files
>>> fails.lua
ngx.sleep(0.001)
error("fails")
--- pipelined_requests eval
["GET /t", "GET /done"]
--- response_body_like eval
[
    join('', '^', map( { "(?:other )*$_: 200 true\n" } qw(page lua proxied) ), '(?:other )*end\n$'),
    '^done\n$'
]
--- no_error_log
[alert]
