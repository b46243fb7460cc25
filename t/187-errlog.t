# ngx.errlog.

use Test::Nginx::Socket::Lua;

log_level('notice');
repeat_each(2);
plan tests => repeat_each() * (blocks() * 3);
no_long_string();
run_tests();

__DATA__

=== TEST 1: a line of one's own, without a place in front
--- config
    location = /t {
        content_by_lua_block {
            require("ngx.errlog").raw_log(ngx.WARN, "some %s raw line")
            require("ngx.errlog").raw_log(ngx.INFO, "too fine a line")
            ngx.say("done")
        }
    }
--- request
GET /t
--- response_body
done
--- error_log eval
qr/\[warn\] \d+#\d+: \*\d+ some %s raw line, client: "?127\.0\.0\.1/
--- no_error_log
too fine a line



=== TEST 2: bad levels
--- config
    location = /t {
        content_by_lua_block {
            local errlog = require "ngx.errlog"
            ngx.say(pcall(errlog.raw_log, 9, "x"))
            ngx.say(pcall(errlog.raw_log, -1, "x"))
        }
    }
--- request
GET /t
--- response_body
falsebad log level
falsebad log level
--- no_error_log
[error]



=== TEST 3: the level in force
--- config
    location = /t {
        content_by_lua_block {
            ngx.say(require("ngx.errlog").get_sys_filter_level() == ngx.NOTICE)
        }
    }
--- request
GET /t
--- response_body
true
--- no_error_log
[error]



=== TEST 4: nothing is captured where the configuration does not ask for it
--- config
    location = /t {
        content_by_lua_block {
            local errlog = require "ngx.errlog"
            local _, err = errlog.set_filter_level(ngx.WARN)
            ngx.say(err)
            _, err = errlog.get_logs()
            ngx.say(err)
        }
    }
--- request
GET /t
--- response_body
directive "lua_capture_error_log" is not set
directive "lua_capture_error_log" is not set
--- no_error_log
[error]



=== TEST 5: lines are captured up to a level, with theirs and the time, and taken out once
--- http_config
    lua_capture_error_log 32m;
--- config
    location = /t {
        content_by_lua_block {
            local errlog = require "ngx.errlog"
            errlog.get_logs(1000)
            local ok = errlog.set_filter_level(ngx.WARN)
            local before = ngx.now()
            ngx.log(ngx.NOTICE, "too fine a line")
            ngx.log(ngx.WARN, "a first line")
            ngx.log(ngx.CRIT, "a second line")
            local logs = errlog.get_logs(10)
            ngx.say(ok, " ", #logs, " ", logs[1] == ngx.WARN, " ", logs[4] == ngx.CRIT)
            ngx.say(logs[2] >= before and logs[2] <= ngx.now())
            ngx.say(logs[3]:match("%[warn%] .*a first line, client: \"?127.0.0.1\"?, .*\"$") ~= nil)
            ngx.say(logs[6]:match("%[crit%] .*a second line") ~= nil)
            ngx.say(#errlog.get_logs())
        }
    }
--- request
GET /t
--- response_body
true 6 true true
true
true
true
0
--- error_log
a second line



=== TEST 6: the oldest lines make room, a location's own error log is captured too
--- http_config
    lua_capture_error_log 2048;
--- config
    location = /t {
        error_log logs/error.log warn;
        content_by_lua_block {
            local errlog = require "ngx.errlog"
            for i = 1, 40 do
                ngx.log(ngx.WARN, "line ", i, " of many")
            end
            ngx.log(ngx.NOTICE, "too fine a line")
            local logs = errlog.get_logs(100)
            local count, last = #logs / 3, tonumber(logs[#logs]:match("line (%d+) of many"))
            local first = tonumber(logs[3]:match("line (%d+) of many"))
            ngx.say(last, " ", first > 1, " ", last - first + 1 == count)
        }
    }
--- request
GET /t
--- response_body
40 true true
--- no_error_log
too fine a line



=== TEST 7: a size that is too small
--- http_config
    lua_capture_error_log 2047;
--- config
--- request
GET /t
--- must_die
--- error_log
invalid capture error log size "2047", minimum size is 2048



=== TEST 8: a finalizer that takes lines while lines are taken
--- http_config
    lua_capture_error_log 64k;
--- config
    location = /t {
        content_by_lua_block {
            local errlog = require "ngx.errlog"
            local goes_on, taken = true, 0
            local function make()
                local proxy = newproxy(true)
                getmetatable(proxy).__gc = function()
                    taken = taken + #errlog.get_logs(1) / 3
                    if goes_on then make() end
                end
            end
            -- Without what nginx itself says.
            errlog.set_filter_level(ngx.WARN)
            errlog.get_logs(10000)
            for _ = 1, 200 do ngx.log(ngx.WARN, "one of many") end
            make()
            -- From now on, each allocation is preceded by a whole collection.
            local pause = collectgarbage("setpause", 0)
            local step = collectgarbage("setstepmul", 1e8)
            collectgarbage()
            local logs = errlog.get_logs(10)
            goes_on = false
            collectgarbage("setpause", pause)
            collectgarbage("setstepmul", step)
            collectgarbage()
            local whole = 0
            for i = 3, #logs, 3 do
                if logs[i]:find("^%d+/%d+/%d+ .*one of many") then whole = whole + 1 end
            end
            ngx.say(taken > 1, " ", #logs > 0, " ", whole == #logs / 3)
        }
    }
--- request
GET /t
--- response_body
true true true
--- no_error_log
[error]
