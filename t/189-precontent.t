# precontent_by_lua*: behind access and try_files, before the content handler.

use Test::Nginx::Socket::Lua;

plan tests => repeat_each() * (2 * blocks() + 9);

no_long_string();
run_tests();

__DATA__

=== TEST 1: it runs behind access and before the content handler
--- config
    location /t {
        content_by_lua_block { ngx.say("content after ", ngx.ctx.order) }
        precontent_by_lua_block { ngx.ctx.order = ngx.ctx.order .. " precontent" }
        access_by_lua_block { ngx.ctx.order = ngx.ctx.order .. " access" }
        rewrite_by_lua_block { ngx.ctx.order = "rewrite" }
    }
--- request
GET /t
--- response_body
content after rewrite access precontent
--- no_error_log
[error]



=== TEST 2: behind try_files, whatever order the modules have
--- config
    location /images/ {
        try_files $uri /images/default.gif;
        precontent_by_lua_block { ngx.log(ngx.NOTICE, "file found") }
    }
    location = /images/default.gif {
        precontent_by_lua_block { ngx.log(ngx.NOTICE, "default is used") }
    }
--- user_files
>>> images/default.gif
picture
--- request
GET /images/none.gif
--- response_body
picture
--- error_log
default is used
--- no_error_log
file found



=== TEST 3: its code can wait, and what it says is the response
--- config
    location /t {
        precontent_by_lua_block {
            ngx.sleep(0.001)
            local res = ngx.location.capture("/sub")
            ngx.say("from ", res.body)
        }
        proxy_pass http://127.0.0.1:1;
    }
    location /sub { return 200 "sub"; }
--- request
GET /t
--- response_body
from sub
--- no_error_log
[error]



=== TEST 4: a status ends the request, nothing lets it go on
--- config
    location /t {
        precontent_by_lua_block {
            if ngx.var.arg_deny then
                return ngx.exit(403)
            end
            ngx.exit(ngx.OK)
        }
        content_by_lua_block { ngx.say("content") }
    }
--- request eval
["GET /t?deny=1", "GET /t"]
--- error_code eval
[403, 200]
--- response_body_like eval
["403 Forbidden", "^content\n"]



=== TEST 5: inherited from http and server, in a file, with the client's body
--- http_config
    lua_need_request_body on;
    precontent_by_lua_file html/pre.lua;
--- config
    location /t { content_by_lua_block { ngx.say("then ", ngx.ctx.body) } }
--- user_files
>>> pre.lua
ngx.ctx.body = ngx.req.get_body_data()
--- request
POST /t
hello
--- response_body
then hello
--- no_error_log
[error]



=== TEST 6: HTTP/1.0: output ends the request
--- config
    location /t {
        precontent_by_lua_block { ngx.status = 403 ngx.say("denied") }
        content_by_lua_block { ngx.say("content") }
    }
--- request
GET /t HTTP/1.0
--- error_code: 403
--- response_body
denied



=== TEST 7: precontent_by_lua_no_postpone keeps its place among the modules
--- http_config
    precontent_by_lua_no_postpone on;
--- config
    location /t {
        precontent_by_lua_block { ngx.say("precontent") }
        content_by_lua_block { ngx.say("content") }
    }
--- request
GET /t
--- response_body
precontent
--- no_error_log
[error]



=== TEST 8: an error of its code is a 500
--- config
    location /t {
        precontent_by_lua_block { error("no way") }
        content_by_lua_block { ngx.say("content") }
    }
--- request
GET /t
--- error_code: 500
--- response_body_like: 500 Internal Server Error
--- error_log
precontent_by_lua(nginx.conf:
