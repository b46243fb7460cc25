# ngx.escape_uri and ngx.unescape_uri.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3);
no_long_string();
run_tests();

__DATA__

=== TEST 1: what a component of a URI keeps as it is
--- config
    location = /t {
        content_by_lua_block {
            local all = {}
            for byte = 0, 255 do
                all[byte + 1] = string.char(byte)
            end
            local kept = ngx.escape_uri(table.concat(all)):gsub("%%%x%x", "")
            ngx.say(kept)
        }
    }
--- request
GET /t
--- response_body
!'()*-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~
--- no_error_log
[error]



=== TEST 2: each type has its own set of bytes
--- config
    location = /t {
        content_by_lua_block {
            for kind = 0, 6 do
                ngx.say(kind, ": ", ngx.escape_uri("a b#%?+&/\"'\1\127\200", kind))
            end
        }
    }
--- request
GET /t
--- response_body eval
"0: a%20b%23%25%3F+&/\"'%01%7F%C8\n"
. "1: a%20b%23%25%3F%2B&/\"'%01%7F%C8\n"
. "2: a%20b%23%25%3F%2B%26%2F%22'%01%7F%C8\n"
. "3: a%20b%23%25?+&/%22%27%01%7F%C8\n"
. "4: a%20b#%?+&/%22%27%01%7F%C8\n"
. "5: a%20b#%25?+&/\"'%01\x7f\xc8\n"
. "6: a%20b#%25?+&/\"'%01\x7f\xc8\n"
--- no_error_log
[error]



=== TEST 3: a type that is no number, or out of range
--- config
    location = /t {
        content_by_lua_block {
            for _, kind in ipairs{ "2", -1, 7 } do
                local ok, err = pcall(ngx.escape_uri, "a", kind)
                ngx.say(ok, ": ", (err:gsub("^content_by_lua%S* ", "")))
            end
        }
    }
--- request
GET /t
--- response_body
false: "type" is not a number
false: "type" -1 out of range
false: "type" 7 out of range
--- no_error_log
[error]



=== TEST 4: values that are no strings
--- config
    location = /t {
        content_by_lua_block {
            ngx.say("[", ngx.escape_uri(nil), "] [", ngx.escape_uri(""), "] ",
                    ngx.escape_uri(1.5), " ", ngx.escape_uri(true))
            ngx.say("[", ngx.unescape_uri(nil), "] [", ngx.unescape_uri(""), "] ",
                    ngx.unescape_uri(1.5))
        }
    }
--- request
GET /t
--- response_body
[] [] 1.5 true
[] [] 1.5
--- no_error_log
[error]



=== TEST 5: more than the shared buffer holds
--- config
    location = /t {
        content_by_lua_block {
            local raw = string.rep("\0/\255", 4000)
            local escaped = ngx.escape_uri(raw)
            ngx.say(#escaped, " ", escaped == string.rep("%00%2F%FF", 4000))
            ngx.say(ngx.unescape_uri(escaped) == raw)
        }
    }
--- request
GET /t
--- response_body
36000 true
true
--- no_error_log
[error]



=== TEST 6: escapes in any case, a plus, and escapes that are none
--- config
    location = /t {
        content_by_lua_block {
            for _, text in ipairs{ "%2f%2F", "a+b", "%", "%4", "%zz%41", "%%41", "100%+%3D" } do
                ngx.say(ngx.unescape_uri(text))
            end
        }
    }
--- request
GET /t
--- response_body
//
a b
%
%4
%zzA
%A
100% =
--- no_error_log
[error]



=== TEST 7: a character replaced by another, as header names want it
--- config
    location = /t {
        content_by_lua_block {
            local replace = require("resty.core.utils").str_replace_char
            ngx.say(replace("_a_b__c_", "_", "-"), " ", replace("abc", "_", "-"))
            ngx.say(replace(string.rep("x_", 5000), "_", "-") == string.rep("x-", 5000))
        }
    }
--- request
GET /t
--- response_body
-a-b--c- abc
true
--- no_error_log
[error]
