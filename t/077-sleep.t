# ngx.sleep: how long, and what is no duration.

use Test::Nginx::Socket::Lua;

repeat_each(2);

plan tests => repeat_each() * (blocks() * 3);

no_long_string();
run_tests();

__DATA__

=== TEST 1: what is no duration
--- config
    location = /t {
        content_by_lua_block {
            for _, seconds in ipairs { -1, -0.5, 0 / 0, 1 / 0, -1 / 0, "inf", "x", {}, false } do
                local ok, message = pcall(ngx.sleep, seconds)
                ngx.say(ok, " ", (message:gsub("duration \"%-%d%d%d%d%d+\"", "duration \"huge\"")))
            end
            ngx.say(select(2, pcall(ngx.sleep)))
            ngx.say(select(2, pcall(ngx.sleep, 1, 2)))
        }
    }
--- request
GET /t
--- response_body
false invalid sleep duration "-1000"
false invalid sleep duration "-500"
false invalid sleep duration "NaN"
false invalid sleep duration "inf"
false invalid sleep duration "huge"
false invalid sleep duration "inf"
false bad argument #1 to '?' (number expected, got string)
false bad argument #1 to '?' (number expected, got table)
false bad argument #1 to '?' (number expected, got boolean)
attempt to pass 0 arguments, but accepted 1
attempt to pass 2 arguments, but accepted 1
--- no_error_log
[error]



=== TEST 2: durations beyond nginx's counter wait, and keep nothing else from going on
--- config
    location = /t {
        content_by_lua_block {
            local threads = {}
            for _, seconds in ipairs { 2 ^ 31, 2 ^ 32, 2 ^ 53, 2 ^ 60, 1e300 } do
                threads[#threads + 1] = ngx.thread.spawn(function()
                    ngx.sleep(seconds)
                    ngx.say("over: ", seconds)
                end)
            end
            for _ = 1, 3 do
                ngx.sleep(0.002)
            end
            for _, thread in ipairs(threads) do
                ngx.say(coroutine.status(thread), " ", ngx.thread.kill(thread))
            end
        }
    }
--- request
GET /t
--- response_body
running 1
running 1
running 1
running 1
running 1
--- no_error_log
[error]
