# ngx.var: nginx's variables and regex captures, reading and writing.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * ( blocks() * 2 + 2 );

no_long_string();
run_tests();

__DATA__

=== TEST 1: built-in variables and those with a dynamic name
--- config
    location /t {
        content_by_lua_block {
            ngx.say(ngx.var.request_method, " ", ngx.var.uri, " ", ngx.var.args)
            ngx.say(ngx.var.arg_a, " ", ngx.var.arg_A, " ", ngx.var.arg_none)
            ngx.say(ngx.var.http_x_token, " ", ngx.var.cookie_user, " ", ngx.var.HTTP_X_TOKEN)
            ngx.say(ngx.var.no_such_variable, " ", ngx.var[""])
        }
    }
--- request
GET /t?a=1&b=%20
--- more_headers
X-Token: secret
Cookie: user=joe
--- response_body
GET /t a=1&b=%20
1 1 nil
secret joe secret
nil nil



=== TEST 2: captures of the location's regex
--- config
    location ~ ^/t(/x)?/([^/]+)(/y)?$ {
        content_by_lua_block {
            ngx.say("[", ngx.var[1], "] [", ngx.var[2], "] ", ngx.var[3], " ", ngx.var[4])
            ngx.say(ngx.var[0], " ", ngx.var[-1], " ", ngx.var[1000000])
        }
    }
--- request
GET /t/one
--- response_body
[] [one] nil nil
nil nil nil



=== TEST 3: no captures without a regex
--- config
    location = /t {
        content_by_lua_block { ngx.say(ngx.var[1]) }
    }
--- request
GET /t
--- response_body
nil



=== TEST 4: a variable of "set" takes strings, numbers and nil
--- config
    location = /t {
        set $foo "";
        content_by_lua_block {
            ngx.var.foo = "a\0b"
            ngx.say(#ngx.var.foo)
            ngx.var.FOO = 32
            ngx.say(ngx.var.foo)
            ngx.var.foo = ("x"):rep(70000)
            ngx.say(#ngx.var.foo)
            ngx.var.foo = ""
            ngx.say("[", ngx.var.foo, "]")
            ngx.var.foo = nil
            ngx.say(ngx.var.foo)
        }
    }
--- request
GET /t
--- response_body
3
32
70000
[]
nil



=== TEST 5: variables with a setter of their own
--- config
    location = /t {
        content_by_lua_block {
            ngx.var.args = "c=3"
            ngx.say(ngx.var.arg_c, " ", ngx.var.query_string)
            ngx.var.limit_rate = 0
            ngx.say(ngx.var.limit_rate)
        }
    }
--- request
GET /t?a=1
--- response_body
3 c=3
0



=== TEST 6: what cannot be set says so, and stays as it was
--- config
    location = /t {
        content_by_lua_block {
            for _, name in ipairs{"uri", "Undefined_One", "arg_a", "http_host"} do
                local ok, err = pcall(function () ngx.var[name] = "x" end)
                ngx.say(ok, " ", (err:gsub("^.-%):%d+: ", "")))
            end
            ngx.say(ngx.var.uri, " ", ngx.var.arg_a)
        }
    }
--- request
GET /t?a=1
--- response_body
false variable "uri" not changeable
false variable "undefined_one" not found for writing; maybe it is a built-in variable that is not changeable or you forgot to use "set $undefined_one '';" in the config file to define it first
false variable "arg_a" not found for writing; maybe it is a built-in variable that is not changeable or you forgot to use "set $arg_a '';" in the config file to define it first
false variable "http_host" not changeable
/t 1



=== TEST 7: neither names nor indexes of other types
--- config
    location = /t {
        content_by_lua_block {
            ngx.say(pcall(function () return ngx.var[true] end))
            ngx.say(pcall(function () ngx.var[1] = "x" end))
        }
    }
--- request
GET /t
--- response_body_like
^false.*bad variable name
false.*bad variable name$



=== TEST 8: no variables without a request
--- config
    location = /t {
        content_by_lua_block {
            ngx.timer.at(0, function ()
                local _, err = pcall(function () return ngx.var.uri end)
                ngx.log(ngx.WARN, "reading: ", err)
                _, err = pcall(function () ngx.var.uri = "x" end)
                ngx.log(ngx.WARN, "writing: ", err)
            end)
            ngx.say("ok")
        }
    }
--- request
GET /t
--- response_body
ok
--- wait: 0.1
--- grep_error_log eval: qr/(?:reading|writing): .*?API disabled in the current context/
--- grep_error_log_out eval
qr/reading: .*API disabled in the current context\nwriting: .*API disabled in the current context\n/



=== TEST 9: no line ends in $args; other variables hold any byte
--- config
    location = /t {
        set $any "";
        content_by_lua_block {
            ngx.var.args = "a=1\r\nX-Evil: \0\127\t b"
            ngx.say(ngx.var.args)
            ngx.var.any = "a\r\n\0b"
            ngx.say(#ngx.var.any)
        }
    }
--- request
GET /t
--- response_body eval
"a=1%0D%0AX-Evil: %00%7F\t b\n5\n"
--- no_error_log
[error]
