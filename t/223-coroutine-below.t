# Coroutines and light threads that run below the code that resumes or spawns them, until one waits.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3 + 6);
no_long_string();

our $HtmlDir = html_dir();

run_tests();

__DATA__

=== TEST 1: values pass both ways, few and many
--- config
    location = /t {
        content_by_lua_block {
            local function echo(...)
                local values, n = { ... }, select("#", ...)
                while n > 0 do
                    values = { coroutine.yield(unpack(values, 1, n)) }
                    n = #values
                end
                return "end", n
            end
            for _, n in ipairs { 1, 8, 9, 10, 11, 50, 200, 2000 } do
                local co = coroutine.create(echo)
                local values = {}
                for i = 1, n do values[i] = i end
                for round = 1, 3 do
                    local got = { coroutine.resume(co, unpack(values)) }
                    assert(got[1] == true and #got == n + 1, #got)
                    for i = 1, n do assert(got[i + 1] == i) end
                end
                local ok, word, last = coroutine.resume(co)
                assert(ok and word == "end" and last == 0)
                assert(coroutine.status(co) == "dead")
                assert(select("#", coroutine.wrap(function(...) return ... end)(unpack(values))) == n)
            end
            ngx.say("done")
        }
    }
--- request
GET /t
--- response_body
done
--- no_error_log
[error]



=== TEST 2: a hundred of them, each below the one before; the innermost waits
--- config
    location = /t {
        content_by_lua_block {
            local function level(n)
                if n == 0 then
                    for i = 1, 3 do
                        coroutine.yield("yielded " .. i)
                        ngx.sleep(i == 2 and 0.001 or 0)
                        collectgarbage()
                    end
                    return "returned"
                end
                local inner = coroutine.create(level)
                local words = {}
                repeat
                    local ok, word = coroutine.resume(inner, n - 1)
                    assert(ok, word)
                    words[#words + 1] = word
                    if coroutine.status(inner) ~= "dead" then coroutine.yield(word) end
                until coroutine.status(inner) == "dead"
                return table.concat(words, ",")
            end
            for _, depth in ipairs { 1, 2, 31, 32, 33, 100 } do
                local outer = coroutine.create(level)
                local count, word = 0
                repeat
                    local ok
                    ok, word = coroutine.resume(outer, depth)
                    assert(ok, word)
                    count = count + 1
                until coroutine.status(outer) == "dead"
                ngx.say(depth, " ", count, " ", word:match("[^,]*$"), " ", select(2, word:gsub("yielded 2", "")))
            end
        }
    }
--- request
GET /t
--- response_body
1 4 returned 1
2 4 returned 2
31 4 returned 31
32 4 returned 32
33 4 returned 33
100 4 returned 100
--- no_error_log
[error]



=== TEST 3: some wait, some yield, in threads that take turns
--- config
    location = /t {
        content_by_lua_block {
            local function numbers(name, delay)
                return coroutine.wrap(function()
                    for i = 1, 4 do
                        if i % 2 == 0 then ngx.sleep(delay) end
                        coroutine.yield(name .. i)
                    end
                end)
            end
            local function take(name, delay)
                local all = {}
                for word in numbers(name, delay) do all[#all + 1] = word end
                return table.concat(all, " ")
            end
            local threads = {}
            for i, name in ipairs { "a", "b", "c" } do
                threads[i] = ngx.thread.spawn(take, name, (4 - i) / 500)
            end
            for i = 1, 3 do
                local ok, words = ngx.thread.wait(threads[i])
                ngx.say(tostring(ok), " ", words)
            end
        }
    }
--- request
GET /t
--- response_body
true a1 a2 a3 a4
true b1 b2 b3 b4
true c1 c2 c3 c4
--- no_error_log
[error]



=== TEST 4: the order of what threads do before they wait, and after
--- config
    location = /t {
        content_by_lua_block {
            local function say(...) ngx.say(...) ngx.flush() end
            local function leaf(name)
                say(name, " begins")
                coroutine.yield()
                say(name, " goes on")
                ngx.sleep(0.001)
                say(name, " ends")
                return name
            end
            local function branch(name)
                say(name, " begins")
                local one = ngx.thread.spawn(leaf, name .. ".1")
                say(name, " has one")
                local two = ngx.thread.spawn(leaf, name .. ".2")
                say(name, " has two")
                coroutine.yield()
                say(name, " waits")
                ngx.thread.wait(one)
                ngx.thread.wait(two)
                return name
            end
            local a = ngx.thread.spawn(branch, "a")
            say("main has a")
            local b = ngx.thread.spawn(function() return "at once" end)
            say("main has b, ", coroutine.status(b))
            say(select(2, ngx.thread.wait(b)))
            say(select(2, ngx.thread.wait(a)))
        }
    }
--- request
GET /t
--- response_body
a begins
a.1 begins
main has a
a has one
a.2 begins
a.1 goes on
main has b, zombie
at once
a has two
a.2 goes on
a waits
a.1 ends
a.2 ends
a
--- no_error_log
[error]



=== TEST 5: an exit below ends the request, and nothing else runs
--- config
    location = /t {
        rewrite_by_lua_block {
            local inner = coroutine.create(function()
                coroutine.resume(coroutine.create(function()
                    pcall(function() ngx.exit(410) end)
                    ngx.log(ngx.ERR, "innermost")
                end))
                ngx.log(ngx.ERR, "inner")
            end)
            coroutine.resume(inner)
            ngx.log(ngx.ERR, "outer")
        }
        content_by_lua_block { ngx.log(ngx.ERR, "content") }
    }
    location = /spawned {
        access_by_lua_block {
            ngx.thread.spawn(function() ngx.exit(410) ngx.log(ngx.ERR, "thread") end)
            ngx.log(ngx.ERR, "entry")
        }
        content_by_lua_block { ngx.log(ngx.ERR, "content") }
    }
--- request eval
[ 'GET /t', 'GET /spawned' ]
--- error_code eval
[ 410, 410 ]
--- no_error_log
[error]



=== TEST 6: another location, asked for below
--- config
    location = /t {
        content_by_lua_block {
            ngx.thread.spawn(function()
                coroutine.wrap(function() ngx.exec("/other") end)()
                ngx.log(ngx.ERR, "thread")
            end)
            ngx.log(ngx.ERR, "entry")
        }
    }
    location = /other { return 200 "other"; }
--- request
GET /t
--- response_body: other
--- no_error_log
[error]



=== TEST 7: a failure below: what resume, wrap and wait give
--- config
    location = /t {
        content_by_lua_block {
            local function fails(...)
                coroutine.yield("first")
                error("no", 0)
            end
            local co = coroutine.create(fails)
            ngx.say(coroutine.resume(co))
            local ok, err = coroutine.resume(co)
            ngx.say(tostring(ok), " ", err, " ", coroutine.status(co))
            ngx.say(coroutine.resume(co))

            local outer = coroutine.create(function()
                coroutine.yield("above")
                local f = coroutine.wrap(fails)
                f()
                f()
                ngx.say("never")
            end)
            ngx.say(coroutine.resume(outer))
            ok, err = coroutine.resume(outer)
            ngx.say(tostring(ok), " ", err, " ", coroutine.status(outer))

            local thread = ngx.thread.spawn(function() error("at once", 0) end)
            ngx.say(tostring(thread ~= nil), " ", coroutine.status(thread))
            ngx.say(ngx.thread.wait(thread))
        }
    }
--- request
GET /t
--- response_body
truefirst
false no dead
falsecannot resume dead coroutine
trueabove
false no dead
true zombie
falseat once
--- error_log
lua user thread aborted: runtime error: at once



=== TEST 13: the traceback of an error below goes up to the thread
--- config
    location = /t {
        content_by_lua_block {
            local inner, outer
            local function third() error("deep") end
            inner = coroutine.wrap(third)
            outer = coroutine.wrap(function() inner() end)
            outer()
            ngx.say("never")
        }
    }
--- request
GET /t
--- error_code: 500
--- error_log eval
[ "[C]: in function 'error'", "coroutine 1:", "in function 'inner'", "coroutine 2:", "in function 'outer'" ]



=== TEST 14: a thread's yield is not that of the coroutine that spawns it
--- config
    location = /t {
        content_by_lua_block {
            for _, n in ipairs { 0, 5 } do
                local values = { 1, 2, 3, 4, 5 }
                local co = coroutine.create(function()
                    local thread = ngx.thread.spawn(function()
                        coroutine.yield(unpack(values, 1, n))
                        ngx.say("the thread")
                    end)
                    ngx.say("co goes on")
                    coroutine.yield("mine")
                    ngx.thread.wait(thread)
                end)
                ngx.say("got ", coroutine.resume(co))
                ngx.say("got ", coroutine.resume(co))
            end
        }
    }
--- request
GET /t
--- response_body
co goes on
got truemine
the thread
got true
co goes on
got truemine
the thread
got true
--- no_error_log
[error]



=== TEST 15: a thread that is killed while it spawns another one does not go on
--- config
    location = /t {
        content_by_lua_block {
            local thread
            local killer = coroutine.create(function()
                thread = ngx.thread.spawn(function(killer)
                    ngx.sleep(0.01)
                    ngx.thread.spawn(function() coroutine.resume(killer) end)
                    ngx.say("goes on")
                end, coroutine.running())
                coroutine.yield()
                ngx.say("kill ", ngx.thread.kill(thread))
            end)
            coroutine.resume(killer)
        }
    }
--- request
GET /t
--- response_body
kill 1
--- no_error_log
[error]



=== TEST 16: code that is to end resumes and spawns nothing more
--- config
    location = /resumes {
        rewrite_by_lua_block {
            pcall(string.format, "%s", setmetatable({}, { __tostring = function() ngx.exit(410) end }))
            coroutine.resume(coroutine.create(function() ngx.log(ngx.ERR, "coroutine") end))
        }
        content_by_lua_block { ngx.log(ngx.ERR, "content") }
    }
    location = /spawns {
        access_by_lua_block {
            pcall(string.format, "%s", setmetatable({}, { __tostring = function() ngx.exit(410) end }))
            ngx.thread.spawn(function() ngx.log(ngx.ERR, "thread") end)
        }
        content_by_lua_block { ngx.log(ngx.ERR, "content") }
    }
--- request eval
[ 'GET /resumes', 'GET /spawns' ]
--- error_code eval
[ 410, 410 ]
--- no_error_log
[error]



=== TEST 8: the states of a chain, seen from its innermost
--- config
    location = /t {
        content_by_lua_block {
            local outer, inner
            outer = coroutine.create(function()
                inner = coroutine.create(function()
                    ngx.say("below: ", coroutine.status(outer), " ", coroutine.status(inner))
                    ngx.say(coroutine.resume(outer))
                    ngx.say(coroutine.resume(inner))
                    ngx.sleep(0.001)
                    ngx.say("later: ", coroutine.status(outer), " ", coroutine.status(inner))
                    coroutine.yield()
                end)
                coroutine.resume(inner)
                ngx.say("above: ", coroutine.status(outer), " ", coroutine.status(inner))
            end)
            coroutine.resume(outer)
            ngx.say("after: ", coroutine.status(outer), " ", coroutine.status(inner))
            ngx.say(coroutine.resume(inner))
            ngx.say(coroutine.status(inner))
        }
    }
--- request
GET /t
--- response_body
below: normal running
falsecannot resume normal coroutine
falsecannot resume running coroutine
later: normal running
above: running suspended
after: dead suspended
true
dead
--- no_error_log
[error]



=== TEST 9: five thousand, each below the one before
--- config
    location = /t {
        content_by_lua_block {
            local function level(n)
                if n == 0 then
                    ngx.sleep(0)
                    return 0
                end
                local ok, sum = coroutine.resume(coroutine.create(level), n - 1)
                return ok and sum + 1
            end
            ngx.say(level(5000))
        }
    }
--- request
GET /t
--- response_body
5000
--- no_error_log
[error]



=== TEST 10: a coroutine whose body is one of the functions themselves
--- config
    location = /t {
        content_by_lua_block {
            local co = coroutine.create(coroutine.yield)
            ngx.say(coroutine.resume(co, "out"))
            ngx.say(coroutine.resume(co, "in"))
            ngx.say(coroutine.status(co))
            local inner = coroutine.create(function() return "inner" end)
            ngx.say(coroutine.wrap(coroutine.resume)(inner))
            local thread = ngx.thread.spawn(coroutine.status, inner)
            ngx.say(ngx.thread.wait(thread))
        }
    }
--- request
GET /t
--- response_body
trueout
truein
dead
trueinner
truedead
--- no_error_log
[error]



=== TEST 11: without end, by LuaJIT's own functions: the stack does not overflow
--- http_config
    init_by_lua_block {
        function endless(create, resume)
            local deepest = 0
            local function level(n)
                deepest = n
                local ok, err = resume(create(level), n + 1)
                return ok and err or err
            end
            local reason = level(1)
            return deepest > 100, reason
        end
        local many, reason = endless(coroutine.create, coroutine.resume)
        at_init = tostring(many) .. " " .. reason
        local many, reason = endless(coroutine.wrap, pcall)
        wrapped_at_init = tostring(many) .. " " .. reason
    }
--- config
    location = /t {
        content_by_lua_block {
            ngx.say("init: ", at_init)
            ngx.say("wrapped: ", wrapped_at_init)
        }
        header_filter_by_lua_block {
            local many, reason = endless(coroutine.create, coroutine.resume)
            ngx.header["X-Filter"] = tostring(many) .. " " .. reason
        }
    }
--- request
GET /t
--- response_headers
X-Filter: true C stack overflow
--- response_body
init: true C stack overflow
wrapped: true C stack overflow
--- no_error_log
[error]



=== TEST 12: the same in a worker thread
--- main_config
    thread_pool pool threads=1;
--- http_config eval: qq{ lua_package_path "$::HtmlDir/?.lua;;"; }
--- user_files
>>> work.lua
return {
    endless = function()
        local deepest = 0
        local function level(n)
            deepest = n
            local ok, err = coroutine.resume(coroutine.create(level), n + 1)
            return err
        end
        local reason = level(1)
        local calls = 0
        local function call() calls = calls + 1 coroutine.wrap(call)() end
        local ok, err = pcall(call)
        return deepest > 100, reason, calls > 100, ok, err:match("C stack overflow$")
    end,
}
--- config
    location = /t {
        content_by_lua_block {
            ngx.say(ngx.run_worker_thread("pool", "work", "endless"))
        }
    }
--- request
GET /t
--- response_body
truetrueC stack overflowtruefalseC stack overflow
--- no_error_log
[error]
