# ngx.thread.wait: what light threads return, and when.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3);
no_long_string();
run_tests();

__DATA__

=== TEST 1: results of a thread that has ended, and of one that has not
--- config
    location = /t {
        content_by_lua_block {
            local ended = ngx.thread.spawn(function(...) return ... end, 1, nil, "x")
            local waits = ngx.thread.spawn(function()
                ngx.sleep(0.01)
                return "slept", nil
            end)
            ngx.say(coroutine.status(ended), " ", coroutine.status(waits))
            ngx.say(select("#", ngx.thread.wait(ended)))
            ngx.say(ngx.thread.wait(waits))
            ngx.say(coroutine.status(ended), " ", coroutine.status(waits))
            ngx.say(ngx.thread.wait(waits))
            ngx.say(ngx.thread.wait(ended, waits))
        }
    }
--- request
GET /t
--- response_body
zombie running
4
truesleptnil
dead dead
nilalready waited or killed
nilalready waited or killed
--- no_error_log
[error]



=== TEST 2: the first of several
--- config
    location = /t {
        content_by_lua_block {
            local function after(delay, name)
                ngx.sleep(delay)
                return name
            end
            local slow = ngx.thread.spawn(after, 0.05, "slow")
            local fast = ngx.thread.spawn(after, 0.01, "fast")
            ngx.say(ngx.thread.wait(slow, fast))
            ngx.say(coroutine.status(slow), " ", coroutine.status(fast))
            ngx.say(ngx.thread.wait(fast, slow))
        }
    }
--- request
GET /t
--- response_body
truefast
running dead
trueslow
--- no_error_log
[error]



=== TEST 3: a thread that was waited for in vain wakes nobody who waits for something else
--- config
    location = /t {
        content_by_lua_block {
            local function after(delay, name)
                ngx.sleep(delay)
                return name
            end
            local slow = ngx.thread.spawn(after, 0.03, "slow")
            local fast = ngx.thread.spawn(after, 0.01, "fast")
            ngx.say(ngx.thread.wait(slow, fast))
            local semaphore = require "ngx.semaphore".new()
            ngx.say(semaphore:wait(0.1))
            ngx.say(ngx.thread.wait(slow))
        }
    }
--- request
GET /t
--- response_body
truefast
falsetimeout
trueslow
--- no_error_log
[error]



=== TEST 4: errors, of ended threads and of others
--- config
    location = /t {
        content_by_lua_block {
            local object = {}
            local function fail(delay, value)
                if delay then
                    ngx.sleep(delay)
                end
                error(value, 0)
            end
            for _, delay in ipairs{ false, 0.01 } do
                local ok, err = ngx.thread.wait(ngx.thread.spawn(fail, delay, object))
                ngx.say(ok, " ", err == object)
                ok, err = ngx.thread.wait(ngx.thread.spawn(fail, delay, "text"))
                ngx.say(ok, " ", err)
                -- The line in the log has made it a string.
                ok, err = ngx.thread.wait(ngx.thread.spawn(fail, delay, 42))
                ngx.say(ok, " ", type(err), " ", err)
            end
        }
    }
--- request
GET /t
--- response_body
false true
false text
false string 42
false true
false text
false string 42
--- error_log
lua user thread aborted: runtime error: text



=== TEST 5: only the parent waits, and only for threads
--- config
    location = /t {
        content_by_lua_block {
            local thread = ngx.thread.spawn(function() ngx.sleep(0.01) end)
            ngx.thread.spawn(function()
                ngx.say(pcall(ngx.thread.wait, thread))
            end)
            ngx.say(pcall(ngx.thread.wait))
            ngx.say(pcall(ngx.thread.wait, thread, 1))
            ngx.say(pcall(ngx.thread.wait, coroutine.running()))
            ngx.say(pcall(ngx.thread.wait, coroutine.create(function() end)))
            ngx.say(ngx.thread.wait(thread))
        }
    }
--- request
GET /t
--- response_body
falseonly the parent coroutine can wait on the thread
falseat least one coroutine should be specified
falsebad argument #2 to '?' (lua thread expected)
falseattempt to wait on a coroutine that is not a user thread
falseattempt to wait on a coroutine that is not a user thread
true
--- no_error_log
[error]



=== TEST 6: a coroutine waits for the threads that it spawned
--- config
    location = /t {
        content_by_lua_block {
            local co = coroutine.wrap(function()
                local thread = ngx.thread.spawn(function()
                    ngx.sleep(0.01)
                    return "of the coroutine"
                end)
                coroutine.yield("spawned")
                coroutine.yield(ngx.thread.wait(thread))
            end)
            ngx.say(co())
            ngx.sleep(0.03)
            ngx.say(co())
        }
    }
--- request
GET /t
--- response_body
spawned
trueof the coroutine
--- no_error_log
[error]



=== TEST 7: threads that end unwaited do not hold the request
--- config
    location = /t {
        content_by_lua_block {
            ngx.thread.spawn(function()
                for _ = 1, 3 do
                    ngx.thread.spawn(function() return "nobody asks" end)
                end
                ngx.sleep(0.01)
            end)
            ngx.say("entry ends")
        }
    }
--- request
GET /t
--- response_body
entry ends
--- no_error_log
[error]



=== TEST 8: nor do those of a coroutine that nobody resumes any more
--- config
    location = /t {
        content_by_lua_block {
            coroutine.resume(coroutine.create(function()
                ngx.thread.spawn(function() return "nobody asks" end)
                ngx.thread.spawn(function() ngx.sleep(0.01) end)
                coroutine.yield()
            end))
            ngx.say("entry ends")
        }
    }
--- request
GET /t
--- response_body
entry ends
--- no_error_log
[error]



=== TEST 9: many threads that have ended, in another order than that of their ends
--- config
    location = /t {
        content_by_lua_block {
            local threads, count = {}, 1000
            for i = 1, count do
                threads[i] = ngx.thread.spawn(function() return i end)
            end
            local sum, wrong = 0, 0
            for i = 1, count do
                -- 7 and 1000 have no common divisor: each thread once.
                local n = i * 7 % count + 1
                local ok, number = ngx.thread.wait(threads[n])
                sum = sum + number
                wrong = wrong + (ok and number == n and 0 or 1)
            end
            ngx.say(sum, " ", wrong, " ", select(2, ngx.thread.wait(threads[1])))
        }
    }
--- request
GET /t
--- response_body
500500 0 already waited or killed
--- no_error_log
[error]



=== TEST 10: a wait that fails does not count as a wait for the threads before the wrong one
--- config
    location = /t {
        content_by_lua_block {
            local first = ngx.thread.spawn(function() ngx.sleep(0.01) return "first" end)
            ngx.say(pcall(ngx.thread.wait, first, 1))
            local second = ngx.thread.spawn(function() ngx.sleep(0.05) return "second" end)
            ngx.say(ngx.thread.wait(second))
            ngx.say(ngx.thread.wait(first))
        }
    }
--- request
GET /t
--- response_body
falsebad argument #2 to '?' (lua thread expected)
truesecond
truefirst
--- no_error_log
[error]
