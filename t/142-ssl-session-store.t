# ssl_session_store_by_lua*: new sessions, and code that fails or may not wait.

use Test::Nginx::Socket::Lua;
use Cwd ();

$ENV{TEST_NGINX_CERT_DIR} ||= Cwd::cwd() . '/t/cert';
$ENV{TEST_NGINX_HTML_DIR} ||= html_dir();

our $Server = <<'_EOC_';
    server {
        listen unix:$TEST_NGINX_HTML_DIR/nginx.sock ssl;
        ssl_certificate $TEST_NGINX_CERT_DIR/test.crt;
        ssl_certificate_key $TEST_NGINX_CERT_DIR/test.key;
        ssl_session_tickets off;
        location / { return 200; }
    }
_EOC_

# The form of the handshake that the blocks ask for; nil and a reason where it fails.
our $Init = <<'_EOC_';
    # What no directive names differs between releases of lua-nginx-module.
    lua_ssl_protocols TLSv1.2;
    init_by_lua_block {
        function handshake(session)
            local sock = ngx.socket.tcp()
            sock:settimeout(3000)
            assert(sock:connect("unix:$TEST_NGINX_HTML_DIR/nginx.sock"))
            local session, err = sock:sslhandshake(session, "test.com", false)
            sock:close()
            return session, err
        end
    }
_EOC_

repeat_each(2);

plan tests => repeat_each() * (blocks() * 4 + 6);

no_long_string();
run_tests();

__DATA__

=== TEST 1: each new session, with its id
--- http_config eval
qq{
    $::Init
    ssl_session_store_by_lua_block {
        local session = require "ngx.ssl.session"
        local id = session.get_session_id()
        local bytes = session.get_serialized_session()
        ngx.log(ngx.WARN, ngx.get_phase(), " stores ", #id, " digits: ", not id:find("[^0-9a-f]"),
                ", bytes: ", #bytes > 40)
    }
    $::Server
}
--- config
    location /t {
        content_by_lua_block {
            ngx.say(type(handshake()), " ", type(handshake()))
        }
    }
--- request
GET /t
--- response_body
cdata cdata
--- grep_error_log eval: qr/\w+ stores [^,]*, bytes: \w+/
--- grep_error_log_out
ssl_session_store stores 64 digits: true, bytes: true
ssl_session_store stores 64 digits: true, bytes: true
--- no_error_log
[error]



=== TEST 2: TLS 1.3 has tickets of its own
--- http_config eval
qq{
    $::Init
    ssl_session_store_by_lua_block { ngx.log(ngx.ERR, "the code runs") }
    server {
        listen unix:\$TEST_NGINX_HTML_DIR/nginx.sock ssl;
        ssl_protocols TLSv1.3;
        ssl_certificate \$TEST_NGINX_CERT_DIR/test.crt;
        ssl_certificate_key \$TEST_NGINX_CERT_DIR/test.key;
    }
}
--- config
    lua_ssl_protocols TLSv1.3;
    location /t {
        content_by_lua_block {
            ngx.say(type(handshake()))
        }
    }
--- request
GET /t
--- response_body
cdata
--- error_log
ssl_session_store_by_lua*: skipped since TLS version >= 1.3 (304)
--- no_error_log
[error]



=== TEST 3: code that fails, and one that cannot be loaded: the handshake goes on
--- http_config eval
qq{
    $::Init
    ssl_session_store_by_lua_file html/store.lua;
    $::Server
}
--- config
    location /t {
        content_by_lua_block {
            ngx.say(type(handshake()))
        }
    }
--- user_files
>>> store.lua
ngx.ctx.a = 1
error("not stored")
--- request
GET /t
--- response_body
cdata
--- error_log
failed to run session_store_by_lua*:
store.lua:2: not stored
context: ssl_session_store_by_lua*, client: unix:, server: unix:
--- no_error_log
[alert]



=== TEST 4: code that cannot be loaded
--- http_config eval
qq{
    $::Init
    ssl_session_store_by_lua_file html/none.lua;
    $::Server
}
--- config
    location /t {
        content_by_lua_block {
            ngx.say(type(handshake()))
        }
    }
--- request
GET /t
--- response_body
cdata
--- error_log
failed to load external Lua file
--- no_error_log
[alert]



=== TEST 5: it cannot wait, and ngx.exit ends nothing
--- http_config eval
qq{
    $::Init
    ssl_session_store_by_lua_block {
        for name, call in pairs{
            sleep = function() ngx.sleep(0.001) end,
            socket = function() ngx.socket.tcp() end,
            thread = function() ngx.thread.spawn(function() end) end,
            semaphore = function() assert(require "ngx.semaphore".new():wait(1)) end,
        } do
            local ok, err = pcall(call)
            ngx.log(ngx.WARN, name, ": ", ok, " ", (tostring(err):gsub(".*: ", "")))
        end
        ngx.timer.at(0, function() ngx.log(ngx.WARN, "a timer runs") end)
        ngx.exit(ngx.ERROR)
        ngx.log(ngx.WARN, "the end")
    }
    $::Server
}
--- config
    location /t {
        content_by_lua_block {
            ngx.say(type(handshake()))
            ngx.sleep(0.01)
        }
    }
--- request
GET /t
--- response_body
cdata
--- error_log
sleep: false API disabled in the context of ssl_session_store_by_lua*
socket: false API disabled in the context of ssl_session_store_by_lua*
thread: false API disabled in the context of ssl_session_store_by_lua*
semaphore: false API disabled in the context of ssl_session_store_by_lua*
a timer runs
the end
--- no_error_log
[error]



=== TEST 6: for the whole http block only
--- http_config
    server {
        listen 127.0.0.1:1;
        ssl_session_store_by_lua_block { ngx.log(ngx.WARN, "hello") }
    }
--- config
--- must_die
--- error_log
"ssl_session_store_by_lua_block" directive is not allowed here
--- no_error_log
[alert]
