# body_filter_by_lua*, and ngx.arg in it.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 2 + 18);
no_long_string();
run_tests();

__DATA__

=== TEST 1: replaces each piece
--- config
    location = /t {
        content_by_lua_block {
            ngx.say("one")
            ngx.say("two")
            ngx.say(ngx.get_phase())
        }
        body_filter_by_lua_block {
            ngx.arg[1] = ngx.arg[1]:upper()
        }
    }
--- request
GET /t
--- response_body
ONE
TWO
CONTENT
--- no_error_log
[error]



=== TEST 2: all kinds of values
--- config
    location = /t {
        content_by_lua_block {
            ngx.print("1") ngx.print("2") ngx.print("3") ngx.print("4") ngx.print("kept\n")
        }
        body_filter_by_lua_block {
            local values = { ["1"] = 12.5, ["2"] = { "a", { "b", 7 } }, ["3"] = "" }
            local piece = ngx.arg[1]
            if piece == "4" then
                ngx.arg[1] = nil
            elseif values[piece] then
                ngx.arg[1] = values[piece]
            end
        }
    }
--- request
GET /t
--- response_body
12.5ab7kept
--- no_error_log
[error]



=== TEST 3: a value that is none
--- config
    location = /t {
        content_by_lua_block { ngx.say("body") }
        body_filter_by_lua_block {
            ngx.log(ngx.WARN, select(2, pcall(function() ngx.arg[1] = true end)))
            ngx.log(ngx.WARN, select(2, pcall(function() ngx.arg[3] = "x" end)))
            ngx.log(ngx.WARN, select(2, pcall(function() ngx.arg.x = "x" end)))
        }
    }
--- request
GET /t
--- response_body
body
--- error_log
bad chunk data type: boolean
bad index: 3
number expected, got string



=== TEST 4: dropped data, then the end: the response ends
--- config
    location = /t {
        content_by_lua_block {
            ngx.say("one")
            ngx.say("two")
            ngx.say("three")
        }
        body_filter_by_lua_block {
            if ngx.arg[1] == "two\n" then
                ngx.arg[1] = ""
                ngx.arg[2] = true
            end
        }
    }
--- request
GET /t
--- response_body
one
--- no_error_log
[error]



=== TEST 5: nothing but the end
--- config
    location = /t {
        content_by_lua_block { ngx.say("one") }
        body_filter_by_lua_block {
            ngx.arg[1] = nil
            ngx.arg[2] = true
        }
    }
--- request
GET /t
--- response_body:
--- no_error_log
[error]



=== TEST 6: the end is put off, and set behind the data
--- config
    location = /t {
        content_by_lua_block { ngx.print("one") }
        body_filter_by_lua_block {
            if ngx.arg[2] then
                ngx.arg[2] = false
                ngx.arg[1] = " and more\n"
                ngx.arg[2] = true
            end
        }
    }
--- request
GET /t
--- response_body
one and more
--- no_error_log
[error]



=== TEST 7: a piece in several buffers
--- config
    location = /t {
        content_by_lua_block {
            ngx.print("one")
            ngx.print("two")
            ngx.say("three")
        }
        body_filter_by_lua_block {
            ngx.log(ngx.WARN, "piece [", ngx.arg[1], "] eof ", ngx.arg[2])
        }
    }
--- request
GET /t
--- response_body
onetwothree
--- error_log
eof true



=== TEST 8: a file
--- config
    location = /file.txt {
        header_filter_by_lua_block { ngx.header.content_length = nil }
        body_filter_by_lua_block { ngx.arg[1] = ngx.arg[1]:gsub("file", "piece") }
    }
--- user_files
>>> file.txt
a file's text
--- request
GET /file.txt
--- response_body
a piece's text
--- no_error_log
[error]



=== TEST 9: an error cuts the response off, and the code that sends it stays in its phase
--- config
    location = /t {
        content_by_lua_block {
            ngx.say("one")
            local ok, err = ngx.say("two")
            ngx.log(ngx.WARN, "said: ", ok, " ", err, " in ", ngx.get_phase())
        }
        body_filter_by_lua_block {
            if ngx.arg[1] == "two\n" then
                error("no two today")
            end
        }
    }
--- request
GET /t
--- ignore_response
--- error_log eval
[
qr/\[error\] .*failed to run body_filter_by_lua\*: body_filter_by_lua\(nginx\.conf:\d+\):3: no two today/,
"said: nil nginx output filter error in content",
]



=== TEST 10: an error code as the result, too
--- config
    location = /t {
        content_by_lua_block {
            local ok, err = ngx.say("one")
            ngx.log(ngx.WARN, "said: ", ok, " ", err, " in ", ngx.get_phase())
        }
        body_filter_by_lua_block { return ngx.ERROR }
    }
--- request
GET /t
--- ignore_response
--- error_log
said: nil nginx output filter error in content



=== TEST 11: reading ngx.arg elsewhere is refused
--- config
    location = /t {
        content_by_lua_block {
            ngx.say(select(2, pcall(function() return ngx.arg[1] end)):match("API.*"))
            ngx.say(select(2, pcall(function() ngx.arg[1] = "" end)):match("API.*"))
        }
    }
--- request
GET /t
--- response_body
API disabled in the current context
API disabled in the context of content_by_lua*
--- no_error_log
[error]



=== TEST 12: in subrequests, captured and not
--- config
    location = /t {
        content_by_lua_block {
            local res = ngx.location.capture("/inner")
            ngx.print(res.body)
        }
        body_filter_by_lua_block { ngx.arg[1] = ngx.arg[1]:upper() }
    }
    location = /inner {
        content_by_lua_block { ngx.say("inner") }
        body_filter_by_lua_block { ngx.arg[1] = ngx.arg[1]:gsub("inner", "filtered") }
    }
--- request
GET /t
--- response_body
FILTERED
--- no_error_log
[error]



=== TEST 13: a large body through a filter that makes it larger
--- config
    location = /t {
        content_by_lua_block {
            for i = 1, 64 do
                ngx.print(string.rep("x", 4096))
            end
        }
        body_filter_by_lua_block { ngx.arg[1] = { ngx.arg[1], ngx.arg[1] } }
    }
--- request
GET /t
--- response_body eval
"x" x (2 * 64 * 4096)
--- no_error_log
[error]



=== TEST 14: each piece is a call, and the end one of its own
--- config
    location = /t {
        content_by_lua_block {
            ngx.say("one")
            ngx.print("two")
            ngx.print("three")
        }
        body_filter_by_lua_block {
            local piece = ngx.arg[1]:gsub("\n", "+")
            ngx.arg[1] = "[" .. piece .. " " .. tostring(ngx.arg[2]) .. "]"
        }
    }
--- request
GET /t
--- response_body chomp
[one+ false][two false][three false][ true]
--- no_error_log
[error]



=== TEST 15: HTTP/1.0: all pieces are one call, and the end one of its own
--- config
    location = /t {
        content_by_lua_block {
            ngx.say("one")
            ngx.print("two")
            ngx.print("three")
        }
        header_filter_by_lua_block { ngx.header.content_length = nil }
        body_filter_by_lua_block {
            local piece = ngx.arg[1]:gsub("\n", "+")
            ngx.arg[1] = "[" .. piece .. " " .. tostring(ngx.arg[2]) .. "]"
        }
    }
--- request
GET /t HTTP/1.0
--- response_body chomp
[one+twothree false][ true]
--- no_error_log
[error]



=== TEST 16: the pieces of a subrequest are calls of its own location's code
--- config
    location = /t {
        content_by_lua_block {
            ngx.say(ngx.location.capture("/inner").body)
        }
    }
    location = /inner {
        content_by_lua_block {
            ngx.print("one")
            ngx.print("two")
        }
        body_filter_by_lua_block {
            ngx.arg[1] = "[" .. ngx.arg[1] .. " " .. tostring(ngx.arg[2]) .. "]"
        }
    }
--- request
GET /t
--- response_body
[one false][two false][ true]
--- no_error_log
[error]



=== TEST 17: a chunk's table holds strings and numbers only
--- config
    location = /t {
        header_filter_by_lua_block { ngx.header.content_length = nil }
        body_filter_by_lua_block {
            if ngx.ctx.seen then
                return
            end
            ngx.ctx.seen = true
            local said = {}
            for _, chunk in ipairs { { true }, { nil, 2 }, { ngx.null }, { { false } }, { a = 1 } } do
                said[#said + 1] = select(2, pcall(function() ngx.arg[1] = chunk end)):match("%(([^()]*)%)$")
            end
            ngx.arg[1] = { table.concat(said, "\n"), { "\n", 1, 2.5 }, "\n", ngx.arg[1] }
        }
        return 200 "the body\n";
    }
--- request
GET /t
--- response_body
bad data type boolean found
bad data type nil found
bad data type userdata found
bad data type boolean found
non-array table found
12.5
the body
--- no_error_log
[error]



=== TEST 18: a piece that the code replaces twice takes no memory until the request ends (it does in the C module)
--- http_config
    init_by_lua_block {
        long = ("x"):rep(100000)
        function resident()
            for line in io.lines("/proc/self/status") do
                local size = line:match("^VmRSS:%s+(%d+)")
                if size then return tonumber(size) end
            end
        end
    }
--- config
    location = /t {
        content_by_lua_block { for _ = 1, 300 do ngx.print("a") end }
        body_filter_by_lua_block {
            ngx.ctx.before = ngx.ctx.before or resident()
            local text = ""
            if ngx.arg[2] then
                local more = resident() - ngx.ctx.before
                text = (more < 15000 and "true" or more) .. "\n"
            end
            ngx.arg[1] = long
            ngx.arg[1] = text
        }
    }
--- request
GET /t
--- response_body
true
--- no_error_log
[error]



=== TEST 19: a finalizer that replaces the code's own piece while that is read
--- config
    location = /t {
        header_filter_by_lua_block { ngx.header.content_length = nil }
        body_filter_by_lua_block {
            if ngx.ctx.seen then
                return
            end
            ngx.ctx.seen = true
            local goes_on, runs = true, 0
            local function set(text) ngx.arg[1] = text end
            local function make()
                local proxy = newproxy(true)
                getmetatable(proxy).__gc = function()
                    runs = runs + 1
                    pcall(set, "short")
                    pcall(set, string.char(97 + runs % 26):rep(200000 + runs * 10000))
                    if goes_on then make() end
                end
            end
            make()
            -- From now on, each allocation is preceded by a whole collection.
            local pause = collectgarbage("setpause", 0)
            local step = collectgarbage("setstepmul", 1e8)
            collectgarbage()
            set(("X"):rep(200000))
            local text = ngx.arg[1]
            goes_on = false
            collectgarbage("setpause", pause)
            collectgarbage("setstepmul", step)
            collectgarbage()
            local is_whole = #text >= 200000 and text == text:sub(1, 1):rep(#text)
            ngx.arg[1] = tostring(runs > 1) .. " " .. tostring(is_whole) .. "\n"
        }
        return 200 "the body\n";
    }
--- request
GET /t
--- response_body
true true
--- no_error_log
[error]
