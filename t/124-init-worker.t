# init_worker_by_lua* and exit_worker_by_lua*.

use Test::Nginx::Socket::Lua;

repeat_each(1);
plan tests => repeat_each() * (blocks() * 3 + 2);
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



=== TEST 6: what needs a client is refused
--- http_config
    init_worker_by_lua_block {
        local found = {}
        for i, f in ipairs {
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



=== TEST 10: code may wait: a cosocket, a thread, a semaphore, a process
--- http_config
    init_worker_by_lua_block {
        local steps = {}
        package.loaded.steps = steps
        local function note(text) steps[#steps + 1] = text end

        local semaphore = require "ngx.semaphore".new()
        ngx.timer.at(0.001, function() semaphore:post() end)
        local thread = ngx.thread.spawn(function() ngx.sleep(0.001) return "slept" end)
        note("thread " .. select(2, ngx.thread.wait(thread)))
        note("semaphore " .. tostring(semaphore:wait(5)))

        local sock = ngx.socket.tcp()
        assert(sock:connect("127.0.0.1", $TEST_NGINX_SERVER_PORT))
        assert(sock:send("GET /self HTTP/1.0\r\n\r\n"))
        note("cosocket " .. sock:receive("*l"))
        sock:close()

        local process = require "ngx.pipe".spawn({ "echo", "from a process" })
        note("pipe " .. process:stdout_read_line())
        note(coroutine.wrap(function() ngx.sleep(0.001) return ngx.get_phase() end)())
        steps.done = true
    }
--- config
    location = /self { return 200 "me"; }
    location = /t {
        content_by_lua_block {
            local steps = package.loaded.steps
            for _ = 1, 1000 do
                if steps.done then break end
                ngx.sleep(0.005)
            end
            ngx.say(table.concat(steps, "\n"))
        }
    }
--- request
GET /t
--- response_body
thread slept
semaphore true
cosocket HTTP/1.1 200 OK
pipe from a process
init_worker
--- no_error_log
[error]



=== TEST 11: what runs before the first wait has finished before the worker accepts
--- http_config
    init_worker_by_lua_block {
        package.loaded.before = "set"
        ngx.sleep(60)
        package.loaded.before = "overwritten"
    }
--- config
    location = /t {
        content_by_lua_block { ngx.say(package.loaded.before) }
    }
--- request
GET /t
--- response_body
set
--- no_error_log
[error]



=== TEST 12: an error after a wait names the directive
--- http_config
    init_worker_by_lua_block {
        ngx.sleep(0.001)
        error("late trouble")
    }
--- config
    location = /t {
        content_by_lua_block { ngx.sleep(0.05) ngx.say("served") }
    }
--- request
GET /t
--- response_body
served
--- error_log eval
qr/\[error\] .*init_worker_by_lua error: init_worker_by_lua\(nginx\.conf:\d+\):3: late trouble/



=== TEST 13: an error in a light thread is the thread's
--- http_config
    init_worker_by_lua_block {
        ngx.thread.spawn(function() ngx.sleep(0.001) error("of a thread") end)
    }
--- config
    location = /t {
        content_by_lua_block { ngx.sleep(0.05) ngx.say("served") }
    }
--- request
GET /t
--- response_body
served
--- error_log eval
qr/lua user thread aborted: runtime error: init_worker_by_lua\(nginx\.conf:\d+\):2: of a thread/



=== TEST 14: a worker that exits does not wait for code without a timer
--- http_config
    init_worker_by_lua_block {
        local process = require "ngx.pipe".spawn({ "sleep", "60" })
        process:set_timeouts(60000, 60000, 60000, 60000)
        ngx.thread.spawn(function() coroutine.yield() end)
        ngx.log(ngx.WARN, "started")
    }
--- config
    location = /t { return 200 "served\n"; }
--- request
GET /t
--- response_body
served
--- error_log
started
--- no_error_log
[error]
