# What lua-resty-core asks of a cosocket's TLS from release 0.1.33 on: whom it trusts, a session to take
# up, OpenSSL's own objects. The functions behind it are called here as it calls them.

use Test::Nginx::Socket::Lua;
use Cwd ();

$ENV{TEST_NGINX_CERT_DIR} ||= Cwd::cwd() . '/t/cert';
$ENV{TEST_NGINX_HTML_DIR} ||= html_dir();

our $Http = <<'_EOC_';
    lua_ssl_protocols TLSv1.2 TLSv1.3;
    server {
        listen unix:$TEST_NGINX_HTML_DIR/nginx.sock ssl;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate $TEST_NGINX_CERT_DIR/test.crt;
        ssl_certificate_key $TEST_NGINX_CERT_DIR/test.key;
        location / { return 200 "$ssl_session_reused\n"; }
    }
    server {
        listen unix:$TEST_NGINX_HTML_DIR/plain.sock;
        location / { return 200 "plain\n"; }
    }
    init_by_lua_block {
        local ffi = require "ffi"
        require "resty.core"
        ffi.cdef[[
            int ngx_http_lua_socket_tcp_get_ssl_session(ngx_http_request_t *r, void *u, void **sess,
                char **errmsg);
            int ngx_http_lua_ffi_socket_tcp_get_ssl_pointer(ngx_http_request_t *r, void *u,
                void **pssl, char **errmsg);
            int ngx_http_lua_ffi_socket_tcp_get_ssl_ctx(ngx_http_request_t *r, void *u, void **pctx,
                char **errmsg);
            int ngx_http_lua_ffi_socket_tcp_settrustedstore(ngx_http_request_t *r, void *u,
                void *store, char **errmsg);
            void *X509_STORE_new(void);
            void X509_STORE_free(void *);
            int X509_STORE_load_locations(void *, const char *, const char *);
            void *SSL_get_SSL_CTX(const void *);
            int SSL_version(const void *);
        ]]
        local C = ffi.C
        local errmsg, pointer = ffi.new("char *[1]"), ffi.new("void *[1]")
        local request = require "resty.core.base".get_request

        local function asker(name)
            return function(sock)
                pointer[0] = ffi.cast("void *", 1)
                local rc = C[name](request(), sock[1], pointer, errmsg)
                if rc ~= 0 then
                    assert(pointer[0] == nil)
                    return nil, ffi.string(errmsg[0])
                end
                return pointer[0]
            end
        end
        getsslpointer = asker("ngx_http_lua_ffi_socket_tcp_get_ssl_pointer")
        getsslctx = asker("ngx_http_lua_ffi_socket_tcp_get_ssl_ctx")
        local ask = asker("ngx_http_lua_socket_tcp_get_ssl_session")
        function getsslsession(sock)
            local session, err = ask(sock)
            if not session then return nil, err end
            return ffi.gc(session, C.ngx_http_lua_ffi_ssl_free_session)
        end

        function settrustedstore(sock, store)
            local rc = C.ngx_http_lua_ffi_socket_tcp_settrustedstore(request(), sock[1], store, errmsg)
            if rc ~= 0 then return nil, ffi.string(errmsg[0]) end
            return true
        end

        function store(name)
            local made = ffi.gc(C.X509_STORE_new(), C.X509_STORE_free)
            if name then
                assert(C.X509_STORE_load_locations(made, "$TEST_NGINX_CERT_DIR/" .. name, nil) == 1)
            end
            return made
        end

        function connected(name, options)
            local sock = ngx.socket.tcp()
            sock:settimeout(3000)
            assert(sock:connect("unix:$TEST_NGINX_HTML_DIR/" .. (name or "nginx") .. ".sock", options))
            return sock
        end
    }
_EOC_

repeat_each(2);

plan tests => repeat_each() * (blocks() * 3);

no_long_string();
run_tests();

__DATA__

=== TEST 1: a socket without TLS, and one that is closed
--- http_config eval: $::Http
--- config
    location /t {
        content_by_lua_block {
            local sock = connected("plain")
            ngx.say(getsslpointer(sock))
            ngx.say(getsslctx(sock))
            ngx.say(getsslsession(sock))
            sock[1], closed = sock[1], sock[1]
            sock:close()
            local again = { [1] = closed }
            ngx.say(getsslpointer(again))
            ngx.say(getsslctx(again))
            ngx.say(getsslsession(again))
            ngx.say(settrustedstore(again, nil))
        }
    }
--- request
GET /t
--- response_body
nilno ssl connection
nilno ssl context
nilno session
nilclosed
nilclosed
nilclosed
nilclosed
--- no_error_log
[error]



=== TEST 2: OpenSSL's objects of a connection
--- http_config eval: $::Http
--- config
    location /t {
        content_by_lua_block {
            local ffi = require "ffi"
            local sock, other = connected(), connected()
            assert(sock:sslhandshake(nil, "test.com"))
            assert(other:sslhandshake(nil, "test.com"))
            local ssl, ctx = assert(getsslpointer(sock)), assert(getsslctx(sock))
            ngx.say(("%x"):format(ffi.C.SSL_version(ssl)))
            ngx.say(ffi.C.SSL_get_SSL_CTX(ssl) == ctx, " ", getsslctx(other) == ctx, " ",
                getsslpointer(other) == ssl)
        }
    }
--- request
GET /t
--- response_body
304
true true false
--- no_error_log
[error]



=== TEST 3: a session is there once it can be taken up
--- http_config eval: $::Http
--- config
    location /t {
        content_by_lua_block {
            local function get(session)
                local sock = connected()
                assert(sock:sslhandshake(session, "test.com"))
                local early = select(2, getsslsession(sock))
                assert(sock:send("GET / HTTP/1.0\r\n\r\n"))
                local reused = assert(sock:receive("*a")):match("([r.])\n$")
                local session = getsslsession(sock)
                sock:close()
                return reused, early, session
            end
            local reused, early, session = get()
            ngx.say(reused and "known", " ", early, " ", type(session))
            ngx.say((get(session)))
        }
    }
--- request
GET /t
--- response_body
known not resumable cdata
r
--- no_error_log
[error]



=== TEST 4: a trusted store stands in for lua_ssl_trusted_certificate
--- http_config eval: $::Http
--- config
    location /t {
        content_by_lua_block {
            local function try(...)
                local sock = connected()
                for i = 1, select("#", ...) do
                    assert(settrustedstore(sock, (select(i, ...))))
                end
                collectgarbage()
                local session, err = sock:sslhandshake(nil, "test.com", true)
                return session and "trusted" or err
            end
            ngx.say(try())
            ngx.say(try(store("ca.crt")))
            ngx.say(try(store()))
            ngx.say(try(store("ca.crt"), nil))
            ngx.say(try(store(), store("ca.crt")))
        }
    }
--- request
GET /t
--- response_body
20: unable to get local issuer certificate
trusted
20: unable to get local issuer certificate
20: unable to get local issuer certificate
trusted
--- no_error_log
[crit]



=== TEST 5: too late for a connection that has had its handshake
--- http_config eval: $::Http
--- config
    location /t {
        content_by_lua_block {
            local sock = connected()
            local trusted = store("ca.crt")
            assert(settrustedstore(sock, trusted))
            assert(sock:sslhandshake(nil, "test.com", true))
            ngx.say(settrustedstore(sock, trusted))
            ngx.say(type(sock:sslhandshake(nil, "test.com", true)))
            ngx.say(settrustedstore(sock, store()))
            ngx.say(sock:sslhandshake(nil, "test.com", true))
        }
    }
--- request
GET /t
--- response_body
nilssl handshake already done; trusted store cannot be changed on an established TLS connection
cdata
nilssl handshake already done; trusted store cannot be changed on an established TLS connection
nilthe server was verified by another trusted store
--- no_error_log
[error]



=== TEST 6: what a store vouched for is not trusted by who has another one, through a pool
--- http_config eval: $::Http
--- config
    location /t {
        lua_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/stranger.crt;
        content_by_lua_block {
            local trusted = store("ca.crt")
            local function try(wanted)
                local sock = connected("nginx", { pool = "shared" .. ngx.var.connection })
                local reused = sock:getreusedtimes()
                settrustedstore(sock, wanted)
                local session, err = sock:sslhandshake(nil, "test.com", true)
                if not session then return reused, " ", err end
                assert(sock:setkeepalive())
                return reused, " trusted"
            end
            ngx.say(try(trusted))
            ngx.say(try(trusted))
            ngx.say(try(nil))
            ngx.say(try(trusted))
        }
    }
--- request
GET /t
--- response_body
0 trusted
1 trusted
2 21: unable to verify the first certificate
0 trusted
--- no_error_log
[crit]
