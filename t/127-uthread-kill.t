# ngx.thread.kill: what a thread waits for goes with it.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3);
no_long_string();
run_tests();

__DATA__

=== TEST 1: a thread in ngx.sleep, and one that is posted
--- config
    location = /t {
        content_by_lua_block {
            local sleeps = ngx.thread.spawn(function()
                ngx.sleep(0.02)
                ngx.log(ngx.ERR, "woke up")
            end)
            local ready = ngx.thread.spawn(function()
                coroutine.yield()
                ngx.log(ngx.ERR, "ran on")
            end)
            ngx.say(ngx.thread.kill(ready), " ", coroutine.status(ready))
            ngx.say(ngx.thread.kill(sleeps), " ", coroutine.status(sleeps))
            ngx.say(ngx.thread.kill(sleeps))
            ngx.say(ngx.thread.wait(sleeps))
            ngx.sleep(0.05)
        }
    }
--- request
GET /t
--- response_body
1 dead
1 dead
nilalready waited or killed
nilalready waited or killed
--- no_error_log
[error]



=== TEST 2: a thread whose coroutine waits: the event finds nothing
--- config
    location = /t {
        content_by_lua_block {
            local semaphore = require "ngx.semaphore".new()
            local inner
            local function waits(how)
                return function()
                    coroutine.wrap(function()
                        inner = coroutine.create(function()
                            how()
                            ngx.log(ngx.ERR, "ran on")
                        end)
                        coroutine.resume(inner)
                        ngx.log(ngx.ERR, "ran on")
                    end)()
                end
            end
            for _, how in ipairs{
                function() ngx.sleep(0.02) end,
                function() semaphore:wait(0.02) end,
                function() semaphore:wait(1) end,
                function() ngx.thread.wait(ngx.thread.spawn(function() ngx.sleep(0.02) end)) end,
            } do
                local thread = ngx.thread.spawn(waits(how))
                ngx.say(ngx.thread.kill(thread), " ", coroutine.status(inner))
            end
            collectgarbage()
            semaphore:post(1)
            ngx.sleep(0.05)
            ngx.say(semaphore:count())
        }
    }
--- request
GET /t
--- response_body
1 dead
1 dead
1 dead
1 dead
1
--- no_error_log
[error]



=== TEST 3: who may not be killed, and by whom
--- config
    location = /t {
        content_by_lua_block {
            local ended = ngx.thread.spawn(function() end)
            ngx.say(ngx.thread.kill(ended))
            ngx.say(ngx.thread.kill(ended))
            local entry = coroutine.running()
            local thread = ngx.thread.spawn(function() ngx.sleep(0.01) end)
            ngx.thread.spawn(function()
                ngx.say(ngx.thread.kill(thread))
                ngx.say(ngx.thread.kill(entry))
                ngx.say(ngx.thread.kill(coroutine.running()))
            end)
            ngx.say(ngx.thread.kill(coroutine.create(function() end)))
            ngx.say(pcall(ngx.thread.kill))
            ngx.say(pcall(ngx.thread.kill, {}))
        }
    }
--- request
GET /t
--- response_body
nilalready terminated
nilalready waited or killed
nilkiller not parent
nilnot user thread
nilkiller not parent
nilnot user thread
falsebad argument #1 to '?' (lua thread expected)
falsebad argument #1 to '?' (lua thread expected)
--- no_error_log
[error]



=== TEST 4: a thread with a subrequest under way stays
--- config
    location = /t {
        content_by_lua_block {
            local thread = ngx.thread.spawn(function()
                return ngx.location.capture("/slow").body
            end)
            local nested = ngx.thread.spawn(function()
                return coroutine.wrap(function()
                    return ngx.location.capture("/slow").body
                end)()
            end)
            ngx.say(ngx.thread.kill(thread))
            ngx.say(ngx.thread.kill(nested))
            ngx.say(ngx.thread.wait(thread))
            ngx.say(ngx.thread.wait(nested))
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
nilpending subrequests
nilpending subrequests
trueslow
trueslow
--- no_error_log
[error]



=== TEST 5: the threads of a killed thread live on, and those that ended do not hold the request
--- config
    location = /t {
        content_by_lua_block {
            local thread = ngx.thread.spawn(function()
                ngx.thread.spawn(function() return "unwaited" end)
                ngx.thread.spawn(function()
                    ngx.sleep(0.02)
                    ngx.say("grandchild")
                end)
                ngx.sleep(10)
            end)
            ngx.sleep(0.005)
            ngx.say(ngx.thread.kill(thread))
        }
    }
--- request
GET /t
--- response_body
1
grandchild
--- no_error_log
[error]



=== TEST 6: a coroutine cannot kill the thread that runs it
--- config
    location = /t {
        content_by_lua_block {
            local thread
            local co = coroutine.create(function()
                thread = ngx.thread.spawn(function(co)
                    ngx.sleep(0.01)
                    coroutine.resume(co)
                    ngx.say("thread ends")
                end, coroutine.running())
                coroutine.yield()
                ngx.say(ngx.thread.kill(thread) == nil)
            end)
            coroutine.resume(co)
        }
    }
--- request
GET /t
--- response_body
true
thread ends
--- no_error_log
[error]
