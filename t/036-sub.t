# ngx.re.sub, ngx.re.gsub, ngx.re.find.

use Test::Nginx::Socket::Lua;

repeat_each(2);

plan tests => repeat_each() * (blocks() * 3);

run_tests();

__DATA__

=== TEST 1: templates
--- config
    location = /t {
        content_by_lua_block {
            local function say(template, options)
                ngx.say((ngx.re.sub("hello, 1234", "([0-9])([0-9])(x)?", template, options)))
            end
            say("[$0][$1][$2]")
            say("[${1}0]")
            say("$$1 costs")
            say("plain")
            say("")
            say("<$3$4$100>", "jo")
        }
    }
--- request
GET /t
--- response_body
hello, [12][1][2]34
hello, [10]34
hello, $1 costs34
hello, plain34
hello, 34
hello, <>34
--- no_error_log
[error]



=== TEST 2: a replacement that grows past any buffer
--- config
    location = /t {
        content_by_lua_block {
            local subject = string.rep("ab", 5000)
            local s, n = ngx.re.gsub(subject, "a(b)", "$0$0$1", "jo")
            ngx.say(#s, " ", n, " ", s == string.rep("ababb", 5000))
            s, n = ngx.re.gsub(subject, "b", string.rep("c", 100))
            ngx.say(#s, " ", n)
        }
    }
--- request
GET /t
--- response_body
25000 5000 true
505000 5000
--- no_error_log
[error]



=== TEST 3: a function, which itself substitutes with the same expression
--- config
    location = /t {
        content_by_lua_block {
            local s, n = ngx.re.gsub("a1 b2", "([a-z])([0-9])", function(m)
                local inner = ngx.re.gsub("x9", "([a-z])([0-9])", "$2$1", "jo")
                return m[2] .. m[1] .. "<" .. inner .. ">"
            end, "jo")
            ngx.say(s, " ", n)
        }
    }
--- request
GET /t
--- response_body
1a<9x> 2b<9x> 2
--- no_error_log
[error]



=== TEST 4: a bad template: a name
--- config
    location = /t {
        content_by_lua_block {
            local s, n, err = ngx.re.sub("a", "a", "[$name]")
            ngx.say(tostring(s), " ", tostring(n), " ", err)
        }
    }
--- request
GET /t
--- response_body
nil nil failed to compile the replacement template
--- error_log
attempt to use named capturing variable "name" (named captures not supported yet)



=== TEST 5: a bad template: a lone dollar
--- config
    location = /t {
        content_by_lua_block {
            local s, n, err = ngx.re.gsub("a", "a", "100$", "o")
            ngx.say(tostring(s), " ", tostring(n), " ", err)
        }
    }
--- request
GET /t
--- response_body
nil nil failed to compile the replacement template
--- error_log
lua script: invalid capturing variable name found in "100$"



=== TEST 6: empty matches
--- config
    location = /t {
        content_by_lua_block {
            ngx.say((ngx.re.gsub("abc", "", "-")))
            ngx.say((ngx.re.gsub("aXc", "X*", "-", "jo")))
        }
    }
--- request
GET /t
--- response_body
-a-b-c-
-a--c-
--- no_error_log
[error]



=== TEST 7: find
--- config
    location = /t {
        content_by_lua_block {
            ngx.say(ngx.re.find("hello, 1234", "([0-9])([0-9]+)(x)?"))
            ngx.say(ngx.re.find("hello, 1234", "([0-9])([0-9]+)(x)?", "jo", nil, 2))
            ngx.say(ngx.re.find("hello, 1234", "([0-9])([0-9]+)(x)?", "jo", nil, 3))
            ngx.say(ngx.re.find("hello, 1234", "([0-9])([0-9]+)(x)?", "jo", nil, 4))
            local ctx = { pos = 10 }
            local from, to = ngx.re.find("hello, 1234", "[0-9]+", "", ctx)
            ngx.say(from, " ", to, " ", ctx.pos)
        }
    }
--- request
GET /t
--- response_body
811
911
nilnil
nilnilnth out of bound
10 11 12
--- no_error_log
[error]



=== TEST 8: split
--- config
    location = /t {
        content_by_lua_block {
            local split = require "ngx.re".split
            ngx.say(table.concat(split("a, b,c ,, d", [[\s*,\s*]], "jo"), "|"))
            ngx.say(table.concat(split("a1b2c", "([0-9])"), "|"))
            ngx.say(table.concat(split("abc", ""), "|"))
        }
    }
--- request
GET /t
--- response_body
a|b|c||d
a|1|b|2|c
a|b|c
--- no_error_log
[error]



=== TEST 9: a finalizer that substitutes, too (the C module writes past its buffer)
--- config
    location = /t {
        content_by_lua_block {
            local goes_on, runs = true, 0
            local function make()
                local proxy = newproxy(true)
                getmetatable(proxy).__gc = function()
                    runs = runs + 1
                    ngx.re.gsub(("a"):rep(300000), "(a+)", "[$1]", "jo")
                    if goes_on then make() end
                end
            end
            make()
            -- From now on, each allocation is preceded by a whole collection.
            local pause = collectgarbage("setpause", 0)
            local step = collectgarbage("setstepmul", 1e8)
            collectgarbage()
            local text, count = ngx.re.gsub("hello", "([a-z])", "[$1]", "jo")
            goes_on = false
            collectgarbage("setpause", pause)
            collectgarbage("setstepmul", step)
            collectgarbage()
            ngx.say(runs > 1, " ", #text, " ", count)
            ngx.say((ngx.re.gsub("hello", "([a-z])", "[$1]", "jo")))
        }
    }
--- request
GET /t
--- response_body
true 15 5
[h][e][l][l][o]
--- no_error_log
[error]
