# ngx.exit after ngx.status, in the phases before content.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3);
no_long_string();
run_tests();

__DATA__

=== TEST 1: ngx.status in access, then ngx.exit(ngx.OK): the response is sent
--- config
    location = /t {
        access_by_lua_block {
            ngx.status = 403
            ngx.exit(ngx.OK)
        }
        content_by_lua_block { ngx.say("content ", ngx.status) }
    }
--- request
GET /t
--- error_code: 403
--- response_body
content 403
--- no_error_log
[alert]



=== TEST 2: the same in rewrite, with the body said there
--- config
    location = /t {
        rewrite_by_lua_block {
            ngx.status = 410
            ngx.say("gone")
            ngx.exit(ngx.OK)
        }
        content_by_lua_block { ngx.say("content") }
    }
--- request
GET /t
--- error_code: 410
--- response_body
gone
--- no_error_log
[alert]
