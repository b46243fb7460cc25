# ngx.redirect with light threads under way.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3);
no_long_string();
run_tests();

__DATA__

=== TEST 1: ngx.redirect in a thread, with the entry thread gone
--- config
    location = /t {
        rewrite_by_lua_block {
            ngx.thread.spawn(function()
                ngx.sleep(0.005)
                ngx.redirect("/other")
            end)
        }
        content_by_lua_block { ngx.say("never") }
    }
--- request
GET /t
--- error_code: 302
--- response_headers_like
Location: .*/other
--- no_error_log
[error]
