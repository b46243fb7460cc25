# lua_code_cache off, and the code cache.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3);
no_long_string();
run_tests();

__DATA__

=== TEST 1: a cycle of subrequests in a file ends
--- config
    lua_code_cache off;
    location = /t {
        content_by_lua_file html/cycle.lua;
    }
--- user_files
>>> cycle.lua
local res = ngx.location.capture("/t")
ngx.print(res.status == 500 and "ends" or res.body)
--- request
GET /t
--- response_body chomp
ends
--- error_log
subrequests cycle
--- timeout: 15



=== TEST 2: the worker's VM has no table of packages any more
--- http_config
    init_by_lua_block { package = nil }
--- config
    location = /t {
        lua_code_cache off;
        content_by_lua_block { ngx.say("not reached") }
    }
--- request
GET /t
--- error_code: 500
--- error_log
failed to initialize Lua VM: attempt to index a nil value
--- no_error_log
exited on signal



=== TEST 3: a file whose path has a variable leaves nothing in the registry each time that it runs
--- config
    location = /t {
        content_by_lua_block {
            local function count()
                collectgarbage()
                local keys = 0
                for _ in pairs(debug.getregistry()) do keys = keys + 1 end
                return keys
            end
            ngx.print(ngx.location.capture("/file").body)
            local before = count()
            for _ = 1, 100 do ngx.location.capture("/file") end
            local more = count() - before
            ngx.say(more < 50 or more)
        }
    }
    location = /file {
        set $name hello;
        content_by_lua_file html/$name.lua;
    }
--- user_files
>>> hello.lua
ngx.say("hello")
--- request
GET /t
--- response_body
hello
true
--- no_error_log
[error]
