# ngx.on_abort: a handler for the client's leaving.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3 + 4);
no_long_string();
run_tests();

__DATA__

=== TEST 1: it runs once the client has left, beside the threads
--- config
    location = /t {
        lua_check_client_abort on;
        content_by_lua_block {
            assert(ngx.on_abort(function()
                ngx.log(ngx.WARN, "client left")
                ngx.sleep(0.01)
                ngx.log(ngx.WARN, "handler done")
            end))
            ngx.sleep(0.3)
            ngx.log(ngx.WARN, "main thread done")
        }
    }
--- request
GET /t
--- ignore_response
--- abort
--- timeout: 0.1
--- wait: 0.4
--- error_log
client left
handler done
main thread done
--- no_error_log
[error]



=== TEST 2: it may end the request
--- config
    location = /t {
        lua_check_client_abort on;
        access_by_lua_block {
            ngx.on_abort(function()
                ngx.log(ngx.WARN, "client left")
                ngx.exit(499)
            end)
            ngx.thread.spawn(function()
                ngx.sleep(0.3)
                ngx.log(ngx.ERR, "thread done")
            end)
            ngx.sleep(0.3)
            ngx.log(ngx.ERR, "main thread done")
        }
    }
--- request
GET /t
--- ignore_response
--- abort
--- timeout: 0.1
--- wait: 0.4
--- error_log
client left
--- no_error_log
thread done
[error]



=== TEST 3: without a handler, the request ends with the client
--- config
    location = /t {
        lua_check_client_abort on;
        content_by_lua_block {
            ngx.thread.spawn(function()
                ngx.sleep(0.3)
                ngx.log(ngx.ERR, "thread done")
            end)
            coroutine.wrap(function() ngx.sleep(0.3) end)()
            ngx.log(ngx.ERR, "main thread done")
        }
    }
--- request
GET /t
--- ignore_response
--- abort
--- timeout: 0.1
--- wait: 0.4
--- error_log
client prematurely closed connection
--- no_error_log
thread done
[error]



=== TEST 4: where the client stays, the handler does not hold the request
--- config
    location = /t {
        lua_check_client_abort on;
        set_by_lua_block $why { return select(2, pcall(ngx.on_abort, function() end)) }
        content_by_lua_block {
            ngx.say((ngx.var.why:gsub(", which cannot wait.*", "")))
            ngx.say(pcall(ngx.on_abort))
            ngx.say(pcall(ngx.on_abort, print))
            ngx.say(ngx.on_abort(function() ngx.log(ngx.ERR, "client left") end))
            ngx.say(ngx.on_abort(function() end))
        }
    }
    location = /off {
        content_by_lua_block {
            ngx.say(ngx.on_abort(function() end))
        }
    }
--- pipelined_requests eval
["GET /t", "GET /off"]
--- response_body eval
["API disabled in the context of set_by_lua*\n"
 . "falsebad argument #1 to '?' (Lua function expected)\n" x 2 . "1\nnilduplicate call\n",
 "nillua_check_client_abort is off\n"]
--- no_error_log
[error]



=== TEST 5: it runs, too, where a thread that read the client's body was killed before
--- config
    location = /t {
        lua_check_client_abort on;
        content_by_lua_block {
            assert(ngx.on_abort(function()
                ngx.log(ngx.WARN, "client left")
                ngx.exit(499)
            end))
            local sock = assert(ngx.req.socket())
            local thread = ngx.thread.spawn(function()
                sock:receive(10)
                ngx.log(ngx.ERR, "received")
            end)
            assert(ngx.thread.kill(thread))
            ngx.sleep(0.4)
            ngx.log(ngx.ERR, "main thread done")
        }
    }
--- raw_request eval
"POST /t HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc"
--- ignore_response
--- abort
--- timeout: 0.1
--- wait: 0.4
--- error_log
client left
--- no_error_log
thread done
[error]
