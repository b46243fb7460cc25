# ngx.req.http_version: the version of the protocol, as a number.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3 + 1);
no_long_string();
run_tests();

__DATA__

=== TEST 1: HTTP/1.1
--- config
    location = /t {
        content_by_lua_block { ngx.say(ngx.req.http_version()) }
    }
--- request
GET /t
--- response_body
1.1
--- no_error_log
[error]



=== TEST 2: HTTP/1.0
--- config
    location = /t {
        content_by_lua_block { ngx.say(ngx.req.http_version()) }
    }
--- request
GET /t HTTP/1.0
--- response_body
1
--- no_error_log
[error]



=== TEST 3: HTTP/0.9, where headers cannot be set
--- config
    location = /t {
        content_by_lua_block {
            ngx.req.set_header("Foo", "bar")
            ngx.say(ngx.req.http_version(), " ", ngx.req.get_headers().foo)
        }
    }
--- raw_request eval
"GET /t\r\n"
--- http09
--- response_headers
!Foo
--- response_body
0.9 nil
--- no_error_log
[error]



=== TEST 4: not without a client
--- config
    location = /t {
        content_by_lua_block {
            ngx.timer.at(0, function()
                ngx.log(ngx.WARN, "said: ", select(2, pcall(ngx.req.http_version)))
            end)
            ngx.say("ok")
        }
    }
--- request
GET /t
--- response_body
ok
--- wait: 0.1
--- error_log
said: API disabled in the current context
