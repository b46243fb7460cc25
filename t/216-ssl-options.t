# The table of options of sslhandshake: what is offered, what the server has chosen, and pools.

use Test::Nginx::Socket::Lua;
use Cwd ();

$ENV{TEST_NGINX_CERT_DIR} ||= Cwd::cwd() . '/t/cert';
$ENV{TEST_NGINX_HTML_DIR} ||= html_dir();

our $Http = <<'_EOC_';
    lua_ssl_protocols TLSv1.2 TLSv1.3;
    lua_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/ca.crt;
    server {
        listen unix:$TEST_NGINX_HTML_DIR/nginx.sock ssl http2;
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate $TEST_NGINX_CERT_DIR/address.crt;
        ssl_certificate_key $TEST_NGINX_CERT_DIR/address.key;
        ssl_client_certificate $TEST_NGINX_CERT_DIR/ca.crt;
        ssl_verify_client optional;
        ssl_verify_depth 2;
        location / {
            return 200 "$ssl_protocol $ssl_cipher $ssl_server_name $ssl_client_s_dn";
        }
    }
    init_by_lua_block {
        require "resty.core"

        function connected(options)
            local sock = ngx.socket.tcp()
            sock:settimeout(3000)
            assert(sock:connect("unix:$TEST_NGINX_HTML_DIR/nginx.sock", options))
            return sock
        end

        -- What the server says of a connection.
        function ask(sock)
            assert(sock:send("GET / HTTP/1.0\r\n\r\n"))
            return assert(sock:receive("*a")):match("\r\n\r\n(.*)")
        end

        -- How the handshake with these options goes, and what was chosen.
        function try(options)
            local sock = connected()
            local ok, err = sock:sslhandshake(false, nil, false, false, options)
            if not ok then
                return tostring(ok) .. " " .. err
            end
            return tostring((sock:getalpn())) .. " " .. ask(sock):gsub("^(%S+) (%S+).*", "%1 %2")
        end

        -- The error that these options raise.
        function wrong(...)
            local ok, err = pcall(function(...)
                return connected():sslhandshake(nil, nil, nil, nil, ...)
            end, ...)
            assert(not ok)
            return (err:gsub("^init_by_lua[^:]*:%d+: ", ""))
        end
    }
_EOC_

repeat_each(2);

plan tests => repeat_each() * (blocks() * 3);

no_long_string();
run_tests();

__DATA__

=== TEST 1: protocols above TLS
--- http_config eval: $::Http
--- config
    location /t {
        content_by_lua_block {
            for _, names in ipairs({ { "h2", "http/1.1" }, { "unknown", "http/1.1" }, false }) do
                local sock = connected()
                ngx.say(sock:getalpn())
                assert(sock:sslhandshake(nil, nil, nil, nil, names and { alpn = names } or nil))
                ngx.say(sock:getalpn())
                sock:close()
                ngx.say(sock:getalpn())
            end
        }
    }
--- request
GET /t
--- response_body
nilno ssl connection
h2
nilclosed
nilno ssl connection
http/1.1
nilclosed
nilno ssl connection
nil
nilclosed
--- no_error_log
[error]



=== TEST 2: versions and ciphers
--- http_config eval: $::Http
--- config
    lua_socket_log_errors off;
    location /t {
        content_by_lua_block {
            ngx.say(try(nil))
            ngx.say(try({ max_version = "TLSv1.2", ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384" }))
            ngx.say(try({ min_version = "TLSv1.3", ciphersuites = "TLS_CHACHA20_POLY1305_SHA256" }))
            ngx.say(try({ min_version = "TLSv1.2", max_version = "TLSv1.2", ciphers = "ECDHE+AES128" }))
            ngx.say(try({ max_version = "TLSv1.1" }))
            ngx.say(try({ min_version = "TLSv1.3", max_version = "TLSv1.2" }))
            ngx.say(try({ ciphers = "none such" }))
            ngx.say(try({ ciphersuites = "none such" }))
            ngx.say(try({}))
        }
    }
--- request
GET /t
--- response_body
nil TLSv1.3 TLS_AES_256_GCM_SHA384
nil TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384
nil TLSv1.3 TLS_CHACHA20_POLY1305_SHA256
nil TLSv1.2 ECDHE-ECDSA-AES128-GCM-SHA256
nil no version of TLS from "min_version" to "max_version" is allowed by lua_ssl_protocols
nil no version of TLS from "min_version" to "max_version" is allowed by lua_ssl_protocols
nil bad "ciphers" option: no such cipher
nil bad "ciphersuites" option: no such cipher
nil TLSv1.3 TLS_AES_256_GCM_SHA384
--- no_error_log
[error]



=== TEST 3: a certificate for this handshake only
--- http_config eval: $::Http
--- config
    location /t {
        content_by_lua_block {
            local ssl = require "ngx.ssl"
            local function read(name)
                return assert(io.open("$TEST_NGINX_CERT_DIR/" .. name)):read("*a")
            end
            local cert = assert(ssl.parse_pem_cert(read("client.crt")))
            local key = assert(ssl.parse_pem_priv_key(read("client.key")))
            local sock = connected()
            local options = { client_cert = cert, client_priv_key = key }
            assert(sock:sslhandshake(false, nil, nil, nil, options))
            ngx.say(ask(sock):match("CN=%S+"))
            assert(sock:connect("unix:$TEST_NGINX_HTML_DIR/nginx.sock"))
            assert(sock:sslhandshake(false))
            ngx.say(ask(sock):match("CN=%S+"))
            assert(sock:connect("unix:$TEST_NGINX_HTML_DIR/nginx.sock"))
            ngx.say(sock:sslhandshake(false, nil, nil, nil, { client_cert = cert }))
            ngx.say(sock:sslhandshake(false, nil, nil, nil, { client_cert = "text", client_priv_key = key }))
        }
    }
--- request
GET /t
--- response_body
CN=client
nil
nilclient certificate must be supplied with corresponding private key
nilbad cert arg: cdata expected, got string
--- no_error_log
[error]



=== TEST 4: wrong options raise errors that name them
--- http_config eval: $::Http
--- config
    location /t {
        content_by_lua_block {
            ngx.say(wrong("text"))
            ngx.say(wrong({ alnp = { "h2" } }))
            ngx.say(wrong({ "h2" }))
            ngx.say(wrong({ alpn = "h2" }))
            ngx.say(wrong({ alpn = {} }))
            ngx.say(wrong({ alpn = { "h2", "" } }))
            ngx.say(wrong({ alpn = { ("x"):rep(256) } }):sub(1, 60))
            ngx.say(wrong({ alpn = { 2 } }))
            ngx.say(wrong({ min_version = "TLSv1.4" }))
            ngx.say(wrong({ max_version = 1.3 }))
            ngx.say(wrong({ ciphers = {} }))
            ngx.say(wrong({ ciphersuites = "a\0b" }))
            ngx.say(wrong({ [{}] = 1 }))
            ngx.say(wrong(nil, 1))
            ngx.say(wrong({}, nil))
        }
    }
--- request
GET /t
--- response_body eval
qr/\A.*bad argument #5 to 'sslhandshake' \(table expected, got string\)
.*bad argument #5 to 'sslhandshake' \(unknown option "alnp"\)
.*bad argument #5 to 'sslhandshake' \(the name of an option is a string, not a number\)
.*bad argument #5 to 'sslhandshake' \(bad "alpn" option type: string\)
.*bad argument #5 to 'sslhandshake' \(bad "alpn" option value: no protocol\)
.*bad argument #5 to 'sslhandshake' \(bad "alpn" option value: \)
.*bad argument #5 to 'sslhandshake' \(bad "alpn" .*
.*bad argument #5 to 'sslhandshake' \(bad "alpn" option type: number\)
.*bad argument #5 to 'sslhandshake' \(bad "min_version" option value: TLSv1.4\)
.*bad argument #5 to 'sslhandshake' \(bad "max_version" option type: number\)
.*bad argument #5 to 'sslhandshake' \(bad "ciphers" option type: table\)
.*bad argument #5 to 'sslhandshake' \(bad "ciphersuites" option value: a.*b\)
.*bad argument #5 to 'sslhandshake' \(the name of an option is a string, not a table\)
.*ngx.socket sslhandshake: expecting 1 ~ 5 arguments \(including the object\), but seen 7
.*ngx.socket sslhandshake: expecting 1 ~ 5 arguments \(including the object\), but seen 7
\z/
--- no_error_log
[error]



=== TEST 5: a pooled connection that was made with other options makes place for another
--- http_config eval: $::Http
--- config
    location /t {
        content_by_lua_block {
            local pool = { pool = ngx.var.request_id }
            local h1, h1_too = { alpn = { "http/1.1" } }, { alpn = { "http/1.1" } }
            local low = { alpn = { "http/1.1" }, max_version = "TLSv1.2" }
            for _, options in ipairs({ h1, h1_too, false, false, {}, low, low, h1 }) do
                local sock = connected(pool)
                assert(sock:sslhandshake(false, nil, nil, nil, options or nil))
                ngx.say(sock:getreusedtimes(), " ", (sock:getalpn()))
                assert(sock:setkeepalive())
            end
        }
    }
--- request
GET /t
--- response_body
0 http/1.1
1 http/1.1
0 nil
1 nil
2 nil
0 http/1.1
1 http/1.1
0 http/1.1
--- no_error_log
[error]



=== TEST 6: a connection in use keeps what it was made with
--- http_config eval: $::Http
--- config
    location /t {
        content_by_lua_block {
            local sock = connected()
            assert(sock:sslhandshake(false, nil, nil, nil, { alpn = { "http/1.1" } }))
            ngx.say(sock:sslhandshake(false, nil, nil, nil, { alpn = { "h2" } }))
            ngx.say(sock:sslhandshake(false))
            ngx.say(sock:sslhandshake(false, nil, nil, nil, { alpn = { "http/1.1" } }))
            ngx.say(ask(sock):match("^%S+"))
        }
    }
--- request
GET /t
--- response_body
nilthe connection's TLS was made with other options
nilthe connection's TLS was made with other options
true
TLSv1.3
--- no_error_log
[error]



=== TEST 7: an IP address, compared with those of the certificate
--- http_config eval: $::Http
--- config
    lua_socket_log_errors off;
    location /t {
        content_by_lua_block {
            for _, name in ipairs({ "127.0.0.1", "::1", "[::1]", "127.0.0.2", "::2", "[127.0.0.1", "other" }) do
                local sock = connected()
                ngx.say(name, ": ", select(-1, sock:sslhandshake(false, name, true)))
                sock:close()
            end
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
            assert(sock:sslhandshake(false, "127.0.0.1", true))
            ngx.say("verified: ", ask(sock):match(" ([%d.]*) [^ ]*$"))
            assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
            assert(sock:sslhandshake(false, "127.0.0.1", false))
            ngx.say("not verified: ", ask(sock):match(" ([%d.]*) [^ ]*$"))
        }
    }
--- request
GET /t
--- response_body
127.0.0.1: true
::1: true
[::1]: true
127.0.0.2: certificate host mismatch
::2: certificate host mismatch
[127.0.0.1: certificate host mismatch
other: certificate host mismatch
verified: 
not verified: 127.0.0.1
--- no_error_log
[error]



=== TEST 8: with lua-resty-core loaded by the code
--- http_config
    server {
        listen unix:$TEST_NGINX_HTML_DIR/nginx.sock ssl;
        ssl_certificate $TEST_NGINX_CERT_DIR/address.crt;
        ssl_certificate_key $TEST_NGINX_CERT_DIR/address.key;
    }
--- config
    location /t {
        content_by_lua_block {
            package.loaded["resty.core.socket"] = nil
            require "resty.core.socket"
            local sock = assert(ngx.socket.connect("unix:$TEST_NGINX_HTML_DIR/nginx.sock"))
            local options = { alpn = { "http/1.1" }, max_version = "TLSv1.2" }
            assert(sock:sslhandshake(false, nil, nil, nil, options))
            ngx.say(sock:getalpn())
        }
    }
--- request
GET /t
--- response_body
http/1.1
--- no_error_log
[error]



=== TEST 9: options of a handshake that did not begin are not those of the next one
--- http_config eval: $::Http
--- config
    location /t {
        content_by_lua_block {
            local sock = connected()
            local options = { alpn = { "h2" }, client_cert = "text" }
            ngx.say(sock:sslhandshake(false, nil, false, false, options))
            assert(sock:sslhandshake(false))
            ngx.say(sock:getalpn())
            sock:close()
            sock = connected()
            ngx.say((pcall(sock.sslhandshake, sock, false, {}, false, false, { alpn = { "h2" } })))
            assert(sock:sslhandshake(false))
            ngx.say(sock:getalpn())
        }
    }
--- request
GET /t
--- response_body
nilclient certificate must be supplied with corresponding private key
nil
false
nil
--- no_error_log
[error]
