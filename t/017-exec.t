# ngx.exec and ngx.req.set_uri with URIs that nginx finds unsafe.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3);
no_long_string();
run_tests();

__DATA__

=== TEST 1: unsafe URIs are refused, and the request goes on
--- config
    location = /t {
        content_by_lua_block {
            for _, uri in ipairs({ "/../secret", "/a/../../b", "/a\0b", "" }) do
                local ok, err = pcall(ngx.exec, uri)
                ngx.say(ok, " ", err)
            end
        }
    }
--- request
GET /t
--- response_body
false unsafe uri
false unsafe uri
false unsafe uri
false The uri argument is empty
--- no_error_log
[alert]



=== TEST 2: set_uri refuses what breaks a request line
--- config
    location = /t {
        rewrite_by_lua_block {
            ngx.ctx.said = {}
            for _, uri in ipairs({ "", "/a\0b" }) do
                local ok, err = pcall(ngx.req.set_uri, uri)
                table.insert(ngx.ctx.said, tostring(ok) .. " " .. tostring(err) .. "\n")
            end
        }
        content_by_lua_block { ngx.print(ngx.ctx.said, ngx.var.uri) }
    }
--- request
GET /t
--- response_body chomp
false attempt to use zero-length uri
false unsafe byte "0x00" in uri "/a\x00b" (maybe you want to set the 'binary' argument?)
/t
--- no_error_log
[alert]



=== TEST 3: no line ends in a query string: what is proxied stays one request
--- config
    location = /back {
        content_by_lua_block { ngx.say(ngx.req.raw_header():match("^[^\r]*"), " ", ngx.var.http_x_evil) }
    }
    location = /proxy {
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back;
        proxy_http_version 1.0;
        proxy_pass_request_headers off;
    }
    location = /exec {
        content_by_lua_block {
            local args = ngx.unescape_uri(ngx.var.arg_a)
            if ngx.var.arg_where == "uri" then
                ngx.exec("/proxy?" .. args)
            end
            ngx.exec("/proxy", args)
        }
    }
    location = /t {
        content_by_lua_block {
            local function get(where, args)
                local uri = "/exec?where=" .. where .. "&a=" .. ngx.escape_uri(args)
                ngx.print(where, ": ", ngx.location.capture(uri).body)
            end
            for _, where in ipairs { "uri", "args" } do
                get(where, "b=1\r\nX-Evil:1\r\nX-More:")
                get(where, "b=1\nX-Evil:1")
                get(where, "b=\1\127+%20%")
            end
            get("args", "b=\0")
        }
    }
--- request
GET /t
--- response_body
uri: GET /back?b=1%0D%0AX-Evil:1%0D%0AX-More: HTTP/1.0 nil
uri: GET /back?b=1%0AX-Evil:1 HTTP/1.0 nil
uri: GET /back?b=%01%7F+%20% HTTP/1.0 nil
args: GET /back?b=1%0D%0AX-Evil:1%0D%0AX-More: HTTP/1.0 nil
args: GET /back?b=1%0AX-Evil:1 HTTP/1.0 nil
args: GET /back?b=%01%7F+%20% HTTP/1.0 nil
args: GET /back?b=%00 HTTP/1.0 nil
--- no_error_log
[error]
