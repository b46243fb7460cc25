# init_worker_by_lua* and exit_worker_by_lua*.

use Test::Nginx::Socket::Lua;

repeat_each(1);
plan tests => repeat_each() * (blocks() * 3 + 1);
no_long_string();
run_tests();

__DATA__

=== TEST 1: runs in each worker before its first request
--- http_config
    init_worker_by_lua_block {
        package.loaded.mine = {
            phase = ngx.get_phase(), pid = ngx.worker.pid(), id = ngx.worker.id(),
        }
    }
--- config
    location = /t {
        content_by_lua_block {
            local mine = require "mine"
            ngx.say(mine.phase, " ", mine.pid == ngx.worker.pid(), " ", mine.id)
        }
    }
--- request
GET /t
--- response_body
init_worker true 0
--- no_error_log
[error]



=== TEST 2: timers that it makes
--- http_config
    init_worker_by_lua_block {
        local mine = { runs = 0 }
        package.loaded.mine = mine
        assert(ngx.timer.at(0, function(premature, word)
            ngx.sleep(0.001)
            mine.word = word
            ngx.log(ngx.WARN, "in the timer of init_worker")
        end, "passed"))
        assert(ngx.timer.every(0.001, function()
            mine.runs = mine.runs + 1
        end))
    }
--- config
    location = /t {
        content_by_lua_block {
            local mine = require "mine"
            while not mine.word or mine.runs < 2 do
                ngx.sleep(0.001)
            end
            ngx.say(mine.word)
        }
    }
--- request
GET /t
--- response_body
passed
--- error_log eval
qr/in the timer of init_worker, context: ngx\.timer$/



=== TEST 3: its log lines
--- http_config
    init_worker_by_lua_block { ngx.log(ngx.WARN, "worker starts") }
--- config
    location = /t { return 200 "served\n"; }
--- request
GET /t
--- response_body
served
--- error_log eval
qr/\[warn\] .*worker starts, context: init_worker_by_lua\*$/



=== TEST 4: an error is told, and the worker serves
--- http_config
    init_worker_by_lua_block { error("no work today") }
--- config
    location = /t { return 200 "served\n"; }
--- request
GET /t
--- response_body
served
--- error_log eval
[
qr/\[error\] .*init_worker_by_lua error: init_worker_by_lua\(nginx\.conf:\d+\):1: no work today/,
"stack traceback:",
]



=== TEST 5: a file
--- http_config
    init_worker_by_lua_file html/init_worker.lua;
--- config
    location = /t {
        content_by_lua_block { ngx.say(package.loaded.mine) }
    }
--- user_files
>>> init_worker.lua
package.loaded.mine = "from the file"
--- request
GET /t
--- response_body
from the file
--- no_error_log
[error]



=== TEST 6: what waits, or needs a client, is refused
--- http_config
    init_worker_by_lua_block {
        local found = {}
        for i, f in ipairs {
            function() ngx.sleep(0) end,
            function() ngx.say("hi") end,
            function() return ngx.var.uri end,
            function() ngx.exit(0) end,
            function() ngx.location.capture("/") end,
        } do
            local ok, err = pcall(f)
            found[i] = ok and "allowed" or err:match("API.*")
        end
        package.loaded.found = found
    }
--- config
    location = /t {
        content_by_lua_block { ngx.say(table.concat(package.loaded.found, "\n")) }
    }
--- request
GET /t
--- response_body
API disabled in the context of init_worker_by_lua*
API disabled in the context of init_worker_by_lua*
API disabled in the current context
API disabled in the context of init_worker_by_lua*
API disabled in the context of init_worker_by_lua*
--- no_error_log
[error]



=== TEST 7: with lua_code_cache off, too
--- http_config
    lua_code_cache off;
    init_worker_by_lua_block {
        ngx.timer.at(0, function() ngx.log(ngx.WARN, "timer ran in ", ngx.get_phase()) end)
    }
--- config
    location = /t {
        content_by_lua_block { ngx.say("served") }
    }
--- request
GET /t
--- response_body
served
--- wait: 0.05
--- error_log
timer ran in timer



=== TEST 8: empty code
--- http_config
    init_worker_by_lua_block {}
    exit_worker_by_lua_block {}
--- config
    location = /t { return 200 "served\n"; }
--- request
GET /t
--- response_body
served
--- no_error_log
[error]



=== TEST 9: nothing of it stays behind on the VM: its finalizers find no request
--- http_config
    init_worker_by_lua_block {
        local proxy = newproxy(true)
        getmetatable(proxy).__gc = function() package.loaded.phase = ngx.get_phase() end
        package.loaded.phase = "not run"
        package.loaded.proxy = proxy
    }
--- config
    location = /t {
        set_by_lua_block $a { package.loaded.proxy = nil return "" }
        content_by_lua_block {
            collectgarbage() collectgarbage()
            ngx.say(package.loaded.phase)
        }
    }
--- request
GET /t
--- response_body
content
--- no_error_log
[error]
