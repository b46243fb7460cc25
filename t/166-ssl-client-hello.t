# ssl_client_hello_by_lua*: what a client says first, which protocols it is answered in, how code
# ends a handshake, and code that waits.

use Test::Nginx::Socket::Lua;
use Cwd ();

$ENV{TEST_NGINX_CERT_DIR} ||= Cwd::cwd() . '/t/cert';
$ENV{TEST_NGINX_HTML_DIR} ||= html_dir();

our $Server = <<'_EOC_';
        listen unix:$TEST_NGINX_HTML_DIR/nginx.sock ssl;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate $TEST_NGINX_CERT_DIR/test.crt;
        ssl_certificate_key $TEST_NGINX_CERT_DIR/test.key;
        location / { return 200 $ssl_protocol; }
_EOC_

# protocol(NAME) makes a handshake and gives the protocol that the server says it has.
our $Init = <<'_EOC_';
    # What no directive names differs between releases of lua-nginx-module.
    lua_ssl_protocols TLSv1.2;
    init_by_lua_block {
        function protocol(name)
            local sock = ngx.socket.tcp()
            sock:settimeout(3000)
            assert(sock:connect("unix:$TEST_NGINX_HTML_DIR/nginx.sock"))
            local ok, err = sock:sslhandshake(false, name, false)
            if not ok then
                return err
            end
            assert(sock:send("GET / HTTP/1.0\r\n\r\n"))
            return (assert(sock:receive("*a")):match("[%w.]+$"))
        end
    }
_EOC_

repeat_each(2);

plan tests => repeat_each() * (blocks() * 3 + 11);

no_long_string();
run_tests();

__DATA__

=== TEST 1: the name, extensions and versions of the hello
--- http_config eval
qq{
    $::Init
    server {
        $::Server
        ssl_client_hello_by_lua_block {
            local hello = require "ngx.ssl.clienthello"
            local name, err = hello.get_client_hello_server_name()
            local extension = hello.get_client_hello_ext(0)
            ngx.log(ngx.WARN, ngx.get_phase(), ": ", name, " ", err, " ", extension and #extension,
                    " ", hello.get_client_hello_ext(12345), " ",
                    table.concat(hello.get_supported_versions() or {}, " "), ".")
        }
    }
}
--- config
    lua_ssl_protocols TLSv1.2 TLSv1.3;
    location /t {
        content_by_lua_block {
            ngx.say(protocol("test.com"), " ", protocol())
        }
    }
--- request
GET /t
--- response_body
TLSv1.3 TLSv1.3
--- grep_error_log eval: qr/ssl_client_hello: [^,]*/
--- grep_error_log_out
ssl_client_hello: test.com nil 13 nil TLSv1.2 TLSv1.3.
ssl_client_hello: nil nil nil nil TLSv1.2 TLSv1.3.



=== TEST 2: the protocols that the client is answered in
--- http_config eval
qq{
    $::Init
    server {
        $::Server
        ssl_client_hello_by_lua_block {
            local hello = require "ngx.ssl.clienthello"
            local name = hello.get_client_hello_server_name()
            local protocols = { old = { "TLSv1.2" }, new = { "TLSv1.3" }, none = {},
                                both = { "TLSv1.2", "TLSv1.3" } }
            ngx.log(ngx.WARN, "set: ", hello.set_protocols(protocols[name] or { name }))
        }
    }
}
--- config
    lua_ssl_protocols TLSv1.2 TLSv1.3;
    location /t {
        content_by_lua_block {
            for _, name in ipairs{"old", "new", "both", "none", "TLSv7"} do
                ngx.say(name, ": ", protocol(name))
            end
        }
    }
--- request
GET /t
--- response_body
old: TLSv1.2
new: TLSv1.3
both: TLSv1.3
none: handshake failed
TLSv7: TLSv1.3
--- error_log
set: true
set: nilinvalid protocols failed



=== TEST 3: outside of its phase
--- http_config eval
qq{
    $::Init
    server {
        $::Server
        ssl_certificate_by_lua_block {
            local hello = require "ngx.ssl.clienthello"
            for _, name in ipairs{"get_client_hello_server_name", "set_protocols"} do
                local ok, err = pcall(hello[name], {})
                ngx.log(ngx.WARN, "called: ", ok, " ", (err:gsub("^.*: ", "")))
            end
        }
    }
}
--- config
    location /t {
        content_by_lua_block {
            ngx.say(protocol("test.com"))
        }
    }
--- request
GET /t
--- response_body
TLSv1.2
--- grep_error_log eval: qr/called: [^,]+/
--- grep_error_log_out
called: false API disabled in the current context
called: false API disabled in the current context



=== TEST 4: how code ends
--- http_config eval
qq{
    $::Init
    server {
        $::Server
        ssl_client_hello_by_lua_block {
            local how = require "ngx.ssl.clienthello".get_client_hello_server_name()
            if how == "code" then
                ngx.exit(ngx.OK)
            elseif how == "refusal" then
                ngx.exit(ngx.ERROR)
            elseif how == "status" then
                ngx.exit(444)
            elseif how == "error" then
                error("something bad")
            end
            ngx.log(ngx.WARN, "came to the end of ", how)
        }
    }
}
--- config
    location /t {
        content_by_lua_block {
            for _, how in ipairs{"nothing", "code", "refusal", "status", "error"} do
                ngx.say(how, ": ", protocol(how))
            end
        }
    }
--- request
GET /t
--- response_body
nothing: TLSv1.2
code: TLSv1.2
refusal: handshake failed
status: handshake failed
error: handshake failed
--- error_log eval
[
    "came to the end of nothing",
    qr/lua entry thread aborted: runtime error: ssl_client_hello_by_lua(?:\(nginx\.conf:\d+\))?:10: something bad/,
    "callback failed",
    ", context: ssl_client_hello_by_lua*, client: unix:, server: unix:",
]
--- no_error_log
[alert]
came to the end of code



=== TEST 5: code that waits
--- http_config eval
qq{
    $::Init
    server {
        $::Server
        ssl_client_hello_by_lua_block {
            local hello = require "ngx.ssl.clienthello"
            ngx.thread.spawn(function() ngx.sleep(0.01) ngx.log(ngx.WARN, "a thread went on") end)
            ngx.sleep(0.02)
            ngx.log(ngx.WARN, "the code went on with ", hello.get_client_hello_server_name())
            ngx.sleep(0)
            assert(hello.set_protocols({ "TLSv1.2" }))
            ngx.ctx.seen = true
        }
        ssl_certificate_by_lua_block {
            ngx.sleep(0.01)
            ngx.log(ngx.WARN, "the certificate's code went on, ", tostring(ngx.ctx.seen))
        }
    }
}
--- config
    location /t {
        lua_ssl_protocols TLSv1.2 TLSv1.3;
        content_by_lua_block {
            ngx.say(protocol("test.com"))
        }
    }
--- request
GET /t
--- response_body
TLSv1.2
--- error_log
a thread went on
the code went on with test.com
the certificate's code went on, true
--- no_error_log
[error]
[crit]



=== TEST 6: code that cannot be loaded
--- http_config eval
qq{
    $::Init
    server {
        $::Server
        ssl_client_hello_by_lua_block { if then }
    }
}
--- config
    location /t {
        content_by_lua_block {
            ngx.say(protocol("test.com"))
        }
    }
--- request
GET /t
--- response_body
handshake failed
--- error_log eval
qr/failed to load inlined Lua code: ssl_client_hello_by_lua(?:\(nginx\.conf:\d+\))?:1: unexpected symbol near 'then'/
--- no_error_log
[alert]



=== TEST 7: a second hello, which the server has asked for: the code runs once
--- http_config eval
qq{
    $::Init
    server {
        $::Server
        ssl_ecdh_curve secp384r1;
        ssl_client_hello_by_lua_block { ngx.log(ngx.WARN, "a hello is here") }
    }
}
--- config
    lua_ssl_protocols TLSv1.3;
    location /t {
        content_by_lua_block {
            ngx.say(protocol("test.com"))
        }
    }
--- request
GET /t
--- response_body
TLSv1.3
--- grep_error_log eval: qr/a hello is here|lua_client_hello_by_lua: client hello cb exit code: \d/
--- grep_error_log_out
a hello is here
lua_client_hello_by_lua: client hello cb exit code: 1



=== TEST 8: all extensions and ciphers of the hello
--- http_config eval
qq{
    $::Init
    init_worker_by_lua_block {
        local ffi = require "ffi"
        require "resty.core"
        ffi.cdef[[
            int ngx_http_lua_ffi_ssl_get_client_hello_ext_present(ngx_http_request_t *r,
                int **extensions, size_t *extensions_len, char **err);
            int ngx_http_lua_ffi_ssl_get_client_hello_ciphers(ngx_http_request_t *r,
                unsigned short *ciphers, size_t ciphers_len, char **err);
        ]]
        local request = require "resty.core.base".get_request
        local err, list, len = ffi.new("char *[1]"), ffi.new("int *[1]"), ffi.new("size_t[1]")
        local ciphers = ffi.new("unsigned short[128]")

        function extensions()
            local rc = ffi.C.ngx_http_lua_ffi_ssl_get_client_hello_ext_present(request(), list, len, err)
            if rc ~= 0 then return rc .. " " .. ffi.string(err[0]) end
            local found = {}
            for i = 0, tonumber(len[0]) - 1 do found[list[0][i]] = true end
            -- server_name, supported_groups, supported_versions, padding
            return tostring(found[0]) .. " " .. tostring(found[10]) .. " " .. tostring(found[43])
                .. " " .. tostring(found[21])
        end

        function ciphers_of_hello(room)
            local rc = ffi.C.ngx_http_lua_ffi_ssl_get_client_hello_ciphers(request(), ciphers, room, err)
            if rc < 0 then return rc .. " " .. ffi.string(err[0]) end
            local found = {}
            for i = 1, rc do found[i] = ("%04x"):format(ciphers[i - 1]) end
            -- What stands for renegotiation, which OpenSSL sends up to 3.4.
            if found[rc] == "00ff" then found[rc] = nil end
            return table.concat(found, ",")
        end
    }
    server {
        $::Server
        ssl_client_hello_by_lua_block {
            ngx.log(ngx.WARN, "offers: ", extensions(), "; ", ciphers_of_hello(128), "; ",
                ciphers_of_hello(1), "; ", ciphers_of_hello(0), ".")
        }
        ssl_certificate_by_lua_block {
            ngx.log(ngx.WARN, "offers: ", extensions(), "; ", ciphers_of_hello(128), ".")
        }
    }
}
--- config
    lua_ssl_protocols TLSv1.2;
    lua_ssl_ciphers ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES128-GCM-SHA256;
    location /t {
        content_by_lua_block { ngx.say(protocol("test.com"), " ", extensions(), " ", ciphers_of_hello(128)) }
    }
--- request
GET /t
--- response_body
TLSv1.2 -1 bad request -1 bad request
--- grep_error_log eval: qr/offers: [^.]*/
--- grep_error_log_out
offers: true true nil nil; c009,c02b; c009; -5 failed SSL_client_hello_get0_ciphers()
offers: -5 failed SSL_client_hello_get1_extensions_present(); -5 failed SSL_client_hello_get0_ciphers()
