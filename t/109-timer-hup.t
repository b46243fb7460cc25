# Timers that are pending when the worker leaves.

use Test::Nginx::Socket::Lua;

master_on();
repeat_each(2);
plan tests => repeat_each() * (blocks() * 3 + 5);
no_long_string();
run_tests();

__DATA__

=== TEST 1: a worker that leaves expires them at once
--- config
    location = /t {
        content_by_lua_block {
            local function f(premature, name)
                ngx.log(ngx.WARN, name, " is premature: ", premature,
                        ", exiting: ", ngx.worker.exiting())
            end
            ngx.timer.at(3600, f, "at")
            ngx.timer.every(3600, f, "every")
            ngx.say(ngx.timer.pending_count() >= 2)
            require("ngx.process").signal_graceful_exit()
        }
    }
--- request
GET /t
--- response_body
true
--- wait: 0.3
--- error_log
at is premature: true, exiting: true
every is premature: true, exiting: true
--- no_error_log
[alert]



=== TEST 2: no new ones then, but those that run at once
--- config
    location = /t {
        content_by_lua_block {
            ngx.timer.at(3600, function(premature)
                ngx.timer.at(0, function(premature)
                    ngx.log(ngx.WARN, "at once, premature: ", premature)
                end)
                local _, reason = ngx.timer.at(1, function() end)
                ngx.log(ngx.WARN, "later: ", reason)
            end)
            ngx.say("made")
            require("ngx.process").signal_graceful_exit()
        }
    }
--- request
GET /t
--- response_body
made
--- wait: 0.3
--- error_log
later: process exiting
at once, premature: false
--- no_error_log
[alert]



=== TEST 3: a handler that waits is waited for
--- config
    location = /t {
        content_by_lua_block {
            ngx.timer.at(3600, function(premature)
                ngx.sleep(0.02)
                ngx.log(ngx.WARN, "finished: ", premature)
            end)
            ngx.say("made")
            require("ngx.process").signal_graceful_exit()
        }
    }
--- request
GET /t
--- response_body
made
--- wait: 0.3
--- error_log
finished: true
--- no_error_log
[alert]
