# Functions and metamethods that wait below Lua's own functions.

use Test::Nginx::Socket::Lua;

repeat_each(2);

plan tests => repeat_each() * blocks() * 3;

no_long_string();
run_tests();

__DATA__

=== TEST 1: table.sort with a function that waits
--- config
    location = /t {
        access_by_lua_block {
            local list, calls = {}, 0
            for i = 1, 50 do list[i] = i * 7 % 50 end
            table.sort(list, function(a, b)
                calls = calls + 1
                if calls % 20 == 0 then ngx.sleep(0.001) end
                return a > b
            end)
            for i = 1, 50 do assert(list[i] == 50 - i) end
            ngx.ctx.calls = calls
        }
        content_by_lua_block {
            local metatable = { __lt = function(a, b) ngx.sleep(0) return a.n < b.n end }
            local list = {}
            for i = 1, 5 do list[i] = setmetatable({ n = i * 3 % 5 }, metatable) end
            table.sort(list)
            ngx.say(ngx.ctx.calls, " ", list[1].n, list[2].n, list[3].n, list[4].n, list[5].n)
            local co = coroutine.wrap(function()
                local words = { "b", "c", "a" }
                table.sort(words, function(a, b) coroutine.yield(a) return a < b end)
                return table.concat(words)
            end)
            repeat local step = co() until #step == 3 and ngx.say(step)
        }
    }
--- request
GET /t
--- response_body_like eval
qr/\A\d\d\d 01234\nabc\n\z/
--- no_error_log
[error]



=== TEST 2: it sorts as LuaJIT's own, call by call
--- config
    location = /t {
        content_by_lua_block {
            local own = table.sort
            for i = 1, 20 do
                local name, value = debug.getupvalue(table.sort, i)
                if name == "sort" then own = value end
            end
            local seed = ngx.worker.pid()
            local function random(n)
                seed = seed * 16807 % 2147483647
                return seed % n + 1
            end
            local function kinds_of_order(kind, log, state)
                return function(a, b)
                    log[#log + 1] = a.id .. "<" .. b.id
                    if kind == 1 then return a.n < b.n end
                    if kind == 2 then return a.n <= b.n end
                    if kind == 3 then state = state * 16807 % 2147483647 return state % 2 == 0 end
                    if kind == 4 and #log > 9 then return true end
                    if kind == 5 and #log > 9 then error({}) end
                    return a.n > b.n
                end
            end
            local function outcome(sort, numbers, kind)
                local list, log = {}, {}
                for i, n in ipairs(numbers) do list[i] = { n = n, id = i } end
                local ok, err = pcall(function()
                    sort(list, kinds_of_order(kind, log, #numbers + 1))
                end)
                for i, item in ipairs(list) do log[#log + 1] = item.id end
                return tostring(ok) .. (type(err) == "table" and "a table" or tostring(err)) .. table.concat(log, " ")
            end
            for i = 1, 150 do
                local numbers, distinct = {}, random(100)
                for j = 1, random(60) - 1 do numbers[j] = random(distinct) end
                local kind = random(6)
                local wanted, got = outcome(own, numbers, kind), outcome(table.sort, numbers, kind)
                if wanted ~= got then
                    return ngx.say(table.concat(numbers, ","), " kind ", kind, ": ", got, " instead of ", wanted)
                end
            end
            ngx.say("the same")
        }
    }
--- request
GET /t
--- response_body
the same
--- no_error_log
[error]



=== TEST 3: its errors
--- config
    location = /t {
        content_by_lua_block {
            local function try(...)
                local arguments, n = { ... }, select("#", ...)
                local _, err = pcall(function() local x = table.sort(unpack(arguments, 1, n)) end)
                ngx.say((err:gsub("^content_by_lua%b():", "line ")))
            end
            try()
            try(nil, print)
            try({}, {})
            try({ 3, 1, "x" })
            try({ 1, 2, 3, 4, 5 }, function() return true end)
            table.sort(setmetatable({}, { __index = function(_, key) error("asked for " .. key) end }))
            ngx.say(select("#", table.sort({ 2, 1 }, function(a, b) return a < b end)), table.sort({}, nil))
        }
    }
--- request
GET /t
--- response_body
line 4: bad argument #1 to 'sort' (table expected, got no value)
line 4: bad argument #1 to 'sort' (table expected, got nil)
line 4: bad argument #2 to 'sort' (function expected, got table)
attempt to compare string with number
line 4: invalid order function for sorting
0
--- no_error_log
[error]



=== TEST 4: a thread that is killed while its function waits
--- config
    location = /t {
        content_by_lua_block {
            local list = { 3, 2, 1 }
            local thread = ngx.thread.spawn(function()
                table.sort(list, function(a, b) ngx.sleep(60) return a < b end)
            end)
            ngx.sleep(0.001)
            ngx.say(ngx.thread.kill(thread))
            table.sort(list, function(a, b) return a < b end)
            ngx.say(table.concat(list))
        }
    }
--- request
GET /t
--- response_body
1
123
--- no_error_log
[error]



=== TEST 5: tostring, iterators and metamethods of Lua code
--- config
    location = /t {
        content_by_lua_block {
            local function waits(...) ngx.sleep(0.001) return ... end
            local thing = setmetatable({ 1 }, {
                __tostring = function() return waits("text") end,
                __index = function(_, key) return waits(key) end,
                __newindex = function(t, key, value) rawset(t, key, waits(value)) end,
                __call = function(_, value) return waits(value) end,
                __concat = function(_, other) return waits("with " .. other) end,
                __add = function(_, n) return waits(n) end,
                __eq = function() return waits(true) end,
                __lt = function() return waits(true) end,
                __unm = function() return waits(-1) end,
            })
            local other = setmetatable({}, getmetatable(thing))
            thing.set = "set"
            ngx.say(tostring(thing), " ", thing.key, " ", thing.set, " ", thing("called"), " ", thing .. "this", " ", thing + 2, -thing)
            ngx.say(thing == other, thing < other)
            for n in function(_, n) return waits(n < 3 and n + 1 or nil) end, nil, 0 do ngx.print(n) end
            table.foreachi({ 4, 5 }, function(_, n) ngx.print(waits(n)) end)
            table.foreach({ 6 }, function(_, n) ngx.say(waits(n)) end)
        }
    }
--- request
GET /t
--- response_body
text key set called with this 2-1
truetrue
123456
--- no_error_log
[error]
