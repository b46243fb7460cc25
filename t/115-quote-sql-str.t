# ngx.quote_sql_str.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3);
no_long_string();
run_tests();

__DATA__

=== TEST 1: each byte that is escaped
--- config
    location = /t {
        content_by_lua_block {
            ngx.say(ngx.quote_sql_str("\0\b\n\r\t\26\\'\"%_\127\200"))
        }
    }
--- request
GET /t
--- response_body eval
"'\\0\\b\\n\\r\\t\\Z\\\\\\'\\\"%_\x7f\xc8'\n"
--- no_error_log
[error]



=== TEST 2: nothing to escape, nothing at all, a number
--- config
    location = /t {
        content_by_lua_block {
            ngx.say(ngx.quote_sql_str("abc"), " ", ngx.quote_sql_str(""), " ",
                    ngx.quote_sql_str(12))
        }
    }
--- request
GET /t
--- response_body
'abc' '' '12'
--- no_error_log
[error]



=== TEST 3: arguments
--- config
    location = /t {
        content_by_lua_block {
            ngx.say(select(2, pcall(ngx.quote_sql_str)))
            ngx.say(select(2, pcall(ngx.quote_sql_str, "a", "b")))
            ngx.say(select(2, pcall(ngx.quote_sql_str, nil)))
        }
    }
--- request
GET /t
--- response_body
expecting one argument
expecting one argument
bad argument #1 to '?' (string expected, got nil)
--- no_error_log
[error]
