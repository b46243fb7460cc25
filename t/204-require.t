# require and dofile: code that waits, several requests for one module, errors.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * ( blocks() * 3 + 3 );

our $Path = 'lua_package_path "$prefix/html/?.lua;;";';
no_long_string();
run_tests();

__DATA__

=== TEST 1: a module's code waits: a sleep, a cosocket, a thread, another module that waits
--- http_config eval: $::Path
--- config
    location = /t {
        content_by_lua_block {
            package.loaded.outer, package.loaded.inner = nil, nil
            ngx.say(require("outer").text)
            ngx.say(require("outer") == require("outer"))
        }
    }
    location = /self { return 200 "me"; }
--- user_files
>>> outer.lua
local name = ...
ngx.sleep(0.001)
local sock = ngx.socket.tcp()
assert(sock:connect("127.0.0.1", ngx.var.server_port))
assert(sock:send("GET /self HTTP/1.0\r\n\r\n"))
local line = sock:receive()
sock:close()
local thread = ngx.thread.spawn(function() ngx.sleep(0.001) return "slept" end)
local _, result = ngx.thread.wait(thread)
return { text = table.concat({ name, line, result, require("inner") }, ", ") }
>>> inner.lua
ngx.sleep(0.001)
return "inner"
--- request
GET /t
--- response_body
outer, HTTP/1.1 200 OK, slept, inner
true
--- no_error_log
[error]



=== TEST 2: who asks for a module while its code waits gets it when it is there
--- http_config eval: $::Path
--- config
    location = /t {
        content_by_lua_block {
            package.loaded.slow, package.loaded.loads = nil, 0
            local threads = {}
            for i = 1, 100 do
                threads[i] = ngx.thread.spawn(function() return require("slow") end)
            end
            local results = {}
            for i, thread in ipairs(threads) do
                local _, module = ngx.thread.wait(thread)
                results[module] = (results[module] or 0) + 1
            end
            for module, n in pairs(results) do
                ngx.say(module.name, " for ", n, ", loaded ", package.loaded.loads, " time")
            end
        }
    }
--- user_files
>>> slow.lua
package.loaded.loads = package.loaded.loads + 1
ngx.sleep(0.02)
return { name = "slow" }
--- request
GET /t
--- response_body
slow for 100, loaded 1 time
--- no_error_log
[error]



=== TEST 3: a request that ends while it loads a module leaves it to the next
--- http_config eval: $::Path
--- config
    location = /t {
        content_by_lua_block {
            package.loaded.endless, waits = nil, true
            local thread = ngx.thread.spawn(function() require("endless") end)
            ngx.say("waits: ", coroutine.status(thread), ", ", tostring(package.loaded.endless))
            ngx.thread.kill(thread)
            waits = false
            ngx.say(require("endless"))

            package.loaded.endless, waits = nil, true
            ngx.location.capture("/ends")
            waits = false
            ngx.say(require("endless"))
        }
    }
    location = /ends {
        content_by_lua_block {
            ngx.thread.spawn(function() require("endless") end)
            ngx.exit(200)
        }
    }
--- user_files
>>> endless.lua
if waits then ngx.sleep(1000) end
return "loaded after all"
--- request
GET /t
--- response_body
waits: running, nil
loaded after all
loaded after all
--- no_error_log
[error]



=== TEST 4: loops
--- http_config eval: $::Path
--- config
    location = /t {
        content_by_lua_block {
            for _, name in ipairs { "itself", "a", "in_coroutine", "in_turns" } do
                package.loaded[name] = nil
                ngx.say(name, ": ", select(2, pcall(require, name)))
            end
        }
    }
--- user_files
>>> itself.lua
require "itself"
>>> a.lua
ngx.sleep(0.001)
require "b"
>>> b.lua
ngx.sleep(0.001)
require "a"
>>> in_coroutine.lua
local function again() ngx.sleep(0.001) require "in_coroutine" end
return select(2, coroutine.resume(coroutine.create(again)))
>>> in_turns.lua
local function load(name) return select(2, pcall(require, name)) end
package.loaded.left, package.loaded.right = nil, nil
local left = ngx.thread.spawn(load, "left")
local right = ngx.thread.spawn(load, "right")
ngx.thread.wait(left)
ngx.thread.wait(right)
return package.loaded.in_turns_result
>>> left.lua
ngx.sleep(0.01)
local ok, err = pcall(require, "right")
if not ok then package.loaded.in_turns_result = "one of them: " .. err end
>>> right.lua
ngx.sleep(0.01)
local ok, err = pcall(require, "left")
if not ok then package.loaded.in_turns_result = "one of them: " .. err end
--- request
GET /t
--- response_body_like chop
^itself: \S*itself.lua:1: loop or previous error loading module 'itself'
a: \S+b.lua:2: loop or previous error loading module 'a'
in_coroutine: \S+in_coroutine.lua:1: loop or previous error loading module 'in_coroutine'
in_turns: one of them: loop or previous error loading module '(?:left|right)'
$
--- no_error_log
[error]



=== TEST 5: what is wrong with a module is told each time
--- http_config eval: $::Path
--- config
    location = /t {
        content_by_lua_block {
            for _ = 1, 2 do
                for _, name in ipairs { "broken", "misspelt", "nowhere" } do
                    local text = select(2, pcall(function() return (require(name)) end))
                    ngx.say((text:match("^[^\n]*"):gsub("%S*/html/", "")))
                end
            end
            ngx.say(select(2, pcall(require, {})), "; ", select(2, pcall(require)))
        }
    }
--- user_files
>>> broken.lua
error("broken since today")
>>> misspelt.lua
retrun 1
--- request
GET /t
--- response_body_like chop
^broken.lua:1: broken since today
error loading module 'misspelt' from file misspelt.lua':
content_by_lua\(nginx.conf:\d+\):4: module 'nowhere' not found:
broken.lua:1: broken since today
error loading module 'misspelt' from file misspelt.lua':
content_by_lua\(nginx.conf:\d+\):4: module 'nowhere' not found:
bad argument #1 to 'require' \(string expected, got table\); bad argument #1 to 'require' \(string expected, got no value\)
$
--- no_error_log
[error]



=== TEST 6: an error's traceback shows the code of the module
--- http_config eval: $::Path
--- config
    location = /t {
        content_by_lua_block { require "fails_late" }
    }
--- user_files
>>> fails_late.lua
local function fail() error("late") end
ngx.sleep(0.001)
fail()
--- request
GET /t
--- error_code: 500
--- response_body_like: 500 Internal Server Error
--- error_log eval
[
qr/runtime error: \S*fails_late.lua:1: late$/,
qr/^\t\S*fails_late.lua:1: in function 'fail'$/,
qr/^\t\S*fails_late.lua:3: in function 'code'$/,
qr/^\trequire:\d+: in function/,
]



=== TEST 7: results, and what a module puts into package.loaded itself
--- http_config eval: $::Path
--- config
    location = /t {
        content_by_lua_block {
            for _, name in ipairs { "nothing", "no", "own", "preloaded", "5" } do
                package.loaded[name] = nil
            end
            package.preload.preloaded = function(...) ngx.sleep(0.001) return ... end
            ngx.say(require "nothing")
            ngx.say(package.loaded.nothing)
            ngx.say(require "no", " ", package.loaded.no)
            ngx.say(require "own")
            ngx.say(require "preloaded")
            ngx.say(require(5))
        }
    }
--- user_files
>>> nothing.lua
ngx.sleep(0)
>>> no.lua
return false
>>> own.lua
package.loaded[...] = "its own"
>>> 5.lua
return "five"
--- request
GET /t
--- response_body
true
true
false false
its own
preloaded
five
--- no_error_log
[error]



=== TEST 8: where code cannot wait, a module that another request loads is refused
--- http_config eval: $::Path
--- config
    location = /t {
        content_by_lua_block {
            package.loaded.taking_time = nil
            ngx.thread.spawn(function() require "taking_time" end)
            ngx.print(ngx.location.capture("/set").body)
        }
    }
    location = /set {
        set_by_lua_block $refused {
            return select(2, pcall(require, "taking_time"))
        }
        return 200 "$refused\n";
    }
--- user_files
>>> taking_time.lua
ngx.sleep(0.005)
--- request
GET /t
--- response_body
module 'taking_time' is being loaded by another request, whose code waits: API disabled in the context of set_by_lua*, which cannot wait: use rewrite_by_lua*, and set ngx.var there
--- no_error_log
[error]



=== TEST 9: dofile
--- http_config eval: $::Path
--- config
    location = /t {
        content_by_lua_block {
            local html = ngx.config.prefix() .. "html/"
            ngx.say(dofile(html .. "waits.lua"))
            ngx.say((select(2, pcall(dofile, html .. "misspelt.lua")):gsub("%S*/html/", "")))
            ngx.say((select(2, pcall(dofile, html .. "nowhere.lua")):gsub("%S*/html/", "")))
        }
    }
--- user_files
>>> waits.lua
ngx.sleep(0.001)
return "waited", 2, nil, 4
>>> misspelt.lua
retrun 1
--- request
GET /t
--- response_body
waited2nil4
misspelt.lua:1: '=' expected near '1'
cannot open nowhere.lua: No such file or directory
--- no_error_log
[error]
