# ngx.thread.spawn: light threads beside each other.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3 + 3);
no_long_string();
run_tests();

__DATA__

=== TEST 1: a thread runs at once, with its arguments, until it waits
--- config
    location = /t {
        content_by_lua_block {
            ngx.say("before")
            local t = ngx.thread.spawn(function(...)
                ngx.say("in thread: ", select("#", ...), " ", ...)
                ngx.sleep(0.01)
                ngx.say("thread goes on")
            end, "a", nil, 3)
            ngx.say("after: ", type(t), " ", coroutine.status(t))
        }
    }
--- request
GET /t
--- response_body
before
in thread: 3 anil3
after: thread running
thread goes on
--- no_error_log
[error]



=== TEST 2: the response ends with the last thread, whoever that is
--- config
    location = /t {
        content_by_lua_block {
            local function after(delay, text)
                ngx.sleep(delay)
                ngx.say(text)
            end
            for i, delay in ipairs{ 0.06, 0.02, 0.04 } do
                ngx.thread.spawn(after, delay, "thread " .. i)
            end
            ngx.say("entry ends")
        }
    }
--- request
GET /t
--- response_body
entry ends
thread 2
thread 3
thread 1
--- no_error_log
[error]



=== TEST 3: an error ends its thread alone
--- config
    location = /t {
        content_by_lua_block {
            ngx.thread.spawn(function() error("thread went wrong") end)
            ngx.thread.spawn(function()
                ngx.sleep(0.01)
                local missing
                missing.field = 1
            end)
            ngx.sleep(0.03)
            ngx.say("entry goes on")
        }
    }
--- request
GET /t
--- response_body
entry goes on
--- error_log
lua user thread aborted: runtime error: content_by_lua(nginx.conf:
thread went wrong
--- no_error_log
[alert]



=== TEST 4: an error of the entry thread ends them all
--- config
    location = /t {
        content_by_lua_block {
            ngx.thread.spawn(function()
                ngx.sleep(0.05)
                ngx.log(ngx.ERR, "ran on")
            end)
            ngx.sleep(0.01)
            error("the end")
        }
    }
--- request
GET /t
--- error_code: 500
--- wait: 0.1
--- error_log
the end
--- no_error_log
ran on



=== TEST 5: threads of threads, and of coroutines
--- config
    location = /t {
        content_by_lua_block {
            local function leaf(name)
                ngx.sleep(0.01)
                ngx.say(name)
            end
            local co = coroutine.wrap(function()
                ngx.thread.spawn(leaf, "of a coroutine")
                coroutine.yield("yielded")
                ngx.sleep(0.03)
                return "returned"
            end)
            ngx.say(co())
            ngx.thread.spawn(function()
                ngx.thread.spawn(leaf, "of a thread")
            end)
            ngx.say(co())
        }
    }
--- request
GET /t
--- response_body
yielded
of a coroutine
of a thread
returned
--- no_error_log
[error]



=== TEST 6: each phase ends once its threads have
--- config
    location = /t {
        rewrite_by_lua_block {
            ngx.ctx.seen = {}
            ngx.thread.spawn(function()
                ngx.sleep(0.02)
                table.insert(ngx.ctx.seen, "rewrite")
            end)
        }
        access_by_lua_block {
            ngx.thread.spawn(function()
                ngx.sleep(0.02)
                table.insert(ngx.ctx.seen, "access")
            end)
        }
        content_by_lua_block {
            ngx.say(table.concat(ngx.ctx.seen, " "))
        }
    }
--- request
GET /t
--- response_body
rewrite access
--- no_error_log
[error]



=== TEST 7: what is no Lua function cannot be spawned
--- config
    location = /t {
        content_by_lua_block {
            ngx.say(pcall(ngx.thread.spawn))
            ngx.say(pcall(ngx.thread.spawn, "f"))
            ngx.say(pcall(ngx.thread.spawn, print))
        }
    }
--- request
GET /t
--- response_body
falsebad argument #1 to '?' (Lua function expected)
falsebad argument #1 to '?' (Lua function expected)
falsebad argument #1 to '?' (Lua function expected)
--- no_error_log
[error]



=== TEST 8: many threads, in a timer too
--- config
    location = /t {
        content_by_lua_block {
            local done = 0
            local function work()
                ngx.sleep(0.001)
                done = done + 1
            end
            local finished
            ngx.timer.at(0, function()
                local threads = {}
                for i = 1, 500 do
                    threads[i] = ngx.thread.spawn(work)
                end
                for _, thread in ipairs(threads) do
                    assert(ngx.thread.wait(thread))
                end
                finished = true
            end)
            for _ = 1, 1000 do
                ngx.thread.spawn(work)
            end
            while done < 1500 or not finished do
                ngx.sleep(0.005)
            end
            ngx.say(done)
        }
    }
--- request
GET /t
--- response_body
1500
--- no_error_log
[error]



=== TEST 9: what another request has left behind is of no use, and does no harm
--- http_config
    init_by_lua_block { left = {} }
--- config
    location = /leave {
        content_by_lua_block {
            left.thread = ngx.thread.spawn(function() ngx.sleep(10) end)
            left.coroutine = coroutine.create(function() ngx.sleep(10) end)
            left.started = coroutine.create(function() coroutine.yield() end)
            coroutine.resume(left.started)
            left.wrapped = coroutine.wrap(function() ngx.sleep(10) end)
            left.tcp, left.udp = ngx.socket.tcp(), ngx.socket.udp()
            left.tcp:connect("127.0.0.1", ngx.var.server_port)
            left.udp:setpeername("127.0.0.1", ngx.var.server_port)
            left.line = left.tcp:receiveuntil("x")
            left.semaphore = require("ngx.semaphore").new(0)
            ngx.thread.spawn(function() left.semaphore:wait(10) end)
            ngx.exit(204)
        }
    }
    location = /t {
        content_by_lua_block {
            ngx.say(ngx.location.capture("/leave").status)
            local tcp, udp = left.tcp, left.udp
            local function use(where)
                local results = {}
                local function try(what, ...)
                    results[#results + 1] = tostring((select(2, pcall(...))))
                end
                try("wait", ngx.thread.wait, left.thread)
                try("kill", ngx.thread.kill, left.thread)
                try("resume", coroutine.resume, left.thread)
                try("start", coroutine.resume, left.coroutine)
                try("go on", coroutine.resume, left.started)
                try("wrapped", left.wrapped)
                try("send", tcp.send, tcp, "x")
                try("receive", tcp.receive, tcp)
                try("iterate", left.line)
                try("keep", tcp.setkeepalive, tcp)
                try("close", tcp.close, tcp)
                try("udp send", udp.send, udp, "x")
                try("udp receive", udp.receive, udp)
                try("udp close", udp.close, udp)
                ngx.log(ngx.WARN, where, ": ", table.concat(results, ", "))
            end
            use("request")
            ngx.timer.at(0, function() use("timer") end)
            ngx.say(left.semaphore:post(1))
            ngx.sleep(0.02)
            ngx.say(left.semaphore:wait(0))
        }
    }
--- request
GET /t
--- response_body
204
true
true
--- grep_error_log eval: qr/(?:request|timer): nil, [^:]*(?=, (?:client|context))/
--- grep_error_log_out
request: nil, nil, false, false, false, false, bad request, bad request, bad request, bad request, bad request, bad request, bad request, bad request
timer: nil, nil, false, false, false, false, bad request, bad request, bad request, bad request, bad request, bad request, bad request, bad request
--- no_error_log
[alert]
