# ngx.req.get_headers, ngx.req.set_header, ngx.req.clear_header and ngx.req.add_header.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3 + 8);
no_long_string();
run_tests();

__DATA__

=== TEST 1: headers by any spelling of their names
--- config
    location = /t {
        content_by_lua_block {
            local headers = ngx.req.get_headers()
            ngx.say(headers["X-Foo"], " ", headers["x-foo"], " ", headers.X_FOO, " ", headers.none)
        }
    }
--- request
GET /t
--- more_headers
X-Foo: bar
--- response_body
bar bar bar nil
--- no_error_log
[error]



=== TEST 2: raw names and repeated headers
--- config
    location = /t {
        content_by_lua_block {
            local headers = ngx.req.get_headers(nil, true)
            ngx.say(table.concat(headers["X-Foo"], "|"), " ", headers["x-foo"])
            ngx.say(table.concat(ngx.req.get_headers()["x-foo"], "|"))
        }
    }
--- request
GET /t
--- more_headers
X-Foo: a
x-foo: b
X-Foo: c
--- response_body
a|c b
a|b|c
--- no_error_log
[error]



=== TEST 3: the cap on headers says that it cut
--- config
    location = /t {
        content_by_lua_block {
            local function count(max)
                local headers, err = ngx.req.get_headers(max)
                local n = 0
                for _ in pairs(headers) do
                    n = n + 1
                end
                return n .. " " .. tostring(err)
            end
            ngx.say(count(), ", ", count(7), ", ", count(102), ", ", count(0))
        }
    }
--- request
GET /t
--- more_headers eval
join "\n", map { "X-$_: $_" } 1 .. 100
--- response_body
100 truncated, 7 truncated, 102 nil, 102 nil
--- no_error_log
[error]



=== TEST 4: set, set again, cleared
--- config
    location = /t {
        rewrite_by_lua_block {
            ngx.req.set_header("Foo", "new")
            ngx.req.set_header("x-other", 42)
            ngx.req.clear_header("Bar")
            ngx.req.set_header("Baz", "")
        }
        content_by_lua_block {
            local var = ngx.var
            ngx.say(var.http_foo, "|", var.http_x_other, "|", var.http_bar, "|", var.http_baz)
        }
    }
--- request
GET /t
--- more_headers
Foo: old
Bar: gone
Baz: gone
--- response_body
new|42|nil|nil
--- no_error_log
[error]



=== TEST 5: several values, in order
--- config
    location = /t {
        content_by_lua_block {
            ngx.req.set_header("Foo", { "a", "b", "c" })
            local three = table.concat(ngx.req.get_headers().foo, "|")
            ngx.req.set_header("Foo", { "d", "e" })
            local two = table.concat(ngx.req.get_headers().foo, "|")
            ngx.req.set_header("Foo", {})
            local none = ngx.req.get_headers().foo
            ngx.req.set_header("Foo", { "f" })
            ngx.say(three, " ", two, " ", none, " ", ngx.req.get_headers().foo)
        }
    }
--- request
GET /t
--- more_headers
Foo: x
Bar: y
Foo: z
--- response_body
a|b|c d|e nil f
--- no_error_log
[error]



=== TEST 6: several values reach another server
--- config
    location = /t {
        rewrite_by_lua_block {
            ngx.req.set_header("X-Forwarded-For", { "10.0.0.1", "10.0.0.2" })
            ngx.req.set_header("Cookie", { "a=1", "b=2" })
        }
        proxy_pass http://127.0.0.1:$server_port/backend;
    }
    location = /backend {
        content_by_lua_block {
            local headers = ngx.req.get_headers()
            ngx.say(table.concat(headers["x-forwarded-for"], "|"), " ",
                table.concat(headers.cookie, "|"))
        }
    }
--- request
GET /t
--- more_headers
X-Forwarded-For: 192.0.2.1
Cookie: old=1
--- response_body
10.0.0.1|10.0.0.2 a=1|b=2
--- no_error_log
[error]



=== TEST 7: adding keeps what is there
--- config
    location = /t {
        content_by_lua_block {
            local add = require("ngx.req").add_header
            add("Foo", "b")
            add("Foo", { "c", "d" })
            add("Cookie", "y=2")
            local headers = ngx.req.get_headers()
            ngx.say(table.concat(headers.foo, "|"), " ", table.concat(headers.cookie, "|"))
            ngx.say(ngx.var.cookie_x, " ", ngx.var.cookie_y)
        }
    }
--- request
GET /t
--- more_headers
Foo: a
Cookie: x=1
--- response_body
a|b|c|d x=1|y=2
1 2
--- no_error_log
[error]



=== TEST 8: Host changes the server's name
--- config
    server_name_in_redirect off;
    location = /t {
        set $before $host;
        content_by_lua_block {
            local seen = { ngx.var.before }
            for _, host in ipairs { "Example.COM:8080", "[::1]:80", "dot.example." } do
                ngx.req.set_header("Host", host)
                table.insert(seen, ngx.var.host .. " " .. ngx.var.http_host)
            end
            ngx.say(table.concat(seen, "\n"))
        }
    }
--- request
GET /t
--- response_body
localhost
example.com Example.COM:8080
[::1] [::1]:80
dot.example dot.example.
--- no_error_log
[error]



=== TEST 9: a Host or Content-Length that is none changes nothing
--- config
    location = /t {
        content_by_lua_block {
            local function try(name, value)
                local ok, err = pcall(ngx.req.set_header, name, value)
                return tostring(ok) .. " " .. tostring(err)
            end
            ngx.say(try("Host", "a..b"))
            ngx.say(try("Host", "a/b"))
            ngx.say(try("Host", { "fine", ":80" }))
            ngx.say(try("Content-Length", "-1"))
            ngx.say(try("Content-Length", "99999999999999999999"))
            local headers = ngx.req.get_headers()
            ngx.say(ngx.var.host, " ", headers.host, " ", headers.content_length)
        }
    }
--- request
GET /t
--- response_body_like chomp
^(?:false .*failed to set header\n){5}localhost localhost nil$
--- no_error_log
[error]



=== TEST 10: Content-Length in nginx's own variables
--- config
    location = /t {
        content_by_lua_block {
            local seen = { ngx.var.content_length }
            ngx.req.set_header("Content-Length", 3)
            table.insert(seen, ngx.var.http_content_length)
            ngx.req.clear_header("Content-Length")
            table.insert(seen, tostring(ngx.var.http_content_length))
            ngx.say(table.concat(seen, " "))
        }
    }
--- request
POST /t
hello
--- response_body
5 3 nil
--- no_error_log
[error]



=== TEST 11: Range and the conditional headers are nginx's to read
--- config
    location = /file.txt {
        rewrite_by_lua_block {
            if ngx.var.arg_set then
                ngx.req.set_header(ngx.var.arg_set, ngx.var.arg_to)
            else
                ngx.req.clear_header("Range")
            end
        }
    }
--- user_files
>>> file.txt
hello world
--- request eval
["GET /file.txt?set=Range&to=bytes=0-4", "GET /file.txt?set=If-Match&to=other", "GET /file.txt"]
--- more_headers
Range: bytes=6-10
--- response_body_like eval
["^hello\$", "412 Precondition Failed", "^hello world\n\$"]
--- error_code eval
[206, 412, 200]
--- no_error_log
[error]



=== TEST 12: bytes that would end a header are escaped
--- config
    location = /t {
        rewrite_by_lua_block {
            ngx.req.set_header("X-One", "a\r\nInjected: 1\0b")
            ngx.req.set_header("X:Two\n", "v")
            ngx.req.set_header("X-Three", { "p\nInjected: 2", "q" })
            ngx.req.set_header("Host", "localhost\r\nInjected:3")
        }
        proxy_set_header Host $http_host;
        proxy_pass http://127.0.0.1:$server_port/backend;
    }
    location = /backend {
        content_by_lua_block {
            local headers = ngx.req.get_headers()
            ngx.say(headers.injected, " ", headers["x-one"], " ", headers["x%3atwo%0a"], " ",
                table.concat(headers["x-three"], "|"))
            ngx.say(headers.host)
        }
    }
--- request
GET /t
--- response_body_like
nil a%0D%0AInjected: 1%00b (?:v|nil) p%0AInjected: 2\|q
localhost%0D%0AInjected:3
--- no_error_log
[alert]



=== TEST 13: many headers set and cleared, in nginx's list of several parts
--- config
    location = /t {
        content_by_lua_block {
            for round = 1, 3 do
                for i = 1, 60, 2 do
                    ngx.req.clear_header("X-" .. i)
                end
                for i = 100, 140 do
                    ngx.req.set_header("X-" .. i, { "a" .. i, "b" .. i })
                end
                for i = 140, 100, -1 do
                    ngx.req.clear_header("X-" .. i)
                end
                for i = 1, 60, 2 do
                    ngx.req.set_header("X-" .. i, i * round)
                end
            end
            local headers, sum, n = ngx.req.get_headers(0), 0, 0
            for name, value in pairs(headers) do
                n = n + 1
                sum = sum + (name:find("^x%-") and tonumber(value) or 0)
            end
            ngx.say(n, " ", sum, " ", headers.host)
        }
    }
--- request
GET /t
--- more_headers eval
join "\n", map { "X-$_: $_" } 1 .. 60
--- response_body
62 3630 localhost
--- no_error_log
[error]



=== TEST 14: the list emptied and filled again
--- config
    location = /t {
        content_by_lua_block {
            for round = 1, 3 do
                for name in pairs(ngx.req.get_headers(0, true)) do
                    ngx.req.clear_header(name)
                end
                ngx.print(next(ngx.req.get_headers(0)), " ")
                for i = 1, 9 do
                    ngx.req.set_header("N" .. i, round)
                end
            end
            local n = 0
            for _ in pairs(ngx.req.get_headers(0)) do
                n = n + 1
            end
            ngx.say(n, " ", ngx.req.get_headers().n9)
        }
    }
--- request
GET /t
--- more_headers eval
join "\n", map { "X-$_: $_" } 1 .. 30
--- response_body
nil nil nil 9 3
--- no_error_log
[error]



=== TEST 15: a subrequest's headers are not its parent's
--- config
    location = /t {
        content_by_lua_block {
            local res = ngx.location.capture("/sub")
            ngx.print(res.body)
            local headers = ngx.req.get_headers()
            ngx.say(headers.foo, " ", headers.added, " ", headers.cookie, " ", headers.gone)
            ngx.req.set_header("After", "yes")
            ngx.say(ngx.req.get_headers().after)
        }
    }
    location = /sub {
        content_by_lua_block {
            ngx.req.set_header("Foo", "sub")
            ngx.req.set_header("Cookie", "sub=1")
            ngx.req.clear_header("Gone")
            for i = 1, 30 do
                ngx.req.set_header("Added", i)
                ngx.req.set_header("Added" .. i, i)
            end
            local headers = ngx.req.get_headers()
            ngx.say(headers.foo, " ", headers.added, " ", headers.cookie, " ", headers.gone)
        }
    }
--- request
GET /t
--- more_headers
Foo: main
Cookie: main=1
Gone: no
--- response_body
sub 30 sub=1 nil
main nil main=1 no
yes
--- no_error_log
[error]



=== TEST 16: nor are those of a subrequest that nginx makes
--- config
    location = /t {
        auth_request /auth;
        content_by_lua_block {
            local headers = ngx.req.get_headers()
            ngx.say(headers.foo, " ", headers.added, " ", headers.user_agent, " ",
                headers["x-forwarded-for"], " ", ngx.var.http_cookie)
        }
    }
    location = /auth {
        content_by_lua_block {
            ngx.req.set_header("Foo", "sub")
            ngx.req.set_header("User-Agent", "sub")
            ngx.req.set_header("X-Forwarded-For", "sub")
            ngx.req.set_header("Cookie", "sub")
            ngx.req.set_header("Added", "sub")
        }
    }
--- request
GET /t
--- more_headers
Foo: main
User-Agent: agent
X-Forwarded-For: 192.0.2.1
Cookie: a=b
--- response_body
main nil agent 192.0.2.1 a=b
--- no_error_log
[error]



=== TEST 17: headers that nginx ignores are not there, underscores stay where it does not
--- config
    underscores_in_headers on;
    location = /t {
        content_by_lua_block {
            local headers = ngx.req.get_headers(nil, true)
            ngx.say(headers.x_foo, " ", headers["x-foo"])
            ngx.req.set_header("y_bar", 1)
            ngx.say(ngx.req.get_headers(nil, true).y_bar)
        }
    }
--- request
GET /t
--- more_headers
x_foo: a
--- response_body
a nil
1
--- no_error_log
[error]



=== TEST 18: not without a client
--- config
    location = /t {
        content_by_lua_block {
            ngx.timer.at(0, function()
                ngx.log(ngx.WARN, "read: ", select(2, pcall(ngx.req.get_headers)))
                ngx.log(ngx.WARN, "set: ", select(2, pcall(ngx.req.set_header, "Foo", 1)))
                ngx.log(ngx.WARN, "raw: ", select(2, pcall(ngx.req.raw_header)))
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
    qr/raw: .*API disabled in the current context/,
]



=== TEST 19: a header that is there many times, between others, goes in one walk
--- config
    location = /t {
        content_by_lua_block {
            local add_header = require "ngx.req".add_header
            -- The least CPU time that clearing so many takes.
            local function cost(count)
                local least = math.huge
                for turn = 1, 5 do
                    for n = 1, count do
                        add_header("X-Cleared", "x")
                        add_header("X-Kept-" .. turn, "x")
                    end
                    local started = os.clock()
                    ngx.req.clear_header("X-Cleared")
                    least = math.min(least, os.clock() - started)
                    ngx.req.clear_header("X-Kept-" .. turn)
                end
                return least
            end
            local few, many = cost(2000), cost(32000)
            ngx.say(many < 16 * 5 * math.max(few, 1e-5))
            ngx.say(ngx.var.http_x_cleared, " ", ngx.var.http_x_kept_1, " ", ngx.var.http_host)
        }
    }
--- request
GET /t
--- response_body
true
nil nil localhost
--- no_error_log
[error]



=== TEST 20: whichever nodes of a list go, the others stay
--- config
    location = /t {
        content_by_lua_block {
            local add_header = require "ngx.req".add_header
            local random = 7
            local function chance(n)
                random = (random * 1103515245 + 12345) % 2147483648
                return random % 8 < n
            end
            local wrong = 0
            for round = 1, 200 do
                local kept = {}
                for n = 1, 40 do
                    local goes = chance(round % 9)
                    add_header(goes and "X-Goes" or "X-Stays", tostring(n))
                    if not goes then kept[#kept + 1] = tostring(n) end
                end
                ngx.req.clear_header("X-Goes")
                add_header("X-Stays", "end")
                kept[#kept + 1] = "end"
                local headers = ngx.req.get_headers(0)
                local stays = headers["X-Stays"]
                if type(stays) == "string" then stays = { stays } end
                if headers["X-Goes"] or table.concat(stays, ",") ~= table.concat(kept, ",") then
                    wrong = wrong + 1
                end
                ngx.req.clear_header("X-Stays")
            end
            ngx.say(wrong, " ", ngx.var.http_host, " ", ngx.req.get_headers().last)
        }
    }
--- request
GET /t
--- more_headers
Last: here
--- response_body
0 localhost here
--- no_error_log
[error]



=== TEST 21: thousands of headers, one by one, take time by their number
--- config
    location = /t {
        content_by_lua_block {
            local add_header = require "ngx.req".add_header
            local set, clear = ngx.req.set_header, ngx.req.clear_header
            local first = 0
            local work = {
                set = function(name) set(name, "a") end,
                replace = function(name) set(name, "b") end,
                values = function(name) set(name, { "c", "d" }) end,
                add = function(name) set(name .. "-add", "e") add_header(name, "f") end,
                clear = function(name) clear(name) clear(name .. "-add") end,
            }
            local steps = { "set", "replace", "values", "add", "clear" }
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
                return costs
            end
            -- The least of several tries: linear gives 4, quadratic 16.
            local ratios = {}
            for _ = 1, 5 do
                local few, many = cost(2000), cost(8000)
                for _, step in ipairs(steps) do
                    ratios[step] = math.min(ratios[step] or 99, many[step] / few[step])
                end
            end
            for _, step in ipairs(steps) do
                ngx.say(step, ": ", ratios[step] < 9 and "linear" or ratios[step])
            end
            local left = ngx.req.get_headers(0)
            local names = 0
            for _ in pairs(left) do names = names + 1 end
            ngx.say(names)
        }
    }
--- request
GET /t
--- response_body
set: linear
replace: linear
values: linear
add: linear
clear: linear
2
--- no_error_log
[error]
--- timeout: 30



=== TEST 22: a long list holds what was set, in order, and that is what another server gets
--- http_config
    large_client_header_buffers 8 64k;
    server {
        listen unix:$TEST_NGINX_SERVER_ROOT/headers.sock;
        large_client_header_buffers 8 64k;
        location / {
            content_by_lua_block {
                local raw = ngx.req.raw_header(true)
                ngx.say(#raw, " ", ngx.md5(raw))
            }
        }
    }
--- config
    location = /t {
        proxy_http_version 1.1;
        proxy_pass http://unix:$TEST_NGINX_SERVER_ROOT/headers.sock:/;
        proxy_set_header Host same;
        proxy_set_header Connection close;
        access_by_lua_block {
            local add_header = require "ngx.req".add_header
            local random = 11
            local function below(n)
                random = (random * 1103515245 + 12345) % 2147483648
                return math.floor(random / 65536) % n
            end
            -- What the list is to be: names as they came, and values.
            local model = {}
            local function find(name)
                local found = {}
                for at, header in ipairs(model) do
                    if header[1]:lower() == name:lower() then found[#found + 1] = at end
                end
                return found
            end
            local function drop(found, from)
                for n = #found, from, -1 do table.remove(model, found[n]) end
            end
            local spellings = { "X-Name-", "x-name-", "X-NAME-" }
            for step = 1, 3000 do
                local name = spellings[below(3) + 1] .. below(150)
                local kind, found = below(6), find(name)
                if kind == 0 then
                    ngx.req.clear_header(name)
                    drop(found, 1)
                elseif kind <= 2 then
                    add_header(name, "a" .. step)
                    model[#model + 1] = { name, "a" .. step }
                else
                    local values = { "s" .. step }
                    if kind == 5 then values[2] = "t" .. step end
                    ngx.req.set_header(name, values)
                    drop(found, 2)
                    if found[1] then
                        model[found[1]][2] = values[1]
                    else
                        model[#model + 1] = { name, values[1] }
                    end
                    if values[2] then model[#model + 1] = { name, values[2] } end
                end
                if step % 500 == 0 then ngx.sleep(0) end
            end
            local lines, wrong = { "Host: same\r\nConnection: close\r\n" }, 0
            local values = {}
            for _, header in ipairs(model) do
                lines[#lines + 1] = header[1] .. ": " .. header[2] .. "\r\n"
                local name = header[1]:lower()
                values[name] = (values[name] and values[name] .. "," or "") .. header[2]
            end
            local headers = ngx.req.get_headers(0)
            for n = 0, 149 do
                local value = headers["x-name-" .. n]
                if type(value) == "table" then value = table.concat(value, ",") end
                if value ~= values["x-name-" .. n] then wrong = wrong + 1 end
            end
            local raw = table.concat(lines) .. "\r\n"
            ngx.ctx.expected = #raw .. " " .. ngx.md5(raw)
            ngx.ctx.wrong = wrong
        }
        header_filter_by_lua_block { ngx.header.content_length = nil }
        body_filter_by_lua_block {
            if ngx.arg[1] ~= "" then
                local same = ngx.arg[1] == ngx.ctx.expected .. "\n"
                ngx.arg[1] = ngx.ctx.wrong .. " wrong, " .. (same and "the same" or ngx.arg[1]) .. "\n"
            end
        }
    }
--- raw_request eval
"GET /t HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
--- response_body
0 wrong, the same
--- no_error_log
[error]



=== TEST 23: thousands of headers in requests and in subrequests' copies of them
--- http_config
    large_client_header_buffers 16 64k;
--- config
    location = /copy {
        content_by_lua_block {
            local started = os.clock()
            local before = ngx.req.get_headers(0)
            local names = {}
            for name in pairs(before) do names[#names + 1] = name end
            ngx.req.set_header("X-Own", "1")
            for _, name in ipairs(names) do
                if name ~= "cookie" then ngx.req.clear_header(name) end
            end
            ngx.say(os.clock() - started)
            local left = ngx.req.get_headers(0)
            ngx.say(#left.cookie, " ", left["x-own"], " ", left["x-1"])
        }
    }
    location = /t {
        content_by_lua_block {
            local cost = {}
            for _, count in ipairs { 2000, 8000 } do
                for n = 1, count do
                    ngx.req.set_header("X-" .. n, "a")
                end
                local cookies = {}
                for n = 1, count do cookies[n] = "c=" .. n end
                require("ngx.req").add_header("Cookie", cookies)
                local least = math.huge
                for _ = 1, 5 do
                    local body = ngx.location.capture("/copy").body
                    local taken, rest = body:match("^(%S+)\n(.*)")
                    least = math.min(least, tonumber(taken))
                    cost.rest = rest
                end
                ngx.print(cost.rest)
                cost[count] = least
                for n = 1, count do ngx.req.clear_header("X-" .. n) end
                ngx.req.clear_header("Cookie")
            end
            local ratio = cost[8000] / cost[2000]
            ngx.say(ratio < 9 and "linear" or ratio)
        }
    }
--- request
GET /t
--- response_body
2000 1 nil
8000 1 nil
linear
--- no_error_log
[error]
--- timeout: 30
