# ssl_session_fetch_by_lua*: sessions that the code finds, with those that it keeps in
# ssl_session_store_by_lua*.

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
        location / { return 200 $ssl_session_reused; }
    }
_EOC_

# reused(SESSION) makes a handshake and gives what the server says of it, and the session.
our $Init = <<'_EOC_';
    # What no directive names differs between releases of lua-nginx-module.
    lua_ssl_protocols TLSv1.2;
    lua_shared_dict sessions 1m;
    init_by_lua_block {
        function reused(session)
            local sock = ngx.socket.tcp()
            sock:settimeout(3000)
            assert(sock:connect("unix:$TEST_NGINX_HTML_DIR/nginx.sock"))
            local session, err = sock:sslhandshake(session, "test.com", false)
            if not session then
                return err
            end
            assert(sock:send("GET / HTTP/1.0\r\n\r\n"))
            local answer = assert(sock:receive("*a"))
            sock:close()
            return answer:match("[r.]$"), session
        end
    }
    ssl_session_store_by_lua_block {
        local session = require "ngx.ssl.session"
        ngx.shared.sessions:set(session.get_session_id(), session.get_serialized_session())
    }
_EOC_

repeat_each(2);

plan tests => repeat_each() * (blocks() * 4 + 9);

no_long_string();
run_tests();

__DATA__

=== TEST 1: a session that was kept is resumed, over and over
--- http_config eval
qq{
    $::Init
    ssl_session_fetch_by_lua_block {
        local session = require "ngx.ssl.session"
        local kept = ngx.shared.sessions:get(session.get_session_id())
        ngx.log(ngx.WARN, ngx.get_phase(), ": ", kept and "found" or "not found")
        if kept then
            assert(session.set_serialized_session("nonsense") == nil)
            assert(session.set_serialized_session(kept))
            assert(session.set_serialized_session(kept))
        end
    }
    $::Server
}
--- config
    location /t {
        content_by_lua_block {
            local first, session = reused()
            ngx.say(first, (reused(session)), (reused(session)))
            ngx.shared.sessions:flush_all()
            ngx.say((reused(session)))
        }
    }
--- request
GET /t
--- response_body
.rr
.
--- grep_error_log eval: qr/ssl_session_fetch: [a-z ]+/
--- grep_error_log_out
ssl_session_fetch: found
ssl_session_fetch: found
ssl_session_fetch: not found
--- no_error_log
[error]
[alert]



=== TEST 2: code that fails, leaves or cannot be loaded: the handshake is a full one
--- http_config eval
qq{
    $::Init
    ssl_session_fetch_by_lua_block {
        local session = require "ngx.ssl.session"
        if how == "error" then
            error("not found")
        elseif how == "exit" then
            ngx.exit(ngx.ERROR)
        end
    }
    $::Server
}
--- config
    location /t {
        content_by_lua_block {
            for _, name in ipairs{"error", "exit", "nothing"} do
                local _, session = reused()
                rawset(_G, "how", name)
                ngx.say(name, " ", (reused(session)))
            end
        }
    }
--- request
GET /t
--- response_body
error .
exit .
nothing .
--- error_log eval
[
qr/lua entry thread aborted: runtime error: ssl_session_fetch_by_lua\(nginx.conf:\d+\):4: not found/,
qr/, context: ssl_session_fetch_by_lua\*, client: unix:, server: unix:/,
]
--- no_error_log
[alert]
[crit]



=== TEST 3: code that waits, for a session and for none
--- http_config eval
qq{
    $::Init
    ssl_session_fetch_by_lua_block {
        local session = require "ngx.ssl.session"
        local id = session.get_session_id()
        ngx.sleep(0.01)
        ngx.log(ngx.WARN, "the code went on, ", tostring(id == session.get_session_id()))
        local found = ngx.shared.sessions:get(id)
        if found then
            assert(session.set_serialized_session(found))
        end
    }
    $::Server
}
--- config
    location /t {
        content_by_lua_block {
            local first, session = reused()
            ngx.say(first)
            for i = 1, 3 do
                first, session = reused(session)
                ngx.say(first)
            end
            ngx.shared.sessions:flush_all()
            ngx.say((reused(session)))
        }
    }
--- request
GET /t
--- response_body
.
r
r
r
.
--- error_log
the code went on, true
--- no_error_log
[error]
[alert]
[crit]



=== TEST 4: where OpenSSL has sessions of its own, code must not wait: the handshake is a full one
--- http_config eval
qq{
    $::Init
    ssl_session_cache builtin:100;
    ssl_session_fetch_by_lua_block {
        local session = require "ngx.ssl.session"
        local found = ngx.shared.sessions:get(session.get_session_id())
        if found and session.set_serialized_session(found) then
            ngx.log(ngx.WARN, "a session was set")
        end
        ngx.sleep(0.01)
        ngx.log(ngx.ERR, "the code went on")
    }
    $::Server
    server {
        listen unix:\$TEST_NGINX_HTML_DIR/other.sock ssl;
        ssl_certificate \$TEST_NGINX_CERT_DIR/test.crt;
        ssl_certificate_key \$TEST_NGINX_CERT_DIR/test.key;
        ssl_session_tickets off;
        location / { return 200 \$ssl_session_reused; }
    }
}
--- config
    location /t {
        content_by_lua_block {
            -- A session of another server's, which this one does not have.
            local sock = ngx.socket.tcp()
            assert(sock:connect("unix:$TEST_NGINX_HTML_DIR/other.sock"))
            local session = assert(sock:sslhandshake(nil, "test.com", false))
            sock:close()
            ngx.say((reused(session)))
            ngx.sleep(0.03)
        }
    }
--- request
GET /t
--- response_body
.
--- error_log
a session was set
lua: cannot yield in sess get cb: missing async sess get cb support in OpenSSL
--- no_error_log
the code went on
[error]
[alert]



=== TEST 5: what the handshake's other phases know of the session
--- http_config eval
qq{
    $::Init
    ssl_session_fetch_by_lua_block {
        local session = require "ngx.ssl.session"
        ngx.ctx.id = session.get_session_id()
    }
    server {
        listen unix:\$TEST_NGINX_HTML_DIR/nginx.sock ssl;
        ssl_certificate \$TEST_NGINX_CERT_DIR/test.crt;
        ssl_certificate_key \$TEST_NGINX_CERT_DIR/test.key;
        ssl_session_tickets off;
        location / { return 200 \$ssl_session_reused; }
        ssl_certificate_by_lua_block {
            local session = require "ngx.ssl.session"
            local id, err = session.get_session_id()
            ngx.log(ngx.WARN, "certificate: ", id and "an id" or err, ", ", id == ngx.ctx.id,
                    ", ", select(2, session.get_serialized_session()))
        }
    }
}
--- config
    location /t {
        content_by_lua_block {
            local _, session = reused()
            ngx.say((reused(session)))
        }
    }
--- request
GET /t
--- response_body
.
--- grep_error_log eval: qr/certificate: [^,]*, [^,]*, [^,]*/
--- grep_error_log_out
certificate: uninitialized session id len in lua context, true, bad session in lua context
certificate: an id, true, bad session in lua context
--- no_error_log
[error]
[alert]
