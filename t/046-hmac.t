# ngx.hmac_sha1 and ngx.sha1_bin.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3);
no_long_string();
run_tests();

__DATA__

=== TEST 1: known digests, RFC 2202
--- config
    location = /t {
        content_by_lua_block {
            local function hex(text)
                return (text:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
            end
            ngx.say(hex(ngx.hmac_sha1(string.rep("\11", 20), "Hi There")))
            ngx.say(hex(ngx.hmac_sha1("Jefe", "what do ya want for nothing?")))
            ngx.say(hex(ngx.hmac_sha1(string.rep("\170", 80),
                        "Test Using Larger Than Block-Size Key - Hash Key First")))
            ngx.say(hex(ngx.hmac_sha1("", "")))
        }
    }
--- request
GET /t
--- response_body
b617318655057264e28bc0b6fb378c8ef146be00
effcdf6ae5eb2fa2d27416d5f184df9c259a7c79
aa4ae5e15272d00e95705637ce8a3b55ed402112
fbdb1d1b18aa6c08324b7d64b71fb76370690e1d
--- no_error_log
[error]



=== TEST 2: arguments
--- config
    location = /t {
        content_by_lua_block {
            ngx.say(select(2, pcall(ngx.hmac_sha1, "key")))
            ngx.say(select(2, pcall(ngx.hmac_sha1, "key", {})))
            ngx.say(ngx.hmac_sha1(1, 2) == ngx.hmac_sha1("1", "2"))
        }
    }
--- request
GET /t
--- response_body
expecting 2 arguments, but got 1
bad argument #2 to '?' (string expected, got table)
true
--- no_error_log
[error]



=== TEST 3: SHA-1 alone
--- config
    location = /t {
        content_by_lua_block {
            local function hex(text)
                return (text:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
            end
            ngx.say(hex(ngx.sha1_bin("abc")))
            ngx.say(hex(ngx.sha1_bin(nil)))
            ngx.say(hex(ngx.sha1_bin(string.rep("a", 10000))))
        }
    }
--- request
GET /t
--- response_body
a9993e364706816aba3e25717850c26c9cd0d89d
da39a3ee5e6b4b0d3255bfef95601890afd80709
a080cbda64850abb7b7f67ee875ba068074ff6fe
--- no_error_log
[error]
