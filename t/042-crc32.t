# ngx.crc32_short and ngx.crc32_long.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3);
no_long_string();
run_tests();

__DATA__

=== TEST 1: the check value of CRC-32, and both functions the same
--- config
    location = /t {
        content_by_lua_block {
            for _, text in ipairs{ "", "123456789", string.rep("\0\255", 5000) } do
                ngx.say(ngx.crc32_short(text), " ", ngx.crc32_short(text) == ngx.crc32_long(text))
            end
        }
    }
--- request
GET /t
--- response_body
0 true
3421780262 true
3641873119 true
--- no_error_log
[error]



=== TEST 2: values that are no strings
--- config
    location = /t {
        content_by_lua_block {
            ngx.say(ngx.crc32_short(nil), " ", ngx.crc32_long(nil))
            ngx.say(ngx.crc32_short(7) == ngx.crc32_short("7"))
        }
    }
--- request
GET /t
--- response_body
0 0
true
--- no_error_log
[error]
