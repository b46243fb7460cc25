# What the error log says of an error: its text, whatever the value, and where it was raised.

use Test::Nginx::Socket::Lua;

repeat_each(1);

plan tests => repeat_each() * (blocks() * 3 + 24);

our $Fail = <<'_EOC_';
    init_by_lua_block {
        local number = 0
        local function object(text)
            return setmetatable({}, { __tostring = function() return text end })
        end
        local values = {
            ["nil"] = function() return nil end,
            bool = function() return true end,
            number = function() return 42 end,
            text = function() return "plain text" end,
            table = function() return {} end,
            object = function() return object("object's own text") end,
            func = function() return print end,
            thread = function() return coroutine.create(function() end) end,
            null = function() return ngx.null end,
            cdata = function() return 12LL end,
            fails = function()
                return setmetatable({}, { __tostring = function() error("no text today", 0) end })
            end,
            fails_oddly = function()
                return setmetatable({}, { __tostring = function() error({}) end })
            end,
            gives_table = function() return object({}) end,
            gives_nil = function() return object(nil) end,
            yields = function()
                return setmetatable({}, { __tostring = function() ngx.sleep(0.001) end })
            end,
            exits = function()
                return setmetatable({}, { __tostring = function() ngx.exit(202) end })
            end,
            asks = function()
                return setmetatable({}, {
                    __tostring = function() return "of the request for " .. ngx.var.uri end,
                })
            end,
        }
        function fail(kind)
            error(values[kind](), 0)
        end
    }
_EOC_

no_long_string();
run_tests();

__DATA__

=== TEST 1: an entry thread's error of any kind
--- http_config eval: $::Fail
--- config
    location = /fail {
        content_by_lua_block { fail(ngx.var.arg_kind) }
    }
    location = /t {
        content_by_lua_block {
            for _, kind in ipairs {
                "nil", "bool", "number", "text", "table", "object", "func", "thread", "null",
                "cdata", "fails", "fails_oddly", "gives_table", "gives_nil", "yields", "exits",
                "asks",
            } do
                ngx.say(kind, ": ", ngx.location.capture("/fail?kind=" .. kind).status)
            end
        }
    }
--- request
GET /t
--- response_body
nil: 500
bool: 500
number: 500
text: 500
table: 500
object: 500
func: 500
thread: 500
null: 500
cdata: 500
fails: 500
fails_oddly: 500
gives_table: 500
gives_nil: 500
yields: 500
exits: 500
asks: 500
--- error_log eval
[
"lua entry thread aborted: runtime error: unknown reason (nil)",
"lua entry thread aborted: runtime error: true",
"lua entry thread aborted: runtime error: 42",
"lua entry thread aborted: runtime error: plain text",
qr/lua entry thread aborted: runtime error: table: 0x[0-9a-f]+$/,
"lua entry thread aborted: runtime error: object's own text",
qr/lua entry thread aborted: runtime error: function: \S+/,
qr/lua entry thread aborted: runtime error: thread: 0x/,
qr/lua entry thread aborted: runtime error: userdata: /,
"lua entry thread aborted: runtime error: 12LL",
"runtime error: (error object is a table value; its __tostring failed: no text today)",
"runtime error: (error object is a table value; its __tostring failed with a table value)",
"runtime error: (error object is a table value; its __tostring gave a table value)",
"runtime error: (error object is a table value; its __tostring gave a nil value)",
"runtime error: of the request for /fail",
]
--- no_error_log
[alert]



=== TEST 2: a light thread's error; what waits for it gets the value
--- http_config eval: $::Fail
--- config
    location = /t {
        content_by_lua_block {
            for _, kind in ipairs { "table", "object", "bool", "fails", "nil" } do
                local ok, value = ngx.thread.wait(ngx.thread.spawn(fail, kind))
                ngx.say(ok, " ", type(value))
                local ok, value = coroutine.resume(coroutine.create(fail), kind)
                ngx.say(ok, " ", type(value))
                local ok, value = pcall(fail, kind)
                ngx.say(ok, " ", type(value))
            end
            local object = setmetatable({}, { __tostring = function() return "its text" end })
            local thread = ngx.thread.spawn(function() ngx.sleep(0.001) error(object) end)
            local _, value = ngx.thread.wait(thread)
            ngx.say(rawequal(value, object))
        }
    }
--- request
GET /t
--- response_body
false table
false table
false table
false table
false table
false table
false boolean
false boolean
false boolean
false table
false table
false table
false nil
false nil
false nil
true
--- error_log eval
[
qr/lua user thread aborted: runtime error: table: 0x/,
"lua user thread aborted: runtime error: object's own text",
"lua user thread aborted: runtime error: true",
"lua user thread aborted: runtime error: (error object is a table value; its __tostring failed: no text today)",
"lua user thread aborted: runtime error: unknown reason (nil)",
"lua user thread aborted: runtime error: its text",
]



=== TEST 3: a __tostring that would end the request does not
--- http_config eval: $::Fail
--- config
    location = /t {
        content_by_lua_block {
            local function done(text)
                return function() pcall(ngx.exit, 202) return text end
            end
            local object = setmetatable({}, { __tostring = done("after the exit") })
            ngx.thread.wait(ngx.thread.spawn(function() error(object) end))
            ngx.sleep(0.001)
            ngx.say("still here")
        }
    }
--- request
GET /t
--- response_body
still here
--- error_log
lua user thread aborted: runtime error: after the exit



=== TEST 4: rewrite, access, a wrapped coroutine, and a timer
--- http_config eval: $::Fail
--- config
    location = /rewrite {
        rewrite_by_lua_block { error(setmetatable({}, { __tostring = function() return "of rewrite" end })) }
    }
    location = /access {
        access_by_lua_block { error(setmetatable({}, { __tostring = function() return "of access" end })) }
    }
    location = /wrap {
        content_by_lua_block {
            local object = setmetatable({}, { __tostring = function() return "of a coroutine" end })
            coroutine.wrap(function() coroutine.wrap(function() error(object) end)() end)()
        }
    }
    location = /t {
        content_by_lua_block {
            for _, name in ipairs { "rewrite", "wrap" } do
                ngx.say(name, ": ", ngx.location.capture("/" .. name).status)
            end
            local socket = ngx.socket.tcp()
            socket:connect("127.0.0.1", ngx.var.server_port)
            socket:send("GET /access HTTP/1.0\r\n\r\n")
            ngx.say("access: ", socket:receive())
            ngx.timer.at(0, function() fail("object") end)
            ngx.sleep(0.02)
        }
    }
--- request
GET /t
--- response_body
rewrite: 500
wrap: 500
access: HTTP/1.1 500 Internal Server Error
--- error_log eval
[
"lua entry thread aborted: runtime error: of rewrite",
"lua entry thread aborted: runtime error: of access",
"lua entry thread aborted: runtime error: of a coroutine",
qr/lua entry thread aborted: runtime error: object's own text/,
]



=== TEST 5: the phases that cannot wait, with a traceback
--- http_config eval: $::Fail
--- config
    location = /set {
        set_by_lua_block $value { fail("object") }
        return 200 $value;
    }
    location = /header {
        header_filter_by_lua_block { fail("asks") }
        return 200 x;
    }
    location = /body {
        body_filter_by_lua_block { fail("fails") }
        return 200 x;
    }
    location = /t {
        content_by_lua_block {
            ngx.say("set: ", ngx.location.capture("/set").status)
            ngx.location.capture("/header")
        }
        log_by_lua_block { fail("table") }
    }
--- request
GET /t
--- ignore_response
--- error_log eval
[
"failed to run set_by_lua*: object's own text",
"in function 'error'",
"failed to run header_filter_by_lua*: of the request for /header",
qr/failed to run log_by_lua\*: table: 0x[0-9a-f]+/,
]
--- no_error_log
[alert]



=== TEST 6: a body filter, and an error without a value
--- http_config eval: $::Fail
--- config
    location = /t {
        body_filter_by_lua_block { fail("fails") }
        log_by_lua_block { fail("nil") }
        return 200 x;
    }
--- request
GET /t
--- ignore_response
--- error_log
failed to run body_filter_by_lua*: (error object is a table value; its __tostring failed: no text today)
failed to run log_by_lua*: unknown reason (nil)
--- no_error_log
[alert]



=== TEST 7: the balancer
--- http_config eval
qq{
    $::Fail
    upstream backend {
        server 0.0.0.1;
        balancer_by_lua_block { fail("object") }
    }
}
--- config
    location = /t { proxy_pass http://backend; }
--- request
GET /t
--- error_code: 500
--- response_body_like: 500 Internal Server Error
--- error_log
failed to run balancer_by_lua*: object's own text



=== TEST 8: init_worker
--- http_config
    init_worker_by_lua_block {
        error(setmetatable({}, { __tostring = function() return "of the worker's start" end }))
    }
--- config
    location = /t { return 200 ok; }
--- request
GET /t
--- response_body: ok
--- error_log
init_worker_by_lua error: of the worker's start



=== TEST 9: init_worker, with an error without a value
--- http_config
    init_worker_by_lua_block { error(nil) }
--- config
    location = /t { return 200 ok; }
--- request
GET /t
--- response_body: ok
--- error_log
init_worker_by_lua error: unknown reason (nil)



=== TEST 10: init
--- http_config
    init_by_lua_block {
        error(setmetatable({}, { __tostring = function() return "of the start" end }))
    }
--- config
    location = /t { return 200 ok; }
--- request
GET /t
--- must_die
--- error_log
init_by_lua error: of the start



=== TEST 11: a function that an abort of the client's calls
--- http_config eval: $::Fail
--- config
    location = /t {
        lua_check_client_abort on;
        content_by_lua_block {
            ngx.on_abort(function() fail("object") end)
            ngx.sleep(1)
        }
    }
--- request
GET /t
--- timeout: 0.1
--- abort
--- ignore_response
--- wait: 0.2
--- error_log
lua user thread aborted: runtime error: object's own text



=== TEST 12: a worker thread's error, and that of a module that it loads
--- main_config
    thread_pool pool threads=1;
--- config
    location = /t {
        content_by_lua_block {
            package.loaded.work = nil
            ngx.say(ngx.run_worker_thread("pool", "work", "object"))
            local ok, text = ngx.run_worker_thread("pool", "work", "plain")
            ngx.say(ok, text:match("^table: 0x"))
            ngx.say(ngx.run_worker_thread("pool", "broken", "f"))
        }
    }
--- user_files
>>> work.lua
local function object(text)
    return setmetatable({}, { __tostring = function() return text end })
end
return {
    object = function() error(object("of a thread")) end,
    plain = function() error({}) end,
}
>>> broken.lua
error(setmetatable({}, { __tostring = function() return "of a module" end }))
--- http_config
    lua_package_path "$prefix/html/?.lua;;";
--- request
GET /t
--- response_body
falseof a thread
falsetable: 0x
falseof a module



=== TEST 13: the global tostring is not what makes the text
--- http_config
    init_by_lua_block { tostring = function() error("replaced") end }
--- config
    location = /t {
        content_by_lua_block {
            error(setmetatable({}, { __tostring = function() return "true to itself" end }))
        }
    }
--- request
GET /t
--- error_code: 500
--- response_body_like: 500
--- error_log
lua entry thread aborted: runtime error: true to itself



=== TEST 14: a stack that overflows, again and again
--- config
    location = /overflow {
        content_by_lua_block {
            local function deeper() return deeper() + 1 end
            deeper()
        }
    }
    location = /t {
        content_by_lua_block {
            for _ = 1, 5 do
                ngx.say(ngx.location.capture("/overflow").status)
            end
        }
    }
--- request
GET /t
--- response_body
500
500
500
500
500
--- error_log
lua entry thread aborted: runtime error: content_by_lua(nginx.conf:
: stack overflow
--- no_error_log
[alert]
error in error handling
