# ngx.timer: handlers that run later, without a request.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3 + 8);
no_long_string();
run_tests();

__DATA__

=== TEST 1: arguments are passed on, behind the flag
--- config
    location = /t {
        content_by_lua_block {
            local seen
            local ok, err = ngx.timer.at(0, function(premature, ...)
                seen = { premature, select("#", ...), ... }
            end, "a", nil, 3)
            ngx.say(ok, " ", err)
            while not seen do
                ngx.sleep(0.001)
            end
            ngx.say(seen[1], " ", seen[2], " ", seen[3], " ", seen[4], " ", seen[5])
        }
    }
--- request
GET /t
--- response_body
1 nil
false 3 a nil 3
--- no_error_log
[error]



=== TEST 2: its log lines tell the context, and who caused it
--- config
    location = /t {
        content_by_lua_block {
            ngx.timer.at(0, function()
                ngx.log(ngx.WARN, "from ", ngx.get_phase())
                error("this one failed")
            end)
            ngx.say("made")
        }
    }
--- request
GET /t
--- response_body
made
--- wait: 0.1
--- error_log eval
[
qr/from timer, context: ngx\.timer, client: 127\.0\.0\.1, server: 0\.0\.0\.0:\d+$/,
qr/\[error\] .*lua entry thread aborted: runtime error: content_by_lua\(nginx\.conf:\d+\):4: this one failed/,
]



=== TEST 3: a handler waits, and starts timers itself
--- config
    location = /t {
        content_by_lua_block {
            local steps = {}
            local function step(premature, n)
                steps[#steps + 1] = n
                ngx.sleep(0.001)
                if n < 3 then
                    assert(ngx.timer.at(0, step, n + 1))
                end
            end
            assert(ngx.timer.at(0.001, step, 1))
            while #steps < 3 do
                ngx.sleep(0.001)
            end
            ngx.say(table.concat(steps, " "))
        }
    }
--- request
GET /t
--- response_body
1 2 3
--- no_error_log
[error]



=== TEST 4: a light thread and a coroutine in a handler
--- config
    location = /t {
        content_by_lua_block {
            local result
            ngx.timer.at(0, function()
                local thread = ngx.thread.spawn(function()
                    ngx.sleep(0.001)
                    return "thread"
                end)
                local co = coroutine.wrap(function()
                    ngx.sleep(0.001)
                    coroutine.yield("coroutine")
                end)
                local from_co = co()
                local ok, from_thread = ngx.thread.wait(thread)
                result = from_co .. " " .. from_thread
            end)
            while not result do
                ngx.sleep(0.001)
            end
            ngx.say(result)
        }
    }
--- request
GET /t
--- response_body
coroutine thread
--- no_error_log
[error]



=== TEST 5: bad arguments
--- config
    location = /t {
        content_by_lua_block {
            local function try(f, ...)
                local ok, err = pcall(f, ...)
                ngx.say(err)
            end
            try(ngx.timer.at)
            try(ngx.timer.at, 1)
            try(ngx.timer.at, {}, function() end)
            try(ngx.timer.at, 0, "f")
            try(ngx.timer.at, 0, print)
            try(ngx.timer.every, 0, function() end)
        }
    }
--- request
GET /t
--- response_body
expecting at least 2 arguments but got 0
expecting at least 2 arguments but got 1
bad argument #1 to '?' (number expected, got table)
bad argument #2 to '?' (Lua function expected)
bad argument #2 to '?' (Lua function expected)
delay cannot be zero
--- no_error_log
[error]



=== TEST 6: as many pending timers as lua_max_pending_timers says
--- http_config
    lua_max_pending_timers 2;
--- config
    location = /t {
        content_by_lua_block {
            local ran = 0
            local function f()
                ran = ran + 1
            end
            ngx.say(ngx.timer.at(0.01, f))
            ngx.say(ngx.timer.at(0.01, f))
            ngx.say(ngx.timer.at(0.01, f))
            ngx.say(ngx.timer.pending_count())
            while ran < 2 do
                ngx.sleep(0.001)
            end
            ngx.say(ngx.timer.pending_count())
        }
    }
--- request
GET /t
--- response_body
1
1
niltoo many pending timers
2
0
--- no_error_log
[error]



=== TEST 7: as many running handlers as lua_max_running_timers says
--- http_config
    lua_max_running_timers 1;
--- config
    location = /t {
        content_by_lua_block {
            local ran = 0
            local function f()
                ran = ran + 1
                ngx.sleep(0.05)
                ran = ran + 1
            end
            ngx.timer.at(0, f)
            ngx.timer.at(0, f)
            while ran < 1 do
                ngx.sleep(0.001)
            end
            ngx.say(ngx.timer.running_count())
            while ran < 2 do
                ngx.sleep(0.001)
            end
            ngx.sleep(0.01)
            ngx.say(ngx.timer.running_count(), " ", ran)
        }
    }
--- request
GET /t
--- response_body
1
0 2
--- error_log eval
qr/\[alert\] .*lua failed to run timer with function defined at =content_by_lua\(nginx\.conf:\d+\):3: 1 lua_max_running_timers are not enough/



=== TEST 8: every runs again and again, with the same arguments
--- config
    location = /t {
        content_by_lua_block {
            local runs = {}
            local stopped
            local ok = ngx.timer.every(0.001, function(premature, word)
                if not stopped then
                    runs[#runs + 1] = tostring(premature) .. word
                end
            end, "!")
            while #runs < 3 do
                ngx.sleep(0.001)
            end
            stopped = true
            ngx.say(ok, " ", runs[1], " ", runs[3])
        }
    }
--- request
GET /t
--- response_body
1 false! false!
--- no_error_log
[error]



=== TEST 9: an error does not end a timer of every
--- config
    location = /t {
        content_by_lua_block {
            local runs = 0
            ngx.timer.every(0.001, function()
                runs = runs + 1
                if runs <= 2 then
                    error("run " .. runs .. " failed")
                end
            end)
            while runs < 4 do
                ngx.sleep(0.001)
            end
            ngx.say("ran")
        }
    }
--- request
GET /t
--- response_body
ran
--- error_log
run 1 failed
run 2 failed
--- no_error_log
run 3 failed



=== TEST 10: with lua_code_cache off the handler runs in the VM of its maker
--- config
    lua_code_cache off;
    location = /t {
        content_by_lua_block {
            word = "global of this request"
            local held = { "upvalue" }
            ngx.timer.at(0.01, function(premature, t)
                collectgarbage()
                ngx.log(ngx.WARN, held[1], ", ", t.field, ", ", word)
            end, { field = "argument" })
            ngx.say("made")
        }
    }
--- request
GET /t
--- response_body
made
--- wait: 0.1
--- error_log
upvalue, argument, global of this request
--- no_error_log
[error]



=== TEST 11: made in the phases that cannot wait
--- config
    location = /t {
        set_by_lua_block $made {
            ngx.timer.at(0, function() ngx.log(ngx.WARN, "from set") end)
            return "made"
        }
        header_filter_by_lua_block {
            ngx.timer.at(0, function() ngx.log(ngx.WARN, "from header_filter") end)
        }
        body_filter_by_lua_block {
            if ngx.arg[2] then
                ngx.timer.at(0, function() ngx.log(ngx.WARN, "from body_filter") end)
            end
        }
        log_by_lua_block {
            ngx.timer.at(0, function() ngx.log(ngx.WARN, "from log") end)
        }
        return 200 "$made\n";
    }
--- request
GET /t
--- response_body
made
--- wait: 0.1
--- error_log
from set
from header_filter
from body_filter
from log



=== TEST 12: what needs a client is refused
--- config
    location = /t {
        content_by_lua_block {
            local errors
            ngx.timer.at(0, function()
                local found = {}
                for i, f in ipairs {
                    function() ngx.say("hi") end,
                    function() return ngx.var.uri end,
                    function() return ngx.location.capture("/") end,
                    function() return ngx.req.get_headers() end,
                } do
                    local ok, err = pcall(f)
                    found[i] = err and err:match("API disabled[^\n]*") or "allowed"
                end
                errors = found
            end)
            while not errors do
                ngx.sleep(0.001)
            end
            ngx.say(table.concat(errors, "\n"))
        }
    }
--- request
GET /t
--- response_body
API disabled in the context of ngx.timer
API disabled in the current context
API disabled in the context of ngx.timer
API disabled in the current context
--- no_error_log
[error]



=== TEST 13: ngx.exit ends the handler
--- config
    location = /t {
        content_by_lua_block {
            ngx.timer.at(0, function()
                ngx.log(ngx.WARN, "before")
                ngx.exit(ngx.OK)
                ngx.log(ngx.WARN, "behind it")
            end)
            ngx.say("made")
        }
    }
--- request
GET /t
--- response_body
made
--- wait: 0.1
--- error_log
before
--- no_error_log
behind it



=== TEST 14: a delay beyond nginx's counter is far, not over
--- config
    location = /t {
        content_by_lua_block {
            local ran = {}
            for _, seconds in ipairs { 1 / 0, 1e300, 2 ^ 63, 2 ^ 53 } do
                local function note(premature)
                    if not premature then
                        ran[#ran + 1] = tostring(seconds)
                    end
                end
                assert(ngx.timer.at(seconds, note))
                assert(ngx.timer.every(seconds, note))
            end
            ngx.say(pcall(ngx.timer.every, 0 / 0, function() end))
            ngx.timer.at(0 / 0, function() ran[#ran + 1] = "at once" end)
            ngx.sleep(0.01)
            ngx.say(table.concat(ran, " "))
        }
    }
--- request
GET /t
--- response_body
falsedelay cannot be zero
at once
--- no_error_log
[error]
