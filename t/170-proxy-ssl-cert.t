# proxy_ssl_certificate_by_lua* and proxy_ssl_verify_by_lua*: the handshake with the server that a request
# is passed to. The functions behind lua-resty-core's ngx.ssl.proxysslcert, ngx.ssl.proxysslverify and
# ngx.proxyssl, which it has from release 0.1.31 on, are called here as it calls them.

use Test::Nginx::Socket::Lua;
use Cwd ();

$ENV{TEST_NGINX_CERT_DIR} ||= Cwd::cwd() . '/t/cert';
$ENV{TEST_NGINX_HTML_DIR} ||= html_dir();

our $Http = <<'_EOC_';
    server {
        listen unix:$TEST_NGINX_HTML_DIR/nginx.sock ssl;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate $TEST_NGINX_CERT_DIR/test.crt;
        ssl_certificate_key $TEST_NGINX_CERT_DIR/test.key;
        ssl_client_certificate $TEST_NGINX_CERT_DIR/ca.crt;
        ssl_verify_client optional;
        ssl_verify_depth 2;
        location / { return 200 "$ssl_client_verify $ssl_client_s_dn $ssl_session_reused\n"; }
    }
    init_by_lua_block {
        local ffi = require "ffi"
        local ssl = require "ngx.ssl"
        ffi.cdef[[
            int ngx_http_lua_ffi_proxy_ssl_get_tls1_version(ngx_http_request_t *r, char **err);
            int ngx_http_lua_ffi_proxy_ssl_clear_certs(ngx_http_request_t *r, char **err);
            int ngx_http_lua_ffi_proxy_ssl_set_der_certificate(ngx_http_request_t *r,
                const char *data, size_t len, char **err);
            int ngx_http_lua_ffi_proxy_ssl_set_der_private_key(ngx_http_request_t *r,
                const char *data, size_t len, char **err);
            int ngx_http_lua_ffi_proxy_ssl_set_cert(void *r, void *cdata, char **err);
            int ngx_http_lua_ffi_proxy_ssl_set_priv_key(void *r, void *cdata, char **err);
            int ngx_http_lua_ffi_proxy_ssl_set_verify_result(ngx_http_request_t *r, int result,
                char **err);
            int ngx_http_lua_ffi_proxy_ssl_get_verify_result(ngx_http_request_t *r, char **err);
            void *ngx_http_lua_ffi_proxy_ssl_get_verify_cert(ngx_http_request_t *r, char **err);
            void ngx_http_lua_ffi_proxy_ssl_free_verify_cert(void *cdata);
            int ngx_http_lua_ffi_get_phase(ngx_http_request_t *r, char **err);
            int X509_cmp(const void *a, const void *b);
            void *OPENSSL_sk_value(const void *, int);
        ]]
        local C, err = ffi.C, ffi.new("char *[1]")
        local request = require "resty.core.base".get_request
        local function answer(rc)
            if rc < 0 then return nil, ffi.string(err[0]) end
            return rc
        end
        function pem(name)
            local file = assert(io.open("$TEST_NGINX_CERT_DIR/" .. name))
            local text = file:read("*a")
            file:close()
            return text
        end
        proxy = {}
        function proxy.version() return answer(C.ngx_http_lua_ffi_proxy_ssl_get_tls1_version(request(), err)) end
        function proxy.clear() return answer(C.ngx_http_lua_ffi_proxy_ssl_clear_certs(request(), err)) end
        function proxy.set_der(chain, key)
            local rc, why = answer(C.ngx_http_lua_ffi_proxy_ssl_set_der_certificate(request(), chain, #chain, err))
            if not rc then return rc, why end
            return answer(C.ngx_http_lua_ffi_proxy_ssl_set_der_private_key(request(), key, #key, err))
        end
        function proxy.set(chain, key)
            local rc, why = answer(C.ngx_http_lua_ffi_proxy_ssl_set_cert(request(), chain, err))
            if not rc then return rc, why end
            return answer(C.ngx_http_lua_ffi_proxy_ssl_set_priv_key(request(), key, err))
        end
        function proxy.set_result(result)
            return answer(C.ngx_http_lua_ffi_proxy_ssl_set_verify_result(request(), result, err))
        end
        function proxy.result() return answer(C.ngx_http_lua_ffi_proxy_ssl_get_verify_result(request(), err)) end
        function proxy.shows(name)
            local certificate = C.ngx_http_lua_ffi_proxy_ssl_get_verify_cert(request(), err)
            if certificate == nil then return nil, ffi.string(err[0]) end
            local chain = ssl.parse_pem_cert(pem(name))
            local same = C.X509_cmp(certificate, C.OPENSSL_sk_value(chain, 0)) == 0
            C.ngx_http_lua_ffi_proxy_ssl_free_verify_cert(certificate)
            return same
        end
        function phase() return ("%x"):format(C.ngx_http_lua_ffi_get_phase(request(), err)) end
        function client() return ssl.parse_pem_cert(pem("client.crt")), ssl.parse_pem_priv_key(pem("client.key")) end
        function client_der() return ssl.cert_pem_to_der(pem("client.crt")), ssl.priv_key_pem_to_der(pem("client.key")) end
        function say(...) ngx.log(ngx.WARN, "said: ", table.concat({...}, " "), ".") end
    }
    proxy_ssl_session_reuse off;
    proxy_ssl_name test.com;
    proxy_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/ca.crt;
_EOC_

repeat_each(2);

plan tests => repeat_each() * (blocks() * 3 + 7);

no_long_string();

add_block_preprocessor(sub {
    my $block = shift;
    $block->set_value('http_config', $Http . ($block->http_config // ''));
    $block->set_value('request', "GET /t\n") if !defined $block->request;
});

run_tests();

__DATA__

=== TEST 1: code shows a certificate, for TLS 1.2 and 1.3, as objects and in DER
--- config
    location /objects {
        proxy_pass https://unix:$TEST_NGINX_HTML_DIR/nginx.sock:/;
        proxy_ssl_protocols TLSv1.2;
        proxy_ssl_certificate_by_lua_block { assert(proxy.set(client())) say(phase(), proxy.version()) }
    }
    location /der {
        proxy_pass https://unix:$TEST_NGINX_HTML_DIR/nginx.sock:/;
        proxy_ssl_protocols TLSv1.3;
        proxy_ssl_certificate_by_lua_block { assert(proxy.set_der(client_der())) say(phase(), proxy.version()) }
    }
    location /none {
        proxy_pass https://unix:$TEST_NGINX_HTML_DIR/nginx.sock:/;
        proxy_ssl_certificate_by_lua_block { }
    }
    location /t {
        content_by_lua_block {
            for _, name in ipairs{ "objects", "der", "none" } do
                ngx.print(ngx.location.capture("/" .. name).body)
            end
        }
    }
--- response_body
SUCCESS CN=client .
SUCCESS CN=client .
NONE  .
--- grep_error_log eval: qr/said: [^.]*/
--- grep_error_log_out
said: 40000 771
said: 40000 772



=== TEST 2: it comes before proxy_ssl_certificate, which stays where it sets none
--- config
    proxy_ssl_certificate $TEST_NGINX_CERT_DIR/stranger.crt;
    proxy_ssl_certificate_key $TEST_NGINX_CERT_DIR/stranger.key;
    location /own {
        proxy_pass https://unix:$TEST_NGINX_HTML_DIR/nginx.sock:/;
        proxy_ssl_certificate_by_lua_block {
            assert(proxy.clear())
            assert(proxy.set(client()))
        }
    }
    location /cleared {
        proxy_pass https://unix:$TEST_NGINX_HTML_DIR/nginx.sock:/;
        proxy_ssl_certificate_by_lua_block { assert(proxy.clear()) }
    }
    location /kept {
        proxy_pass https://unix:$TEST_NGINX_HTML_DIR/nginx.sock:/;
        proxy_ssl_certificate_by_lua_block { ngx.ctx.seen = true }
    }
    location /t {
        content_by_lua_block {
            for _, name in ipairs{ "own", "cleared", "kept" } do
                local res = ngx.location.capture("/" .. name)
                ngx.say(res.status, " ", res.body:match("%u%u+[^\r\n.<]*") or res.body)
            end
        }
    }
--- response_body
200 SUCCESS CN=client 
200 NONE  
400 SSL certificate error
--- no_error_log
[error]



=== TEST 3: the request's own ngx.ctx and variables, and both phases
--- config
    set $mine 1;
    location /t {
        access_by_lua_block { ngx.ctx.trail = "access" }
        proxy_pass https://unix:$TEST_NGINX_HTML_DIR/nginx.sock:/;
        proxy_ssl_verify on;
        proxy_ssl_verify_by_lua_block {
            ngx.ctx.trail = ngx.ctx.trail .. " verify " .. ngx.var.mine .. " " .. phase() .. " "
                .. proxy.result() .. " " .. tostring(proxy.shows("test.crt")) .. " "
                .. tostring(proxy.shows("client.crt"))
            ngx.var.mine = 2
        }
        proxy_ssl_certificate_by_lua_block { ngx.ctx.trail = ngx.ctx.trail .. " cert " .. ngx.var.mine }
        header_filter_by_lua_block { ngx.header["X-Trail"] = ngx.ctx.trail .. " " .. phase() }
    }
--- response_headers
X-Trail: access verify 1 10000 0 true false cert 2 20
--- response_body
NONE  .
--- no_error_log
[error]



=== TEST 4: code refuses: by ngx.exit, which ends it, an error, and a result
--- config
    proxy_intercept_errors off;
    location /exit {
        proxy_pass https://unix:$TEST_NGINX_HTML_DIR/nginx.sock:/;
        proxy_ssl_verify_by_lua_block { ngx.exit(ngx.ERROR) ngx.log(ngx.ERR, "went on") }
    }
    location /exit_ok {
        proxy_pass https://unix:$TEST_NGINX_HTML_DIR/nginx.sock:/;
        proxy_ssl_verify_by_lua_block { ngx.exit(ngx.OK) ngx.log(ngx.ERR, "went on") }
    }
    location /error {
        proxy_pass https://unix:$TEST_NGINX_HTML_DIR/nginx.sock:/;
        proxy_ssl_verify_by_lua_block { error("bad bad bad") }
    }
    location /result {
        proxy_pass https://unix:$TEST_NGINX_HTML_DIR/nginx.sock:/;
        proxy_ssl_verify on;
        proxy_ssl_verify_by_lua_block { assert(proxy.set_result(23)) }
    }
    location /cert_exit {
        proxy_pass https://unix:$TEST_NGINX_HTML_DIR/nginx.sock:/;
        proxy_ssl_certificate_by_lua_block { ngx.exit(ngx.ERROR) ngx.log(ngx.ERR, "went on") }
    }
    location /cert_error {
        proxy_pass https://unix:$TEST_NGINX_HTML_DIR/nginx.sock:/;
        proxy_ssl_certificate_by_lua_block { error("cert bad") }
    }
    location /t {
        content_by_lua_block {
            for _, name in ipairs{ "exit", "exit_ok", "error", "result", "cert_exit", "cert_error" } do
                ngx.say(name, " ", ngx.location.capture("/" .. name).status)
            end
        }
    }
--- response_body
exit 502
exit_ok 200
error 502
result 502
cert_exit 502
cert_error 502
--- error_log eval
[qr/lua entry thread aborted: runtime error: proxy_ssl_verify_by_lua\(nginx.conf:\d+\):1: bad bad bad/,
"upstream SSL certificate verify error: (23:certificate revoked)",
qr/lua entry thread aborted: runtime error: proxy_ssl_certificate_by_lua\(nginx.conf:\d+\):1: cert bad/,
"certificate verify failed"]
--- no_error_log
went on
attempt to yield
[alert]



=== TEST 5: OpenSSL's own look at the certificate, and code that knows better
--- config
    proxy_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/stranger.crt;
    location /default {
        proxy_pass https://unix:$TEST_NGINX_HTML_DIR/nginx.sock:/;
        proxy_ssl_verify on;
        proxy_ssl_verify_by_lua_block { say("default", proxy.result()) }
    }
    location /better {
        proxy_pass https://unix:$TEST_NGINX_HTML_DIR/nginx.sock:/;
        proxy_ssl_verify on;
        proxy_ssl_verify_by_lua_block { assert(proxy.set_result(0)) }
    }
    location /skip {
        proxy_pass https://unix:$TEST_NGINX_HTML_DIR/nginx.sock:/;
        proxy_ssl_verify on;
        lua_upstream_skip_openssl_default_verify on;
        proxy_ssl_verify_by_lua_block { say("skip", proxy.result()) }
    }
    location /off {
        proxy_pass https://unix:$TEST_NGINX_HTML_DIR/nginx.sock:/;
        proxy_ssl_verify_by_lua_block { say("off", proxy.result()) }
    }
    location /strict {
        proxy_pass https://unix:$TEST_NGINX_HTML_DIR/nginx.sock:/;
        proxy_ssl_verify_by_lua_block { if proxy.result() ~= 0 then ngx.exit(ngx.ERROR) end }
    }
    location /without {
        proxy_pass https://unix:$TEST_NGINX_HTML_DIR/nginx.sock:/;
        proxy_ssl_verify on;
    }
    location /t {
        content_by_lua_block {
            for _, name in ipairs{ "default", "better", "skip", "off", "strict", "without" } do
                ngx.say(name, " ", ngx.location.capture("/" .. name).status)
            end
        }
    }
--- response_body
default 502
better 200
skip 200
off 200
strict 502
without 502
--- grep_error_log eval: qr/said: [^.]*/
--- grep_error_log_out
said: default 21
said: skip 0
said: off 20



=== TEST 6: what cannot be done there, and where there is no such handshake
--- config
    location /cannot {
        proxy_pass https://unix:$TEST_NGINX_HTML_DIR/nginx.sock:/;
        proxy_ssl_certificate_by_lua_block {
            say("sleep", tostring(select(2, pcall(ngx.sleep, 0.001))))
            say("tcp", tostring(select(2, pcall(ngx.socket.tcp))))
            say("capture", tostring(select(2, pcall(ngx.location.capture, "/x"))))
            say("verify", select(2, proxy.result()), select(2, proxy.shows("test.crt")))
            say("yield", select(2, pcall(coroutine.yield)))
            ngx.timer.at(0, function() say("timer", phase(), select(2, proxy.version())) end)
        }
    }
    location /t {
        content_by_lua_block {
            say("none", select(2, proxy.version()), select(2, proxy.set(client())),
                select(2, proxy.result()))
            ngx.print(ngx.location.capture("/cannot").body)
            ngx.sleep(0.02)
        }
    }
--- response_body
NONE  .
--- grep_error_log eval: qr/said: [^.]*(?:\*|, client)?/
--- grep_error_log_out
said: none bad request bad request bad request
said: sleep API disabled in the context of proxy_ssl_certificate_by_lua*
said: tcp API disabled in the context of proxy_ssl_certificate_by_lua*
said: capture API disabled in the context of proxy_ssl_certificate_by_lua*
said: verify bad lua context bad lua context
said: yield API disabled in the context of proxy_ssl_certificate_by_lua*
said: timer 80 bad request



=== TEST 7: nested blocks inherit it, files have it, a location without code shares a context
--- user_files
>>> cert.lua
assert(proxy.set(client()))
--- config
    location /outer {
        proxy_pass https://unix:$TEST_NGINX_HTML_DIR/nginx.sock:/;
        proxy_ssl_certificate_by_lua_file html/cert.lua;
        location /outer/inner { proxy_pass https://unix:$TEST_NGINX_HTML_DIR/nginx.sock:/; }
        location /outer/own {
            proxy_pass https://unix:$TEST_NGINX_HTML_DIR/nginx.sock:/;
            proxy_ssl_certificate_by_lua_block { say("own") }
        }
        location /outer/plain { return 200 "plain\n"; }
    }
    location /without { proxy_pass https://unix:$TEST_NGINX_HTML_DIR/nginx.sock:/; }
    location /t {
        content_by_lua_block {
            for _, name in ipairs{ "outer", "outer/inner", "outer/own", "outer/plain", "without" } do
                ngx.print(ngx.location.capture("/" .. name).body)
            end
        }
    }
--- response_body
SUCCESS CN=client .
SUCCESS CN=client .
NONE  .
plain
NONE  .
--- no_error_log
[error]



=== TEST 8: a location that passes nothing on by TLS: certificates
--- config
    location /t {
        proxy_pass http://unix:$TEST_NGINX_HTML_DIR/nginx.sock:/;
        proxy_ssl_certificate_by_lua_block { say("never") }
    }
--- must_die
--- no_error_log
[alert]
--- error_log
proxy_ssl_certificate_by_lua* should be used with proxy_pass https url
--- suppress_stderr



=== TEST 9: a location that passes nothing on by TLS: verification
--- config
    location /t {
        proxy_ssl_verify_by_lua_block { say("never") }
        return 200;
    }
--- must_die
--- no_error_log
[alert]
--- error_log
proxy_ssl_verify_by_lua* should be used with proxy_pass https url
--- suppress_stderr



=== TEST 10: not outside of locations
--- config
    proxy_ssl_verify_by_lua_block { say("never") }
    location /t { return 200; }
--- must_die
--- no_error_log
[alert]
--- error_log
"proxy_ssl_verify_by_lua_block" directive is not allowed here
--- suppress_stderr



=== TEST 11: gRPC
--- http_config
    server {
        listen unix:$TEST_NGINX_HTML_DIR/grpc.sock ssl http2;
        ssl_certificate $TEST_NGINX_CERT_DIR/test.crt;
        ssl_certificate_key $TEST_NGINX_CERT_DIR/test.key;
        ssl_client_certificate $TEST_NGINX_CERT_DIR/ca.crt;
        ssl_verify_client optional;
        ssl_verify_depth 2;
        location / { return 200 "$ssl_client_verify $http2\n"; }
    }
--- config
    location /t {
        grpc_pass grpcs://unix:$TEST_NGINX_HTML_DIR/grpc.sock;
        grpc_ssl_session_reuse off;
        proxy_ssl_certificate_by_lua_block { assert(proxy.set(client())) }
        proxy_ssl_verify_by_lua_block { say("shows", tostring(proxy.shows("test.crt"))) }
    }
--- response_body
SUCCESS h2
--- error_log
said: shows true.
