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
--- timeout: 30
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



=== TEST 6: string.gsub with a function that waits
--- config
    location = /t {
        access_by_lua_block {
            local text, n = string.gsub("one two three", "%w+", function(word)
                ngx.sleep(0.001)
                return word == "two" and 2 or word .. "!"
            end)
            ngx.ctx.said = text .. " " .. n
        }
        content_by_lua_block {
            ngx.say(ngx.ctx.said)
            local slow = setmetatable({}, { __index = function(_, key) ngx.sleep(0) return key:upper() end })
            ngx.say((("$name of $host"):gsub("%$(%w+)", slow)))
            ngx.say(("k=v, k2=v2"):gsub("(%w+)=(%w+)", function(key, value)
                ngx.sleep(0)
                return (value:gsub(".", function(c) ngx.sleep(0) return c .. c end)) .. "=" .. key
            end))
            ngx.say(("1234567"):gsub("(.)(.)(.)()(.)", function(...)
                ngx.sleep(0.001)
                return table.concat({ select("#", ...), ... }, "|")
            end))
            local words = coroutine.wrap(function()
                ("a b c"):gsub("%w", coroutine.yield)
                return "done"
            end)
            ngx.say(words(), words(), words(), words())
            local threads = {}
            for i = 1, 5 do
                threads[i] = ngx.thread.spawn(function()
                    return (("aXbXc"):gsub("%l", function(c) ngx.sleep(0.001 * (6 - i)) return c .. i end))
                end)
            end
            for i = 1, 5 do ngx.say(select(2, ngx.thread.wait(threads[i]))) end
        }
    }
--- request
GET /t
--- response_body
one! 2 three! 3
NAME of HOST
vv=k, vv22=k22
5|1|2|3|4|45671
abcdone
a1Xb1Xc1
a2Xb2Xc2
a3Xb3Xc3
a4Xb4Xc4
a5Xb5Xc5
--- no_error_log
[error]



=== TEST 7: string.gsub does what LuaJIT's own does, call by call
--- config
    location = /t {
        content_by_lua_block {
            local own = string.gsub
            for i = 1, 20 do
                local name, value = debug.getupvalue(string.gsub, i)
                if name == "gsub" then own = value end
            end
            assert(debug.getinfo(own).what == "C")
            local seed = ngx.worker.pid() * 1000 + math.floor(ngx.now() * 1000) % 1000
            local function random(n)
                seed = seed * 16807 % 2147483647
                return seed % n + 1
            end
            local function made_of(parts, most)
                local made = {}
                for i = 1, random(most + 1) - 1 do made[i] = parts[random(#parts)] end
                return table.concat(made)
            end
            local letters = { "a", "b", "ab", "A", "1", " ", "(", ")", "%", ".", "-", "\n", "\0", "\200" }
            local items = {
                "a", "b", "ab", "A", "1", " ", ".", "%a", "%A", "%w", "%d", "%s", "%l", "%p", "%c", "%x", "%z", "%Z", "%%", "%.",
                "[ab]", "[^ab]", "[%w%s]", "[a-c1-9]", "[^%d]", "[]a]", "[^]]", "[a-]", "[%a-z]", "%b()", "%b%a", "%f[a]", "%f[%W]",
                "*", "+", "-", "?", "*", "+", "?", "(", ")", "(", ")", "()", "(a)", "(.)", "(%w+)", "([^b]*)", "%1", "%2", "$", "^",
                "%", "[", "[^", "%f", "%b", "%b(", "%0", "%9", "\0", "%\200", "\200",
            }
            local function replacement(kind, log)
                local function note(...)
                    for i = 1, select("#", ...) do log[#log + 1] = type((select(i, ...))) .. tostring((select(i, ...))) end
                    log[#log + 1] = ";"
                end
                local values = { "x", 7, 1.5, false, "", "%1" }
                local function give(...)
                    note(...)
                    if kind == 5 and #log > 9 then return {} end
                    if kind == 6 and #log > 9 then error("no", 0) end
                    return values[#log % 7 + 1]
                end
                if kind == 1 then return made_of({ "x", "%0", "%1", "%2", "%%", "%", "<", "%9" }, 4) end
                if kind == 2 then return { a = "x", b = 7, A = false, [1] = "one", ab = "y", [" "] = 1.5 } end
                if kind == 3 then return setmetatable({ a = "raw" }, { __index = function(_, key) return give(key) end }) end
                if kind == 4 and random(20) == 1 then return ({ random(9), false, tostring, {}, ngx.null })[random(5)] end
                return give
            end
            local function outcome(gsub, subject, pattern, kind, limit, state)
                seed = state
                local log = {}
                local with = replacement(kind, log)
                local results = { pcall(function() local text, n = gsub(subject, pattern, with, limit) return text, n end) }
                for i = 1, 3 do results[i] = type(results[i]) .. tostring(results[i]) end
                return table.concat(results, " ") .. " after " .. table.concat(log, " ")
            end
            local limits = { nil, nil, 0, 1, 2, -1, "2", 2.7, 2^32 + 1, "x" }
            for i = 1, 2000 do
                local subject, pattern = made_of(letters, 12), made_of(items, 6)
                if random(4) == 1 then pattern = "^" .. pattern end
                if random(40) == 1 then subject, pattern = random(2000), random(9) end
                local kind, limit, state = random(6), limits[random(10)], seed
                local wanted = outcome(own, subject, pattern, kind, limit, state)
                local got = outcome(string.gsub, subject, pattern, kind, limit, state)
                if got ~= wanted then
                    return ngx.say(("%q %q kind %d limit %s: %s instead of %s"):format(subject, pattern, kind, limit, got, wanted))
                end
            end
            ngx.say("the same")
        }
    }
--- timeout: 30
--- request
GET /t
--- response_body
the same
--- no_error_log
[error]



=== TEST 8: the errors of string.gsub
--- config
    location = /t {
        content_by_lua_block {
            local function try(gsub, ...)
                local arguments, n = { ... }, select("#", ...)
                local _, err = pcall(function() local x = gsub(unpack(arguments, 1, n)) end)
                ngx.say((err:gsub("^content_by_lua%b():", "line ")))
            end
            try(string.gsub)
            try(string.gsub, nil, "a", "b")
            try(string.gsub, "a")
            try(string.gsub, "a", "a")
            try(string.gsub, "a", "a", true)
            try(string.gsub, "a", "a", "a", {})
            try(function(s) return (s:gsub()) end, "a")
            try(string.gsub, "a", "%w", function() return {} end)
            try(string.gsub, "a", "[", print)
            try(string.gsub, "a", "%", print)
            try(string.gsub, "a", "(a", function() end)
            try(string.gsub, "a", "a)", print)
            try(string.gsub, "a", "%f", print)
            try(string.gsub, "a", "%b", print)
            try(string.gsub, "a", "%1", print)
            try(string.gsub, "a", ("()"):rep(33), print)
            try(string.gsub, ("a"):rep(300), ("a?"):rep(300), print)
            try(string.gsub, "a", "a", function() error("of the function", 0) end)
            ngx.say(pcall(string.gsub, "a", "[", print))
            ngx.say(pcall(string.gsub, "a"))
        }
    }
--- request
GET /t
--- response_body
line 4: bad argument #1 to 'gsub' (string expected, got no value)
line 4: bad argument #1 to 'gsub' (string expected, got nil)
line 4: bad argument #2 to 'gsub' (string expected, got no value)
line 4: bad argument #3 to 'gsub' (string/function/table expected)
line 4: bad argument #3 to 'gsub' (string/function/table expected)
line 4: bad argument #4 to 'gsub' (number expected, got table)
line 13: bad argument #1 to 'gsub' (string expected, got no value)
line 4: invalid replacement value (a table)
line 4: malformed pattern (missing ']')
line 4: malformed pattern (ends with '%')
line 4: unfinished capture
line 4: invalid pattern capture
line 4: missing '[' after '%f' in pattern
line 4: unbalanced pattern
line 4: invalid capture index
line 4: too many captures
line 4: pattern too complex
of the function
falsemalformed pattern (missing ']')
falsebad argument #2 to '?' (string expected, got no value)
--- no_error_log
[error]



=== TEST 9: a thread that is killed in the function of string.gsub, and one that fails
--- config
    location = /t {
        content_by_lua_block {
            local function upper(c) return c:upper() end
            local thread = ngx.thread.spawn(function()
                return ("abc"):gsub("%w", function(c) ngx.sleep(60) return c end)
            end)
            ngx.say(("abc"):gsub("%w", upper))
            ngx.say(ngx.thread.kill(thread))
            ngx.say(("abc"):gsub("%w", upper))
            ngx.say(pcall(string.gsub, "abc", "%w", function(c) ngx.sleep(0) error("at " .. c, 0) end))
            ngx.say(("abc"):gsub("%w", function(c)
                collectgarbage()
                return (("a" .. c):gsub("%w", function(d) ngx.sleep(0) return d .. c end))
            end))
        }
    }
--- request
GET /t
--- response_body
ABC3
1
ABC3
falseat a
aaaaabbbaccc3
--- no_error_log
[error]



=== TEST 10: elements that are missing are nil for the function of table.sort, whatever metamethods the table has
--- config
    location /t {
        content_by_lua_block {
            local set, missing = 0, 0
            local list = setmetatable({ 3, nil, 1, 5, nil, 2, 4, 9 }, {
                __index = function() return 2 end,
                __newindex = function() set = set + 1 end,
            })
            table.sort(list, function(a, b)
                if a == nil or b == nil then
                    missing = missing + 1
                end
                return (a or 0) < (b or 0)
            end)
            for i = 1, 8 do
                ngx.print(tostring(rawget(list, i)), " ")
            end
            ngx.say(set, " ", missing > 0)
            list = setmetatable({ 3, 1, 2 }, { __index = table })
            list:sort(function(a, b) ngx.sleep(0) return a < b end)
            ngx.say(list:concat(" "))
        }
    }
--- request
GET /t
--- response_body
nil nil 1 2 3 4 5 9 0 true
1 2 3
--- no_error_log
[error]
