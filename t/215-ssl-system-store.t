# The system's certificate authorities: trusted by cosockets that verify a server, where no file is named.

use Test::Nginx::Socket::Lua;
use Cwd ();

$ENV{TEST_NGINX_CERT_DIR} ||= Cwd::cwd() . '/t/cert';
$ENV{TEST_NGINX_HTML_DIR} ||= html_dir();

# Where OpenSSL looks for the system's.
$ENV{SSL_CERT_FILE} = "$ENV{TEST_NGINX_CERT_DIR}/ca.crt";
$ENV{SSL_CERT_DIR}  = $ENV{TEST_NGINX_HTML_DIR};

our $Http = join '', "lua_ssl_protocols TLSv1.2 TLSv1.3;\n", ( map { <<"_EOC_" } qw(test deep revoked stranger) ), <<'_EOC_';
    server {
        listen unix:\$TEST_NGINX_HTML_DIR/$_.sock ssl;
        ssl_certificate \$TEST_NGINX_CERT_DIR/$_.crt;
        ssl_certificate_key \$TEST_NGINX_CERT_DIR/$_.key;
        location / { return 200 ok; }
    }
_EOC_
    init_by_lua_block {
        require "resty.core"

        -- Connects to the server of that certificate.
        function connected(name, options)
            local sock = ngx.socket.tcp()
            sock:settimeout(3000)
            assert(sock:connect("unix:$TEST_NGINX_HTML_DIR/" .. name .. ".sock", options))
            return sock
        end

        -- How a handshake there goes, as "test.com".
        function handshake(name, verify)
            local sock = connected(name)
            local ok, err = sock:sslhandshake(false, "test.com", verify)
            sock:close()
            return name, ": ", ok or (err:gsub(" signed", "-signed"))
        end
    }
_EOC_

repeat_each(2);

plan tests => repeat_each() * (blocks() * 3);

no_long_string();
run_tests();

__DATA__

=== TEST 1: no file is named
--- http_config eval: $::Http
--- config
    lua_socket_log_errors off;
    location /t {
        content_by_lua_block {
            ngx.say(handshake("test", true))
            ngx.say(handshake("deep", true))
            ngx.say(handshake("revoked", true))
            ngx.say(handshake("stranger", true))
            ngx.say(handshake("stranger", false))
        }
    }
--- request
GET /t
--- response_body
test: true
deep: true
revoked: true
stranger: 18: self-signed certificate
stranger: true
--- no_error_log
[error]



=== TEST 2: the system's are named, within a block that names a file
--- http_config eval: $::Http
--- config
    lua_socket_log_errors off;
    lua_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/stranger.crt;
    location = /file {
        content_by_lua_block { ngx.say(handshake("test", true)) }
    }
    location = /system {
        lua_ssl_trusted_certificate system;
        content_by_lua_block { ngx.say(handshake("test", true)) }
    }
    location /t {
        content_by_lua_block {
            ngx.print(ngx.location.capture("/file").body, ngx.location.capture("/system").body)
        }
    }
--- request
GET /t
--- response_body
test: 21: unable to verify the first certificate
test: true
--- no_error_log
[error]



=== TEST 3: the length of a chain is limited only where that is asked for
--- http_config eval: $::Http
--- config
    lua_socket_log_errors off;
    lua_ssl_verify_depth 0;
    location /t {
        content_by_lua_block {
            ngx.say(handshake("test", true))
            ngx.say(handshake("deep", true))
        }
    }
--- request
GET /t
--- response_body
test: true
deep: 22: certificate chain too long
--- no_error_log
[error]



=== TEST 4: with a list of revoked certificates
--- http_config eval: $::Http
--- config
    lua_socket_log_errors off;
    lua_ssl_crl $TEST_NGINX_CERT_DIR/crl.pem;
    location /t {
        content_by_lua_block {
            ngx.say(handshake("test", true))
            ngx.say(handshake("revoked", true))
        }
    }
--- request
GET /t
--- response_body
test: true
revoked: 23: certificate revoked
--- no_error_log
[error]



=== TEST 5: a pooled connection whose server was not verified makes place for one whose server is
--- http_config eval: $::Http
--- config
    location /t {
        content_by_lua_block {
            local options = { pool = ngx.var.request_id }
            for _, verify in ipairs({ false, true, true, false }) do
                local sock = connected("test", options)
                assert(sock:sslhandshake(false, "test.com", verify))
                ngx.say(sock:getreusedtimes())
                assert(sock:setkeepalive())
            end
        }
    }
--- request
GET /t
--- response_body
0
0
1
2
--- no_error_log
[error]



=== TEST 6: a store of the socket's own comes first
--- http_config eval: $::Http
--- config
    lua_socket_log_errors off;
    location /t {
        content_by_lua_block {
            local ffi = require "ffi"
            ffi.cdef[[
                void *X509_STORE_new(void);
                void X509_STORE_free(void *);
                int ngx_http_lua_ffi_socket_tcp_settrustedstore(ngx_http_request_t *r, void *u,
                    void *store, char **errmsg);
            ]]
            local empty = ffi.gc(ffi.C.X509_STORE_new(), ffi.C.X509_STORE_free)
            local sock = connected("test")
            local request = require "resty.core.base".get_request()
            local errmsg = ffi.new("char *[1]")
            ngx.say(ffi.C.ngx_http_lua_ffi_socket_tcp_settrustedstore(request, sock[1], empty, errmsg))
            ngx.say(select(2, sock:sslhandshake(false, "test.com", true)))
        }
    }
--- request
GET /t
--- response_body
0
20: unable to get local issuer certificate
--- no_error_log
[error]
