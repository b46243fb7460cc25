# ngx.header and ngx.resp.get_headers: the headers of the response.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3 + 49);
no_long_string();
run_tests();

__DATA__

=== TEST 1: a header of the script's own, in any spelling
--- config
    location = /t {
        content_by_lua_block {
            ngx.header["X-Foo"] = "bar"
            ngx.say(ngx.header["x-foo"], " ", ngx.header.X_FOO, " ", ngx.header.x_none)
        }
    }
--- request
GET /t
--- response_headers
X-Foo: bar
--- response_body
bar bar nil
--- no_error_log
[error]



=== TEST 2: underscores stay where the directive says so
--- config
    lua_transform_underscores_in_response_headers off;
    location = /t {
        content_by_lua_block {
            ngx.header.x_foo = "bar"
            ngx.say(ngx.header.x_foo, " ", ngx.header["x-foo"])
        }
    }
--- request
GET /t
--- raw_response_headers_like: \r\nx_foo: bar\r\n
--- response_body
bar nil
--- no_error_log
[error]



=== TEST 3: several values, then fewer, then none
--- config
    location = /t {
        content_by_lua_block {
            ngx.header.Foo = { "a", "b", 3 }
            local three = table.concat(ngx.header.Foo, "|")
            ngx.header.Foo = { "c", "d" }
            local two = table.concat(ngx.header.Foo, "|")
            ngx.header.Foo = {}
            local none = ngx.header.Foo
            ngx.header.Foo = { "e", "f" }
            ngx.say(three, " ", two, " ", none)
        }
    }
--- request
GET /t
--- raw_response_headers_like: \r\nFoo: e\r\nFoo: f\r\n
--- response_body
a|b|3 c|d nil
--- no_error_log
[error]



=== TEST 4: a header is taken back
--- config
    location = /t {
        content_by_lua_block {
            ngx.header.Foo = "a"
            ngx.header.Bar = "b"
            ngx.header.Foo = nil
            ngx.header.Bar = ""
            ngx.say(ngx.header.Foo, " ", ngx.header.Bar)
        }
    }
--- request
GET /t
--- response_headers
!Foo
!Bar
--- response_body
nil nil
--- no_error_log
[error]



=== TEST 5: Content-Type with a charset, and its media type
--- config
    gzip on;
    gzip_types text/css;
    location = /t {
        charset koi8-r;
        content_by_lua_block {
            ngx.header.content_type = "text/css; charset=utf-8"
            ngx.say(ngx.header["Content-Type"])
        }
    }
--- request
GET /t
--- response_headers
Content-Type: text/css; charset=utf-8
--- response_body
text/css; charset=utf-8
--- no_error_log
[error]



=== TEST 6: no Content-Type, although there is a default
--- config
    default_type text/html;
    location = /t {
        content_by_lua_block {
            ngx.header.content_type = nil
            ngx.say(ngx.header.content_type)
        }
    }
--- request
GET /t
--- response_headers
!Content-Type
--- response_body
nil
--- no_error_log
[error]



=== TEST 7: Content-Length frames the body
--- config
    location = /t {
        content_by_lua_block {
            ngx.header.content_length = 6
            ngx.print("hello\n")
        }
    }
--- request
GET /t
--- response_headers
Content-Length: 6
!Transfer-Encoding
--- response_body
hello
--- no_error_log
[error]



=== TEST 8: a Content-Length that is none changes nothing
--- config
    location = /t {
        content_by_lua_block {
            ngx.header.content_length = 6
            local ok, err = pcall(function() ngx.header.content_length = "6x" end)
            local _, list = pcall(function() ngx.header.content_length = { 5, "x" } end)
            local length = ngx.header.content_length
            ngx.header.content_length = nil
            ngx.say(ok, " ", err, " ", list, " ", length, " ", ngx.header.content_length)
        }
    }
--- request
GET /t
--- response_body_like: ^false .*failed to set header .*failed to set header 6 nil$
--- response_headers
!Content-Length
--- no_error_log
[error]



=== TEST 9: nginx does not complete a Location that is a path
--- config
    location = /t {
        content_by_lua_block {
            ngx.status = 302
            ngx.header.Location = "/elsewhere"
            ngx.say(ngx.header.location)
        }
    }
--- request
GET /t
--- response_headers
Location: /elsewhere
--- response_body
/elsewhere
--- error_code: 302
--- no_error_log
[error]



=== TEST 10: the Location of nginx's own redirect is readable
--- config
    location /dir/ {
        content_by_lua_block { ngx.say("in") }
        header_filter_by_lua_block {
            ngx.header.X_Seen = ngx.header.Location
            ngx.header.X_All = ngx.resp.get_headers().location
        }
        proxy_pass http://127.0.0.1:$server_port;
    }
--- request
GET /dir
--- response_headers
X-Seen: /dir/
X-All: /dir/
--- response_body_like: 301 Moved Permanently
--- error_code: 301
--- no_error_log
[error]



=== TEST 11: Last-Modified as a time and as nothing
--- config
    location = /t {
        content_by_lua_block {
            ngx.header.last_modified = ngx.http_time(784111777)
            local set = ngx.header.last_modified
            ngx.header.last_modified = nil
            local cleared = ngx.header.last_modified
            ngx.header.last_modified = "Sun, 06 Nov 1994 08:49:37 GMT"
            ngx.say(set, "|", cleared)
        }
    }
--- request
GET /t
--- response_headers
Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT
--- response_body
Sun, 06 Nov 1994 08:49:37 GMT|nil
--- no_error_log
[error]



=== TEST 12: a fresh Last-Modified answers a conditional request
--- config
    location = /t {
        content_by_lua_block {
            ngx.header.last_modified = ngx.http_time(784111777)
            ngx.say("body")
        }
    }
--- request
GET /t
--- more_headers
If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT
--- response_body
--- error_code: 304
--- no_error_log
[error]



=== TEST 13: an ETag of the script's own answers one too, under either name
--- config
    location = /t {
        content_by_lua_block {
            ngx.header.last_modified = ngx.http_time(784111777)
            ngx.header[ngx.var.arg_as] = '"tag"'
            ngx.say("body")
        }
    }
--- request eval
["GET /t?as=ETag", "GET /t?as=E-Tag"]
--- more_headers
If-None-Match: "tag"
--- response_body eval
["", ""]
--- error_code eval
[304, 304]
--- no_error_log
[error]



=== TEST 14: Server and Date replaced and removed
--- config
    location = /replaced {
        content_by_lua_block {
            ngx.header.server = "mine"
            ngx.header.date = "today"
            ngx.say(ngx.header.server, " ", ngx.header.date)
        }
    }
    location = /removed {
        content_by_lua_block {
            ngx.header.Server = nil
            ngx.header.Date = nil
            ngx.say("gone")
        }
    }
--- request eval
["GET /replaced", "GET /removed"]
--- response_headers eval
["Server: mine\nDate: today", "!Server\n!Date"]
--- response_body eval
["mine today\n", "gone\n"]
--- no_error_log
[error]



=== TEST 15: several Cache-Control and Link, in order; set again and cleared
--- config
    location = /t {
        content_by_lua_block {
            local seen = {}
            for _, name in ipairs { "Cache-Control", "Link" } do
                ngx.header[name] = { "a", "b", "c" }
                local three = table.concat(ngx.header[name], "|")
                ngx.header[name] = nil
                local none = ngx.header[name]
                ngx.header[name] = "d"
                local one = ngx.header[name]
                ngx.header[name] = { "e", "f" }
                local two = table.concat(ngx.header[name], "|")
                table.insert(seen, table.concat({ three, tostring(none), one, two }, " "))
            end
            ngx.say(table.concat(seen, "\n"))
        }
    }
--- request
GET /t
--- raw_response_headers_like: \r\nCache-Control: e\r\nCache-Control: f\r\nLink: e\r\nLink: f\r\n
--- response_body
a|b|c nil d e|f
a|b|c nil d e|f
--- no_error_log
[error]



=== TEST 16: expires of nginx joins the Cache-Control of the script
--- config
    location = /t {
        expires 1h;
        content_by_lua_block {
            ngx.header.cache_control = { "private", "no-transform" }
            ngx.header.expires = "never"
            ngx.say("ok")
        }
    }
--- request
GET /t
--- response_headers
Cache-Control: max-age=3600
--- response_body
ok
--- no_error_log
[error]



=== TEST 17: WWW-Authenticate replaces what another server sent, all of it
--- config
    location = /backend {
        add_header WWW-Authenticate "Basic realm=a" always;
        add_header WWW-Authenticate "Digest realm=b" always;
        return 401;
    }
    location = /t {
        proxy_pass http://127.0.0.1:$server_port/backend;
        header_filter_by_lua_block {
            ngx.header["WWW-Authenticate"] = "Basic realm=mine"
        }
    }
--- request
GET /t
--- response_headers
WWW-Authenticate: Basic realm=mine
--- error_code: 401
--- response_body_like: 401
--- no_error_log
[error]



=== TEST 18: Set-Cookie keeps all its values
--- config
    location = /t {
        content_by_lua_block {
            ngx.header["Set-Cookie"] = { "a=1", "b=2; Path=/" }
            local cookies = ngx.header.set_cookie
            table.insert(cookies, "c=3")
            ngx.header.set_cookie = cookies
            ngx.say(#ngx.header.set_cookie)
        }
    }
--- request
GET /t
--- raw_response_headers_like: (?i)\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2; Path=/\r\nSet-Cookie: c=3\r\n
--- response_body
3
--- no_error_log
[error]



=== TEST 19: Accept-Ranges, Content-Encoding, Refresh, Content-Range
--- config
    location = /t {
        content_by_lua_block {
            local seen = {}
            for _, name in ipairs { "Accept-Ranges", "Content-Encoding", "Refresh", "Content-Range" } do
                ngx.header[name] = "a"
                ngx.header[name] = "b"
                table.insert(seen, ngx.header[name])
                ngx.header[name] = name == "Refresh" and "c" or nil
            end
            ngx.say(table.concat(seen, "|"))
        }
    }
--- request
GET /t
--- response_headers
!Accept-Ranges
!Content-Encoding
Refresh: c
!Content-Range
--- response_body
b|b|b|b
--- no_error_log
[error]



=== TEST 20: bytes that would end a header are escaped, in names and values
--- config
    location = /t {
        content_by_lua_block {
            ngx.header["X-One"] = "a\r\nInjected: 1\0b\tc"
            ngx.header["X:Two \n"] = "v"
            ngx.header["X-Three"] = { "p\nInjected: 2", "q" }
            ngx.header.Location = "/x\r\nInjected: 3"
            ngx.header.content_type = "text/plain\r\nInjected: 4"
            ngx.header.cache_control = "d\nInjected: 5"
            ngx.say(ngx.header["X-One"])
        }
    }
--- request
GET /t
--- response_headers
!Injected
X-One: a%0D%0AInjected: 1%00b	c
X%3ATwo%20%0A: v
X-Three: p%0AInjected: 2, q
Location: /x%0D%0AInjected: 3
Content-Type: text/plain%0D%0AInjected: 4
Cache-Control: d%0AInjected: 5
--- response_body eval
"a%0D%0AInjected: 1%00b\tc\n"
--- no_error_log
[error]



=== TEST 21: too late once the header is out
--- config
    location = /t {
        content_by_lua_block {
            ngx.say("first")
            ngx.header.Foo = "bar"
            ngx.header.Server = nil
            ngx.say(ngx.header.Foo, " ", ngx.headers_sent)
        }
    }
--- request
GET /t
--- response_headers
!Foo
--- response_body
first
nil true
--- error_log
attempt to set ngx.header.HEADER after sending out response headers



=== TEST 22: the header filter may still change headers
--- config
    location = /t {
        content_by_lua_block {
            ngx.header.Foo = "a"
            ngx.say("body")
        }
        header_filter_by_lua_block {
            ngx.header.Foo = ngx.header.Foo .. "b " .. tostring(ngx.headers_sent)
            ngx.header.Bar = "c"
        }
    }
--- request
GET /t
--- response_headers
Foo: ab false
Bar: c
--- response_body
body
--- no_error_log
[error]



=== TEST 23: all headers as a table
--- config
    location = /t {
        default_type text/plain;
        content_by_lua_block {
            ngx.header.Foo = { "a", "b", "c" }
            ngx.header.X_Bar = "d"
            ngx.send_headers()
            local headers, err = ngx.resp.get_headers()
            ngx.say(table.concat(headers.foo, "|"), " ", headers["x-bar"], " ", headers.X_BAR)
            ngx.say(headers.content_type, " ", headers.connection, " ", headers["Transfer-Encoding"])
            ngx.say(headers.none, " ", err)
        }
    }
--- request
GET /t
--- response_body
a|b|c d d
text/plain close chunked
nil nil
--- no_error_log
[error]



=== TEST 24: raw names
--- config
    location = /t {
        content_by_lua_block {
            ngx.header["X-FOO"] = "a"
            local headers = ngx.resp.get_headers(0, true)
            ngx.say(headers["X-FOO"], " ", headers["x-foo"], " ", getmetatable(headers))
        }
    }
--- request
GET /t
--- response_body
a nil nil
--- no_error_log
[error]



=== TEST 25: the cap on headers says that it cut
--- config
    location = /t {
        content_by_lua_block {
            ngx.header.content_length = 14
            for i = 1, 110 do
                ngx.header["X-" .. i] = i
            end
            local function count(max)
                local headers, err = ngx.resp.get_headers(max)
                local n = 0
                for _ in pairs(headers) do
                    n = n + 1
                end
                return n .. " " .. tostring(err)
            end
            local default, few, all = count(), count(5), count(0)
            ngx.header.content_length = nil
            ngx.say(default, ", ", few, ", ", all)
        }
    }
--- request
GET /t
--- response_body
100 truncated, 5 truncated, 112 nil
--- no_error_log
[error]



=== TEST 26: names that are no strings, and what ngx.resp.get_headers refuses
--- config
    location = /t {
        content_by_lua_block {
            ngx.header[12] = 34
            local _, err = pcall(ngx.resp.get_headers, {})
            ngx.say(ngx.header["12"], " ", ngx.header[12], " ", err)
        }
    }
--- request
GET /t
--- response_headers
12: 34
--- response_body_like: ^34 34 .*number expected, got table
--- no_error_log
[error]



=== TEST 27: no response headers without a client
--- config
    location = /t {
        content_by_lua_block {
            ngx.timer.at(0, function()
                ngx.log(ngx.WARN, "read: ", select(2, pcall(function() return ngx.header.Foo end)))
                ngx.log(ngx.WARN, "set: ", select(2, pcall(function() ngx.header.Foo = 1 end)))
                ngx.log(ngx.WARN, "all: ", select(2, pcall(ngx.resp.get_headers)))
            end)
            ngx.say("ok")
        }
    }
--- request
GET /t
--- response_body
ok
--- wait: 0.1
--- error_log eval
[
    qr/read: .*API disabled in the current context/,
    qr/set: .*API disabled in the current context/,
    qr/all: .*API disabled in the current context/,
]
--- no_error_log
[alert]



=== TEST 28: a header added to a response of many parts, whatever nginx's version
--- config
    location = /backend {
        add_header X-Many a;
        add_header Link "<a>";
        add_header Cache-Control private;
        return 200 "body\n";
    }
    location = /t {
        proxy_pass http://127.0.0.1:$server_port/backend;
        add_header Link "<c>";
        header_filter_by_lua_block {
            local add = require("ngx.resp").add_header
            add("Link", "<b>")
            add("Cache-Control", { "max-age=1", "no-transform" })
            add("X-Many", "b")
            for i = 1, 40 do
                add("X-Many", "m" .. i)
            end
            ngx.header["X-Count"] = #ngx.header["X-Many"] .. " " .. #ngx.header.link
                .. " " .. #ngx.header.cache_control
        }
    }
--- request
GET /t
--- response_headers
X-Count: 42 2 3
Link: <a>, <b>, <c>
Cache-Control: private, max-age=1, no-transform
--- response_body
body
--- no_error_log
[error]



=== TEST 29: thousands of headers, one by one, take time by their number
--- config
    location = /t {
        content_by_lua_block {
            local header, add_header = ngx.header, require("ngx.resp").add_header
            local first, wrong = 0, 0
            local work = {
                set = function(name) header[name] = "a" end,
                replace = function(name) header[name] = "b" end,
                values = function(name) header[name] = { "c", "d" } end,
                add = function(name) add_header(name, "e") end,
                read = function(name)
                    if table.concat(header[name:gsub("-", "_")], ",") ~= "c,d,e" then
                        wrong = wrong + 1
                    end
                end,
                known = function() header.server = "s" header.content_type = "text/plain" end,
                own = function() header.connection = "close" end,
                listed = function() add_header("Link", "<a>") end,
                clear = function(name) header[name] = nil end,
            }
            local steps =
                { "set", "replace", "values", "add", "read", "known", "own", "listed", "clear" }
            local function cost(count)
                local costs = {}
                first = first + count
                for _, step in ipairs(steps) do
                    collectgarbage()
                    local call = work[step]
                    local started = os.clock()
                    for n = first, first + count - 1 do call("X-" .. n) end
                    costs[step] = os.clock() - started
                end
                header.link = nil
                return costs
            end
            -- The least of several tries: linear gives 8, quadratic 64.
            local ratios = {}
            for _ = 1, 4 do
                local few, many = cost(1000), cost(8000)
                for _, step in ipairs(steps) do
                    ratios[step] = math.min(ratios[step] or 99, many[step] / few[step])
                end
            end
            for _, step in ipairs(steps) do
                ngx.say(step, ": ", ratios[step] < 24 and "linear" or ratios[step])
            end
            local left = {}
            for name in pairs(ngx.resp.get_headers(0)) do left[#left + 1] = name end
            table.sort(left)
            ngx.say(table.concat(left, " "), " ", wrong, " ", header.connection)
        }
    }
--- request
GET /t
--- response_body
set: linear
replace: linear
values: linear
add: linear
read: linear
known: linear
own: linear
listed: linear
clear: linear
connection content-type server transfer-encoding 0 close
--- no_error_log
[error]
--- timeout: 30



=== TEST 30: a long list holds what was set, in order, and that is what the client gets
--- http_config
    proxy_buffer_size 128k;
    proxy_buffers 8 128k;
--- config
    location = /backend {
        content_by_lua_block {
            local add_header = require("ngx.resp").add_header
            local random = 5
            local function below(n)
                random = (random * 1103515245 + 12345) % 2147483648
                return math.floor(random / 65536) % n
            end
            -- The values of each name.
            local model, wrong = {}, 0
            local spellings = { "X-Name-", "x-name-", "X-NAME-", "X_Name_" }
            for step = 1, 3000 do
                local number = below(150)
                local name = spellings[below(4) + 1] .. number
                local values, kind = model[number] or {}, below(7)
                if kind == 0 then
                    ngx.header[name] = nil
                    values = {}
                elseif kind <= 2 then
                    add_header(name, "a" .. step)
                    values[#values + 1] = "a" .. step
                elseif kind <= 5 then
                    values = { "s" .. step }
                    if kind == 5 then values[2] = "t" .. step end
                    ngx.header[name] = values
                else
                    local read = ngx.header[name]
                    if type(read) == "table" then read = table.concat(read, ",") end
                    if (read or "") ~= table.concat(values, ",") then wrong = wrong + 1 end
                end
                model[number] = values
                if step % 500 == 0 then ngx.sleep(0) end
            end
            local body = { wrong .. "\n" }
            for number = 0, 149 do
                body[#body + 1] = number .. "=" .. table.concat(model[number] or {}, ",") .. "\n"
            end
            ngx.print(body)
        }
    }
    location = /t {
        content_by_lua_block {
            local socket = ngx.socket.tcp()
            socket:connect("127.0.0.1", ngx.var.server_port)
            socket:send("GET /backend HTTP/1.0\r\nHost: localhost\r\n\r\n")
            local header = socket:receiveuntil("\r\n\r\n")()
            local body = socket:receive("*a")
            local got = {}
            for number, value in header:gmatch("[Xx]%-[Nn][Aa][Mm][Ee]%-(%d+): ([^\r]*)") do
                got[number] = (got[number] and got[number] .. "," or "") .. value
            end
            local same, different = 0, 0
            for number, values in body:gmatch("(%d+)=([^\n]*)\n") do
                if (got[number] or "") == values then
                    same = same + 1
                else
                    different = different + 1
                end
            end
            ngx.say(body:match("^%d+"), " ", same, " ", different)
        }
    }
--- request
GET /t
--- response_body
0 150 0
--- no_error_log
[error]
