# ngx.req.get_method, set_method and is_internal.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * 22;

no_long_string();
run_tests();

__DATA__

=== TEST 1: methods that nginx knows, and one that it does not
--- config
    location = /t {
        content_by_lua_block { ngx.say(ngx.req.get_method()) }
    }
--- pipelined_requests eval
["GET /t", "POST /t\nhello", "OPTIONS /t", "PATCH /t", "PURGE /t", "PROPFIND /t"]
--- response_body eval
["GET\n", "POST\n", "OPTIONS\n", "PATCH\n", "PURGE\n", "PROPFIND\n"]



=== TEST 2: a new method is seen by variables and back ends
--- config
    location = /t {
        rewrite_by_lua_block {
            ngx.req.set_method(ngx.HTTP_DELETE)
            ngx.ctx.seen = ngx.var.request_method .. " " .. ngx.req.get_method()
        }
        proxy_set_header X-Seen $request_method;
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back;
    }
    location = /back {
        content_by_lua_block { ngx.say(ngx.req.get_method(), " ", ngx.var.http_x_seen) }
    }
--- request
GET /t
--- response_body
DELETE DELETE



=== TEST 3: every method that can be set
--- config
    location = /t {
        content_by_lua_block {
            for _, name in ipairs{"GET", "HEAD", "POST", "PUT", "DELETE", "MKCOL", "COPY", "MOVE",
                "OPTIONS", "PROPFIND", "PROPPATCH", "LOCK", "UNLOCK", "PATCH", "TRACE"} do
                ngx.req.set_method(ngx["HTTP_" .. name])
                if ngx.req.get_method() ~= name or ngx.var.request_method ~= name then
                    ngx.say("not ", name, " but ", ngx.req.get_method())
                end
            end
            ngx.req.set_method(ngx.HTTP_GET)
            ngx.say("done")
        }
    }
--- request
GET /t
--- response_body
done



=== TEST 4: what is no method
--- config
    location = /t {
        content_by_lua_block {
            for _, method in ipairs{65536, 3, -1, 0} do
                local ok, err = pcall(ngx.req.set_method, method)
                ngx.say(ok, " ", err)
            end
            ngx.say(pcall(ngx.req.set_method, "GET"))
            ngx.say(ngx.req.get_method())
        }
    }
--- request
GET /t
--- response_body
false unsupported HTTP method: 65536
false unsupported HTTP method: 3
false unsupported HTTP method: -1
false unsupported HTTP method: 0
falsebad method number
GET



=== TEST 5: internal after a redirect, not before
--- config
    location = /t {
        content_by_lua_block {
            if ngx.var.arg_again then
                return ngx.exec("/other")
            end
            ngx.say(ngx.req.is_internal())
        }
    }
    location = /other {
        content_by_lua_block { ngx.say(ngx.req.is_internal()) }
    }
--- pipelined_requests eval
["GET /t", "GET /t?again=1"]
--- response_body eval
["false\n", "true\n"]
