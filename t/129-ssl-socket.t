# TLS on cosockets: handshakes, what of the server's certificate is checked, sessions, client
# certificates, connections that rest in pools, and lua_ssl_*.

use Cwd;
use Test::Nginx::Socket::Lua;

repeat_each(2);
$ENV{TEST_NGINX_CERT_DIR} ||= Cwd::cwd() . '/t/cert';

plan tests => repeat_each() * ( blocks() * 3 + 4 );

our $HttpConfig = <<'_EOC_';
    # What no directive names differs between releases of lua-nginx-module.
    lua_ssl_protocols TLSv1.2;
    # Not every processor has enough by default.
    server_names_hash_bucket_size 64;
    # Asked by name (SNI), one server with each certificate.
    ssl_certificate_key $TEST_NGINX_CERT_DIR/test.key;
    ssl_certificate $TEST_NGINX_CERT_DIR/test.crt;
    ssl_protocols TLSv1.2 TLSv1.3;
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl default_server;
        listen unix:$TEST_NGINX_SERVER_ROOT/html/tls.sock ssl;
        server_name test.com;
        ssl_client_certificate $TEST_NGINX_CERT_DIR/ca.crt;
        ssl_verify_client optional;
        ssl_verify_depth 2;
        location / {
            return 200 "$connection_requests $ssl_server_name $ssl_protocol $ssl_session_reused $ssl_cipher\n";
        }
        location = /who { return 200 "$ssl_client_verify $ssl_client_s_dn\n"; }
        location = /large {
            content_by_lua_block { ngx.header["Content-Length"] = 1000000 ngx.print(("x"):rep(1000000)) }
        }
        location = /bytes {
            content_by_lua_block { ngx.req.read_body() ngx.say(#ngx.req.get_body_data()) }
            client_max_body_size 2m;
            client_body_buffer_size 2m;
        }
    }
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl;
        server_name deep.test.com;
        ssl_certificate $TEST_NGINX_CERT_DIR/deep.crt;
        ssl_certificate_key $TEST_NGINX_CERT_DIR/deep.key;
    }
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl;
        server_name revoked.test.com;
        ssl_certificate $TEST_NGINX_CERT_DIR/revoked.crt;
        ssl_certificate_key $TEST_NGINX_CERT_DIR/revoked.key;
    }
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl;
        server_name stranger.org;
        ssl_certificate $TEST_NGINX_CERT_DIR/stranger.crt;
        ssl_certificate_key $TEST_NGINX_CERT_DIR/stranger.key;
    }
    # A server that says nothing once it has a request.
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
        location / {
            lua_check_client_abort on;
            content_by_lua_block { ngx.sleep(10) }
        }
    }
    init_by_lua_block {
        local port = $TEST_NGINX_RAND_PORT_1

        function open(opts, to)
            local sock = ngx.socket.tcp()
            sock:settimeout(3000)
            assert(sock:connect("127.0.0.1", to or port, opts))
            return sock
        end

        -- A connection to which the handshake's arguments are given.
        function secure(...)
            local sock = open()
            local session, err = sock:sslhandshake(...)
            return session and sock, err, session
        end

        -- A connection to a server that does not answer.
        function silent()
            local sock = open(nil, $TEST_NGINX_RAND_PORT_2)
            sock:send("GET / HTTP/1.0\r\n\r\n")
            return sock
        end

        function shown(value)
            return type(value) == "cdata" and "session" or tostring(value)
        end

        function ask(sock, path)
            assert(sock:send("GET " .. (path or "/") .. " HTTP/1.1\r\nHost: test.com\r\n\r\n"))
            local length
            repeat
                local line = assert(sock:receive())
                length = line:match("^Content%-Length: (%d+)") or length
            until line == ""
            return (assert(sock:receive(tonumber(length))):gsub("\n$", ""))
        end
    }
_EOC_

add_block_preprocessor(sub {
    my $block = shift;
    $block->set_value('http_config', $HttpConfig . ($block->http_config // ''));
    $block->set_value('request', "GET /t\n") if !defined $block->request;
});

no_long_string();
run_tests();

__DATA__

=== TEST 1: bytes go through it, in both directions and by every way to receive
--- config
    lua_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/ca.crt;
    location /t {
        content_by_lua_block {
            local sock, err, session = secure(nil, "test.com", true)
            ngx.say(err, " ", shown(session))
            assert(sock:send({ "GET / HTTP/1.0\r\n", "Host: test.com\r\n\r\n" }))
            ngx.say(sock:receive())
            ngx.say(sock:receive(7))
            ngx.say(sock:receiveuntil("\r\n\r\n")():match("Content%-Type: [^\r]*"))
            ngx.say(sock:receiveany(2))
            ngx.print(sock:receive("*a"))
            ngx.say(sock:receive())
            ngx.say(sock:close())
        }
    }
--- response_body
nil session
HTTP/1.1 200 OK
Server:
Content-Type: text/plain
1 
test.com TLSv1.2 . ECDHE-ECDSA-AES256-GCM-SHA384
nilclosed
1
--- error_log
lua tcp socket ssl handshake
lua ssl server name: "test.com"
--- no_error_log
[error]



=== TEST 2: more than a record, in small pieces, both ways
--- config
    lua_ssl_protocols TLSv1.2 TLSv1.3;
    location /t {
        lua_socket_buffer_size 1;
        content_by_lua_block {
            local sock = secure()
            local bytes = ask(sock, "/large")
            ngx.say(#bytes, " ", bytes == ("x"):rep(1000000))
            local body = ("y"):rep(1500000)
            sock:send("POST /bytes HTTP/1.0\r\nContent-Length: " .. #body .. "\r\n\r\n")
            ngx.say(sock:send(body))
            ngx.print((sock:receive("*a"):gsub("^.*\r\n\r\n", "")))
        }
    }
--- response_body
1000000 true
1500000
1500000
--- no_error_log
[error]



=== TEST 3: a write that the other side is slow to take goes on where it stopped
--- http_config
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_3 ssl;
        location / {
            content_by_lua_block {
                local sock = ngx.req.socket(true)
                ngx.sleep(0.3)
                local sum = 0
                while true do
                    local bytes = sock:receive(100000)
                    sum = sum + #bytes
                    if bytes:find("z", 1, true) then break end
                end
                sock:send(sum .. "\n")
            }
        }
    }
--- config
    location /t {
        content_by_lua_block {
            local sock = open(nil, $TEST_NGINX_RAND_PORT_3)
            assert(sock:sslhandshake())
            assert(sock:send("GET / HTTP/1.0\r\n\r\n"))
            -- Made anew, so that nothing else holds it while it is sent.
            ngx.say(sock:send(("y"):rep(9999999) .. "z"))
            collectgarbage()
            ngx.say(sock:receive())
        }
    }
--- response_body
10000000
10000000
--- error_log
lua tcp socket send handler
--- no_error_log
[error]



=== TEST 4: without verification anybody will do
--- config
    location /t {
        content_by_lua_block {
            for _, name in ipairs{ "stranger.org", "revoked.test.com", "test.com" } do
                local sock, err, session = secure(nil, name)
                ngx.say(name, " ", err, " ", shown(session))
            end
            local sock, err, session = secure(nil, nil, false)
            ngx.say(err, " ", shown(session))
            ngx.say(ask(sock))
        }
    }
--- response_body
stranger.org nil session
revoked.test.com nil session
test.com nil session
nil session
1  TLSv1.2 . ECDHE-ECDSA-AES256-GCM-SHA384
--- no_error_log
[error]



=== TEST 5: who is not trusted; the socket is closed
--- config
    lua_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/ca.crt;
    location /t {
        content_by_lua_block {
            local sock = open()
            ngx.say(sock:sslhandshake(nil, "stranger.org", true))
            ngx.say(sock:send("x"))
            ngx.say(sock:sslhandshake(nil, "test.com", true) == nil)
            sock = open()
            ngx.say(sock:sslhandshake(false, "stranger.org", true))
        }
    }
--- response_body
nil18: self-signed certificate
nilclosed
true
nil18: self-signed certificate
--- error_log
lua ssl certificate verify error: (18: self-signed certificate)
attempt to send data on a closed socket



=== TEST 6: nobody is trusted
--- config
    location /t {
        content_by_lua_block {
            local _, err = secure(nil, "test.com", true)
            ngx.say(err)
        }
    }
--- response_body
20: unable to get local issuer certificate
--- error_log
lua ssl certificate verify error: (20: unable to get local issuer certificate)



=== TEST 7: nothing is logged where the location says so
--- config
    lua_socket_log_errors off;
    lua_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/ca.crt;
    location /t {
        content_by_lua_block {
            ngx.say((select(2, secure(nil, "stranger.org", true))))
            ngx.say((select(2, secure(nil, "other.org", true))))
        }
    }
--- response_body
18: self-signed certificate
certificate host mismatch
--- no_error_log
[error]



=== TEST 8: a certificate for somebody else
--- config
    lua_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/ca.crt;
    location /t {
        content_by_lua_block {
            local long = ("a"):rep(100) .. ".test.com"
            for _, name in ipairs{ "other.org", "test.com", "x.test.com", "x.y.test.com",
                                   "test.com\0other.org", "TEST.com" } do
                local _, err = secure(nil, name, true)
                ngx.say((name:gsub("%z", "|")), " ", err)
            end
            local _, err = secure(nil, nil, true)
            ngx.say(err)
        }
    }
--- response_body
other.org certificate host mismatch
test.com nil
x.test.com nil
x.y.test.com certificate host mismatch
test.com|other.org certificate host mismatch
TEST.com nil
nil
--- error_log
lua ssl certificate does not match host "other.org"



=== TEST 9: a revoked certificate
--- config
    lua_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/ca.crt;
    location /t {
        lua_ssl_crl $TEST_NGINX_CERT_DIR/crl.pem;
        content_by_lua_block {
            ngx.say((select(2, secure(nil, "revoked.test.com", true))))
            ngx.say((select(2, secure(nil, "test.com", true))))
            ngx.print(ngx.location.capture("/without").body)
        }
    }
    location = /without {
        content_by_lua_block { ngx.say((select(2, secure(nil, "revoked.test.com", true)))) }
    }
--- response_body
23: certificate revoked
nil
nil
--- error_log
lua ssl certificate verify error: (23: certificate revoked)



=== TEST 10: how far the issuer may be
--- config
    lua_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/ca.crt;
    location /t {
        lua_ssl_verify_depth 0;
        content_by_lua_block {
            ngx.say((select(2, secure(nil, "deep.test.com", true))))
            ngx.print(ngx.location.capture("/one").body)
        }
    }
    location = /one {
        content_by_lua_block { ngx.say((select(2, secure(nil, "deep.test.com", true)))) }
    }
--- response_body
20: unable to get local issuer certificate
nil
--- error_log
lua ssl certificate verify error: (20: unable to get local issuer certificate)



=== TEST 11: a session is taken up by the next connection
--- config
    location /t {
        content_by_lua_block {
            local sock, _, session = secure()
            ngx.say(ask(sock))
            sock:close()
            local again, err, other = secure(session)
            ngx.say(err, " ", shown(other))
            ngx.say(ask(again))
            session, other = nil, nil
            collectgarbage()
        }
    }
--- response_body
1  TLSv1.2 . ECDHE-ECDSA-AES256-GCM-SHA384
nil session
1  TLSv1.2 r ECDHE-ECDSA-AES256-GCM-SHA384
--- grep_error_log eval: qr/lua ssl (?:set|save|free) session: [0-9A-F]{16}/
--- grep_error_log_out eval
qr/\Alua ssl save session: ([0-9A-F]+)
lua ssl set session: \1
lua ssl save session: [0-9A-F]+
lua ssl free session: [0-9A-F]+
lua ssl free session: [0-9A-F]+
\z/



=== TEST 12: no session where none is wanted
--- config
    location /t {
        content_by_lua_block {
            local sock, err, session = secure(false)
            ngx.say(err, " ", shown(session))
            ngx.say(shown(sock:sslhandshake(false)))
            ngx.say(ask(sock))
        }
    }
--- response_body
nil true
true
1  TLSv1.2 . ECDHE-ECDSA-AES256-GCM-SHA384
--- no_error_log
lua ssl save session
[error]



=== TEST 13: a handshake where there was one
--- config
    location /t {
        content_by_lua_block {
            local sock, _, session = secure()
            ngx.say(rawequal(sock:sslhandshake(session), session))
            local same = sock:sslhandshake()
            ngx.say(shown(same), " ", same == session)
            ngx.say(shown(sock:sslhandshake(true)))
            ngx.say(ask(sock))
        }
    }
--- response_body
true
session true
session
1  TLSv1.2 . ECDHE-ECDSA-AES256-GCM-SHA384
--- no_error_log
[error]



=== TEST 14: a connection from the pool keeps its TLS
--- config
    location /t {
        content_by_lua_block {
            for i = 1, 3 do
                local sock = open{ pool = "tls" .. ngx.var.connection }
                local times = sock:getreusedtimes()
                ngx.say(times, " ", shown(sock:sslhandshake(nil, "test.com")), " ", ask(sock), " ",
                        sock:setkeepalive())
            end
        }
    }
--- response_body
0 session 1 test.com TLSv1.2 . ECDHE-ECDSA-AES256-GCM-SHA384 1
1 session 2 test.com TLSv1.2 . ECDHE-ECDSA-AES256-GCM-SHA384 1
2 session 3 test.com TLSv1.2 . ECDHE-ECDSA-AES256-GCM-SHA384 1
--- no_error_log
[error]



=== TEST 15: tickets of TLS 1.3 that nobody has read do not keep it from resting
--- config
    lua_ssl_protocols TLSv1.3;
    location /t {
        content_by_lua_block {
            local pool = "tickets" .. ngx.var.connection
            local sock = open{ pool = pool }
            assert(sock:sslhandshake())
            -- The server has sent its tickets by then.
            ngx.sleep(0.1)
            ngx.say(sock:setkeepalive())
            -- And they come while it rests.
            local other = open{ pool = pool .. "rest" }
            assert(other:sslhandshake())
            ngx.say(other:setkeepalive())
            ngx.sleep(0.1)
            for _, name in ipairs{ pool, pool .. "rest" } do
                local again = open{ pool = name }
                ngx.say(again:getreusedtimes(), " ", shown(again:sslhandshake()), " ", ask(again))
            end
        }
    }
--- response_body
1
1
1 session 1  TLSv1.3 . TLS_AES_256_GCM_SHA384
1 session 1  TLSv1.3 . TLS_AES_256_GCM_SHA384
--- no_error_log
[error]



=== TEST 16: bytes that nobody has read do
--- config
    location /t {
        content_by_lua_block {
            local sock = secure()
            sock:send("GET / HTTP/1.1\r\nHost: test.com\r\n\r\n")
            ngx.sleep(0.1)
            ngx.say(sock:setkeepalive())
            sock = secure()
            sock:send("GET / HTTP/1.1\r\nHost: test.com\r\n\r\n")
            sock:receiveany(1)
            ngx.say(sock:setkeepalive())
            sock = secure()
            sock:send("GET / HTTP/1.1\r\nHost: test.com\r\n\r\n")
            sock:receive()
            ngx.say(sock:setkeepalive())
        }
    }
--- response_body
nilconnection in dubious state
nilunread data in buffer
nilunread data in buffer
--- no_error_log
[error]



=== TEST 17: a session of TLS 1.3
--- config
    lua_ssl_protocols TLSv1.2 TLSv1.3;
    location /t {
        content_by_lua_block {
            local sock = secure(nil, "test.com")
            ngx.say(ask(sock))
            -- The tickets have come with the answer.
            local session = sock:sslhandshake()
            sock:close()
            sock = secure(session, "test.com")
            ngx.say(ask(sock))
        }
    }
--- response_body
1 test.com TLSv1.3 . TLS_AES_256_GCM_SHA384
1 test.com TLSv1.3 r TLS_AES_256_GCM_SHA384
--- no_error_log
[error]



=== TEST 18: protocols, by the location or whoever is around it
--- http_config
    lua_ssl_protocols TLSv1.3;
--- config
    lua_ssl_protocols TLSv1.2 TLSv1.3;
    location /t {
        content_by_lua_block {
            ngx.say(ask(secure()))
            for _, path in ipairs{ "/own", "/own/inner", "/none" } do
                ngx.print(ngx.location.capture(path).body)
            end
        }
    }
    location /own {
        lua_ssl_protocols SSLv3;
        lua_ssl_protocols TLSv1.2;
        content_by_lua_block { ngx.say(ask(secure())) }
        location /own/inner { content_by_lua_block { ngx.say(ask(secure())) } }
    }
    location = /none {
        lua_ssl_protocols TLSv1.1;
        content_by_lua_block { ngx.say((select(2, secure()))) }
    }
--- response_body
1  TLSv1.3 . TLS_AES_256_GCM_SHA384
1  TLSv1.2 . ECDHE-ECDSA-AES256-GCM-SHA384
1  TLSv1.2 . ECDHE-ECDSA-AES256-GCM-SHA384
handshake failed
--- error_log
SSL_do_handshake() failed



=== TEST 19: ciphers, and commands for OpenSSL
--- config
    lua_ssl_protocols TLSv1.2 TLSv1.3;
    lua_ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
    location /t {
        content_by_lua_block {
            ngx.say(ask(secure()))
            ngx.print(ngx.location.capture("/ciphers").body)
        }
    }
    location = /ciphers {
        lua_ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256;
        lua_ssl_conf_command Options ServerPreference;
        lua_ssl_conf_command MaxProtocol TLSv1.2;
        content_by_lua_block { ngx.say(ask(secure())) }
    }
--- response_body
1  TLSv1.3 . TLS_AES_128_GCM_SHA256
1  TLSv1.2 . ECDHE-ECDSA-AES128-GCM-SHA256
--- no_error_log
[error]



=== TEST 20: a handshake that cannot begin leaves the connection as it was
--- config
    location /t {
        content_by_lua_block {
            local sock = open()
            ngx.say(sock:sslhandshake(nil, ("x"):rep(256)))
            ngx.say(sock:sslhandshake(nil, ""))
            ngx.say(shown(sock:sslhandshake(nil, ("x"):rep(255))))
            ngx.say(ask(sock):match("^1 x+ ") ~= nil)
            sock = open()
            ngx.say(sock:sslhandshake(nil, ("x"):rep(256)))
            sock:send("GET / HTTP/1.0\r\n\r\n")
            ngx.say(sock:receive())
        }
    }
--- response_body
nilSSL_set_tlsext_host_name failed
nilSSL_set_tlsext_host_name failed
session
true
nilSSL_set_tlsext_host_name failed
HTTP/1.1 400 Bad Request
--- no_error_log
[error]



=== TEST 21: a client's certificate, and those behind it
--- config
    location /t {
        content_by_lua_block {
            local ssl = require "ngx.ssl"
            local function read(name)
                return io.open("$TEST_NGINX_CERT_DIR/" .. name):read("*a")
            end
            local function chain(name) return assert(ssl.parse_pem_cert(read(name))) end
            local function key(name) return assert(ssl.parse_pem_priv_key(read(name))) end

            local sock = open()
            ngx.say(sock:setclientcert(chain("client.crt"), key("client.key")))
            collectgarbage()
            ngx.say(shown(sock:sslhandshake()))
            ngx.say(ask(sock, "/who"))
            sock:close()

            assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
            sock:setclientcert(nil, nil)
            sock:sslhandshake()
            ngx.say(ask(sock, "/who"))
            sock:close()

            assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
            sock:setclientcert(chain("client.crt"), key("test.key"))
            ngx.say(sock:sslhandshake())
            -- Which did no harm.
            sock:setclientcert(chain("client.crt"), key("client.key"))
            ngx.say(shown(sock:sslhandshake()))
            ngx.say(ask(sock, "/who"))
            ngx.say(sock:setclientcert(nil, key("client.key")))
        }
    }
--- response_body
true
session
SUCCESS CN=client
NONE 
nilssl set client private key failed
session
SUCCESS CN=client
nilclient certificate must be supplied with corresponding private key
--- no_error_log
[error]



=== TEST 22: who cannot have a handshake
--- config
    location /t {
        content_by_lua_block {
            local sock = ngx.socket.tcp()
            local function raises(...)
                local _, err = pcall(sock.sslhandshake, ...)
                ngx.say((err:gsub("^.-:%d+: ", "")))
            end
            raises(sock)
            sock = open()
            sock:close()
            ngx.say(sock:sslhandshake())
            raises(sock, nil, nil, nil, nil, nil, nil)
            sock = silent()
            local reader = ngx.thread.spawn(function() sock:receive() end)
            ngx.say(sock:sslhandshake())
            ngx.thread.kill(reader)
        }
    }
--- response_body
socket is never created nor connected
nilclosed
ngx.socket sslhandshake: expecting 1 ~ 5 arguments (including the object), but seen 7
nilsocket busy reading
--- no_error_log
[alert]
[error]



=== TEST 23: a server that says nothing, in time or not at all
--- config
    lua_socket_log_errors off;
    location /t {
        content_by_lua_block {
            local sock = silent()
            sock:settimeouts(50, 5000, 5000)
            ngx.say(sock:sslhandshake(nil, "test.com", true))
            ngx.say(sock:send("x"))

            sock = silent()
            local thread = ngx.thread.spawn(function()
                sock:sslhandshake()
                ngx.say("unreachable")
            end)
            ngx.say(sock:sslhandshake())
            ngx.say(sock:receive())
            ngx.say(sock:send("x"))
            ngx.say(sock:setkeepalive())
            ngx.say(ngx.thread.kill(thread))
            ngx.say(sock:send("x"))
            -- It can be used for another connection.
            assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
            ngx.say(shown(sock:sslhandshake()))
        }
    }
--- response_body
niltimeout
nilclosed
nilsocket busy connecting
nilsocket busy connecting
nilsocket busy connecting
nilsocket busy connecting
1
nilclosed
session
--- no_error_log
[error]
[alert]



=== TEST 24: a request that ends in the middle of a handshake takes it along
--- config
    location /t {
        content_by_lua_block {
            ngx.thread.spawn(function()
                silent():sslhandshake(nil, "test.com", true)
                ngx.log(ngx.ALERT, "unreachable")
            end)
            ngx.say("bye")
            ngx.exit(200)
        }
    }
--- response_body
bye
--- error_log
lua close socket connection
--- no_error_log
[alert]
[error]



=== TEST 25: in a timer, in init_worker_by_lua*, and over a socket file
--- http_config
    lua_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/ca.crt;
    init_worker_by_lua_block {
        ngx.timer.at(0, function()
            local sock = assert(secure(nil, "test.com", true))
            early = ask(sock)
        end)
    }
--- config
    location /t {
        content_by_lua_block {
            local answer
            ngx.timer.at(0, function()
                local sock = ngx.socket.tcp()
                sock:connect("unix:$TEST_NGINX_SERVER_ROOT/html/tls.sock")
                assert(sock:sslhandshake(nil, "test.com", true))
                answer = ask(sock)
            end)
            while not answer or not early do ngx.sleep(0.01) end
            ngx.say(early)
            ngx.say(answer)
        }
    }
--- response_body
1 test.com TLSv1.2 . ECDHE-ECDSA-AES256-GCM-SHA384
1 test.com TLSv1.2 . ECDHE-ECDSA-AES256-GCM-SHA384
--- no_error_log
[error]



=== TEST 26: the other end of it, as ngx.req.socket(true) of a TLS server
--- http_config
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_3 ssl;
        location / {
            content_by_lua_block {
                local sock = assert(ngx.req.socket(true))
                sock:send("ready\n")
                while true do
                    local line = sock:receive()
                    if not line then return end
                    sock:send(#line .. ":" .. line .. "\n")
                end
            }
        }
    }
--- config
    location /t {
        lua_socket_buffer_size 10;
        content_by_lua_block {
            local sock = open(nil, $TEST_NGINX_RAND_PORT_3)
            ngx.say(sock:sslhandshake(false))
            sock:send("GET / HTTP/1.0\r\n\r\n")
            ngx.say(sock:receive())
            for _, length in ipairs{ 1, 100, 40000 } do
                sock:send(("x"):rep(length) .. "\n")
                local line = sock:receive()
                ngx.say(#line, " ", line:match("^%d+:xx?"))
            end
            -- Several records at once, of which one is asked for.
            sock:send("one\ntwo\n")
            ngx.sleep(0.05)
            ngx.say(sock:receive(), " ", sock:receive())
        }
    }
--- response_body
true
ready
3 1:x
104 100:xx
40006 40000:xx
3:one 3:two
--- no_error_log
[error]
[alert]



=== TEST 27: a server that speaks no TLS
--- config
    location /t {
        content_by_lua_block {
            -- It takes what comes for a request, and answers.
            local sock = open(nil, $TEST_NGINX_RAND_PORT_2)
            ngx.say(sock:sslhandshake())
            ngx.say(sock:receive())
        }
    }
--- response_body
nilhandshake failed
nilclosed
--- error_log
SSL_do_handshake() failed



=== TEST 28: certificates that are not there
--- config
    lua_ssl_trusted_certificate missing.pem;
--- must_die
--- error_log eval
# An nginx that caches certificates reads the file itself.
qr{\[emerg\] .*(?:SSL_CTX_load_verify_locations\(|cannot load certificate )"[^"]+/conf/missing\.pem"}



=== TEST 29: ciphers that are none
--- config
    location /t { lua_ssl_ciphers NONE-SUCH; }
--- must_die
--- error_log
[emerg]
SSL_CTX_set_cipher_list("NONE-SUCH") failed



=== TEST 30: revoked certificates that are not there
--- config
    lua_ssl_crl missing.pem;
--- must_die
--- error_log eval
qr{\[emerg\] .*missing\.pem}



=== TEST 31: commands that are none
--- config
    lua_ssl_conf_command Nonsense 1;
--- must_die
--- error_log
SSL_CONF_cmd("Nonsense", "1") failed



=== TEST 32: protocols that are none
--- config
    lua_ssl_protocols TLSv1.2 TLSv7;
--- must_die
--- error_log
invalid value "TLSv7" in



=== TEST 33: a directive twice
--- config
    lua_ssl_verify_depth 1;
    lua_ssl_verify_depth 2;
--- must_die
--- error_log
"lua_ssl_verify_depth" directive is duplicate



=== TEST 34: what is wrong around a block that says otherwise is wrong still
--- http_config
    lua_ssl_ciphers NONE-SUCH;
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_3;
    }
--- config
    lua_ssl_ciphers DEFAULT;
--- must_die
--- error_log
SSL_CTX_set_cipher_list("NONE-SUCH") failed


=== TEST 35: a pooled connection whose server nobody verified is verified for who asks
--- http_config
    lua_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/ca.crt;
--- config
    location /t {
        content_by_lua_block {
            for _, name in ipairs{ "test.com", "other.com" } do
                local pool = name .. ngx.var.connection
                local sock = open{ pool = pool }
                assert(sock:sslhandshake(nil, name, false))
                ask(sock)
                assert(sock:setkeepalive())
                sock = open{ pool = pool }
                ngx.say(sock:getreusedtimes(), " ", sock:sslhandshake(false, name, true))
                if name == "test.com" then
                    ngx.say(sock:getreusedtimes(), " ", ask(sock), " ", sock:setkeepalive())
                    sock = open{ pool = pool }
                    ngx.say(shown(sock:sslhandshake(nil, name, true)), " ", ask(sock))
                else
                    ngx.say(sock:send("x"))
                end
            end
        }
    }
--- response_body
1 true
1 2 test.com TLSv1.2 . ECDHE-ECDSA-AES256-GCM-SHA384 1
session 3 test.com TLSv1.2 . ECDHE-ECDSA-AES256-GCM-SHA384
1 nilcertificate host mismatch
nilclosed
--- error_log
lua ssl certificate does not match host "other.com"



=== TEST 36: one that was made for another name gives way to a new one
--- http_config
    lua_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/ca.crt;
--- config
    location /t {
        content_by_lua_block {
            for _, verify in ipairs{ false, true } do
                local pool = tostring(verify) .. ngx.var.connection
                local function shake(name)
                    local sock = open{ pool = pool }
                    local times = sock:getreusedtimes()
                    local ok, err = sock:sslhandshake(false, name, verify)
                    if not ok then return ngx.say(times, " ", ok, " ", err, " ", sock:send("x")) end
                    ngx.say(times, " ", sock:getreusedtimes(), " ", ask(sock), " ", sock:setkeepalive())
                end
                shake("test.com")
                shake("x.test.com")
                shake("X.test.com")
                shake(nil)
                if verify then shake("stranger.org") end
                shake("test.com")
            end
        }
    }
--- response_body_like
^0 0 1 test.com \S+ \. \S+ 1
1 0 1 x.test.com \S+ \. \S+ 1
1 1 2 x.test.com \S+ \. \S+ 1
2 2 3 x.test.com \S+ \. \S+ 1
3 0 1 test.com \S+ \. \S+ 1
0 0 1 test.com \S+ \. \S+ 1
1 0 1 x.test.com \S+ \. \S+ 1
1 1 2 x.test.com \S+ \. \S+ 1
2 2 3 x.test.com \S+ \. \S+ 1
3 nil 18: self.signed certificate nilclosed
0 0 1 test.com \S+ \. \S+ 1
--- error_log
lua ssl certificate verify error



=== TEST 37: or without the client's certificate, or by other settings where these matter
--- config
    lua_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/ca.crt;
    location /t {
        content_by_lua_block {
            local ssl = require "ngx.ssl"
            local function read(name)
                return io.open("$TEST_NGINX_CERT_DIR/" .. name):read("*a")
            end
            local chain = assert(ssl.parse_pem_cert(read("client.crt")))
            local key = assert(ssl.parse_pem_priv_key(read("client.key")))
            local pool = "who" .. ngx.var.connection
            for _, with in ipairs{ false, true, true, false } do
                local sock = open{ pool = pool }
                if with then sock:setclientcert(chain, key) end
                assert(sock:sslhandshake(nil, "test.com", true))
                ngx.say(sock:getreusedtimes(), " ", ask(sock, "/who"), " ", sock:setkeepalive())
            end
            ngx.print(ngx.location.capture("/other?" .. pool).body)
        }
    }
    location /other {
        lua_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/stranger.crt;
        content_by_lua_block {
            local sock = open{ pool = ngx.var.args }
            ngx.say(shown(sock:sslhandshake(nil, "test.com")), " ", sock:getreusedtimes(), " ",
                    sock:setkeepalive())
            sock = open{ pool = ngx.var.args }
            ngx.say(sock:sslhandshake(nil, "test.com", true))
        }
    }
--- response_body_like
^0 NONE  1
0 SUCCESS CN=client 1
1 SUCCESS CN=client 1
0 NONE  1
session 1 1
nil\d+: .*
--- error_log
lua ssl certificate verify error



=== TEST 38: a connection that is in use stays, and is not taken for verified
--- http_config
    lua_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/ca.crt;
--- config
    location /t {
        content_by_lua_block {
            local pool = "used" .. ngx.var.connection
            local sock = open{ pool = pool }
            assert(sock:sslhandshake(nil, "x.test.com"))
            ngx.say(shown(sock:sslhandshake(nil, "other.com")), " ", ask(sock), " ", sock:setkeepalive())
            sock = open{ pool = pool }
            ngx.say(ask(sock))
            ngx.say(shown(sock:sslhandshake(nil, "other.com")), " ", ask(sock))
            ngx.say(shown(sock:sslhandshake(nil, "test.com", true)), " ", ask(sock))
            ngx.say(sock:sslhandshake(nil, "other.com", true))
            ngx.say(sock:send("x"))
        }
    }
--- response_body
session 1 x.test.com TLSv1.2 . ECDHE-ECDSA-AES256-GCM-SHA384 1
2 x.test.com TLSv1.2 . ECDHE-ECDSA-AES256-GCM-SHA384
session 3 x.test.com TLSv1.2 . ECDHE-ECDSA-AES256-GCM-SHA384
session 4 x.test.com TLSv1.2 . ECDHE-ECDSA-AES256-GCM-SHA384
nilcertificate host mismatch
nilclosed
--- error_log
lua ssl certificate does not match host "other.com"



=== TEST 39: over a socket file, and when nobody is there any more
--- config
    location /t {
        content_by_lua_block {
            local path = "$TEST_NGINX_SERVER_ROOT/html/tls.sock"
            local opts = { pool = "file" .. ngx.var.connection }
            local function shake(name)
                local sock = ngx.socket.tcp()
                assert(sock:connect("unix:" .. path, opts))
                local ok, err = sock:sslhandshake(false, name)
                if not ok then return ngx.say(ok, " ", err) end
                ngx.say(sock:getreusedtimes(), " ", ask(sock), " ", sock:setkeepalive())
            end
            shake("a.com")
            shake("a.com")
            shake("b.com")
            os.rename(path, path .. ".gone")
            shake("a.com")
            os.rename(path .. ".gone", path)
            shake("c.com")
        }
    }
--- response_body
0 1 a.com TLSv1.2 . ECDHE-ECDSA-AES256-GCM-SHA384 1
1 2 a.com TLSv1.2 . ECDHE-ECDSA-AES256-GCM-SHA384 1
0 1 b.com TLSv1.2 . ECDHE-ECDSA-AES256-GCM-SHA384 1
nil no such file or directory
0 1 c.com TLSv1.2 . ECDHE-ECDSA-AES256-GCM-SHA384 1
--- error_log
No such file or directory



=== TEST 40: certificates that are configured for a location
--- config
    lua_ssl_certificate $TEST_NGINX_CERT_DIR/client.crt;
    lua_ssl_certificate_key $TEST_NGINX_CERT_DIR/client.key;
    location = /t {
        content_by_lua_block {
            for _, name in ipairs{ "outer", "own", "two" } do
                ngx.print(ngx.location.capture("/" .. name).body)
            end
        }
    }
    location = /outer { content_by_lua_block { ngx.print(who()) } }
    location = /own {
        lua_ssl_certificate $TEST_NGINX_CERT_DIR/stranger.crt;
        lua_ssl_certificate_key $TEST_NGINX_CERT_DIR/stranger.key;
        content_by_lua_block {
            ngx.print(who())
            -- The code's own certificate comes first.
            local chain, key = client_certificate()
            ngx.print(who(chain, key))
        }
    }
    location = /two {
        lua_ssl_certificate $TEST_NGINX_CERT_DIR/stranger.crt;
        lua_ssl_certificate $TEST_NGINX_CERT_DIR/client.crt;
        lua_ssl_certificate_key $TEST_NGINX_CERT_DIR/stranger.key;
        lua_ssl_certificate_key $TEST_NGINX_CERT_DIR/client.key;
        content_by_lua_block { ngx.print(who()) }
    }
    rewrite_by_lua_block {
        local function read(name)
            local file = assert(io.open("$TEST_NGINX_CERT_DIR/" .. name))
            local text = file:read("*a")
            file:close()
            return text
        end
        function _G.client_certificate()
            local ssl = require "ngx.ssl"
            return ssl.parse_pem_cert(read("client.crt")), ssl.parse_pem_priv_key(read("client.key"))
        end
        function _G.who(chain, key)
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
            if chain then assert(sock:setclientcert(chain, key)) end
            assert(sock:sslhandshake(false, "test.com"))
            assert(sock:send("GET /who HTTP/1.0\r\nHost: test.com\r\n\r\n"))
            local answer = assert(sock:receive("*a"))
            return answer:match("<title>.-</title>") or answer:match("[^\n]*\n$")
        end
    }
--- request
GET /t
--- response_body
SUCCESS CN=client
<title>400 The SSL certificate error</title>SUCCESS CN=client
SUCCESS CN=client
--- no_error_log
[alert]



=== TEST 41: connections in a pool that have shown another certificate, or none
--- config
    location = /t {
        content_by_lua_block {
            for _, name in ipairs{ "none", "client", "client", "none", "none" } do
                ngx.print(ngx.location.capture("/" .. name).body)
            end
        }
    }
    location = /none { content_by_lua_block { ngx.print(who(ngx.var.connection)) } }
    location = /client {
        lua_ssl_certificate $TEST_NGINX_CERT_DIR/client.crt;
        lua_ssl_certificate_key $TEST_NGINX_CERT_DIR/client.key;
        content_by_lua_block { ngx.print(who(ngx.var.connection)) }
    }
    rewrite_by_lua_block {
        function _G.who(pool)
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1, { pool = "of " .. pool }))
            assert(sock:sslhandshake(false, "test.com"))
            local reused = sock:getreusedtimes()
            assert(sock:send("GET /who HTTP/1.1\r\nHost: test.com\r\n\r\n"))
            local len
            repeat
                local line = assert(sock:receive())
                len = line:match("Content%-Length: (%d+)") or len
            until line == ""
            local body = assert(sock:receive(tonumber(len)))
            assert(sock:setkeepalive())
            return reused .. " " .. body
        end
    }
--- request
GET /t
--- response_body
0 NONE 
0 SUCCESS CN=client
1 SUCCESS CN=client
0 NONE 
1 NONE 
--- no_error_log
[error]



=== TEST 42: the secrets of connections in a file
--- config
    lua_ssl_protocols TLSv1.3;
    location = /t {
        lua_ssl_key_log sslkey.log;
        content_by_lua_block {
            local name = "$TEST_NGINX_SERVER_ROOT/conf/sslkey.log"
            local before = assert(io.open(name)):read("*a")
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
            assert(sock:sslhandshake(nil, "test.com"))
            sock:close()
            local file = assert(io.open(name))
            local text = file:read("*a")
            file:close()
            ngx.say(text:sub(1, #before) == before)
            local found = {}
            for line in text:sub(#before + 1):gmatch("[^\n]*\n") do
                found[#found + 1] = line:match("^(%u[%u_%d]+) %x+ %x+\n$") or "bad line: " .. line
            end
            table.sort(found)
            ngx.say(table.concat(found, "\n"))
            local ls = io.popen("stat -c %a " .. name)
            ngx.say(ls:read("*l"))
            ls:close()
        }
    }
--- request
GET /t
--- response_body
true
CLIENT_HANDSHAKE_TRAFFIC_SECRET
CLIENT_TRAFFIC_SECRET_0
EXPORTER_SECRET
SERVER_HANDSHAKE_TRAFFIC_SECRET
SERVER_TRAFFIC_SECRET_0
600
--- no_error_log
[error]



=== TEST 43: a certificate without its key
--- config
    location = /t {
        lua_ssl_certificate $TEST_NGINX_CERT_DIR/test.crt;
        lua_ssl_certificate $TEST_NGINX_CERT_DIR/client.crt;
        lua_ssl_certificate_key $TEST_NGINX_CERT_DIR/test.key;
        content_by_lua_block { ngx.say("never") }
    }
--- request
GET /t
--- must_die
--- no_error_log
[alert]
--- error_log eval
qr/\[emerg\] .*no "lua_ssl_certificate_key" is defined for certificate "[^"]*client.crt"/
--- suppress_stderr



=== TEST 44: a file for secrets that cannot be opened
--- config
    location = /t {
        lua_ssl_key_log nowhere/sslkey.log;
        content_by_lua_block { ngx.say("never") }
    }
--- request
GET /t
--- must_die
--- no_error_log
[alert]
--- error_log eval
qr/\[emerg\] .*open\(\) "[^"]*nowhere\/sslkey.log" failed \(2: No such file or directory\)/
--- suppress_stderr
