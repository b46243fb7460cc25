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
