# ngx.exit after ngx.status, in the phases before content.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3);
no_long_string();
run_tests();

__DATA__

=== TEST 1: ngx.status in access, then ngx.exit(ngx.OK): the response is sent
--- config
    location = /t {
        access_by_lua_block {
            ngx.status = 403
            ngx.exit(ngx.OK)
        }
        content_by_lua_block { ngx.say("content ", ngx.status) }
    }
--- request
GET /t
--- error_code: 403
--- response_body
content 403
--- no_error_log
[alert]



=== TEST 2: the same in rewrite, with the body said there
--- config
    location = /t {
        rewrite_by_lua_block {
            ngx.status = 410
            ngx.say("gone")
            ngx.exit(ngx.OK)
        }
        content_by_lua_block { ngx.say("content") }
    }
--- request
GET /t
--- error_code: 410
--- response_body
gone
--- no_error_log
[alert]



=== TEST 3: an exit that cannot yield, where nobody hears of the error, takes place at the end
--- config
    location = /access {
        access_by_lua_block {
            pcall(string.format, "%s", setmetatable({}, { __tostring = function() ngx.exit(403) end }))
        }
        content_by_lua_block { ngx.say("let in") }
    }
    location = /thread {
        access_by_lua_block {
            ngx.thread.spawn(function()
                ngx.sleep(0.001)
                pcall(string.format, "%s", setmetatable({}, { __tostring = function() ngx.exit(403) end }))
            end)
        }
        content_by_lua_block { ngx.say("let in") }
    }
    location = /exec {
        rewrite_by_lua_block {
            pcall(string.format, "%s", setmetatable({}, { __tostring = function() ngx.exec("/other") end }))
        }
        content_by_lua_block { ngx.say("let in") }
    }
    location = /other { return 200 "other\n"; }
    location = /content {
        content_by_lua_block {
            pcall(table.sort, { 1, 2 }, function() ngx.exit(404) end)
        }
    }
    location = /t {
        content_by_lua_block {
            for _, name in ipairs { "access", "thread", "exec", "content" } do
                local socket = ngx.socket.tcp()
                socket:connect("127.0.0.1", ngx.var.server_port)
                socket:send("GET /" .. name .. " HTTP/1.0\r\n\r\n")
                ngx.say(name, ": ", (socket:receive()))
                ngx.say((socket:receive("*a"):find("let in")))
                socket:close()
            end
        }
    }
--- request
GET /t
--- response_body
access: HTTP/1.1 403 Forbidden
nil
thread: HTTP/1.1 403 Forbidden
nil
exec: HTTP/1.1 200 OK
nil
content: HTTP/1.1 404 Not Found
nil
--- no_error_log
[error]
