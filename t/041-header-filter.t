# header_filter_by_lua*.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3 + 21);
no_long_string();
run_tests();

__DATA__

=== TEST 1: sees the header and changes it
--- config
    location = /t {
        content_by_lua_block {
            ngx.header["X-From"] = "content"
            ngx.ctx.word = "kept"
            ngx.say(ngx.get_phase())
            ngx.say(ngx.get_phase())
        }
        header_filter_by_lua_block {
            ngx.header["X-From"] = ngx.header["X-From"] .. ", " .. ngx.get_phase()
            ngx.header["X-Word"] = ngx.ctx.word
            ngx.status = 203
        }
    }
--- request
GET /t
--- response_headers
X-From: content, header_filter
X-Word: kept
--- response_body
content
content
--- error_code: 203



=== TEST 2: of nginx's own content
--- config
    location = /t {
        header_filter_by_lua 'ngx.header.content_length = nil ngx.header["X-Status"] = ngx.status';
        return 200 "nginx\n";
    }
--- request
GET /t
--- response_headers
X-Status: 200
!Content-Length
--- response_body
nginx



=== TEST 3: an error ends the response, and the code that sends it goes on in its own phase
--- config
    location = /t {
        content_by_lua_block {
            local ok, err = ngx.say("body")
            ngx.log(ngx.WARN, "said: ", ok, " ", err, " in ", ngx.get_phase())
            ngx.exit(ngx.ERROR)
        }
        header_filter_by_lua_block {
            error("no header today")
        }
    }
--- request
GET /t
--- ignore_response
--- error_log eval
[
qr/\[error\] .*failed to run header_filter_by_lua\*: header_filter_by_lua\(nginx\.conf:\d+\):2: no header today/,
"stack traceback:",
"said: nil nginx output filter error in content",
]



=== TEST 4: code that does not compile leaves the phase as it was
--- config
    location = /t {
        content_by_lua_block {
            local ok, err = ngx.say("body")
            ngx.log(ngx.WARN, "said: ", ok, " ", err, " in ", ngx.get_phase())
            ngx.exit(ngx.ERROR)
        }
        header_filter_by_lua "local";
    }
--- request
GET /t
--- ignore_response
--- error_log
failed to load inlined Lua code: header_filter_by_lua(nginx.conf:
said: nil nginx output filter error in content



=== TEST 5: ngx.exit makes another response of it
--- config
    location = /t {
        header_filter_by_lua_block {
            if ngx.status == 200 then
                ngx.exit(503)
                ngx.log(ngx.WARN, "runs on behind ngx.exit")
            end
        }
        return 200 "nginx\n";
    }
--- request
GET /t
--- error_code: 503
--- response_body_like: <title>503 Service (?:Temporarily )?Unavailable<
--- error_log
runs on behind ngx.exit



=== TEST 6: the same status once more is no news
--- config
    location = /t {
        header_filter_by_lua_block {
            ngx.exit(503)
        }
        return 200 "nginx\n";
    }
--- request
GET /t
--- error_code: 503
--- response_body_like: <title>503 Service (?:Temporarily )?Unavailable<
--- no_error_log
[alert]



=== TEST 7: a precondition that fails, with an error page, below each function that sends
--- config
    error_page 412 /sorry;
    location = /sorry {
        internal;
        header_filter_by_lua_block { ngx.header["X-Filter"] = ngx.get_phase() }
        return 412 "sorry\n";
    }
    location ~ ^/(say|print|flush|send_headers)$ {
        set $f $1;
        content_by_lua_block {
            ngx.header["Last-Modified"] = "Thu, 01 Jan 1970 00:00:00 GMT"
            ngx.header["ETag"] = '"here"'
            if ngx.var.f ~= "flush" then
                ngx[ngx.var.f]("text")
            end
            ngx.flush()
        }
    }
--- request eval
["GET /say", "GET /print", "GET /flush", "GET /send_headers"]
--- more_headers
If-Match: "there"
--- error_code eval
[412, 412, 412, 412]
--- response_headers eval
[("X-Filter: header_filter") x 4]
--- response_body eval
["sorry\n", "sorry\n", "sorry\n", "sorry\n"]
--- no_error_log
[alert]



=== TEST 8: the same for what has not changed
--- config
    location = /t {
        header_filter_by_lua_block { ngx.header["X-Filter"] = "ran" }
        content_by_lua_block {
            ngx.header["ETag"] = '"here"'
            ngx.header["Last-Modified"] = "Thu, 01 Jan 1970 00:00:00 GMT"
            ngx.say("text")
            ngx.flush(true)
            ngx.log(ngx.WARN, "still in ", ngx.get_phase())
        }
    }
--- request
GET /t
--- more_headers
If-None-Match: "here"
--- error_code: 304
--- response_headers
X-Filter: ran
--- response_body:
--- error_log
still in content
--- no_error_log
[alert]



=== TEST 9: in a captured subrequest
--- config
    location = /t {
        content_by_lua_block {
            local res = ngx.location.capture("/inner")
            ngx.print(res.header["X-Inner"], " ", res.body)
        }
        header_filter_by_lua_block { ngx.header["X-Outer"] = "set" }
    }
    location = /inner {
        header_filter_by_lua_block { ngx.header["X-Inner"] = "set" }
        return 200 "inner\n";
    }
--- request
GET /t
--- response_headers
X-Outer: set
!X-Inner
--- response_body
set inner
--- no_error_log
[error]



=== TEST 10: the status that a redirect has is no new one
--- config
    location = /t {
        content_by_lua_block { ngx.redirect("/elsewhere") }
        header_filter_by_lua_block { ngx.exit(ngx.status) }
    }
--- request
GET /t
--- error_code: 302
--- response_headers
Location: /elsewhere
--- response_body_like: 302 Found
--- no_error_log
[error]



=== TEST 11: a finalizer that sends something, which needs other code, while the code is compiled
--- config
    location = /t {
        header_filter_by_lua_block { ngx.header["X-Filter"] = "ran" }
        body_filter_by_lua_block {
            if ngx.arg[1] == "dropped" then ngx.arg[1] = nil end
        }
        content_by_lua_block {
            local goes_on, prints = true, false
            local function make()
                local proxy = newproxy(true)
                getmetatable(proxy).__gc = function()
                    if prints then pcall(ngx.print, "dropped") end
                    if goes_on then make() end
                end
            end
            make()
            -- From now on, each allocation is preceded by a whole collection.
            local pause = collectgarbage("setpause", 0)
            local step = collectgarbage("setstepmul", 1e8)
            collectgarbage()
            prints = true
            ngx.say("hello")
            goes_on, prints = false, false
            collectgarbage("setpause", pause)
            collectgarbage("setstepmul", step)
            collectgarbage()
        }
    }
--- request
GET /t
--- response_headers
X-Filter: ran
--- response_body
hello
--- no_error_log
[error]
[alert]
