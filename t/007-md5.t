# ngx.md5 and ngx.md5_bin.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3);
no_long_string();
run_tests();

__DATA__

=== TEST 1: known digests, RFC 1321
--- config
    location = /t {
        content_by_lua_block {
            for _, text in ipairs{ "", "abc", "message digest", string.rep("1234567890", 8) } do
                ngx.say(ngx.md5(text))
            end
        }
    }
--- request
GET /t
--- response_body
d41d8cd98f00b204e9800998ecf8427e
900150983cd24fb0d6963f7d28e17f72
f96b697d7cb7938d525a2f31aaf161d0
57edf4a22be3c955ac49da2e2107b67a
--- no_error_log
[error]



=== TEST 2: the bytes of a digest are the digits of the other
--- config
    location = /t {
        content_by_lua_block {
            local text = string.rep("\0\255", 5000)
            local digest = ngx.md5_bin(text)
            local digits = digest:gsub(".", function(c) return ("%02x"):format(c:byte()) end)
            ngx.say(#digest, " ", digits == ngx.md5(text))
        }
    }
--- request
GET /t
--- response_body
16 true
--- no_error_log
[error]



=== TEST 3: values that are no strings
--- config
    location = /t {
        content_by_lua_block {
            ngx.say(ngx.md5(nil) == ngx.md5(""), " ", ngx.md5(45) == ngx.md5("45"))
            ngx.say(ngx.md5_bin(nil) == ngx.md5_bin(""), " ", ngx.md5_bin(45) == ngx.md5_bin("45"))
        }
    }
--- request
GET /t
--- response_body
true true
true true
--- no_error_log
[error]
