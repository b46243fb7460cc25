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

# The functions of lua-resty-core's ngx.ssl since release 0.1.29, called as it calls them.
our $Newer = <<'_EOC_';
    init_worker_by_lua_block {
        local ffi = require "ffi"
        require "ngx.ssl"
        ffi.cdef[[
            int ngx_http_lua_ffi_ssl_client_random(ngx_http_request_t *r, unsigned char *out,
                size_t *outlen, char **err);
            int ngx_http_lua_ffi_ssl_server_random(ngx_http_request_t *r, unsigned char *out,
                size_t *outlen, char **err);
            int ngx_http_lua_ffi_ssl_session_master_key(ngx_http_request_t *r, unsigned char *out,
                size_t *outlen, char **err);
            int ngx_http_lua_ffi_ssl_export_keying_material(void *r, unsigned char *out,
                size_t out_size, const char *label, size_t llen, const unsigned char *ctx,
                size_t ctxlen, int use_ctx, char **err);
            int ngx_http_lua_ffi_ssl_export_keying_material_early(void *r, unsigned char *out,
                size_t out_size, const char *label, size_t llen, const unsigned char *ctx,
                size_t ctxlen, char **err);
            int ngx_http_lua_ffi_req_shared_ssl_ciphers(ngx_http_request_t *r,
                unsigned short *ciphers, unsigned short *nciphers, int filter_grease, char **err);
            void *ngx_http_lua_ffi_parse_der_cert(const char *data, size_t len, char **err);
            void *ngx_http_lua_ffi_parse_der_priv_key(const char *data, size_t len, char **err);
            void *ngx_http_lua_ffi_get_upstream_ssl_pointer(ngx_http_request_t *r, char **err);
            int ngx_http_lua_ffi_socket_tcp_get_ssl_pointer(ngx_http_request_t *r, void *u,
                void **pssl, char **errmsg);
            size_t SSL_get_client_random(const void *ssl, unsigned char *out, size_t outlen);
            size_t SSL_get_server_random(const void *ssl, unsigned char *out, size_t outlen);
            void *SSL_get_session(const void *ssl);
            size_t SSL_SESSION_get_master_key(const void *session, unsigned char *out, size_t outlen);
            int SSL_export_keying_material(void *s, unsigned char *out, size_t olen, const char *label,
                size_t llen, const char *context, size_t contextlen, int use_context);
            int SSL_version(const void *);
        ]]
        local C, request = ffi.C, require "resty.core.base".get_request
        local err, size, buf = ffi.new("char *[1]"), ffi.new("size_t[1]"), ffi.new("unsigned char[256]")

        local function failure() return nil, ffi.string(err[0]) end

        function bytes(name, room)
            size[0] = room
            if C["ngx_http_lua_ffi_ssl_" .. name](request(), buf, size, err) ~= 0 then return failure() end
            return room == 0 and tonumber(size[0]) or ffi.string(buf, size[0])
        end

        function export(len, label, context)
            local rc = C.ngx_http_lua_ffi_ssl_export_keying_material(request(), buf, len, label, #label,
                context, context and #context or 0, context and 1 or 0, err)
            if rc ~= 0 then return failure() end
            return ffi.string(buf, len)
        end

        function export_early(len, label, context)
            local rc = C.ngx_http_lua_ffi_ssl_export_keying_material_early(request(), buf, len, label,
                #label, context, #context, err)
            if rc ~= 0 then return failure() end
            return ffi.string(buf, len)
        end

        function shared_ciphers(room, filter)
            local list = ffi.new("unsigned short[?]", room + 1)
            list[0] = room
            if C.ngx_http_lua_ffi_req_shared_ssl_ciphers(request(), list + 1, list, filter, err) ~= 0 then
                assert(list[0] == 0)
                return failure()
            end
            local found = {}
            for i = 1, list[0] do found[i] = ("%04x"):format(list[i]) end
            return table.concat(found, ","), #found
        end

        function parse(kind, der)
            local object = C["ngx_http_lua_ffi_parse_der_" .. kind](der, #der, err)
            if object == nil then return failure() end
            return ffi.gc(object, C["ngx_http_lua_ffi_free_" .. kind])
        end

        function upstream_version()
            local ssl = C.ngx_http_lua_ffi_get_upstream_ssl_pointer(request(), err)
            if ssl == nil then return ffi.string(err[0]) end
            return ("%x"):format(C.SSL_version(ssl))
        end

        -- Compares what the server says with what the client finds in OpenSSL's own connection.
        function both_sides()
            local sock = ngx.socket.tcp()
            sock:settimeout(3000)
            assert(sock:connect("unix:$TEST_NGINX_HTML_DIR/nginx.sock"))
            assert(sock:sslhandshake(nil, "test.com"))
            assert(sock:send("GET / HTTP/1.0\r\n\r\n"))
            local answer = assert(sock:receive("*a")):match("%x+$")
            local pointer = ffi.new("void *[1]")
            assert(C.ngx_http_lua_ffi_socket_tcp_get_ssl_pointer(request(), sock[1], pointer, err) == 0)
            local ssl = pointer[0]
            local function own(len) return hex(ffi.string(buf, len)) end
            C.SSL_get_client_random(ssl, buf, 32)
            local client = own(32) == answer:sub(1, 64)
            C.SSL_get_server_random(ssl, buf, 32)
            local server = own(32) == answer:sub(65, 128)
            -- TLS 1.3 has one for each session: what stands here is no secret of this handshake.
            local len = C.SSL_SESSION_get_master_key(C.SSL_get_session(ssl), buf, 48)
            local master = C.SSL_version(ssl) == 0x304 or own(len) == answer:sub(129, 224)
            local exported = true
            for i, context in ipairs{ false, "", "context" } do
                assert(C.SSL_export_keying_material(ssl, buf, 24, "label", 5, context or nil,
                    context and #context or 0, context and 1 or 0) == 1)
                exported = exported and own(24) == answer:sub(177 + 48 * i, 224 + 48 * i)
            end
            ngx.say(#answer / 2, " ", client, " ", server, " ", master, " ", exported)
        end
    }
_EOC_

our $Certificate = <<'_EOC_';
        ssl_certificate $TEST_NGINX_CERT_DIR/test.crt;
        ssl_certificate_key $TEST_NGINX_CERT_DIR/test.key;
_EOC_

repeat_each(2);

plan tests => repeat_each() * (blocks() * 3 + 5);

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
    lua_ssl_protocols TLSv1.2;
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
--- grep_error_log eval: qr/refused: \w+ (?:invalid private key|[^,]+)/
--- grep_error_log_out
refused: nil d2i_X509_bio() failed
refused: nil d2i_X509_bio() failed
refused: nil d2i_X509_bio() failed
refused: nil d2i_PrivateKey_bio() failed
refused: nil d2i_PrivateKey_bio() failed
refused: nil d2i_PrivateKey_bio() failed
refused: nil invalid certificate chain
refused: nil invalid private key
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



=== TEST 8: what both sides know: random numbers, master key, exported keys
--- http_config eval
qq{
    $::Init
    $::Newer
    server {
        listen unix:\$TEST_NGINX_HTML_DIR/nginx.sock ssl;
        ssl_protocols TLSv1.2 TLSv1.3;
        $::Certificate
        location / {
            content_by_lua_block {
                ngx.print(hex(table.concat({
                    bytes("client_random", 32), bytes("server_random", 32), bytes("session_master_key", 48),
                    export(24, "label"), export(24, "label", ""), export(24, "label", "context"),
                })))
            }
        }
    }
}
--- config
    location /t {
        lua_ssl_protocols TLSv1.2;
        content_by_lua_block { both_sides() }
    }
    location /t13 {
        lua_ssl_protocols TLSv1.3;
        content_by_lua_block { both_sides() }
    }
--- request eval
["GET /t", "GET /t13"]
--- response_body eval
["184 true true true true\n", "184 true true true true\n"]
--- no_error_log
[error]



=== TEST 9: how long they are, less room than that, and what is not there yet
--- http_config eval
qq{
    $::Init
    $::Newer
    server {
        listen unix:\$TEST_NGINX_HTML_DIR/nginx.sock ssl;
        ssl_protocols TLSv1.2;
        $::Certificate
        ssl_client_hello_by_lua_block {
            early = { bytes("session_master_key", 48) }
            early[3], early[4] = export(16, "label")
            early[5], early[6] = export_early(16, "label", "")
            early[7] = select(2, shared_ciphers(255, 1))
        }
        location / {
            content_by_lua_block {
                for _, name in ipairs{ "client_random", "server_random", "session_master_key" } do
                    ngx.say(name, " ", bytes(name, 0), " ", #bytes(name, 7), " ", #bytes(name, 100))
                end
                ngx.say(early[1], " ", early[2], ", ", early[3], " ", early[4], ", ", early[5], " ",
                    early[6], ", ", early[7])
            }
        }
    }
}
--- config
    location /t {
        content_by_lua_block { ngx.print(call("unix:$TEST_NGINX_HTML_DIR/nginx.sock")) }
    }
--- request
GET /t
--- response_body
client_random 32 7 32
server_random 32 7 32
session_master_key 48 7 48
nil no session, nil SSL_export_keying_material() failed, nil SSL_export_keying_material_early() failed, 0
--- error_log
SSL_export_keying_material() failed
SSL_export_keying_material_early() failed
--- no_error_log
[alert]



=== TEST 10: the ciphers that both sides have
--- http_config eval
qq{
    $::Init
    $::Newer
    server {
        listen unix:\$TEST_NGINX_HTML_DIR/nginx.sock ssl;
        ssl_protocols TLSv1.2;
        ssl_ciphers ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-SHA;
        $::Certificate
        ssl_certificate_by_lua_block {
            in_handshake = { shared_ciphers(255, 1) }
            none = { shared_ciphers(1, 1) }
        }
        location / {
            content_by_lua_block {
                ngx.say(in_handshake[1], " ", in_handshake[2])
                ngx.say(none[1], " ", none[2])
                ngx.say(shared_ciphers(255, 0))
            }
        }
    }
}
--- config
    location /t {
        lua_ssl_ciphers ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-SHA;
        content_by_lua_block { ngx.print(call("unix:$TEST_NGINX_HTML_DIR/nginx.sock")) }
    }
--- request
GET /t
--- response_body
c02b,c009 2
nil buffer too small
c02b,c0092
--- no_error_log
[error]



=== TEST 11: certificates and keys in DER
--- http_config eval
qq{
    $::Init
    $::Newer
    server {
        listen unix:\$TEST_NGINX_HTML_DIR/nginx.sock ssl;
        $::Certificate
        ssl_certificate_by_lua_block {
            local ssl = require "ngx.ssl"
            assert(ssl.clear_certs())
            local chain = ssl.cert_pem_to_der(pem("deep.crt") .. pem("ca.crt"))
            assert(ssl.set_cert(assert(parse("cert", chain))))
            assert(ssl.set_priv_key(assert(parse("priv_key", ssl.priv_key_pem_to_der(pem("deep.key"))))))
            collectgarbage()
        }
        location / { return 200 ok; }
    }
}
--- config
    location /t {
        content_by_lua_block {
            local ssl = require "ngx.ssl"
            ngx.say(call("unix:$TEST_NGINX_HTML_DIR/nginx.sock"))
            local der = ssl.cert_pem_to_der(pem("test.crt"))
            for _, text in ipairs{ "", "hello", der:sub(1, -2), der .. "x", der .. der:sub(1, 100) } do
                ngx.say(parse("cert", text))
            end
            for _, text in ipairs{ "", "hello", der } do
                ngx.say(parse("priv_key", text))
            end
        }
    }
--- request
GET /t
--- response_body
ok
nilinvalid argument
nild2i_X509_bio() failed
nild2i_X509_bio() failed
nild2i_X509_bio() failed in rest of chain
nild2i_X509_bio() failed in rest of chain
nilinvalid argument
nild2i_PrivateKey_bio() failed
nild2i_PrivateKey_bio() failed
--- no_error_log
[error]



=== TEST 12: the connection to the server that a request is passed to
--- http_config eval
qq{
    $::Init
    $::Newer
    server {
        listen unix:\$TEST_NGINX_HTML_DIR/nginx.sock ssl;
        ssl_protocols TLSv1.3;
        $::Certificate
        location / { return 200 ok; }
    }
    server {
        listen unix:\$TEST_NGINX_HTML_DIR/plain.sock;
        location / { return 200 ok; }
    }
}
--- config
    location /tls {
        proxy_pass https://unix:$TEST_NGINX_HTML_DIR/nginx.sock;
        proxy_ssl_protocols TLSv1.3;
        rewrite_by_lua_block { ngx.ctx.before = upstream_version() }
        header_filter_by_lua_block {
            ngx.header["X-Seen"] = ngx.ctx.before .. ", " .. upstream_version()
        }
    }
    location /plain {
        proxy_pass http://unix:$TEST_NGINX_HTML_DIR/plain.sock;
        header_filter_by_lua_block { ngx.header["X-Seen"] = upstream_version() }
    }
    location /t {
        content_by_lua_block {
            ngx.say(ngx.location.capture("/tls").header["X-Seen"])
            ngx.say(ngx.location.capture("/plain").header["X-Seen"])
        }
    }
--- request
GET /t
--- response_body
bad upstream, 304
not ssl connection
--- no_error_log
[error]
