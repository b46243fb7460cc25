# ngx.exec with light threads under way.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3);
no_long_string();
run_tests();

__DATA__

=== TEST 1: ngx.exec in a thread
--- config
    location = /t {
        content_by_lua_block {
            ngx.thread.spawn(function()
                ngx.sleep(0.005)
                ngx.exec("/other", "a=1")
            end)
            ngx.sleep(0.02)
            ngx.log(ngx.ERR, "ran on")
        }
    }
    location = /other {
        content_by_lua_block {
            ngx.sleep(0.05)
            ngx.say("other: ", ngx.var.args)
        }
    }
--- request
GET /t
--- response_body
other: a=1
--- no_error_log
[error]
