# header_filter_by_lua* that waits: the header is held back, and the body behind it.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * 121;
no_long_string();

add_block_preprocessor(sub {
    my ($block) = @_;
    my $config = $block->config;
    $config .= <<'_EOC_';

    location = /word {
        content_by_lua_block { ngx.print("word") }
    }
_EOC_
    $block->set_value("config", $config);
});

run_tests();

__DATA__

=== TEST 1: a sleep, a cosocket, a semaphore, a light thread, a capture
--- config
    location = /t {
        return 200 "body\n";
        header_filter_by_lua_block {
            ngx.sleep(0.001)
            local found = { ngx.get_phase() }
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", ngx.var.server_port))
            assert(sock:send("GET /word HTTP/1.0\r\n\r\n"))
            found[2] = assert(sock:receive())
            sock:close()
            local sema = require "ngx.semaphore".new()
            local thread = ngx.thread.spawn(function()
                ngx.sleep(0.001)
                sema:post()
                return "thread in " .. ngx.get_phase()
            end)
            assert(sema:wait(1))
            local _, word = ngx.thread.wait(thread)
            found[3] = word
            found[4] = ngx.location.capture("/word").body
            ngx.header["X-Found"] = table.concat(found, ", ")
        }
    }
--- request
GET /t
--- response_headers
X-Found: header_filter, HTTP/1.1 200 OK, thread in header_filter, word
Content-Length: 5
--- response_body
body
--- no_error_log
[error]



=== TEST 2: code that has sent its response goes on meanwhile
--- config
    location = /t {
        content_by_lua_block {
            ngx.say("one")
            ngx.ctx.order = { "said" }
            ngx.say("two")
            ngx.flush(true)
            table.insert(ngx.ctx.order, "flushed")
            ngx.say(table.concat(ngx.ctx.order, ", "))
        }
        header_filter_by_lua_block {
            ngx.sleep(0.01)
            table.insert(ngx.ctx.order, "slept")
            ngx.header["X-Headers-Sent"] = tostring(ngx.headers_sent)
        }
    }
--- request
GET /t
--- response_headers
X-Headers-Sent: false
--- response_body
one
two
said, slept, flushed
--- no_error_log
[error]



=== TEST 3: a status that is set after the wait, and an error page
--- config
    error_page 404 /missing.html;
    location = /missing.html {
        internal;
        header_filter_by_lua_block {
            ngx.sleep(0.001)
            ngx.status = 410
            ngx.header["X-Slept"] = "yes"
        }
        return 200 "the page\n";
    }
    location = /t {
        return 404;
    }
--- request
GET /t
--- error_code: 410
--- response_headers
X-Slept: yes
--- response_body
the page
--- no_error_log
[error]



=== TEST 4: nginx's own page
--- config
    location = /t {
        return 404;
        header_filter_by_lua_block {
            ngx.sleep(0.001)
            ngx.header["X-Slept"] = "yes"
        }
    }
--- request
GET /t
--- error_code: 404
--- response_headers
X-Slept: yes
--- response_body_like: 404 Not Found
--- no_error_log
[error]



=== TEST 5: ngx.exit after a wait replaces the response
--- config
    location = /t {
        content_by_lua_block {
            ngx.say("must not be seen")
            ngx.sleep(0.02)
            ngx.say("nor this")
        }
        header_filter_by_lua_block {
            ngx.sleep(0.001)
            ngx.header["X-Slept"] = "yes"
            return ngx.exit(403)
        }
    }
--- request
GET /t
--- error_code: 403
--- response_headers
X-Slept: yes
--- response_body_like: ^(?!.*must not).*403 Forbidden
--- no_error_log
[alert]
[crit]



=== TEST 6: the code ends while the header of that page waits
--- config
    location = /t {
        content_by_lua_block {
            ngx.say("must not be seen")
            repeat ngx.sleep(0.001) until ngx.ctx.runs == 2
            ngx.say("nor this")
        }
        header_filter_by_lua_block {
            ngx.ctx.runs = (ngx.ctx.runs or 0) + 1
            ngx.sleep(ngx.ctx.runs == 2 and 0.05 or 0.001)
            return ngx.exit(403)
        }
    }
--- request
GET /t
--- error_code: 403
--- response_body_like: ^(?!.*must not).*403 Forbidden
--- no_error_log
[alert]
[crit]



=== TEST 7: an error after a wait ends the request
--- config
    location = /t {
        return 200 "body\n";
        header_filter_by_lua_block {
            ngx.sleep(0.001)
            error("no header today")
        }
    }
--- request
GET /t
--- error_code:
--- response_body:
--- error_log eval
qr/\[error\] .*failed to run header_filter_by_lua\*: header_filter_by_lua\(nginx\.conf:\d+\):3: no header today/
--- no_error_log
[alert]



=== TEST 8: HEAD
--- config
    location = /t {
        content_by_lua_block { ngx.say("body") }
        header_filter_by_lua_block {
            ngx.sleep(0.001)
            ngx.header["X-Slept"] = "yes"
        }
    }
--- request
HEAD /t
--- response_headers
X-Slept: yes
--- response_body:
--- no_error_log
[error]



=== TEST 9: what has no body sends none, though what makes the response did not know that
--- config
    location = /head {
        header_filter_by_lua_block { ngx.sleep(0.001) }
        return 200 "must not come\n";
    }
    location = /status {
        header_filter_by_lua_block { ngx.sleep(0.001) ngx.status = 204 }
        content_by_lua_block {
            for i = 1, 3 do ngx.say("must not come") ngx.flush(true) end
        }
    }
    location = /t {
        content_by_lua_block {
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", ngx.var.server_port))
            assert(sock:send("HEAD /head HTTP/1.1\r\nHost: a\r\n\r\nGET /status HTTP/1.1\r\nHost: a\r\n\r\n"
                             .. "GET /word HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
            local answers = sock:receive("*a")
            local order = {}
            for line in answers:gmatch("[^\r\n]+") do
                if line:find("^HTTP") or line:find("must not", 1, true) then
                    order[#order + 1] = line
                end
            end
            ngx.say(table.concat(order, ", "))
        }
    }
--- request
GET /t
--- response_body
HTTP/1.1 200 OK, HTTP/1.1 204 No Content, HTTP/1.1 200 OK
--- no_error_log
[error]



=== TEST 10: HTTP/1.0
--- config
    location = /t {
        content_by_lua_block { ngx.say("body") }
        header_filter_by_lua_block {
            ngx.sleep(0.001)
            ngx.header["X-Slept"] = "yes"
        }
    }
--- request
GET /t HTTP/1.0
--- response_headers
X-Slept: yes
Content-Length: 5
--- response_body
body
--- no_error_log
[error]



=== TEST 11: a file, of which a part is asked for
--- user_files
>>> file.txt
0123456789abcdef
--- config
    location = /file.txt {
        header_filter_by_lua_block { ngx.sleep(0.001) }
    }
--- request
GET /file.txt
--- more_headers
Range: bytes=4-7
--- error_code: 206
--- response_headers
Content-Range: bytes 4-7/17
Content-Length: 4
--- response_body: 4567
--- no_error_log
[error]



=== TEST 12: gzip behind it
--- config
    location = /t {
        gzip on;
        gzip_min_length 1;
        gzip_types text/plain;
        default_type text/plain;
        content_by_lua_block {
            for i = 1, 100 do ngx.say("line ", i) end
        }
        header_filter_by_lua_block { ngx.sleep(0.001) }
    }
--- request
GET /t
--- more_headers
Accept-Encoding: gzip
--- response_headers
Content-Encoding: gzip
--- response_body_like: ^\x1f\x8b
--- no_error_log
[error]



=== TEST 13: a proxied response, and a large one
--- config
    location = /t {
        proxy_pass http://127.0.0.1:$server_port/large;
        proxy_buffers 4 4k;
        proxy_buffer_size 4k;
        proxy_max_temp_file_size 0;
        header_filter_by_lua_block {
            ngx.sleep(0.01)
            ngx.header["X-Slept"] = "yes"
            ngx.header.content_length = nil
        }
        body_filter_by_lua_block {
            ngx.ctx.length = (ngx.ctx.length or 0) + #ngx.arg[1]
            ngx.arg[1] = nil
            if ngx.arg[2] then ngx.arg[1] = ngx.ctx.length .. "\n" end
        }
    }
    location = /large {
        content_by_lua_block {
            local piece = ("x"):rep(1000)
            for i = 1, 1000 do ngx.print(piece) end
        }
    }
--- request
GET /t
--- response_headers
X-Slept: yes
--- response_body
1000000
--- no_error_log
[error]



=== TEST 14: a captured subrequest, and one whose status has no page
--- config
    location = /t {
        content_by_lua_block {
            local slow, none = ngx.location.capture_multi { { "/slow" }, { "/none" } }
            ngx.say(slow.status, " ", slow.header["X-Slept"], " ", slow.body)
            ngx.say(none.status, " ", none.header["X-Slept"], " ", #none.body)
        }
    }
    location = /slow {
        content_by_lua_block { ngx.print("inner") }
        header_filter_by_lua_block {
            ngx.sleep(0.002)
            ngx.header["X-Slept"] = "slow"
        }
    }
    location = /none {
        content_by_lua_block { return ngx.exit(404) }
        header_filter_by_lua_block {
            ngx.sleep(0.001)
            ngx.header["X-Slept"] = "none"
        }
    }
--- request
GET /t
--- response_body
200 slow inner
404 none 0
--- no_error_log
[error]



=== TEST 15: subrequests of a page
--- config
    location = /t {
        default_type text/html;
        ssi on;
        return 200 "<!--#include virtual=\"/one\" --> and <!--#include virtual=\"/two\" -->\n";
        header_filter_by_lua_block { ngx.sleep(0.001) }
    }
    location = /one {
        return 200 "first";
        header_filter_by_lua_block { ngx.sleep(0.003) }
    }
    location = /two {
        return 200 "second";
        header_filter_by_lua_block { ngx.sleep(0.001) }
    }
--- request
GET /t
--- response_body
first and second
--- no_error_log
[error]



=== TEST 16: requests behind each other on one connection
--- config
    location = /t {
        content_by_lua_block { ngx.say(ngx.var.arg_n) }
        header_filter_by_lua_block {
            ngx.sleep(0.002)
            ngx.header["X-N"] = ngx.var.arg_n
        }
    }
--- pipelined_requests eval
["GET /t?n=1", "GET /t?n=2", "GET /t?n=3"]
--- response_headers eval
["X-N: 1", "X-N: 2", "X-N: 3"]
--- response_body eval
["1\n", "2\n", "3\n"]
--- no_error_log
[error]



=== TEST 17: LuaJIT's own coroutines, which lua-resty-core leaves to the filters
--- config
    location = /t {
        return 200 "body\n";
        header_filter_by_lua_block {
            local co = coroutine.wrap(function()
                coroutine.yield(1)
                local ok, err = pcall(ngx.sleep, 0.001)
                coroutine.yield(tostring(ok) .. " " .. err)
            end)
            ngx.header["X-One"] = co()
            ngx.header["X-Slept"] = co()
            ngx.sleep(0.001)
            -- Lets the other threads run.
            coroutine.yield()
            local threads = {}
            for i = 1, 3 do
                threads[i] = ngx.thread.spawn(function() coroutine.yield() return i end)
            end
            local sum = 0
            for i = 1, 3 do
                local _, value = ngx.thread.wait(threads[i])
                sum = sum + value
            end
            ngx.header["X-Sum"] = sum
        }
    }
--- request
GET /t
--- response_headers
X-One: 1
X-Slept: false no co ctx found
X-Sum: 6
--- response_body
body
--- no_error_log
[error]



=== TEST 18: a wait longer than send_timeout
--- config
    location = /t {
        send_timeout 100ms;
        return 200 "body\n";
        header_filter_by_lua_block {
            ngx.sleep(0.5)
            ngx.header["X-Slept"] = "yes"
        }
    }
--- request
GET /t
--- response_headers
X-Slept: yes
--- response_body
body
--- no_error_log
client timed out
[error]



=== TEST 19: what is not for filters stays refused
--- config
    location = /t {
        return 200 "body\n";
        header_filter_by_lua_block {
            ngx.sleep(0.001)
            local found = {}
            for i, name in ipairs { "say", "print", "send_headers", "exec", "redirect" } do
                local ok, err = pcall(ngx[name], name ~= "send_headers" and "/x" or nil)
                found[i] = name .. (err:find("API disabled in the context of header_filter_by_lua*", 1, true)
                    and " refused" or err)
            end
            local _, err = pcall(ngx.req.read_body)
            ngx.header["X-Found"] = table.concat(found, ", ")
            ngx.header["X-Body"] = err:match("API disabled.*")
        }
    }
--- request
GET /t
--- response_headers
X-Found: say refused, print refused, send_headers refused, exec refused, redirect refused
X-Body: API disabled in the context of header_filter_by_lua*
--- response_body
body
--- no_error_log
[error]



=== TEST 20: the page of another location, whose filters wait too, on a connection that is kept alive
--- config
    error_page 403 /page;
    error_page 404 /proxied_page;
    header_filter_by_lua_block {
        ngx.sleep(0.001)
        ngx.header["X-Old"] = "yes"
        return ngx.exit(tonumber(ngx.var.arg_exit) or 403)
    }
    location = /page {
        header_filter_by_lua_block { ngx.sleep(0.002) ngx.header["X-Page"] = "yes" }
        body_filter_by_lua_block { ngx.sleep(0.001) }
        return 200 "page\n";
    }
    location = /proxied_page {
        proxy_pass http://127.0.0.1:$server_port/page;
        header_filter_by_lua_block { ngx.sleep(0.002) }
        body_filter_by_lua_block { ngx.sleep(0.001) }
    }
    location = /from {
        content_by_lua_block {
            ngx.say("must not be seen")
            ngx.flush(true)
            ngx.sleep(0.01)
            ngx.say("nor this")
        }
        header_filter_by_lua_block { ngx.header["X-From"] = "yes" }
    }
    location = /static { return 200 "must not be seen\n"; }
    location = /file { alias html/index.html; }
    location = /code { content_by_lua_block { ngx.say("must not be seen") } }
    location = /code_that_waits {
        content_by_lua_block {
            ngx.say("must not be seen")
            ngx.flush(true)
            ngx.sleep(0.003)
            ngx.say("nor this")
        }
    }
    location = /early {
        access_by_lua_block { ngx.print("must not be seen") ngx.flush(true) ngx.sleep(0.02) }
    }
    location = /proxied { proxy_pass http://127.0.0.1:$server_port/from; }
    location = /unbuffered {
        proxy_pass http://127.0.0.1:$server_port/from;
        proxy_buffering off;
    }
    location = /t {
        header_filter_by_lua_block { ngx.header["X-T"] = "yes" }
        content_by_lua_block {
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", ngx.var.server_port))
            local function ask(path)
                assert(sock:send("GET " .. path .. " HTTP/1.1\r\nHost: localhost\r\n\r\n"))
                local header = assert(sock:receiveuntil("\r\n\r\n")())
                local length = header:match("Content%-Length: (%d+)")
                local body = length and sock:receive(tonumber(length))
                if not length then
                    body = assert(sock:receiveuntil("\r\n0\r\n\r\n")()):match("\r\n(.*)")
                end
                ngx.say(path, " ", header:match("HTTP/1.1 (%d+)"), header:find("X-Page: yes") and " page: " or " ",
                    header:find("X-Old", 1, true) and "old header: " or "", (body:gsub("\n", "")))
            end
            for _, path in ipairs { "/static", "/file", "/code", "/code_that_waits", "/early", "/proxied", "/unbuffered" } do
                ask(path)
            end
            ask("/static?exit=404")
            ask("/proxied?exit=404")
        }
    }
--- request
GET /t
--- response_body
/static 403 page: page
/file 403 page: page
/code 403 page: page
/code_that_waits 403 page: page
/early 403 page: page
/proxied 403 page: page
/unbuffered 403 page: page
/static?exit=404 404 page: page
/proxied?exit=404 404 page: page
--- no_error_log
[error]
[alert]



=== TEST 21: LuaJIT's own yield before a response of status 101
--- config
    location = /t {
        header_filter_by_lua_block { coroutine.yield() }
        content_by_lua_block {
            ngx.status = 101
            ngx.log(ngx.WARN, "sent: ", ngx.send_headers())
            ngx.sleep(0.001)
            ngx.log(ngx.WARN, "still in ", ngx.get_phase())
            ngx.exit(ngx.ERROR)
        }
    }
--- request
GET /t
--- ignore_response
--- error_log
failed to run header_filter_by_lua*: attempt to yield across C-call boundary
sent: nilnginx output filter error
still in content
--- no_error_log
[alert]



=== TEST 22: the same before a response of status 101 that is proxied
--- config
    location = /t {
        proxy_pass http://127.0.0.1:$server_port/upgrade;
        proxy_http_version 1.1;
        proxy_set_header Upgrade websocket;
        proxy_set_header Connection upgrade;
        header_filter_by_lua_block { coroutine.yield() }
    }
    location = /upgrade {
        content_by_lua_block {
            ngx.status = 101
            ngx.send_headers()
        }
    }
--- request
GET /t
--- more_headers
Upgrade: websocket
--- ignore_response
--- error_log
failed to run header_filter_by_lua*: attempt to yield across C-call boundary
--- no_error_log
[alert]



=== TEST 23: ngx.exit in the header filter of a captured subrequest, with an error page in another location
After it, the request ends, and the next one on the connection is answered: the C module crashes.
--- config
    location = /t {
        content_by_lua_block {
            for _, kind in ipairs { "page", "named", "lua", "proxied", "goes_on", "nested" } do
                for _, args in ipairs { "", "wait" } do
                    local res = ngx.location.capture("/" .. kind, { args = args })
                    ngx.say(kind, " ", args, " ", res.status, " ", res.body, ".")
                end
            end
        }
    }
    location = /done { return 200 "done\n"; }
    location = /page {
        error_page 403 /text;
        header_filter_by_lua_file html/exits.lua;
        return 200 "not this";
    }
    location = /named {
        error_page 403 = @named;
        header_filter_by_lua_file html/exits.lua;
        return 200 "not this";
    }
    location = /lua {
        error_page 403 /said;
        header_filter_by_lua_file html/exits.lua;
        content_by_lua_block { ngx.print("not this") }
    }
    location = /proxied {
        error_page 403 /said;
        header_filter_by_lua_file html/exits.lua;
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/text;
    }
    location = /goes_on {
        error_page 403 @named;
        header_filter_by_lua_file html/exits.lua;
        content_by_lua_block { ngx.print("not this") ngx.flush(true) ngx.sleep(0.003) ngx.print("nor this") }
    }
    location = /nested {
        content_by_lua_block {
            local res = ngx.location.capture("/named", { args = ngx.var.args })
            ngx.print("in it ", res.status, " ", res.body)
        }
    }
    location = /text { return 200 "text"; }
    location = /said { content_by_lua_block { ngx.print("said") } }
    location @named { content_by_lua_block { ngx.print("named") } }
--- user_files
>>> exits.lua
if ngx.var.args == "wait" then ngx.sleep(0.001) end
return ngx.exit(403)
--- pipelined_requests eval
["GET /t", "GET /done"]
--- response_body eval
[
    join('', map { my $kind = $_; map { "$kind $_ " . ($kind eq 'nested' ? '200 in it 403 .' : '403 .') . "\n" } '', 'wait' }
        qw(page named lua proxied goes_on nested)),
    "done\n"
]
--- no_error_log
[error]
[alert]



=== TEST 24: a header that waits is pending data for ngx.req.socket(true)
--- config
    error_page 403 /page;
    location = /page { return 200 "page\n"; }
    location = /t {
        header_filter_by_lua_block { ngx.sleep(0.02) ngx.exit(403) }
        content_by_lua_block {
            ngx.say("not this")
            ngx.flush()
            ngx.log(ngx.WARN, "the socket: ", ngx.req.socket(true))
        }
    }
--- request
GET /t
--- error_code: 403
--- response_body
page
--- error_log
the socket: nilpending data to write
--- no_error_log
[alert]
[error]



=== TEST 25: a captured subrequest whose header filter fails while a subrequest of its own goes on
The rest of the request, and its connection, are not touched by that.
--- config
    location = /t {
        content_by_lua_block {
            for _, kind in ipairs { "thread", "ends", "late" } do
                for _, args in ipairs { "exit", "exit_wait", "error", "error_wait" } do
                    local res = ngx.location.capture("/" .. kind, { args = args })
                    ngx.say(kind, " ", args, " ", res.status >= 200)
                    assert(ngx.flush(true))
                end
            end
        }
    }
    location = /done { return 200 "done\n"; }
    location = /slow { content_by_lua_block { ngx.sleep(0.005) ngx.print("slow") } }
    location = /thread {
        header_filter_by_lua_file html/ends.lua;
        content_by_lua_block {
            ngx.thread.spawn(function() ngx.location.capture("/slow") end)
            ngx.print("not this")
        }
    }
    location = /ends {
        header_filter_by_lua_file html/ends.lua;
        content_by_lua_block {
            ngx.thread.spawn(function() ngx.location.capture("/slow") end)
            ngx.print("not this")
            ngx.exit(200)
        }
    }
    location = /late {
        header_filter_by_lua_file html/ends.lua;
        content_by_lua_block {
            ngx.thread.spawn(function() ngx.location.capture("/slow") ngx.print("late") end)
            ngx.sleep(0.002)
            ngx.print("not this")
            ngx.flush(true)
        }
    }
--- user_files
>>> ends.lua
if ngx.var.args:find("wait") then ngx.sleep(0.001) end
if ngx.var.args:find("error") then error("fails") end
return ngx.exit(403)
--- pipelined_requests eval
["GET /t", "GET /done"]
--- response_body eval
[
    join('', map { my $kind = $_; map { "$kind $_ true\n" } qw(exit exit_wait error error_wait) } qw(thread ends late)),
    "done\n"
]
--- no_error_log
[alert]



=== TEST 26: a captured subrequest whose code fails after its header filter has failed
Its code says nothing more that could be told of the filter's failure.
--- config
    location = /t {
        content_by_lua_block {
            for _, name in ipairs { "header", "body" } do
                for _, ends in ipairs { "error", "exit", "say" } do
                    local res = ngx.location.capture("/" .. name, { args = ends })
                    ngx.say(name, " ", ends, " ", res.truncated)
                end
            end
        }
    }
    location = /header {
        header_filter_by_lua_block { ngx.sleep(0.001) error("the filter fails") }
        content_by_lua_file html/ends.lua;
    }
    location = /body {
        body_filter_by_lua_block { ngx.sleep(0.001) error("the filter fails") }
        content_by_lua_file html/ends.lua;
    }
--- user_files
>>> ends.lua
ngx.say("early")
ngx.flush()
ngx.sleep(0.01)
if ngx.var.args == "error" then error("the code fails") end
if ngx.var.args == "exit" then return ngx.exit(ngx.ERROR) end
ngx.say("late")
--- request
GET /t
--- response_body eval
join '', map { my $name = $_; map { "$name $_ true\n" } qw(error exit say) } qw(header body)
--- no_error_log
[alert]
