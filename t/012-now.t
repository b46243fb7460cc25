# ngx.now, ngx.time, ngx.today, ngx.localtime, ngx.utctime, ngx.update_time, ngx.req.start_time.

use Test::Nginx::Socket::Lua;

$ENV{TZ} = 'XYZ-05:30';

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3);
no_long_string();
run_tests();

__DATA__

=== TEST 1: the clocks agree with each other
--- config
    location = /t {
        content_by_lua_block {
            local now, time = ngx.now(), ngx.time()
            ngx.say(math.floor(now) == time, " ", now - time < 1)
            ngx.say(ngx.utctime() == os.date("!%Y-%m-%d %H:%M:%S", time))
            ngx.say(math.abs(os.time() - time) <= 2)
        }
    }
--- request
GET /t
--- response_body
true true
true
true
--- no_error_log
[error]



=== TEST 2: local time is in the zone of the environment
--- main_config
    env TZ;
--- config
    location = /t {
        content_by_lua_block {
            local there = ngx.time() + 5.5 * 3600
            ngx.say(ngx.localtime() == os.date("!%Y-%m-%d %H:%M:%S", there))
            ngx.say(ngx.today() == os.date("!%Y-%m-%d", there))
        }
    }
--- request
GET /t
--- response_body
true
true
--- no_error_log
[error]



=== TEST 3: the time stands still until it is updated
--- config
    location = /t {
        content_by_lua_block {
            local before = ngx.now()
            local clock = os.clock()
            while os.clock() - clock < 0.05 do end
            ngx.say("still: ", ngx.now() == before)
            ngx.update_time()
            ngx.say("moved: ", ngx.now() > before)
        }
    }
--- request
GET /t
--- response_body
still: true
moved: true
--- no_error_log
[error]



=== TEST 4: a request's start is not after now
--- config
    location = /t {
        content_by_lua_block {
            local start = ngx.req.start_time()
            ngx.update_time()
            ngx.say(start <= ngx.now(), " ", ngx.now() - start < 10)
            ngx.sleep(0.02)
            ngx.say(ngx.req.start_time() == start, " ", ngx.now() > start)
        }
    }
--- request
GET /t
--- response_body
true true
true true
--- no_error_log
[error]



=== TEST 5: a clock that does not go back
--- config
    location = /t {
        content_by_lua_block {
            local clock = require "resty.core.time"
            local before = clock.monotonic_msec()
            ngx.sleep(0.02)
            ngx.say(clock.monotonic_msec() > before, " ", clock.monotonic_time() * 1000 >= before)
        }
    }
--- request
GET /t
--- response_body
true true
--- no_error_log
[error]
