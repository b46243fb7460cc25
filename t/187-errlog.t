# ngx.errlog.

use Test::Nginx::Socket::Lua;

log_level('notice');
repeat_each(2);
plan tests => repeat_each() * (blocks() * 3 + 1);
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
qr/\[warn\] \d+#\d+: \*\d+ some %s raw line, client: 127\.0\.0\.1/
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



=== TEST 4: nginx's own error log cannot be captured
--- config
    location = /t {
        content_by_lua_block {
            local errlog = require "ngx.errlog"
            ngx.say(errlog.set_filter_level(ngx.WARN))
            ngx.say(errlog.get_logs())
        }
    }
--- request
GET /t
--- response_body
nilmissing the capture error log patch for nginx
nilmissing the capture error log patch for nginx
--- no_error_log
[error]
