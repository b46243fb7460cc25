# Clients that leave: with lua_check_client_abort the work ends, without it goes on; subrequests
# into other servers honour their location's setting.

use Test::Nginx::Socket::Lua;

repeat_each(2);

plan tests => repeat_each() * (blocks() * 2 + 1);

no_long_string();
run_tests();

__DATA__

=== TEST 1: watched: the handler ends
--- config
    location /t {
        lua_check_client_abort on;
        content_by_lua_block {
            ngx.sleep(0.2)
            ngx.log(ngx.ERR, "went on")
        }
    }
--- request
GET /t
--- timeout: 0.05
--- abort
--- ignore_response
--- wait: 0.3
--- error_log
client prematurely closed connection
--- no_error_log
went on



=== TEST 2: not watched: the handler goes on
--- config
    location /t {
        content_by_lua_block {
            ngx.sleep(0.1)
            ngx.log(ngx.WARN, "went on")
        }
    }
--- request
GET /t
--- timeout: 0.05
--- abort
--- ignore_response
--- wait: 0.2
--- error_log
went on
--- no_error_log
[error]



=== TEST 3: proxy_ignore_client_abort off: both requests end
--- config
    location /t {
        lua_check_client_abort on;
        content_by_lua_block {
            ngx.location.capture("/proxy")
            ngx.log(ngx.ERR, "went on")
        }
    }
    location /proxy {
        proxy_ignore_client_abort off;
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/slow;
    }
    location /slow {
        content_by_lua_block { ngx.sleep(0.2) ngx.say("slow") }
    }
--- request
GET /t
--- timeout: 0.05
--- abort
--- ignore_response
--- wait: 0.4
--- error_log
client prematurely closed connection
--- no_error_log
went on
[alert]



=== TEST 4: proxy_ignore_client_abort on: both requests finish
--- config
    location /t {
        content_by_lua_block {
            local res = ngx.location.capture("/proxy")
            ngx.log(ngx.WARN, "went on: ", res.status, " ", res.body)
        }
    }
    location /proxy {
        proxy_ignore_client_abort on;
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/slow;
    }
    location /slow {
        content_by_lua_block { ngx.sleep(0.1) ngx.print("slow") }
    }
--- request
GET /t
--- timeout: 0.05
--- abort
--- ignore_response
--- wait: 0.3
--- error_log
went on: 200 slow
--- no_error_log
[error]



=== TEST 5: in rewrite and access
--- config
    location /t {
        lua_check_client_abort on;
        rewrite_by_lua_block { ngx.sleep(0.02) }
        access_by_lua_block {
            ngx.sleep(0.2)
            ngx.log(ngx.ERR, "went on")
        }
        content_by_lua_block { ngx.say("done") }
    }
--- request
GET /t
--- timeout: 0.06
--- abort
--- ignore_response
--- wait: 0.3
--- error_log
client prematurely closed connection
--- no_error_log
went on




=== TEST 6: what the code says to a client that has gone takes no memory (it does in the C module)
--- config
    location /t {
        content_by_lua_block {
            local function resident()
                for line in io.lines("/proc/self/status") do
                    local size = line:match("^VmRSS:%s+(%d+)")
                    if size then return tonumber(size) end
                end
            end
            local sent
            repeat
                -- The client leaves in the first pause, which is longer than it waits for.
                ngx.sleep(0.2)
                sent = ngx.say("here") and ngx.flush(true)
            until not sent
            local before = resident()
            local text = ("x"):rep(1000)
            for _ = 1, 30000 do
                sent = ngx.say(text) or ngx.flush() or sent
            end
            local more = resident() - before
            ngx.log(ngx.WARN, "sent: ", tostring(sent), ", little memory: ", tostring(more < 10000 or more))
        }
    }
--- request
GET /t
--- timeout: 0.05
--- abort
--- ignore_response
--- wait: 2
--- error_log
sent: nil, little memory: true
--- no_error_log
[error]
