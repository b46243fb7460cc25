# exit_worker_by_lua*.

use Test::Nginx::Socket::Lua;

repeat_each(2);
# What is looked for at the end is looked for once.
plan tests => repeat_each() * (blocks() * 2) + 22;
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



=== TEST 4: timers are refused
--- http_config
    exit_worker_by_lua_block {
        ngx.log(ngx.WARN, "at: ", select(2, pcall(ngx.timer.at, 0, function() end)))
    }
--- config
    location = /t { return 200 "served\n"; }
--- request
GET /t
--- response_body
served
--- shutdown_error_log
at: API disabled in the context of exit_worker_by_lua*
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



=== TEST 7: code may wait: a sleep, a cosocket, a thread
--- http_config
    exit_worker_by_lua_block {
        ngx.sleep(0.01)
        local server = ngx.socket.udp()
        local ok, err = server:setpeername("127.0.0.1", 9)
        ngx.log(ngx.WARN, "udp: ", ok, " ", err)
        local sock = ngx.socket.tcp()
        sock:settimeout(1000)
        ngx.log(ngx.WARN, "tcp: ", select(2, sock:connect("127.0.0.1", 1)))
        local thread = ngx.thread.spawn(function() ngx.sleep(0.01) return "slept" end)
        ngx.log(ngx.WARN, "thread: ", select(2, ngx.thread.wait(thread)))
    }
--- config
    location = /t { return 200 "served\n"; }
--- request
GET /t
--- response_body
served
--- shutdown_error_log eval
[
"udp: 1 nil",
"tcp: connection refused",
"thread: slept",
]
--- no_shutdown_error_log
[alert]



=== TEST 8: code that waits for longer than worker_shutdown_timeout is ended
--- main_config
    worker_shutdown_timeout 20ms;
--- http_config
    exit_worker_by_lua_block {
        ngx.log(ngx.WARN, "begins")
        ngx.sleep(300)
        ngx.log(ngx.WARN, "never")
    }
--- config
    location = /t { return 200 "served\n"; }
--- request
GET /t
--- response_body
served
--- shutdown_error_log eval
[
"begins",
"exit_worker_by_lua: the code still waits, and is ended after 20 ms",
]
--- no_shutdown_error_log
never
[alert]



=== TEST 9: an error after a wait names the directive
--- http_config
    exit_worker_by_lua_block {
        ngx.sleep(0.001)
        error("late trouble")
    }
--- config
    location = /t { return 200 "served\n"; }
--- request
GET /t
--- response_body
served
--- shutdown_error_log eval
qr/\[error\] .*exit_worker_by_lua error: exit_worker_by_lua\(nginx\.conf:\d+\):3: late trouble/
--- no_shutdown_error_log
[alert]
