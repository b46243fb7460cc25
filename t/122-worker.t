# ngx.worker and ngx.process.

use Test::Nginx::Socket::Lua;

master_on();
workers(2);
repeat_each(2);
plan tests => repeat_each() * (blocks() * 3);
no_long_string();
run_tests();

__DATA__

=== TEST 1: this worker
--- config
    location = /t {
        content_by_lua_block {
            local worker = ngx.worker
            ngx.say(worker.pid() == tonumber(ngx.var.pid), " ", worker.exiting(), " ",
                    worker.count())
            ngx.say(worker.id() == 0 or worker.id() == 1)
        }
    }
--- request
GET /t
--- response_body
true false 2
true
--- no_error_log
[error]



=== TEST 2: its siblings, as far as it knows them
--- config
    location = /t {
        content_by_lua_block {
            local pids = ngx.worker.pids()
            local found = false
            for _, pid in ipairs(pids) do
                found = found or pid == ngx.worker.pid()
            end
            ngx.say(found, " ", #pids >= 1 and #pids <= 2)
        }
    }
--- request
GET /t
--- response_body
true true
--- no_error_log
[error]



=== TEST 3: the kind of process, and its master
--- config
    location = /t {
        content_by_lua_block {
            local process = require "ngx.process"
            ngx.say(process.type())
            local master = process.get_master_pid()
            local file = assert(io.open(ngx.config.prefix() .. "logs/nginx.pid"))
            ngx.say(master == tonumber(file:read("*a")), " ", master ~= ngx.worker.pid())
            file:close()
        }
    }
--- request
GET /t
--- response_body
worker
true true
--- no_error_log
[error]



=== TEST 4: nginx's own processes have no privileged agent
--- config
    location = /t {
        content_by_lua_block {
            local process = require "ngx.process"
            ngx.say(process.enable_privileged_agent())
            ngx.say(process.enable_privileged_agent(-1))
        }
    }
--- request
GET /t
--- response_body
nilAPI disabled in the current context
nilAPI disabled in the current context
--- no_error_log
[error]
