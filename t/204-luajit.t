# What OpenResty's LuaJIT has beside LuaJIT itself: with either, code sees the same.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan( tests => repeat_each() * ( blocks() * 3 + 3 ) );

no_long_string();

run_tests();

__DATA__

=== TEST 1: functions on tables
--- config
    location /t {
        content_by_lua_block {
            local isarray, isempty = require "table.isarray", require "table.isempty"
            local nkeys, clone = require "table.nkeys", require "table.clone"
            local gone = { a = 1 }
            gone.a = nil
            for _, t in ipairs {
                {}, { 1, 2 }, { 1, nil, 3 }, { [0] = 1 }, { [1.5] = 1 }, { [-1] = 1 }, { a = 1 }, { 1, a = 2 },
                { [2 ^ 40] = 1 }, gone, { false },
            } do
                ngx.say(isarray(t), " ", isempty(t), " ", nkeys(t))
            end
            local original = setmetatable({ 1, 2, a = { "inner" }, b = false }, { __index = error })
            local copy = clone(original)
            ngx.say(copy[1], copy[2], copy.a[1], copy.b, copy.a == original.a, copy == original)
            ngx.say(getmetatable(copy))
            ngx.say(table.nkeys == nkeys)
            local ok, err = pcall(function() local n = nkeys("text") end)
            ngx.say(err:match("bad argument.*"))
        }
    }
--- request
GET /t
--- response_body
true true 0
true false 2
true false 2
true false 1
false false 1
true false 1
false false 1
false false 2
true false 1
true true 0
true false 1
12innerfalsetruefalse
nil
true
bad argument #1 to 'nkeys' (table expected, got string)
--- no_error_log
[error]



=== TEST 2: code of requests that take turns finds its own request
--- config
    location /sub {
        content_by_lua_block {
            local exdata = require "thread.exdata"
            local function mine() return ngx.var.arg_n, tostring(exdata()) end
            local _, first = mine()
            for _ = 1, 5 do
                ngx.sleep(0.001 * ngx.var.arg_n)
                local n, now = mine()
                ngx.print(n, now == first and "" or " another's")
                local of_own, of_luajit = coroutine.wrap(mine), coroutine._wrap(mine)
                ngx.print(select(2, of_own()) == first and "" or "?", select(2, of_luajit()) == first and "" or "?")
            end
        }
        header_filter_by_lua_block { ngx.header["X-N"] = ngx.var.arg_n }
        body_filter_by_lua_block { assert(ngx.var.arg_n) }
    }
    location /t {
        content_by_lua_block {
            local batch = {}
            for n = 1, 4 do batch[n] = { "/sub?n=" .. n } end
            for n, response in ipairs { ngx.location.capture_multi(batch) } do
                ngx.say(n, ": ", response.body, " ", response.header["X-N"])
            end
        }
    }
--- request
GET /t
--- response_body
1: 11111 1
2: 22222 2
3: 33333 3
4: 44444 4
--- no_error_log
[error]



=== TEST 3: a request finds nothing that another one has left in its coroutine
--- config
    location /change {
        content_by_lua_block {
            local say = ngx.say
            setfenv(0, { left_behind = true })
            say("changed")
        }
    }
    location /t {
        content_by_lua_block {
            ngx.say(getfenv(0).left_behind, " ", select("#", ...))
        }
    }
--- pipelined_requests eval
["GET /change", "GET /t"]
--- response_body eval
["changed\n", "nil 0\n"]
--- no_error_log
[error]
