# ngx.flush, waiting and not.

use Test::Nginx::Socket::Lua;

repeat_each(2);

plan tests => repeat_each() * (blocks() * 3);

no_long_string();
run_tests();

__DATA__

=== TEST 1: what was said is flushed, and 1 returned, waiting or not
--- config
    location /t {
        content_by_lua_block {
            ngx.say("a")
            local first = ngx.flush(true)
            ngx.say("b")
            local second = ngx.flush()
            ngx.say(first, " ", second)
        }
    }
--- request
GET /t
--- response_body
a
b
1 1
--- no_error_log
[error]



=== TEST 2: nothing to flush
--- config
    location /t {
        content_by_lua_block {
            local ok, err = ngx.flush(true)
            ngx.send_headers()
            local ok2, err2 = ngx.flush()
            ngx.say(ok, " ", err, ", ", ok2, " ", err2)
        }
    }
--- request
GET /t
--- response_body
nil nothing to flush, nil nothing to flush
--- no_error_log
[error]



=== TEST 3: a client that reads slowly is waited for
--- config
    location /t {
        sendfile off;
        limit_rate 200k;
        content_by_lua_block {
            local block = string.rep("x", 32 * 1024)
            for i = 1, 4 do
                ngx.print(block)
                assert(ngx.flush(true) == 1)
            end
        }
    }
--- request
GET /t
--- response_body eval
"x" x (128 * 1024)
--- timeout: 5
--- no_error_log
[error]



=== TEST 4: in a buffered HTTP/1.0 reply there is nothing to flush yet
--- config
    location /t {
        content_by_lua_block {
            ngx.say("a")
            local ok, err = ngx.flush(true)
            ngx.say(ok, " ", err)
        }
    }
--- request
GET /t HTTP/1.0
--- response_body
a
nil buffering
--- no_error_log
[error]



=== TEST 5: two threads flush at the same time
--- config
    location /t {
        content_by_lua_block {
            local function f(n)
                ngx.print(string.rep(n, 64 * 1024))
                return ngx.flush(true)
            end
            local a, b = ngx.thread.spawn(f, "a"), ngx.thread.spawn(f, "b")
            local _, first = ngx.thread.wait(a)
            local _, second = ngx.thread.wait(b)
            ngx.say(first, second)
        }
    }
--- request
GET /t
--- response_body_like: 11$
--- no_error_log
[error]
