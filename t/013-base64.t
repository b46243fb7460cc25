# ngx.encode_base64 and ngx.decode_base64.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3);
no_long_string();
run_tests();

__DATA__

=== TEST 1: padding, and none
--- config
    location = /t {
        content_by_lua_block {
            for _, text in ipairs{ "", "f", "fo", "foo", "\255\254\253" } do
                ngx.say("[", ngx.encode_base64(text), "] [", ngx.encode_base64(text, true), "]")
            end
        }
    }
--- request
GET /t
--- response_body
[] []
[Zg==] [Zg]
[Zm8=] [Zm8]
[Zm9v] [Zm9v]
[//79] [//79]
--- no_error_log
[error]



=== TEST 2: decoding asks for no padding and stops at the first
--- config
    location = /t {
        content_by_lua_block {
            for _, text in ipairs{ "", "Zg==", "Zg", "Zm8", "Zm9v", "Zg==Zm9v", "=" } do
                ngx.say("[", ngx.decode_base64(text), "]")
            end
        }
    }
--- request
GET /t
--- response_body
[]
[f]
[f]
[fo]
[foo]
[f]
[]
--- no_error_log
[error]



=== TEST 3: what is no base64
--- config
    location = /t {
        content_by_lua_block {
            for _, text in ipairs{ "Z", "Zm9vZ", "Zm 9v", "Zm9-", "Zm9_", "^" } do
                ngx.say(ngx.decode_base64(text))
            end
        }
    }
--- request
GET /t
--- response_body
nil
nil
nil
nil
nil
nil
--- no_error_log
[error]



=== TEST 4: there and back, longer than the shared buffer
--- config
    location = /t {
        content_by_lua_block {
            for length = 9998, 10001 do
                local text = string.rep("\0\127\255a", length):sub(1, length)
                local padded, bare = ngx.encode_base64(text), ngx.encode_base64(text, true)
                ngx.say(#padded, " ", #bare, " ", ngx.decode_base64(padded) == text, " ",
                        ngx.decode_base64(bare) == text)
            end
        }
    }
--- request
GET /t
--- response_body
13332 13331 true true
13332 13332 true true
13336 13334 true true
13336 13335 true true
--- no_error_log
[error]



=== TEST 5: arguments that are no strings
--- config
    location = /t {
        content_by_lua_block {
            ngx.say("[", ngx.encode_base64(nil), "] ", ngx.encode_base64(15))
            ngx.say(pcall(ngx.decode_base64, 15))
            ngx.say(pcall(ngx.encode_base64, "a", 0))
        }
    }
--- request
GET /t
--- response_body
[] MTU=
falsestring argument only
falsebad no_padding: boolean expected, got number
--- no_error_log
[error]
