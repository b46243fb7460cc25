# exit_worker_by_lua*.

use Test::Nginx::Socket::Lua;

repeat_each(2);
# What is looked for at the end is looked for once.
plan tests => repeat_each() * (blocks() * 2) + 13;
no_long_string();
run_tests();

__DATA__

=== TEST 1: runs when the worker ends
--- http_config
    exit_worker_by_lua_block {
        ngx.log(ngx.WARN, "in ", ngx.get_phase(), " of worker ", ngx.worker.id())
    }
--- config
    location = /t { return 200 "served\n"; }
--- request
GET /t
--- response_body
served
--- shutdown_error_log
in exit_worker of worker 0
--- no_shutdown_error_log
[error]



=== TEST 2: a file
--- http_config
    exit_worker_by_lua_file html/exit.lua;
--- config
    location = /t { return 200 "served\n"; }
--- user_files
>>> exit.lua
ngx.log(ngx.WARN, "ends by the file")
--- request
GET /t
--- response_body
served
--- shutdown_error_log
ends by the file
--- no_shutdown_error_log
[error]



=== TEST 3: an error
--- http_config
    exit_worker_by_lua_block { error("no end today") }
--- config
    location = /t { return 200 "served\n"; }
--- request
GET /t
--- response_body
served
--- shutdown_error_log eval
qr/\[error\] .*exit_worker_by_lua error: exit_worker_by_lua\(nginx\.conf:\d+\):1: no end today/
--- no_shutdown_error_log
[alert]



=== TEST 4: timers and what waits are refused
--- http_config
    exit_worker_by_lua_block {
        ngx.log(ngx.WARN, "at: ", select(2, pcall(ngx.timer.at, 0, function() end)))
        ngx.log(ngx.WARN, "sleep: ", select(2, pcall(ngx.sleep, 0)))
    }
--- config
    location = /t { return 200 "served\n"; }
--- request
GET /t
--- response_body
served
--- shutdown_error_log eval
[
"at: API disabled in the context of exit_worker_by_lua*",
"sleep: API disabled in the context of exit_worker_by_lua*",
]
--- no_shutdown_error_log
[error]



=== TEST 5: finalizers that run with the end of the VM find no request
--- http_config
    init_worker_by_lua_block {
        local proxy = newproxy(true)
        getmetatable(proxy).__gc = function()
            ngx.log(ngx.WARN, "finalized in ", ngx.get_phase())
        end
        package.loaded.proxy = proxy
    }
    exit_worker_by_lua_block {
        ngx.log(ngx.WARN, "ends")
    }
--- config
    location = /t { return 200 "served\n"; }
--- request
GET /t
--- response_body
served
--- shutdown_error_log eval
["ends", "finalized in init"]
--- no_shutdown_error_log
[error]



=== TEST 6: an error that is no text
--- http_config
    exit_worker_by_lua_block {
        error(setmetatable({}, { __tostring = function() return "the end's own text" end }))
    }
--- config
    location = /t { return 200 "served\n"; }
--- request
GET /t
--- response_body
served
--- shutdown_error_log
exit_worker_by_lua error: the end's own text
