# ngx.re.match and ngx.re.gmatch: captures, options, errors.

use Test::Nginx::Socket::Lua;

repeat_each(2);

# From 0.1.28 on lua-resty-core is made for PCRE2, which has other texts, numbers and limits.
our $PCRE2 = !grep {/ngx_lua_version ~= 1002[35]\b/} `cat /usr/share/lua/5.1/resty/core/base.lua 2>&1`;

plan tests => repeat_each() * (blocks() * 3);

run_tests();

__DATA__

=== TEST 1: captures, named ones, and those that took no part
--- config
    location = /t {
        content_by_lua_block {
            local m = assert(ngx.re.match("key = 42", [[(?<name>\w+)\s*=\s*(?:(?<number>\d+)|(?<word>\w+))]]))
            ngx.say(m[0], "|", m[1], "|", m[2], "|", tostring(m[3]))
            ngx.say(m.name, "|", m.number, "|", tostring(m.word))
            ngx.say(tostring(ngx.re.match("abc", "[0-9]")))
        }
    }
--- request
GET /t
--- response_body
key = 42|key|42|false
key|42|false
nil
--- no_error_log
[error]



=== TEST 2: a group at the end that took no part is false, after a longer match with the same regex
--- config
    location = /t {
        content_by_lua_block {
            for _, subject in ipairs{ "abcd", "a", "abcd" } do
                local m = assert(ngx.re.match(subject, "(a)(?:(b)(?:(c)(d))?)?", "jo"))
                ngx.say(#m, " ", m[1], " ", tostring(m[2]), " ", tostring(m[3]), " ", tostring(m[4]))
            end
        }
    }
--- request
GET /t
--- response_body
4 a b c d
4 a false false false
4 a b c d
--- no_error_log
[error]



=== TEST 3: an unknown option
--- config
    location = /t {
        content_by_lua_block {
            ngx.say(pcall(ngx.re.match, "a", "a", "z"))
        }
    }
--- request
GET /t
--- response_body_like chop
^false.*: unknown flag "z" \(flags "z"\)$
--- no_error_log
[error]



=== TEST 4: what the options find
--- config
    location = /t {
        content_by_lua_block {
            local function say(subject, regex, options)
                local m, err = ngx.re.match(subject, regex, options)
                ngx.say(options, ": ", m and #m[0] or tostring(m), " ", tostring(err))
            end
            say("ABC", "b", "i")
            say("one\ntwo", "^two$", "m")
            say("a\nb", "a.b", "s")
            say("ab", "a b # comment", "x")
            say("xab", "ab", "a")
            say("\228\189\160", "^.$", "u")
            say("\228\189\160", "^.$", "U")
            say("\228\189\160", "^.$", "i")
            say("abab", "ab|abab", "d")
            say("x]", "[]", "J")
            local m = ngx.re.match("b", "(?<x>a)|(?<x>b)", "D")
            ngx.say("D: ", m.x[1])
        }
    }
--- request
GET /t
--- response_body
i: 1 nil
m: 3 nil
s: 3 nil
x: 2 nil
a: nil nil
u: 3 nil
U: 3 nil
i: nil nil
d: 4 nil
J: nil nil
D: b
--- no_error_log
[error]



=== TEST 5: bad patterns
--- skip_eval: 3: $::PCRE2
--- config
    location = /t {
        content_by_lua_block {
            for _, pattern in ipairs{ "(abc", "a**", "[z-a]", "a)b", "(?<n>a)(?<n>b)", "\\p{Foo}x" } do
                local m, err = ngx.re.match("abc", pattern)
                ngx.say(err)
            end
            local it, err = ngx.re.gmatch("abc", "(abc")
            ngx.say(tostring(it), " ", err)
            local m, err = ngx.re.match("abc", "(" .. string.rep("a", 300))
            ngx.say(#err)
        }
    }
--- request
GET /t
--- response_body_like chop
^pcre_compile\(\) failed: missing \) in "\(abc"
pcre_compile\(\) failed: nothing to repeat in "a\*\*" at "\*"
pcre_compile\(\) failed: range out of order in character class in "\[z-a\]" at "a\]"
pcre_compile\(\) failed: unmatched parentheses in "a\)b" at "\)b"
pcre_compile\(\) failed: two named subpatterns have the same name in "\(\?<n>a\)\(\?<n>b\)" at ".*b\)"
pcre_compile\(\) failed: unknown property name after \\P or \\p in "\\p\{Foo\}x" at "\}?x"
nil pcre_compile\(\) failed: missing \) in "\(abc"
127
$
--- no_error_log
[error]



=== TEST 6: subjects that are not UTF-8
--- skip_eval: 3: $::PCRE2
--- config
    location = /t {
        content_by_lua_block {
            local m, err = ngx.re.match("a\255b", ".b", "u")
            ngx.say(tostring(m), " ", err)
            m, err = ngx.re.match("a\255bc", "bc", "U")
            ngx.say(m[0], " ", tostring(err))
            m, err = ngx.re.match("a\255bc", "bc", "Ud")
            ngx.say(tostring(m), " ", err)
        }
    }
--- request
GET /t
--- response_body
nil pcre_exec() failed: -10
bc nil
nil pcre_exec() failed: -10
--- no_error_log
[error]



=== TEST 7: a start beyond the subject
--- skip_eval: 3: $::PCRE2
--- config
    location = /t {
        content_by_lua_block {
            for _, pos in ipairs{ 1, 3, 4, 5, 100 } do
                local ctx = { pos = pos }
                local m, err = ngx.re.match("abc", "", "", ctx)
                ngx.say(pos, " ", m and "found" or err, " ", ctx.pos)
            end
        }
    }
--- request
GET /t
--- response_body
1 found 1
3 found 3
4 found 4
5 pcre_exec() failed: -24 5
100 pcre_exec() failed: -24 100
--- no_error_log
[error]



=== TEST 8: the match limit
--- skip_eval: 3: $::PCRE2
--- http_config
    lua_regex_match_limit 100;
--- config
    location = /t {
        content_by_lua_block {
            local m, err = ngx.re.match(string.rep("a", 30) .. "b", "(a+)+$")
            ngx.say(tostring(m), " ", err)
            m, err = ngx.re.match(string.rep("a", 30) .. "b", "(a+)+$", "jo")
            ngx.say(tostring(m), " ", err)
            ngx.say(ngx.re.match("aaa", "(a+)+$")[0])
        }
    }
--- request
GET /t
--- response_body
nil pcre_exec() failed: -8
nil pcre_exec() failed: -8
aaa
--- no_error_log
[error]



=== TEST 9: a NUL in pattern and subject
--- config
    location = /t {
        content_by_lua_block {
            local m = ngx.re.match("a\0b", "a\0(.)")
            ngx.say(m and m[1])
            ngx.say(tostring(ngx.re.match("a", "a\0(.)")))
        }
    }
--- request
GET /t
--- response_body
b
nil
--- no_error_log
[error]



=== TEST 10: DFA, again and again, with groups and names
--- config
    location = /t {
        content_by_lua_block {
            for i = 1, 3 do
                local m = ngx.re.match("hello 1234", "(?<n>[0-9])([0-9]+)|[a-z]+ ([0-9])([0-9]*)", "do")
                ngx.say(m[0], " ", #m, " ", tostring(m[1]), " ", tostring(m.n))
                ngx.say((ngx.re.gsub("aXbXX", "(X)(X)?", "[$0$1]", "do")))
            end
        }
    }
--- request
GET /t
--- response_body
hello 1234 0 nil nil
a[X]b[XX]
hello 1234 0 nil nil
a[X]b[XX]
hello 1234 0 nil nil
a[X]b[XX]
--- no_error_log
[error]



=== TEST 11: gmatch, over empty matches too
--- config
    location = /t {
        content_by_lua_block {
            for m in ngx.re.gmatch("a1bb22", "([a-z]+)([0-9]*)", "jo") do
                ngx.print("[", m[1], ",", m[2], "]")
            end
            ngx.say()
            local n = 0
            for m in ngx.re.gmatch("abc", "x*") do n = n + 1 end
            ngx.say(n)
        }
    }
--- request
GET /t
--- response_body
[a,1][bb,22]
4
--- no_error_log
[error]



=== TEST 12: no cache
--- http_config
    lua_regex_cache_max_entries 0;
--- config
    location = /t {
        content_by_lua_block {
            for i = 1, 3 do
                ngx.print(ngx.re.match("a" .. i, "a(.)", "jo")[1])
            end
            ngx.say()
            ngx.say((ngx.re.sub("abc", "b", "[$0]", "o")))
        }
    }
--- request
GET /t
--- response_body
123
a[b]c
--- no_error_log
[error]



=== TEST 13: where the JIT's stack is too small, the interpreter matches
--- config
    location = /t {
        content_by_lua_block {
            local re = require "ngx.re"
            local subject = string.rep("a", 60000)
            local regex = "^(?:(a)|(b)|(c))*$"
            ngx.say(#assert(ngx.re.match(subject, regex, "j"))[0])
            re.opt("jit_stack_size", 8 * 1024 * 1024)
            ngx.say(#assert(ngx.re.match(subject, regex, "j"))[0])
            re.opt("jit_stack_size", 32 * 1024)
            ngx.say(#assert(ngx.re.match(subject, regex, "j"))[0])
        }
    }
--- request
GET /t
--- response_body
60000
60000
60000
--- no_error_log
[error]



=== TEST 14: an expression that is kept matches the same however often it is used
--- config
    location = /t {
        content_by_lua_block {
            local long = string.rep("ab", 2000)
            local pattern = "^(?:(a)|(b))*(c)?$"
            local results = {}
            for _ = 1, 100 do
                local m = assert(ngx.re.match("abab", pattern, "o"))
                local short = #m .. m[1] .. m[2] .. tostring(m[3])
                m = assert(ngx.re.match(long, pattern, "o"))
                results[short .. " " .. #m[0] .. " " .. tostring(ngx.re.match("abx", pattern, "o"))] = true
            end
            for result in pairs(results) do
                ngx.say(result)
            end
            -- As where the JIT was asked for.
            ngx.say(#assert(ngx.re.match(long, pattern, "jo"))[0])
        }
    }
--- request
GET /t
--- response_body
3abfalse 4000 nil
4000
--- no_error_log
[error]



=== TEST 15: the match limit holds for an expression that is kept, however often it is used
--- skip_eval: 3: $::PCRE2
--- http_config
    lua_regex_match_limit 100;
--- config
    location = /t {
        content_by_lua_block {
            local results = {}
            for _ = 1, 100 do
                assert(ngx.re.match("ab", "(?:a+)+$|b", "o"))
                local _, err = ngx.re.match(string.rep("a", 30) .. "c", "(?:a+)+$|b", "o")
                results[tostring(err)] = true
            end
            for result in pairs(results) do
                ngx.say(result)
            end
        }
    }
--- request
GET /t
--- response_body
pcre_exec() failed: -8
--- no_error_log
[error]



=== TEST 16: and so does the limit in a pattern
--- skip_eval: 3: $::PCRE2
--- config
    location = /t {
        content_by_lua_block {
            local pattern = "(*LIMIT_MATCH=100)(?:a+)+$|b"
            local results = {}
            for _ = 1, 100 do
                assert(ngx.re.match("ab", pattern, "o"))
                local _, err = ngx.re.match(string.rep("a", 30) .. "c", pattern, "o")
                results[tostring(err)] = true
            end
            for result in pairs(results) do
                ngx.say(result)
            end
        }
    }
--- request
GET /t
--- response_body
pcre_exec() failed: -8
--- no_error_log
[error]



=== TEST 17: more than the JIT's stack holds, by every function
--- config
    location = /t {
        content_by_lua_block {
            local long = string.rep("ab", 20000)
            local pattern = "^(a|b)*$"
            for _, options in ipairs{ "j", "jo", "jou", "joi" } do
                local m, err = ngx.re.match(long, pattern, options)
                ngx.print(m and #m[0] .. m[1] or err, " ")
                local from, to, err = ngx.re.find(long, pattern, options)
                ngx.print(from, " ", to or err, " ")
                ngx.print(ngx.re.sub(long, pattern, "<$1>", options), " ")
                ngx.print(ngx.re.gsub(long, pattern, "<$1>", options), " ")
                ngx.print(#(ngx.re.gmatch(long, pattern, options)() or "")[0], " ")
                ngx.say(ngx.re.match(long .. "c", pattern, options))
            end
        }
    }
--- request
GET /t
--- response_body eval
"40000b 1 40000 <b> <b> 40000 nil\n" x 4
--- no_error_log
[error]



=== TEST 18: the match limit holds there too
--- skip_eval: 3: $::PCRE2
--- http_config
    lua_regex_match_limit 1000;
--- config
    location = /t {
        content_by_lua_block {
            ngx.say(ngx.re.match(string.rep("ab", 100000), "^(a|b)*$", "jo"))
        }
    }
--- request
GET /t
--- response_body_like chop
^nilpcre_exec\(\) failed: -(?:8|27)$
--- no_error_log
[error]



=== TEST 19: a group that calls itself before anything is matched
--- skip_eval: 3: $::PCRE2
--- config
    location = /t {
        content_by_lua_block {
            for _, pattern in ipairs{ "(?R)", "a|(?R)", "((?1))b", "b(x?(?<n>(?&n)))", "(?x: (?R) )", "x*(?R)" } do
                for _, options in ipairs{ "", "jo", "d" } do
                    local m, err = ngx.re.match("abc", pattern, options)
                    ngx.say(m, " ", err)
                end
            end
            ngx.say((select(3, ngx.re.find("abc", " (?R)", "x"))))
            -- These end.
            ngx.say(ngx.re.match("x(a(b)c)", "\\((?:[^()]++|(?R))*\\)", "jo")[0])
            ngx.say(ngx.re.match("aabb", "^(a(?1)?b)$")[0])
        }
    }
--- request
GET /t
--- response_body eval
CORE::join("", map { qq{nil pcre_compile() failed: recursive call could loop indefinitely in $_\n} x 3 }
    q{"(?R)" at ")"}, q{"a|(?R)" at ")"}, q{"((?1))b" at "))b"}, q{"b(x?(?<n>(?&n)))" at ")))"},
    q{"(?x: (?R) )" at ") )"}, q{"x*(?R)" at ")"})
. qq{pcre_compile() failed: recursive call could loop indefinitely in " (?R)" at ")"\n}
. "(a(b)c)\naabb\n"
--- no_error_log
[error]



=== TEST 20: where a pattern is bad
--- skip_eval: 3: $::PCRE2
--- config
    location = /t {
        content_by_lua_block {
            for _, pattern in ipairs{ "(?P=n)", "(?P>n)x", "\\k<n>", "\\2", "(a)\\3b", "\\g{1}", "\\g{-3}x", "(?(2)a)",
                                      "(?'n'a)(?'n'b)", "(?<n>a)(?<n>b)", "\\p{Foo}x", "[a-\\d]", "\\L", "\\N{name}" } do
                local m, err = ngx.re.match("abc", pattern)
                ngx.say(err:match('in (".*)'))
            end
        }
    }
--- request
GET /t
--- response_body
"(?P=n)" at ")"
"(?P>n)x" at ")x"
"\k<n>" at ">"
"\2"
"(a)\3b"
"\g{1}"
"\g{-3}x" at "}x"
"(?(2)a)" at "a)"
"(?'n'a)(?'n'b)" at "'b)"
"(?<n>a)(?<n>b)" at ">b)"
"\p{Foo}x" at "}x"
"[a-\d]" at "d]"
"\L" at "L"
"\N{name}" at "N{name}"
--- no_error_log
[error]



=== TEST 21: cached expressions do not keep the memory of a match of a long subject
--- config
    location = /t {
        content_by_lua_block {
            local function resident()
                for line in io.lines("/proc/self/status") do
                    local size = line:match("^VmRSS:%s+(%d+)")
                    if size then return tonumber(size) end
                end
            end
            local subject = '"' .. ("x"):rep(100000) .. '"'
            local pattern = [["(?:[^"\\]|\\.)*"]]
            local before = resident()
            for i = 1, 12 do
                local m = ngx.re.match(subject, pattern .. "(?#" .. i .. ")", "o")
                if not m or m[0] ~= subject then ngx.say("no match") end
            end
            local more = resident() - before
            ngx.say(more < 150000 or more)
        }
    }
--- request
GET /t
--- response_body
true
--- no_error_log
[error]
