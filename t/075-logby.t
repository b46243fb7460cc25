# log_by_lua*, and lua_malloc_trim, which counts at the same place.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3 + 5);
no_long_string();
run_tests();

__DATA__

=== TEST 1: runs once the response is out, with the request's data
--- config
    location = /t {
        content_by_lua_block {
            ngx.ctx.word = "kept"
            ngx.status = 201
            ngx.say("body")
        }
        log_by_lua_block {
            ngx.log(ngx.WARN, ngx.get_phase(), " ", ngx.var.uri, " ", ngx.status, " ",
                    ngx.ctx.word, " ", ngx.var.bytes_sent ~= "0")
        }
    }
--- request
GET /t
--- response_body
body
--- error_code: 201
--- error_log
log /t 201 kept true



=== TEST 2: with nginx's own content, too
--- config
    location = /t {
        log_by_lua "ngx.log(ngx.WARN, 'status ', ngx.status)";
        return 202 "nginx\n";
    }
--- request
GET /t
--- response_body
nginx
--- error_code: 202
--- error_log
status 202



=== TEST 3: an error has a traceback, and the next request works
--- config
    location = /t {
        content_by_lua_block { ngx.say("body") }
        log_by_lua_block {
            local function fail()
                error("no log today")
            end
            fail()
        }
    }
--- request
GET /t
--- response_body
body
--- error_log eval
[
qr/\[error\] .*failed to run log_by_lua\*: log_by_lua\(nginx\.conf:\d+\):3: no log today/,
"stack traceback:",
]



=== TEST 4: an error that is no text
--- config
    location = /t {
        content_by_lua_block { ngx.say("body") }
        log_by_lua_block { error({}) }
    }
--- request
GET /t
--- response_body
body
--- error_log
failed to run log_by_lua*: table: 0x
--- no_error_log
[alert]



=== TEST 5: code that does not compile
--- config
    location = /t {
        content_by_lua_block { ngx.say("body") }
        log_by_lua "local";
    }
--- request
GET /t
--- response_body
body
--- error_log
failed to load inlined Lua code: log_by_lua(nginx.conf:
--- no_error_log
[alert]



=== TEST 6: what makes a response is refused
--- config
    location = /t {
        content_by_lua_block { ngx.say("body") }
        log_by_lua_block {
            for _, f in ipairs {
                function() ngx.say("more") end,
                function() ngx.exit(200) end,
                function() ngx.location.capture("/") end,
            } do
                local ok, err = pcall(f)
                ngx.log(ngx.WARN, ok, " ", err)
            end
        }
    }
--- request
GET /t
--- response_body
body
--- grep_error_log eval: qr/\d: API disabled in the context of [a-z_]+\*/
--- grep_error_log_out
3: API disabled in the context of log_by_lua*
4: API disabled in the context of log_by_lua*
5: API disabled in the context of log_by_lua*
--- no_error_log
[alert]



=== TEST 7: a file, its path with a variable
--- config
    location = /t {
        set $name "inner";
        content_by_lua_block { ngx.say("body") }
        log_by_lua_file html/$name.lua;
    }
--- user_files
>>> inner.lua
ngx.log(ngx.WARN, "from the file")
--- request
GET /t
--- response_body
body
--- error_log
from the file



=== TEST 8: inherited, and replaced
--- config
    log_by_lua_block { ngx.log(ngx.WARN, "of the server") }
    location = /t {
        content_by_lua_block { ngx.say("body") }
        log_by_lua_block { ngx.log(ngx.WARN, "of the location") }
    }
--- request
GET /t
--- response_body
body
--- error_log
of the location
--- no_error_log
of the server



=== TEST 9: lua_malloc_trim counts requests
--- http_config
    lua_malloc_trim 2;
--- config
    location = /t {
        content_by_lua_block {
            ngx.print(ngx.location.capture("/one").body)
            ngx.print(ngx.location.capture("/one").body)
        }
    }
    location = /one {
        log_subrequest on;
        content_by_lua_block { ngx.say("one") }
    }
--- request
GET /t
--- response_body
one
one
--- wait: 0.05
--- error_log eval
qr/malloc_trim\(1\) returned [01]/
