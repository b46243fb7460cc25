# ngx.run_worker_thread: Lua functions in threads of nginx's thread pools.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3);
no_long_string();

our $HtmlDir = html_dir();

our $HttpConfig = qq{
    lua_package_path "$::HtmlDir/?.lua;;";
    lua_shared_dict shared 100k;
};

our $TwoVms = "$::HttpConfig lua_worker_thread_vm_pool_size 2;";

run_tests();

__DATA__

=== TEST 1: values are copied both ways
--- main_config
    thread_pool pool threads=2;
--- http_config eval: $::HttpConfig
--- user_files
>>> work.lua
return {
    pass = function(...)
        return select("#", ...), ...
    end,
}
--- config
    location = /t {
        content_by_lua_block {
            local run = ngx.run_worker_thread
            ngx.say(run("pool", "work", "pass"))
            ngx.say(run("pool", "work", "pass", 1.5, nil, false, "a\0b", nil))
            local list = { 1, { deep = { [true] = "x" } } }
            local ok, n, copy = run("pool", "work", "pass", list)
            ngx.say(ok, n, " ", copy ~= list, " ", copy[2].deep[true])
        }
    }
--- request
GET /t
--- response_body eval
"true0\ntrue51.5nilfalsea\0bnil\ntrue1 true x\n"
--- no_error_log
[error]



=== TEST 2: the event loop goes on meanwhile
--- main_config
    thread_pool pool threads=2;
--- http_config eval: $::HttpConfig
--- user_files
>>> work.lua
return {
    slow = function()
        os.execute("sleep 0.2")
        return "slow"
    end,
}
--- config
    location = /t {
        content_by_lua_block {
            local thread = ngx.thread.spawn(function()
                coroutine.wrap(function()
                    ngx.say(ngx.run_worker_thread("pool", "work", "slow"))
                end)()
            end)
            ngx.sleep(0.01)
            ngx.say("meanwhile")
        }
    }
--- request
GET /t
--- response_body
meanwhile
trueslow
--- no_error_log
[error]



=== TEST 3: a VM serves one thread at a time, and comes back
--- main_config
    thread_pool pool threads=4;
--- http_config eval: $::TwoVms
--- user_files
>>> work.lua
return {
    slow = function()
        os.execute("sleep 0.1")
        return "slow"
    end,
}
--- config
    location = /t {
        content_by_lua_block {
            for round = 1, 2 do
                local threads = {}
                for i = 1, 3 do
                    threads[i] = ngx.thread.spawn(function()
                        return ngx.run_worker_thread("pool", "work", "slow")
                    end)
                end
                for i = 1, 3 do
                    ngx.say(select(2, ngx.thread.wait(threads[i])))
                end
            end
        }
    }
--- request
GET /t
--- response_body
trueslow
trueslow
falseno available Lua vm
trueslow
trueslow
falseno available Lua vm
--- no_error_log
[error]



=== TEST 4: nothing comes of the results where the task is gone
--- main_config
    thread_pool pool threads=2;
--- http_config eval: $::TwoVms
--- user_files
>>> work.lua
return {
    slow = function()
        os.execute("sleep 0.05")
        return "slow"
    end,
}
--- config
    location = /t {
        content_by_lua_block {
            local function run()
                coroutine.wrap(function()
                    ngx.run_worker_thread("pool", "work", "slow")
                    ngx.log(ngx.ERR, "ran on")
                end)()
            end
            local thread = ngx.thread.spawn(run)
            ngx.say(ngx.thread.kill(thread))
            ngx.sleep(0.1)
            ngx.say(ngx.run_worker_thread("pool", "work", "slow"))
            ngx.thread.spawn(run)
            ngx.exit(ngx.OK)
        }
    }
--- request
GET /t
--- response_body
1
trueslow
--- wait: 0.1
--- no_error_log
[error]



=== TEST 5: what is refused, and gives its VM back
--- main_config
    thread_pool pool threads=2;
--- http_config eval: $::TwoVms
--- user_files
>>> work.lua
local depth = {}
depth.again = depth
return {
    number = 1,
    echo = function(...) return ... end,
    bad = function() return 1, print end,
    round = function() return depth end,
    fail = function() error("went wrong", 0) end,
    object = function()
        error(setmetatable({}, { __tostring = function() return "an object's text" end }))
    end,
}
>>> number.lua
return 1
--- config
    location = /t {
        content_by_lua_block {
            local loop = {}
            loop.loop = loop
            for _, arguments in ipairs{
                { "pool", "work" },
                { {}, "work", "echo" },
                { "pool", {}, "echo" },
                { "pool", "work", {} },
                { "other", "work", "echo" },
                { "pool", "number", "echo" },
                { "pool", "work", "number" },
                { "pool", "work", "missing" },
                { "pool", "work", "echo", print },
                { "pool", "work", "echo", coroutine.running() },
                { "pool", "work", "echo", { io.stdout } },
                { "pool", "work", "echo", 1LL },
                { "pool", "work", "echo", loop },
                { "pool", "work", "bad" },
                { "pool", "work", "round" },
                { "pool", "work", "fail" },
                { "pool", "work", "object" },
                { "pool", "work", "echo", "still there" },
            } do
                ngx.say(ngx.run_worker_thread(unpack(arguments)))
            end
        }
    }
--- request
GET /t
--- response_body
falseexpecting at least 3 arguments
falsethreadpool should be a string
falsemodule name should be a string
falsefunction name should be a string
falsethread pool other not found
falseinvalid lua module
falseinvalid function
falseinvalid function
falseunsupported Lua type: LUA_TFUNCTION in the argument
falseunsupported Lua type: LUA_TTHREAD in the argument
falseunsupported Lua type: LUA_TUSERDATA in the argument
falseunsupported Lua type in the argument
falsesuspicious circular references, table depth exceed max depth: 100 in the argument
falseunsupported Lua type: LUA_TFUNCTION in the return value
falsesuspicious circular references, table depth exceed max depth: 100 in the return value
falsewent wrong
falsean object's text
truestill there
--- no_error_log
[error]



=== TEST 6: a full queue gives the VM back, once
--- main_config
    thread_pool pool threads=1 max_queue=1;
--- http_config eval: "$::HttpConfig lua_worker_thread_vm_pool_size 10;"
--- user_files
>>> work.lua
return {
    wait = function()
        local shared = ngx.shared.shared
        shared:incr("started", 1, 0)
        while not shared:get("go") do
            os.execute("sleep 0.01")
        end
        return "done"
    end,
}
--- config
    location = /t {
        content_by_lua_block {
            local shared = ngx.shared.shared
            shared:flush_all()
            local function run()
                return ngx.run_worker_thread("pool", "work", "wait")
            end
            local first = ngx.thread.spawn(run)
            while not shared:get("started") do
                ngx.sleep(0.005)
            end
            local second = ngx.thread.spawn(run)
            for _ = 1, 20 do
                local ok, err = run()
                assert(not ok and err == "ngx_thread_task_post failed", err)
            end
            shared:set("go", true)
            ngx.say(ngx.thread.wait(first))
            ngx.say(ngx.thread.wait(second))
            ngx.say(run())
        }
    }
--- request
GET /t
--- response_body
truetruedone
truetruedone
truedone
--- error_log
thread pool "pool" queue overflow



=== TEST 7: what a thread has of the API
--- main_config
    thread_pool pool threads=2;
--- http_config eval: $::HttpConfig
--- user_files
>>> work.lua
return {
    api = function(key)
        ngx.shared.shared:set(key, ngx.md5("x"))
        return ngx.encode_base64("x"), ngx.re.match("abc", "b(.)", "jo")[1],
               ngx.encode_args{ a = 1 }, ngx.config.subsystem,
               ngx.sleep == nil and ngx.say == nil and ngx.var == nil
    end,
}
--- config
    location = /t {
        content_by_lua_block {
            ngx.say(ngx.run_worker_thread("pool", "work", "api", "key"))
            ngx.say(ngx.shared.shared:get("key") == ngx.md5("x"))
        }
    }
--- request
GET /t
--- response_body
trueeA==ca=1httptrue
true
--- no_error_log
[error]



=== TEST 8: a VM does not keep what a call left
--- main_config
    thread_pool pool threads=1;
--- http_config eval: $::HttpConfig
--- user_files
>>> work.lua
return {
    big = function() return ("helloworld"):rep(1000000) end,
    kilobytes = function() return collectgarbage("count") end,
}
--- config
    location = /t {
        content_by_lua_block {
            local ok, text = ngx.run_worker_thread("pool", "work", "big")
            ngx.say(ok, " ", #text)
            local ok, kilobytes = ngx.run_worker_thread("pool", "work", "kilobytes")
            ngx.say(ok, " ", kilobytes < 9000 and "little" or kilobytes)
        }
    }
--- request
GET /t
--- response_body
true 10000000
true little
--- no_error_log
[error]



=== TEST 9: the garbage of a thread's VM takes no semaphore of the worker's along
--- main_config
    thread_pool pool threads=1;
--- http_config eval: $::HttpConfig
--- user_files
>>> work.lua
return {
    -- What it leaves is collected by nginx's own thread.
    leave = function(count)
        local semaphore = require "ngx.semaphore"
        collectgarbage("stop")
        for _ = 1, count do
            semaphore.new(1)
        end
        local text = ("x"):rep(2 ^ 25)
        return #text
    end,
}
--- config
    location = /t {
        content_by_lua_block {
            local semaphore = require "ngx.semaphore"
            local own = {}
            for i = 1, 1000 do
                own[i] = semaphore.new(7)
            end
            ngx.say(ngx.run_worker_thread("pool", "work", "leave", 1000))
            local left = 0
            for _, each in ipairs(own) do
                left = left + (each:count() == 7 and 1 or 0)
            end
            ngx.say(left)
        }
    }
--- request
GET /t
--- response_body
true33554432
1000
--- no_error_log
[error]



=== TEST 10: the log says why no VM could be made
--- main_config
    thread_pool pool threads=1;
--- http_config eval: $::HttpConfig
--- user_files
>>> work.lua
return {}
--- config
    location = /t {
        content_by_lua_block {
            local path = package.path
            package.path = "/nowhere/?.lua"
            local ok, err = ngx.run_worker_thread("pool", "work", "nothing")
            package.path = path
            ngx.say(ok, " ", err)
        }
    }
--- request
GET /t
--- response_body
false no available Lua vm
--- error_log
failed to load the 'resty.core' module



=== TEST 11: results for which the stack of the code that waits cannot be made larger
--- main_config
    thread_pool pool threads=1;
--- http_config eval: $::HttpConfig
--- user_files
>>> work.lua
return {
    many = function()
        local results = {}
        for i = 1, 100 do results[i] = i end
        return unpack(results)
    end,
}
--- config
    location = /t {
        content_by_lua_block {
            jit.off()
            local depth
            local function dive(left)
                depth = depth + 1
                if left == 0 then return ngx.run_worker_thread("pool", "work", "many") end
                local ok, result = dive(left - 1)
                return ok, result
            end
            local function run(left)
                depth = 0
                return ngx.thread.wait(ngx.thread.spawn(dive, left))
            end
            local said = {}
            run(-1)
            local deepest = depth
            for left = deepest - 60, deepest - 1 do
                local _, ok, reason = run(left)
                for _, text in ipairs { tostring(ok), tostring(reason) } do
                    if text:find("attempt to call", 1, true) then said[#said + 1] = text end
                end
            end
            jit.on()
            ngx.say(deepest > 1000, " ", table.concat(said, "\n"))
            ngx.say(ngx.run_worker_thread("pool", "work", "many"))
        }
    }
--- request
GET /t
--- response_body_like eval
qr/^true \ntrue123.*100\n$/
--- no_error_log
[alert]
