# ngx.semaphore.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3 + 3);
no_long_string();
run_tests();

__DATA__

=== TEST 1: resources at hand are taken at once
--- config
    location = /t {
        content_by_lua_block {
            local semaphore = require "ngx.semaphore".new(2)
            ngx.say(semaphore:count())
            ngx.say(semaphore:wait(0))
            ngx.say(semaphore:wait(1))
            ngx.say(semaphore:wait(0))
            semaphore:post()
            semaphore:post(2)
            ngx.say(semaphore:count())
        }
    }
--- request
GET /t
--- response_body
2
true
true
niltimeout
3
--- no_error_log
[error]



=== TEST 2: who waits longest is served first, and a late comer does not pass them
--- config
    location = /t {
        content_by_lua_block {
            local semaphore = require "ngx.semaphore".new()
            local function wait(name)
                ngx.say(name, ": ", semaphore:wait(1))
            end
            for i = 1, 3 do
                ngx.thread.spawn(wait, "thread " .. i)
            end
            ngx.say(semaphore:count())
            semaphore:post(3)
            ngx.say(semaphore:count())
            ngx.say("late: ", semaphore:wait(0))
            ngx.sleep(0.001)
            ngx.say(semaphore:count())
        }
    }
--- request
GET /t
--- response_body
-3
0
late: niltimeout
thread 1: truenil
thread 2: truenil
thread 3: truenil
0
--- no_error_log
[error]



=== TEST 3: a timeout gives the place in the queue up
--- config
    location = /t {
        content_by_lua_block {
            local semaphore = require "ngx.semaphore".new()
            local function wait(name, seconds)
                ngx.say(name, ": ", semaphore:wait(seconds))
            end
            ngx.thread.spawn(wait, "short", 0.01)
            ngx.thread.spawn(wait, "long", 1)
            ngx.sleep(0.03)
            ngx.say(semaphore:count())
            semaphore:post()
        }
    }
--- request
GET /t
--- response_body
short: falsetimeout
-1
long: truenil
--- no_error_log
[error]



=== TEST 4: between requests, and timers
--- config
    location = /t {
        content_by_lua_block {
            local semaphore = require "ngx.semaphore".new()
            package.loaded.shared_semaphore = semaphore
            local first, second = ngx.location.capture_multi{ { "/wait?1" }, { "/post" } }
            ngx.print(first.body, second.body)
            assert(ngx.timer.at(0, function()
                semaphore:wait(1)
                semaphore:post(5)
            end))
            semaphore:post()
            ngx.sleep(0.01)
            ngx.say(semaphore:count())
        }
    }
    location = /wait {
        content_by_lua_block {
            ngx.say("wait: ", package.loaded.shared_semaphore:wait(1))
        }
    }
    location = /post {
        content_by_lua_block {
            ngx.sleep(0.005)
            ngx.say("post: ", package.loaded.shared_semaphore:post())
        }
    }
--- request
GET /t
--- response_body
wait: truenil
post: true
5
--- no_error_log
[error]



=== TEST 5: a resource is not lost on a thread that is gone
--- config
    location = /t {
        content_by_lua_block {
            local semaphore = require "ngx.semaphore".new()
            local thread = ngx.thread.spawn(function()
                semaphore:wait(1)
                ngx.log(ngx.ERR, "ran on")
            end)
            ngx.thread.spawn(function()
                ngx.say("second: ", semaphore:wait(1))
            end)
            semaphore:post()
            ngx.say(ngx.thread.kill(thread))
            ngx.sleep(0.001)
            ngx.say(semaphore:count())
        }
    }
--- request
GET /t
--- response_body
1
second: truenil
0
--- no_error_log
[error]



=== TEST 6: collected while nothing waits; a request that ended holds nobody up
--- config
    location = /leave {
        content_by_lua_block {
            local semaphore = require "ngx.semaphore".new()
            package.loaded.shared_semaphore = semaphore
            ngx.thread.spawn(function() semaphore:wait(5) end)
            ngx.say(semaphore:count())
            ngx.exit(ngx.OK)
        }
    }
    location = /after {
        content_by_lua_block {
            local semaphore = package.loaded.shared_semaphore
            ngx.say(semaphore:count())
            semaphore, package.loaded.shared_semaphore = nil, nil
            for _ = 1, 1000 do
                require "ngx.semaphore".new(1):post(1)
            end
            collectgarbage()
            collectgarbage()
            ngx.sleep(0)
            ngx.say("collected")
        }
    }
--- pipelined_requests eval
["GET /leave", "GET /after"]
--- response_body eval
["-1\n", "0\ncollected\n"]
--- no_error_log
[error]



=== TEST 7: where nothing can wait
--- config
    location = /t {
        set_by_lua_block $found {
            local semaphore = require "ngx.semaphore".new(1)
            local _, err = semaphore:wait(0)
            semaphore:post()
            return err .. ", count: " .. semaphore:count()
        }
        return 200 "$found\n";
    }
--- request
GET /t
--- response_body
API disabled in the context of set_by_lua*, which cannot wait: use rewrite_by_lua*, and set ngx.var there, count: 2
--- no_error_log
[error]



=== TEST 8: numbers and times beyond what there can be
--- config
    location = /t {
        content_by_lua_block {
            local semaphores = require "ngx.semaphore"
            -- Whether LuaJIT cuts them off or takes them modulo 2^32, a C int of these, and of their
            -- thousandfold, is negative.
            for _, n in ipairs{ 2^31 + 3e6, 2^31 + 4e6, 2^32 - 1 } do
                ngx.say(semaphores.new(n))
                local semaphore = semaphores.new()
                ngx.say(semaphore:wait(n))
                semaphore:post(n)
                ngx.say(semaphore:count(), " ", semaphore:wait(0))
            end
            local semaphore = semaphores.new(2^31 - 1)
            semaphore:post(5)
            ngx.say(semaphore:count())
        }
    }
--- request
GET /t
--- response_body
niltoo many resources
nilbad timeout value
2147483647 true
niltoo many resources
nilbad timeout value
2147483647 true
niltoo many resources
nilbad timeout value
2147483647 true
2147483647
--- no_error_log
[error]



=== TEST 9: debug lines
--- config
    location = /t {
        content_by_lua_block {
            local semaphore = require "ngx.semaphore".new(1)
            semaphore:wait(0)
            local thread = ngx.thread.spawn(function() return semaphore:wait(1) end)
            semaphore:post(2)
            semaphore:wait(0)
            ngx.thread.wait(thread)
            ngx.say(semaphore:count())
            semaphore:wait(0)
            ngx.thread.kill(ngx.thread.spawn(function() return semaphore:wait(1) end))
        }
    }
--- request
GET /t
--- response_body
1
--- grep_error_log eval: qr/http lua semaphore (?:wait yielding|cleanup)|(?<=, )(?:resources|n|timeout): \d.*/
--- grep_error_log_out
resources: 1
timeout: 0, resources: 1, event posted: 0
timeout: 1000, resources: 0, event posted: 0
http lua semaphore wait yielding
n: 2, resources: 0
timeout: 0, resources: 2, event posted: 1
timeout: 0, resources: 1, event posted: 0
timeout: 1000, resources: 0, event posted: 0
http lua semaphore wait yielding
http lua semaphore cleanup



=== TEST 10: threads that pass a resource to each other leave nginx its other events
--- config
    location = /t {
        content_by_lua_block {
            local semaphore = require "ngx.semaphore".new()
            local turns, is_over = 0, false
            local function take_turns()
                while not is_over and turns < 300000 do
                    assert(semaphore:wait(10))
                    turns = turns + 1
                    semaphore:post(1)
                end
            end
            local threads = { ngx.thread.spawn(take_turns), ngx.thread.spawn(take_turns) }
            semaphore:post(1)
            ngx.sleep(0.02)
            is_over = true
            for _, thread in ipairs(threads) do
                ngx.say(ngx.thread.wait(thread))
            end
            ngx.say(turns > 1, " ", turns < 300000)
        }
    }
--- request
GET /t
--- response_body
true
true
true true
--- no_error_log
[error]



=== TEST 11: so do threads that pass it by way of two semaphores
--- config
    location = /t {
        content_by_lua_block {
            local new = require "ngx.semaphore".new
            local first, second = new(), new()
            local turns, is_over = 0, false
            local function pass(from, to)
                while not is_over and turns < 300000 do
                    assert(from:wait(10))
                    turns = turns + 1
                    to:post(1)
                end
            end
            local threads = { ngx.thread.spawn(pass, first, second), ngx.thread.spawn(pass, second, first) }
            first:post(1)
            ngx.sleep(0.02)
            is_over = true
            first:post(1)
            second:post(1)
            for _, thread in ipairs(threads) do
                ngx.say(ngx.thread.wait(thread))
            end
            ngx.say(turns > 1, " ", turns < 300000)
        }
    }
--- request
GET /t
--- response_body
true
true
true true
--- no_error_log
[error]



=== TEST 12: a wait that could not yield does not end a later one
--- config
    location = /t {
        content_by_lua_block {
            local sem = require "ngx.semaphore".new()
            local waits = setmetatable({}, { __tostring = function() return tostring(sem:wait(0.02)) end })
            ngx.say((pcall(string.format, "%s", waits)))
            local thread = coroutine.create(function() ngx.sleep(0.06) return "slept" end)
            ngx.say(coroutine.resume(thread))
            ngx.say(coroutine.status(thread))
        }
    }
--- request
GET /t
--- response_body
false
trueslept
dead
--- no_error_log
[error]
