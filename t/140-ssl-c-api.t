# ngx.ssl: what a connection tells of itself, certificates and keys that are none, client
# certificates, and what each function answers where there is no TLS.

use Test::Nginx::Socket::Lua;
use Cwd ();

$ENV{TEST_NGINX_CERT_DIR} ||= Cwd::cwd() . '/t/cert';
$ENV{TEST_NGINX_HTML_DIR} ||= html_dir();
$ENV{TEST_NGINX_TLS_PORT} = $ENV{TEST_NGINX_SERVER_PORT} + 1000;

# pem(NAME) reads a file of t/cert; call(ADDRESS, PORT) makes a handshake and gives the answer to a
# request of the form GET /.
our $Init = <<'_EOC_';
    init_by_lua_block {
        function pem(name)
            local file = assert(io.open("$TEST_NGINX_CERT_DIR/" .. name))
            local text = file:read("*a")
            file:close()
            return text
        end

        function call(address, port, certificates, key)
            local sock = ngx.socket.tcp()
            sock:settimeout(3000)
            assert(sock:connect(address, port))
            if certificates then
                assert(sock:setclientcert(certificates, key))
            end
            local ok, err = sock:sslhandshake(false, "test.com", false)
            if not ok then
                return nil, err
            end
            assert(sock:send("GET / HTTP/1.0\r\n\r\n"))
            local answer = assert(sock:receive("*a"))
            sock:close()
            return (answer:gsub("^.-\r\n\r\n", ""))
        end

        function hex(bytes)
            return (bytes:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
        end
    }
_EOC_

our $Certificate = <<'_EOC_';
        ssl_certificate $TEST_NGINX_CERT_DIR/test.crt;
        ssl_certificate_key $TEST_NGINX_CERT_DIR/test.key;
_EOC_

repeat_each(2);

plan tests => repeat_each() * (blocks() * 3);

no_long_string();
run_tests();

__DATA__

=== TEST 1: addresses, port, name and version, in the handshake and in a request
--- http_config eval
qq{
    $::Init
    init_worker_by_lua_block {
        local ssl = require "ngx.ssl"
        function describe()
            local function address(bytes, kind, err)
                return kind == "unix" and (#bytes > 0 and "path" or "none") .. " unix"
                       or bytes and hex(bytes) .. " " .. kind or err
            end
            local port, err = ssl.server_port()
            return table.concat({
                ssl.get_tls1_version_str(), tostring(ssl.server_name()), tostring(port or err),
                address(ssl.raw_server_addr()), address(ssl.raw_client_addr()),
            }, ", ")
        end
    }
    server {
        listen 127.0.0.1:\$TEST_NGINX_TLS_PORT ssl;
        listen [::1]:\$TEST_NGINX_TLS_PORT ssl;
        listen unix:\$TEST_NGINX_HTML_DIR/nginx.sock ssl;
        $::Certificate
        ssl_certificate_by_lua_block { ngx.ctx.told = describe() }
        location / {
            content_by_lua_block {
                local port = tostring(\$TEST_NGINX_TLS_PORT)
                local told = describe()
                ngx.say(told:gsub(port, "PORT"), " ", ngx.ctx.told == told)
            }
        }
    }
}
--- config
    location /t {
        content_by_lua_block {
            ngx.print(call("127.0.0.1", $TEST_NGINX_TLS_PORT))
            ngx.print(call("[::1]", $TEST_NGINX_TLS_PORT))
            ngx.print(call("unix:$TEST_NGINX_HTML_DIR/nginx.sock"))
        }
    }
--- request
GET /t
--- response_body
TLSv1.2, test.com, PORT, 7f000001 inet, 7f000001 inet true
TLSv1.2, test.com, PORT, 00000000000000000000000000000001 inet6, 00000000000000000000000000000001 inet6 true
TLSv1.2, test.com, unix domain has no port, path unix, none unix true
--- no_error_log
[error]



=== TEST 2: without TLS
--- http_config eval: $::Init
--- config
    location /t {
        content_by_lua_block {
            local ssl = require "ngx.ssl"
            local session = require "ngx.ssl.session"
            local ocsp = require "ngx.ocsp"
            local certificate = assert(ssl.parse_pem_cert(pem("test.crt")))
            local key = assert(ssl.parse_pem_priv_key(pem("test.key")))
            for _, call in ipairs{
                ssl.clear_certs, ssl.get_tls1_version, ssl.server_name, ssl.server_port,
                function() return ssl.set_der_cert("x") end,
                function() return ssl.set_der_priv_key("x") end,
                function() return ssl.set_cert(certificate) end,
                function() return ssl.set_priv_key(key) end,
                session.get_serialized_session, session.get_session_id,
                function() return session.set_serialized_session("x") end,
                function() return ocsp.set_ocsp_status_resp("x") end,
            } do
                ngx.say(call())
            end
            ngx.say(select(3, ssl.raw_server_addr()), " ", select(3, ssl.raw_client_addr()))
            ngx.say(ssl.verify_client())
        }
    }
--- request
GET /t
--- response_body
nilbad request
nilbad request
nilbad request
nilbad request
nilbad request
nilbad request
nilbad request
nilbad request
nilbad request
nilbad request
nilbad request
nilbad request
bad request bad request
nilAPI disabled in the current context
--- no_error_log
[error]



=== TEST 3: texts that are no certificate or key
--- http_config eval: $::Init
--- config
    location /t {
        content_by_lua_block {
            local ssl = require "ngx.ssl"
            local certificate, key = pem("test.crt"), pem("test.key")
            local broken = certificate .. certificate:gsub("A", "=", 30)
            for _, text in ipairs{"", "hello", key, broken} do
                ngx.say(ssl.parse_pem_cert(text))
                ngx.say(ssl.cert_pem_to_der(text))
            end
            for _, text in ipairs{"", "hello", certificate} do
                ngx.say(ssl.parse_pem_priv_key(text))
                ngx.say(ssl.priv_key_pem_to_der(text))
            end
            local der = ssl.cert_pem_to_der(pem("deep.crt"))
            ngx.say(#der == #ssl.cert_pem_to_der(certificate)
                    or #der > #ssl.cert_pem_to_der(certificate))
            ngx.say(type(ssl.parse_pem_cert(certificate .. "\nsome words\n")))
        }
    }
--- request
GET /t
--- response_body
nilPEM_read_bio_X509_AUX() failed
nilPEM_read_bio_X509_AUX() failed
nilPEM_read_bio_X509_AUX() failed
nilPEM_read_bio_X509_AUX() failed
nilPEM_read_bio_X509_AUX() failed
nilPEM_read_bio_X509_AUX() failed
nilPEM_read_bio_X509() failed
nilPEM_read_bio_X509() failed
nilPEM_read_bio_PrivateKey() failed
nilPEM_read_bio_PrivateKey() failed
nilPEM_read_bio_PrivateKey() failed
nilPEM_read_bio_PrivateKey() failed
nilPEM_read_bio_PrivateKey() failed
nilPEM_read_bio_PrivateKey() failed
true
cdata
--- no_error_log
[error]



=== TEST 4: keys with a passphrase
--- http_config eval: $::Init
--- config
    location /t {
        content_by_lua_block {
            local ssl = require "ngx.ssl"
            local key = pem("locked.key")
            ngx.say(ssl.parse_pem_priv_key(key))
            ngx.say(ssl.priv_key_pem_to_der(key))
            ngx.say(ssl.priv_key_pem_to_der(key, "wrong"))
            ngx.say(ssl.priv_key_pem_to_der(key, ("long"):rep(1000)))
            ngx.say(ssl.priv_key_pem_to_der(key, "123456") == ssl.priv_key_pem_to_der(pem("test.key")))
        }
    }
--- request
GET /t
--- response_body
nilPEM_read_bio_PrivateKey() failed
nilPEM_read_bio_PrivateKey() failed
nilPEM_read_bio_PrivateKey() failed
nilPEM_read_bio_PrivateKey() failed
true
--- no_error_log
[error]



=== TEST 5: what a connection refuses leaves no mark on its handshake
--- http_config eval
qq{
    $::Init
    server {
        listen unix:\$TEST_NGINX_HTML_DIR/nginx.sock ssl;
        $::Certificate
        ssl_certificate_by_lua_block {
            local ssl = require "ngx.ssl"
            local der = ssl.cert_pem_to_der(pem("test.crt"))
            for _, call in ipairs{
                function() return ssl.set_der_cert("") end,
                function() return ssl.set_der_cert("hello") end,
                function() return ssl.set_der_cert(der .. "hello") end,
                function() return ssl.set_der_priv_key("") end,
                function() return ssl.set_der_priv_key("hello") end,
                function() return ssl.set_der_priv_key(der) end,
                function() return ssl.set_cert(nil) end,
                function() return ssl.set_priv_key(nil) end,
                function()
                    return ssl.set_der_priv_key(ssl.priv_key_pem_to_der(pem("stranger.key")))
                end,
            } do
                local ok, err = call()
                ngx.log(ngx.WARN, "refused: ", ok, " ", err)
            end
        }
        location / { return 200 ok; }
    }
}
--- config
    location /t {
        content_by_lua_block {
            ngx.say(call("unix:$TEST_NGINX_HTML_DIR/nginx.sock"))
        }
    }
--- request
GET /t
--- response_body
ok
--- grep_error_log eval: qr/refused: \w+ [^,]+/
--- grep_error_log_out
refused: nil d2i_X509_bio() failed
refused: nil d2i_X509_bio() failed
refused: nil d2i_X509_bio() failed
refused: nil d2i_PrivateKey_bio() failed
refused: nil d2i_PrivateKey_bio() failed
refused: nil d2i_PrivateKey_bio() failed
refused: nil invalid certificate chain
refused: nil invalid private key failed
refused: nil SSL_use_PrivateKey() failed



=== TEST 6: client certificates: authorities of the code's, and how deep
--- http_config eval
qq{
    $::Init
    server {
        listen unix:\$TEST_NGINX_HTML_DIR/nginx.sock ssl;
        $::Certificate
        ssl_certificate_by_lua_block {
            local ssl = require "ngx.ssl"
            local given = how
            if given then
                assert(ssl.verify_client(given.authorities, given.depth))
            end
        }
        location / {
            return 200 "\$ssl_client_verify \$ssl_client_s_dn\\n";
        }
    }
}
--- config
    location /t {
        content_by_lua_block {
            local ssl = require "ngx.ssl"
            local ca = assert(ssl.parse_pem_cert(pem("ca.crt")))
            local certificate = assert(ssl.parse_pem_cert(pem("client.crt")))
            local key = assert(ssl.parse_pem_priv_key(pem("client.key")))
            for _, given in ipairs{
                {}, { authorities = ca }, { authorities = ca, depth = 2 },
                { authorities = ca, depth = 0 }, { authorities = certificate, depth = 2 },
            } do
                rawset(_G, "how", given)
                ngx.print(call("unix:$TEST_NGINX_HTML_DIR/nginx.sock", nil, certificate, key))
            end
            rawset(_G, "how", { authorities = ca })
            ngx.print(call("unix:$TEST_NGINX_HTML_DIR/nginx.sock"))
            rawset(_G, "how", false)
            ngx.print(call("unix:$TEST_NGINX_HTML_DIR/nginx.sock", nil, certificate, key))
        }
    }
--- request
GET /t
--- response_body
FAILED:unable to get local issuer certificate CN=client
SUCCESS CN=client
SUCCESS CN=client
FAILED:unable to get local issuer certificate CN=client
FAILED:unable to get issuer certificate CN=client
NONE 
NONE 
--- no_error_log
[error]



=== TEST 7: the symbols that other releases call otherwise
--- http_config eval
qq{
    $::Init
    server {
        listen unix:\$TEST_NGINX_HTML_DIR/nginx.sock ssl;
        $::Certificate
        ssl_certificate_by_lua_block {
            local ffi = require "ffi"
            ffi.cdef[[
                void *ngx_http_lua_ffi_get_req_ssl_pointer(void *r);
                const char *SSL_get_servername(const void *s, int type);
            ]]
            local r = require "resty.core.base".get_request()
            local ssl = ffi.C.ngx_http_lua_ffi_get_req_ssl_pointer(r)
            ngx.log(ngx.WARN, "by its pointer: ", ffi.string(ffi.C.SSL_get_servername(ssl, 0)))
        }
        location / { return 200 ok; }
    }
}
--- config
    location /t {
        content_by_lua_block {
            local ffi = require "ffi"
            pcall(ffi.cdef, "void *ngx_http_lua_ffi_get_req_ssl_pointer(void *r);")
            local r = require "resty.core.base".get_request()
            ngx.say(ffi.C.ngx_http_lua_ffi_get_req_ssl_pointer(r) == nil)
            ngx.say(call("unix:$TEST_NGINX_HTML_DIR/nginx.sock"))
        }
    }
--- request
GET /t
--- response_body
true
ok
--- error_log
by its pointer: test.com
