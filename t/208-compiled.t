# lua-resty-core's functions are compiled where the code of a request calls them once, outside of any loop.

use Test::Nginx::Socket::Lua;

if ( ( $ENV{TEST_NGINX_LOAD_MODULES} || '' ) =~ m{/nginx/modules/ngx_http_lua_module} ) {
    plan( skip_all => 'with the C module, LuaJIT gives up on them' );
}
else {
    repeat_each(2);
    plan( tests => repeat_each() * blocks() * 3 );
}

no_long_string();

run_tests();

__DATA__

=== TEST 1: functions that return a text
--- config
    location /t {
        content_by_lua_block {
            if not jit.status() then
                ngx.say("var md5 escape_uri")
                return
            end
            local util = require "jit.util"
            local name, started
            local compiled = {}
            local function watch(what, _, func)
                if what == "start" then
                    started = util.funcinfo(func).source or ""
                elseif what == "stop" and started:find("/resty/core/", 1, true) then
                    compiled[name] = true
                end
            end
            jit.flush()
            jit.attach(watch, "trace")
            -- A thousand times in a row: there is no loop in Lua that could be compiled with them.
            local function run(statement, callee)
                assert(loadstring("local f = ...\nlocal value\n" .. statement:rep(1000)))(callee)
            end
            name = "var"
            run("value = f.uri\n", ngx.var)
            for _, key in ipairs { "md5", "escape_uri" } do
                name = key
                run("value = f('uri')\n", ngx[key])
            end
            jit.attach(watch)
            ngx.say(compiled.var and "var", " ", compiled.md5 and "md5", " ", compiled.escape_uri and "escape_uri")
        }
    }
--- request
GET /t
--- response_body
var md5 escape_uri
--- no_error_log
[error]



=== TEST 2: ffi.string is LuaJIT's own
--- config
    location /t {
        content_by_lua_block {
            local ffi = require "ffi"
            ngx.say(require("jit.util").funcinfo(ffi.string).ffid ~= nil)
            ngx.say(ffi.string("text"), ffi.string("text", 2), ffi.string("text", nil))
            ngx.say(pcall(ffi.string))
        }
    }
--- request
GET /t
--- response_body
true
texttetext
falsebad argument #1 to '?' (value expected)
--- no_error_log
[error]



=== TEST 3: rawget is LuaJIT's own
--- config
    location /t {
        content_by_lua_block {
            ngx.say(require("jit.util").funcinfo(rawget).ffid ~= nil)
        }
    }
--- request
GET /t
--- response_body
true
--- no_error_log
[error]



=== TEST 3: a loop that receives what is there
--- http_config
    server {
        listen unix:$TEST_NGINX_SERVER_ROOT/lines.sock;
        location / {
            content_by_lua_block { ngx.req.socket(true):send(("some line\r\n"):rep(20000)) }
        }
    }
--- config
    location /t {
        content_by_lua_block {
            local util = require "jit.util"
            local function links(size)
                local sock = ngx.socket.tcp()
                assert(sock:connect("unix:$TEST_NGINX_SERVER_ROOT/lines.sock"))
                assert(sock:send("GET / HTTP/1.0\r\n\r\n"))
                local loops = 0
                local function watch(what, trace)
                    if what == "stop" and util.traceinfo(trace).linktype == "loop" then
                        loops = loops + 1
                    end
                end
                jit.flush()
                jit.attach(watch, "trace")
                local count = 0
                for _ = 1, 10000 do
                    count = count + #(size and sock:receive(size) or sock:receive())
                end
                jit.attach(watch)
                sock:close()
                return count .. (jit.status() and loops == 0 and " not" or "") .. " compiled"
            end
            ngx.say(links(), ", ", links(11))
        }
    }
--- request
GET /t
--- response_body
90000 compiled, 110000 compiled
--- no_error_log
[error]
