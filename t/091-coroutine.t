# coroutine.* in code that runs for a request.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3 + 9);
no_long_string();
run_tests();

__DATA__

=== TEST 1: values go both ways, and a yield reaches its resumer only
--- config
    location = /t {
        content_by_lua_block {
            local inner = coroutine.wrap(function(...)
                local got = { ... }
                while true do
                    got = { coroutine.yield("inner", unpack(got)) }
                end
            end)
            local outer = coroutine.create(function(...)
                ngx.say("start: ", ...)
                ngx.say("from inner: ", table.concat({ inner(1, 2) }, " "))
                ngx.say("resumed with: ", coroutine.yield("a", nil, "b"))
                ngx.say("from inner: ", table.concat({ inner() }, " "))
                return "end"
            end)
            ngx.say(coroutine.status(outer))
            ngx.say(select("#", coroutine.resume(outer, "x", "y")))
            ngx.say(coroutine.status(outer))
            ngx.say(coroutine.resume(outer, "z"))
            ngx.say(coroutine.status(outer))
        }
    }
--- request
GET /t
--- response_body
suspended
start: xy
from inner: inner 1 2
4
suspended
resumed with: z
from inner: inner
trueend
dead
--- no_error_log
[error]



=== TEST 2: a coroutine that waits suspends the chain up to its thread, and no other
--- config
    location = /t {
        content_by_lua_block {
            local function worker(name)
                local outer = coroutine.wrap(function()
                    local inner = coroutine.wrap(function()
                        for i = 1, 2 do
                            ngx.sleep(0.02)
                            coroutine.yield(name .. i)
                        end
                    end)
                    coroutine.yield(inner())
                    coroutine.yield(inner())
                end)
                ngx.say(outer())
                ngx.say(outer())
            end
            local a = ngx.thread.spawn(worker, "a")
            local b = ngx.thread.spawn(worker, "b")
            ngx.say("both wait")
            ngx.thread.wait(a)
            ngx.thread.wait(b)
        }
    }
--- request
GET /t
--- response_body
both wait
a1
b1
a2
b2
--- no_error_log
[error]



=== TEST 3: what cannot be resumed, and why
--- config
    location = /t {
        content_by_lua_block {
            local outer, inner
            ngx.say(coroutine.resume(coroutine.running()))
            outer = coroutine.create(function()
                inner = coroutine.create(function()
                    ngx.say(coroutine.status(outer), " ", coroutine.status(inner))
                    ngx.say(coroutine.resume(outer))
                end)
                coroutine.resume(inner)
            end)
            coroutine.resume(outer)
            ngx.say(coroutine.resume(inner))
            local wrapped = coroutine.wrap(function() end)
            wrapped()
            ngx.say(wrapped())
            ngx.say(pcall(coroutine.resume, 1))
            ngx.say(pcall(coroutine.status))
            ngx.say(pcall(coroutine.create, print))
            ngx.say(pcall(coroutine.wrap))
        }
    }
--- request
GET /t
--- response_body
falsecannot resume running coroutine
normal running
falsecannot resume normal coroutine
falsecannot resume dead coroutine
falsecannot resume dead coroutine
falsebad argument #1 to '?' (coroutine expected)
falsebad argument #1 to '?' (coroutine expected)
falsebad argument #1 to '?' (Lua function expected)
falsebad argument #1 to '?' (Lua function expected)
--- no_error_log
[error]



=== TEST 4: errors reach the resumer as they are
--- config
    location = /t {
        content_by_lua_block {
            local object = {}
            local function fail(value)
                local co = coroutine.create(function()
                    ngx.sleep(0)
                    error(value, 0)
                end)
                return select(2, coroutine.resume(co))
            end
            ngx.say(fail(object) == object)
            ngx.say(type(fail(42)))
            ngx.say(fail(nil))
            ngx.say(fail("text"))
        }
    }
--- request
GET /t
--- response_body
true
number
nil
text
--- no_error_log
[error]



=== TEST 5: coroutine.wrap raises in its caller, through several of them
--- config
    location = /t {
        content_by_lua_block {
            local function nested()
                local inner = coroutine.wrap(function()
                    ngx.sleep(0.001)
                    error("inside", 0)
                end)
                coroutine.wrap(function() inner() end)()
            end
            local co = coroutine.create(nested)
            ngx.say(coroutine.resume(co))
            ngx.say(coroutine.status(co))
            nested()
        }
    }
--- request
GET /t
--- ignore_response
--- error_log
lua entry thread aborted: runtime error: inside
stack traceback:
coroutine 0:
coroutine 1:
coroutine 2:
--- no_error_log
[alert]



=== TEST 6: a coroutine that a request left behind is dead to the next
--- config
    location = /first {
        content_by_lua_block {
            local left = coroutine.create(function() coroutine.yield() end)
            package.loaded.left = left
            coroutine.resume(left)
            ngx.say(coroutine.status(left))
        }
    }
    location = /second {
        content_by_lua_block {
            local left = package.loaded.left
            ngx.say(coroutine.status(left))
            ngx.say(coroutine.resume(left))
        }
    }
--- pipelined_requests eval
["GET /first", "GET /second"]
--- response_body eval
["suspended\n", "dead\nfalsecannot resume dead coroutine\n"]
--- no_error_log
[error]



=== TEST 7: a yield below a C function fails there, and leaves nothing behind
--- config
    location = /t {
        content_by_lua_block {
            local function tries(wait)
                return pcall(string.format, "%s", setmetatable({}, { __tostring = wait }))
            end
            ngx.say(tries(function() ngx.sleep(0.001) end))
            ngx.say(tries(function() coroutine.yield() end))
            ngx.say(tries(function() coroutine.wrap(function() end)() end))
            ngx.say(tries(function() ngx.thread.spawn(function() ngx.say("never") end) end))
            local before = ngx.now()
            ngx.sleep(0.05)
            ngx.update_time()
            ngx.say(ngx.now() - before >= 0.04)
        }
    }
--- request
GET /t
--- response_body
falseattempt to yield across C-call boundary: ngx.sleep cannot wait below string.format
falseattempt to yield across C-call boundary: coroutine.yield cannot wait below string.format
falseattempt to yield across C-call boundary: below string.format
falseattempt to yield across C-call boundary: spawn cannot wait below string.format
true
--- no_error_log
[error]



=== TEST 8: coroutines that nobody finishes go with the request
--- config
    location = /t {
        content_by_lua_block {
            for i = 1, 20000 do
                local co = coroutine.create(function() coroutine.yield(i) end)
                if i % 2 == 0 then
                    coroutine.resume(co)
                end
            end
            collectgarbage()
            ngx.say("done")
        }
    }
--- request
GET /t
--- response_body
done
--- no_error_log
[error]



=== TEST 9: coroutine.yield in a thread lets the others run, and returns nothing
--- config
    location = /t {
        content_by_lua_block {
            local function count(name)
                for i = 1, 3 do
                    ngx.say(name, i)
                    ngx.say(name, ": ", select("#", coroutine.yield("lost")))
                end
            end
            ngx.thread.spawn(count, "a")
            count("b")
        }
    }
--- request
GET /t
--- response_body
a1
b1
a: 0
a2
b: 0
b2
a: 0
a3
b: 0
b3
a: 0
b: 0
--- no_error_log
[error]



=== TEST 10: in every phase that can wait
--- config
    location = /t {
        rewrite_by_lua_block {
            local phases = coroutine.wrap(function(phase)
                while true do
                    ngx.sleep(0.001)
                    phase = coroutine.yield(phase .. " " .. ngx.get_phase())
                end
            end)
            ngx.ctx.phases = phases("1")
        }
        access_by_lua_block {
            ngx.ctx.phases = ngx.ctx.phases .. " " .. coroutine.wrap(function()
                ngx.sleep(0.001)
                return ngx.get_phase()
            end)()
        }
        content_by_lua_block {
            ngx.say(ngx.ctx.phases)
        }
    }
--- request
GET /t
--- response_body
1 rewrite access
--- no_error_log
[error]



=== TEST 11: LuaJIT's own functions keep their names
--- config
    location = /t {
        content_by_lua_block {
            local names = {}
            for name in pairs(coroutine) do
                names[#names + 1] = name
            end
            table.sort(names)
            for _, name in ipairs{ "create", "resume", "yield", "status", "wrap" } do
                assert(coroutine["_" .. name] ~= coroutine["__" .. name])
                assert(coroutine[name] ~= coroutine["__" .. name])
            end
            ngx.say(package.loaded.coroutine == coroutine)
            local co = coroutine._wrap(function(x) return coroutine._yield(x + 1) end)
            ngx.say(co(1), co("back"))
        }
    }
--- request
GET /t
--- response_body
true
2back
--- no_error_log
[error]



=== TEST 12: a coroutine that nobody else refers to stays while it waits
--- config
    location = /t {
        content_by_lua_block {
            local collecting = true
            ngx.thread.spawn(function()
                while collecting do
                    ngx.sleep(0.001)
                    collectgarbage()
                    -- Something else in its memory.
                    for _ = 1, 100 do coroutine.create(function() end) end
                end
            end)
            local function waits(...)
                ngx.sleep(0.01)
                ngx.location.capture("/empty")
                return ...
            end
            local function resumed(...)
                return coroutine.resume(coroutine.create(waits), ...)
            end
            local function wrapped(...)
                return coroutine.wrap(waits)(...)
            end
            for i = 1, 10 do
                local ok, a, b = resumed(i, "b")
                assert(ok and a == i and b == "b")
                assert(select("#", resumed()) == 1)
                assert(wrapped(i) == i)
            end
            collecting = false
            ngx.say("done")
        }
    }
    location = /empty {
        return 204;
    }
--- request
GET /t
--- response_body
done
--- no_error_log
[error]



=== TEST 13: a light thread's traceback names a coroutine that nobody resumes any more
--- config
    location = /t {
        content_by_lua_block {
            local function fails()
                ngx.sleep(0.01)
                error("late")
            end
            local function spawns()
                ngx.thread.spawn(fails)
                coroutine.yield()
            end
            local function resumes()
                local inner = coroutine.create(spawns)
                coroutine.resume(inner)
                coroutine.yield()
            end
            for _ = 1, 10 do
                coroutine.resume(coroutine.create(spawns))
                coroutine.resume(coroutine.create(resumes))
            end
            collectgarbage()
            for _ = 1, 100 do coroutine.create(function() end) end
            collectgarbage()
            ngx.sleep(0.03)
            ngx.say("done")
        }
    }
--- request
GET /t
--- response_body
done
--- error_log eval
[
qr/lua user thread aborted: runtime error: .*: late/,
"coroutine 1:",
qr/\t.*: in function 'yield'/,
]
--- no_error_log
[alert]



=== TEST 14: coroutines in coroutines, ten thousand deep
--- config
    location = /exit {
        content_by_lua_block {
            local function nest(depth)
                if depth == 0 then
                    ngx.exit(201)
                end
                return coroutine.resume(coroutine.create(nest), depth - 1)
            end
            nest(10000)
        }
    }
    location = /fail {
        content_by_lua_block {
            local function nest(depth)
                if depth == 0 then
                    error("at the bottom")
                end
                return coroutine.wrap(nest)(depth - 1)
            end
            nest(10000)
        }
    }
    location = /t {
        content_by_lua_block {
            local function wrapped(depth, at_bottom)
                if depth == 0 then
                    return at_bottom()
                end
                return coroutine.wrap(wrapped)(depth - 1, at_bottom)
            end
            local function resumed(depth, at_bottom)
                if depth == 0 then
                    return at_bottom()
                end
                local co = coroutine.create(resumed)
                return select(2, coroutine.resume(co, depth - 1, at_bottom))
            end
            for _, nest in ipairs { wrapped, resumed } do
                ngx.say(nest(10000, function() return "came back" end))
                ngx.say(nest(10000, function() ngx.sleep(0.001) return "slept" end))
            end
            ngx.say(ngx.location.capture("/exit").status)
            ngx.say(ngx.location.capture("/fail").status)
        }
    }
--- request
GET /t
--- response_body
came back
slept
came back
slept
201
500
--- no_error_log
[alert]



=== TEST 15: what does not have to wait works below a C function
--- config
    location = /t {
        lua_check_client_abort on;
        content_by_lua_block {
            local function below(work)
                return string.format("%s", setmetatable({}, {
                    __tostring = function() return tostring((work())) end,
                }))
            end
            ngx.say(below(function() return ngx.on_abort(function() end) end))
            local thread = ngx.thread.spawn(function() return "ended" end)
            ngx.say(below(function() return select(2, ngx.thread.wait(thread)) end))
            ngx.say(below(function() return ngx.flush() end))
            ngx.say(below(function() return select("#", ngx.req.read_body()) end))
            local waits = ngx.thread.spawn(function() ngx.sleep(0.001) return "slept" end)
            ngx.say(pcall(below, function() local ok = ngx.thread.wait(waits) return ok end))
            ngx.say(ngx.thread.wait(waits))
        }
    }
--- request
GET /t
--- response_body_like
^1
ended
1
0
falseattempt to yield across C-call boundary: .*below string\.format
trueslept
--- no_error_log
[error]



=== TEST 16: nor has a dead coroutine to wait
--- config
    location = /t {
        content_by_lua_block {
            local function below(work)
                return string.format("%s", setmetatable({}, {
                    __tostring = function() return tostring((work())) end,
                }))
            end
            ngx.say((select(2, pcall(below, ngx.req.read_body)):match("^attempt to yield[^:]+")))
            ngx.req.read_body()
            ngx.say(below(function() ngx.req.read_body() return ngx.req.get_body_data() end))
            local co = coroutine.create(function() end)
            coroutine.resume(co)
            ngx.say(below(function() return select(2, coroutine.resume(co)) end))
            local thread = ngx.thread.spawn(function() end)
            ngx.thread.wait(thread)
            ngx.say(below(function() return select(2, ngx.thread.kill(thread)) end))
        }
    }
--- request
POST /t
body
--- response_body
attempt to yield across C-call boundary
body
cannot resume dead coroutine
already waited or killed
--- no_error_log
[error]



=== TEST 17: the entry thread's coroutine is known before anything has waited
--- config
    location /t {
        content_by_lua_block {
            local own = coroutine.running()
            ngx.say(coroutine.status(own))
            ngx.say(select(2, coroutine.resume(own)))
            ngx.say(coroutine.wrap(function() return coroutine.status(own) end)())
            ngx.say(coroutine.running() == own)
            ngx.sleep(0)
            ngx.say(coroutine.status(own), " ", coroutine.running() == own)
        }
    }
--- request
GET /t
--- response_body
running
cannot resume running coroutine
normal
true
running true
--- no_error_log
[error]



=== TEST 18: other globals of a coroutine end with its request
--- config
    location /other {
        content_by_lua_block {
            setfenv(0, setmetatable({ leaked = true }, { __index = _G }))
            ngx.say(getfenv(0).leaked)
        }
    }
    location /plain {
        set_by_lua_block $nothing { return "" }
        content_by_lua_block { ngx.say(getfenv(0).leaked, " ", getfenv(0) == _G) }
    }
    location /t {
        content_by_lua_block {
            for _, uri in ipairs { "/other", "/plain", "/plain", "/other", "/plain" } do
                ngx.print(ngx.location.capture(uri).body)
            end
        }
    }
--- request
GET /t
--- response_body
true
nil true
nil true
true
nil true
--- no_error_log
[error]



=== TEST 19: coroutines that nobody has resumed
--- http_config
    init_by_lua_block { left = {} }
--- config
    location = /make {
        content_by_lua_block {
            left.coroutine = coroutine.create(function() return "went on" end)
            left.wrapped = coroutine.wrap(function() return "went on" end)
            ngx.sleep(0.05)
            ngx.say(coroutine.resume(left.coroutine))
            ngx.say(left.wrapped())
            left.later = coroutine.create(function() end)
        }
    }
    location = /use {
        content_by_lua_block {
            ngx.say(coroutine.status(left.coroutine))
            ngx.say(pcall(coroutine.resume, left.coroutine))
            ngx.say(pcall(left.wrapped))
            ngx.say(pcall(ngx.thread.wait, left.coroutine))
            ngx.say(pcall(ngx.thread.kill, left.coroutine))
        }
    }
    location = /t {
        rewrite_by_lua_block {
            local kept = coroutine.create(function() return "kept" end)
            ngx.ctx.kept = kept
            ngx.ctx.status = coroutine.status(kept)
            ngx.ctx.wait = select(2, pcall(ngx.thread.wait, kept))
            ngx.ctx.kill = select(2, ngx.thread.kill(kept))
        }
        content_by_lua_block {
            ngx.say(ngx.ctx.status, ", ", ngx.ctx.wait, ", ", ngx.ctx.kill)
            ngx.say(coroutine.status(ngx.ctx.kept))
            ngx.say(coroutine.resume(ngx.ctx.kept))
            local made, used = ngx.location.capture_multi { { "/make" }, { "/use" } }
            ngx.print(used.body, made.body)
            ngx.say(coroutine.status(left.later), " ", pcall(coroutine.resume, left.later))

            local thread = ngx.thread.spawn(function()
                return coroutine.create(function(...) return ... end)
            end)
            local _, orphan = ngx.thread.wait(thread)
            ngx.say(coroutine.resume(orphan, 1, 2))

            -- LuaJIT's own functions may have run one.
            local own = coroutine.create(function() return 1 end)
            ngx.say(coroutine._resume(own))
            ngx.say(coroutine.resume(own))
            local itself
            itself = coroutine.create(function() return pcall(coroutine.resume, itself) end)
            ngx.say(coroutine._resume(itself))

            -- They leave nothing behind: not even a record until the request ends.
            for _ = 1, 100000 do coroutine.create(function() end) end
        }
    }
--- request
GET /t
--- response_body eval
"suspended, attempt to wait on a coroutine that is not a user thread, not user thread
suspended
truekept
suspended
" . "falseno co ctx found\n" x 4 . "truewent on
went on
suspended falseno co ctx found
true12
true1
falsecannot resume dead coroutine
truefalseno co ctx found
"
--- no_error_log
[error]
