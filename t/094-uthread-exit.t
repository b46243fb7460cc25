# ngx.exit with light threads under way.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3);
no_long_string();
run_tests();

__DATA__

=== TEST 1: ngx.exit in a thread ends the others, whatever they wait for
--- config
    location = /t {
        content_by_lua_block {
            local semaphore = require "ngx.semaphore".new()
            local function wait(how)
                return function()
                    how()
                    ngx.log(ngx.ERR, "ran on")
                end
            end
            ngx.thread.spawn(wait(function() ngx.sleep(0.02) end))
            ngx.thread.spawn(wait(function() semaphore:wait(0.02) end))
            ngx.thread.spawn(wait(coroutine.wrap(function() ngx.sleep(0.02) end)))
            ngx.say("before")
            local exits = ngx.thread.spawn(function()
                ngx.sleep(0.005)
                ngx.exit(ngx.OK)
            end)
            ngx.thread.wait(exits)
            ngx.log(ngx.ERR, "ran on")
        }
    }
--- request
GET /t
--- response_body
before
--- wait: 0.05
--- no_error_log
[error]



=== TEST 2: a status from a thread, in access
--- config
    location = /t {
        access_by_lua_block {
            ngx.thread.spawn(function() ngx.sleep(5) end)
            ngx.thread.spawn(function()
                ngx.sleep(0.005)
                coroutine.wrap(function() ngx.exit(403) end)()
            end)
            ngx.sleep(5)
        }
        content_by_lua_block { ngx.say("never") }
    }
--- request
GET /t
--- error_code: 403
--- response_body_like: 403 Forbidden
--- no_error_log
[error]



=== TEST 3: not while another thread's subrequest is under way
--- config
    location = /t {
        content_by_lua_block {
            local thread = ngx.thread.spawn(function()
                return ngx.location.capture("/slow").body
            end)
            for _, leave in ipairs{
                function() ngx.exit(ngx.OK) end,
                function() ngx.exit(404) end,
                function() ngx.exec("/slow") end,
                function() ngx.redirect("/slow") end,
            } do
                ngx.say((select(2, pcall(leave)):gsub("^.-%):%d+: ", "")))
            end
            ngx.say(ngx.thread.wait(thread))
            ngx.exit(ngx.OK)
        }
    }
    location = /slow {
        content_by_lua_block {
            ngx.sleep(0.02)
            ngx.print("slow")
        }
    }
--- request
GET /t
--- response_body
attempt to abort with pending subrequests
attempt to abort with pending subrequests
attempt to abort with pending subrequests
attempt to abort with pending subrequests
trueslow
--- no_error_log
[error]



=== TEST 4: while another thread reads the request body
--- config
    location = /t {
        content_by_lua_block {
            ngx.thread.spawn(function()
                ngx.sleep(0.005)
                ngx.say("leaving")
                ngx.exit(ngx.OK)
            end)
            coroutine.wrap(function() ngx.req.read_body() end)()
            ngx.log(ngx.ERR, "ran on")
        }
    }
--- raw_request eval
"POST /t HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nGET /t HTTP/1.1\r\n"
--- response_body
leaving
--- no_error_log
[error]
