# ssl_certificate_by_lua*: certificates that the code chooses, how code ends a handshake, code that
# waits while clients stay, leave or are many, and ngx.ctx from a handshake to its requests.
#
# Debian's nginx 1.22.1 has a patch by which a handshake waits for the code; others have not.

use Test::Nginx::Socket::Lua;
use Cwd ();

$ENV{TEST_NGINX_CERT_DIR} ||= Cwd::cwd() . '/t/cert';
$ENV{TEST_NGINX_HTML_DIR} ||= html_dir();

# The server's own certificate is one that the client does not trust.
our $Server = <<'_EOC_';
        listen unix:$TEST_NGINX_HTML_DIR/nginx.sock ssl;
        server_name test.com;
        ssl_certificate $TEST_NGINX_CERT_DIR/stranger.crt;
        ssl_certificate_key $TEST_NGINX_CERT_DIR/stranger.key;
_EOC_

# What the blocks share: pem(NAME) reads a file of t/cert, handshake(NAME, VERIFY) makes a
# connection, get(SOCK, PATH) a request on it; both give nil and a reason where that fails.
our $Init = <<'_EOC_';
    init_by_lua_block {
        function pem(name)
            local file = assert(io.open("$TEST_NGINX_CERT_DIR/" .. name))
            local text = file:read("*a")
            file:close()
            return text
        end

        function handshake(name, verify, timeout)
            local sock = ngx.socket.tcp()
            sock:settimeout(timeout or 3000)
            assert(sock:connect("unix:$TEST_NGINX_HTML_DIR/nginx.sock"))
            local ok, err = sock:sslhandshake(false, name or "test.com", verify or false)
            if not ok then
                return nil, err
            end
            return sock
        end

        function get(sock, path)
            assert(sock:send("GET " .. path .. " HTTP/1.1\r\nHost: test.com\r\n\r\n"))
            local length
            repeat
                local line = assert(sock:receive())
                length = line:lower():match("content%-length: (%d+)") or length
            until line == ""
            return sock:receive(tonumber(length))
        end
    }
_EOC_

worker_connections(512);
repeat_each(2);

plan tests => repeat_each() * (blocks() * 3 + 36);

no_long_string();
run_tests();

__DATA__

=== TEST 1: a certificate and key of the code's, in DER and as objects
--- http_config eval
qq{
    $::Init
    server {
        $::Server
        ssl_certificate_by_lua_block {
            local ssl = require "ngx.ssl"
            local name = ssl.server_name()
            if name == "www.test.com" then
                assert(ssl.clear_certs())
                assert(ssl.set_der_cert(assert(ssl.cert_pem_to_der(pem("deep.crt")))))
                assert(ssl.set_der_priv_key(assert(ssl.priv_key_pem_to_der(pem("deep.key")))))
            elseif name == "test.com" then
                assert(ssl.clear_certs())
                assert(ssl.set_cert(assert(ssl.parse_pem_cert(pem("deep.crt")))))
                assert(ssl.set_priv_key(assert(ssl.parse_pem_priv_key(pem("deep.key")))))
            end
        }
    }
}
--- config
    lua_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/ca.crt;
    lua_ssl_verify_depth 2;
    location /t {
        content_by_lua_block {
            for _, name in ipairs{"www.test.com", "test.com", "else.test.com"} do
                local sock, err = handshake(name, true)
                ngx.say(name, ": ", sock and "trusted" or err)
            end
            collectgarbage()
        }
    }
--- request
GET /t
--- response_body
www.test.com: trusted
test.com: trusted
else.test.com: 18: self-signed certificate
--- no_error_log
[alert]
[crit]



=== TEST 2: no certificate at all: the handshake fails
--- http_config eval
qq{
    $::Init
    server {
        $::Server
        ssl_certificate_by_lua_block {
            require "ngx.ssl".clear_certs()
        }
    }
}
--- config
    location /t {
        content_by_lua_block {
            ngx.say(handshake())
        }
    }
--- request
GET /t
--- response_body
nilhandshake failed
--- error_log
SSL_do_handshake() failed (SSL: error:
--- no_error_log
[alert]



=== TEST 3: how code ends, at once and after it has waited
--- http_config eval
qq{
    $::Init
    server {
        $::Server
        ssl_certificate_by_lua_block {
            local how, waits = require "ngx.ssl".server_name():match("^(%a+)%.(%a+)")
            if waits == "waits" then
                ngx.sleep(0.001)
            end
            if how == "code" then
                ngx.exit(ngx.OK)
            elseif how == "refusal" then
                ngx.exit(ngx.ERROR)
            elseif how == "status" then
                ngx.exit(403)
            elseif how == "success" then
                ngx.exit(201)
            elseif how == "table" then
                error({})
            elseif how == "error" then
                error("something bad")
            elseif how == "thread" then
                ngx.thread.spawn(function() ngx.sleep(0.001) ngx.exit(ngx.ERROR) end)
                ngx.sleep(10)
            end
            ngx.log(ngx.WARN, "came to the end of ", how)
        }
        location / { return 200; }
    }
}
--- config
    location /t {
        content_by_lua_block {
            for _, waits in ipairs{"waits", "runs"} do
                for _, how in ipairs{"nothing", "code", "refusal", "status", "success", "table",
                                     "error", "thread"} do
                    local sock, err = handshake(how .. "." .. waits)
                    ngx.say(how, ": ", sock and "ok" or err)
                end
            end
        }
    }
--- request
GET /t
--- response_body
nothing: ok
code: ok
refusal: handshake failed
status: handshake failed
success: ok
table: handshake failed
error: handshake failed
thread: handshake failed
nothing: ok
code: ok
refusal: handshake failed
status: handshake failed
success: ok
table: handshake failed
error: handshake failed
thread: handshake failed
--- error_log
came to the end of nothing
lua entry thread aborted: runtime error: table: 0x
something bad
cert cb error
context: ssl_certificate_by_lua*, client: unix:, server: unix:
--- no_error_log
[alert]
came to the end of code
came to the end of success
came to the end of thread



=== TEST 4: code that cannot be loaded refuses the handshake
--- http_config eval
qq{
    $::Init
    server {
        $::Server
        ssl_certificate_by_lua_file html/wrong.lua;
    }
    server {
        listen unix:\$TEST_NGINX_HTML_DIR/nginx.sock ssl;
        server_name missing.test.com;
        ssl_certificate \$TEST_NGINX_CERT_DIR/stranger.crt;
        ssl_certificate_key \$TEST_NGINX_CERT_DIR/stranger.key;
        ssl_certificate_by_lua_file html/missing.lua;
    }
}
--- config
    location /t {
        content_by_lua_block {
            ngx.say(handshake("test.com"))
            ngx.say(handshake("missing.test.com"))
        }
    }
--- user_files
>>> wrong.lua
if then
--- request
GET /t
--- response_body
nilhandshake failed
nilhandshake failed
--- error_log eval
[
qr{failed to load external Lua file ".*/html/wrong.lua": .*unexpected symbol near 'then'.*context: ssl_certificate_by_lua\*},
qr{failed to load external Lua file ".*/html/missing.lua": cannot open .*html/missing.lua},
]
--- no_error_log
[alert]



=== TEST 5: ngx.ctx goes on to the connection's requests, each of which has its own
--- http_config eval
qq{
    $::Init
    server {
        $::Server
        ssl_client_hello_by_lua_block {
            ngx.ctx.name = require "ngx.ssl.clienthello".get_client_hello_server_name()
        }
        ssl_certificate_by_lua_block {
            ngx.sleep(0.001)
            ngx.ctx.name = ngx.ctx.name .. "!"
            ngx.ctx = { name = ngx.ctx.name .. "!", __index = ngx.ctx }
            ngx.ctx.__index = ngx.ctx
            ngx.ctx.count = 0
        }
        location = /count {
            rewrite_by_lua_block { ngx.ctx.count = ngx.ctx.count + 1 }
            content_by_lua_block {
                local text = ngx.ctx.name .. " " .. ngx.ctx.count
                ngx.header.content_length = #text
                ngx.print(text)
            }
        }
        location = /none {
            content_by_lua_block {
                ngx.ctx = { count = 7 }
                local text = tostring(ngx.ctx.name) .. " " .. ngx.ctx.count
                ngx.header.content_length = #text
                ngx.print(text)
            }
        }
    }
}
--- config
    location /t {
        content_by_lua_block {
            local a, b = handshake("a.test.com"), handshake("b.test.com")
            ngx.say(get(a, "/count"))
            ngx.say(get(a, "/count"))
            ngx.say(get(b, "/count"))
            ngx.say(get(a, "/none"))
            ngx.say(get(a, "/count"))
            a:close()
            ngx.say(get(b, "/count"))
        }
    }
--- request
GET /t
--- response_body
a.test.com!! 1
a.test.com!! 1
b.test.com!! 1
nil 7
a.test.com!! 1
b.test.com!! 1
--- no_error_log
[error]
[alert]



=== TEST 6: many handshakes that wait at once
--- http_config eval
qq{
    $::Init
    server {
        $::Server
        ssl_certificate_by_lua_block {
            local ssl = require "ngx.ssl"
            local number = ssl.server_name():match("%d+")
            ngx.ctx.number = number
            ngx.sleep(0.001 * (number % 7))
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", \$TEST_NGINX_SERVER_PORT))
            assert(sock:send("GET /echo?" .. number .. " HTTP/1.0\\r\\n\\r\\n"))
            assert(sock:receive("*a"):match("(%d+)\\n\$") == number)
            assert(ssl.set_der_cert(ssl.cert_pem_to_der(pem("test.crt"))))
            assert(ssl.set_der_priv_key(ssl.priv_key_pem_to_der(pem("test.key"))))
        }
        location / {
            content_by_lua_block {
                ngx.header.content_length = #ngx.ctx.number
                ngx.print(ngx.ctx.number)
            }
        }
    }
}
--- config
    lua_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/ca.crt;
    location /echo {
        content_by_lua_block { ngx.say(ngx.var.args) }
    }
    location /t {
        content_by_lua_block {
            local function run(number)
                local sock = assert(handshake(number .. ".test.com", true, 60000))
                return assert(get(sock, "/")) == tostring(number)
            end
            local threads, good = {}, 0
            for number = 1, 40 do
                threads[number] = ngx.thread.spawn(run, number)
            end
            for _, thread in ipairs(threads) do
                local ok, same = ngx.thread.wait(thread)
                good = good + (ok and same and 1 or 0)
            end
            ngx.say(good)
        }
    }
--- request
GET /t
--- timeout: 60
--- response_body
40
--- no_error_log
[error]
[alert]



=== TEST 7: a client that leaves while the code waits
--- http_config eval
qq{
    $::Init
    server {
        $::Server
        ssl_certificate_by_lua_block {
            ngx.sleep(0.1)
            ngx.log(ngx.WARN, "the code went on")
        }
    }
}
--- config
    location /t {
        content_by_lua_block {
            ngx.say(handshake("test.com", false, 20))
            ngx.sleep(0.2)
        }
    }
--- request
GET /t
--- response_body
niltimeout
--- error_log
the code went on
--- no_error_log
[alert]
[crit]



=== TEST 8: code that waits longer than the server waits for a client is ended
--- http_config eval
qq{
    $::Init
    server {
        $::Server
        client_header_timeout 50ms;
        ssl_certificate_by_lua_block {
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", \$TEST_NGINX_SERVER_PORT))
            ngx.thread.spawn(function() ngx.sleep(0.2) ngx.log(ngx.ERR, "a thread went on") end)
            sock:receive()
            ngx.log(ngx.ERR, "the code went on")
        }
    }
}
--- config
    location /t {
        content_by_lua_block {
            ngx.say(handshake())
            ngx.sleep(0.3)
        }
    }
--- request
GET /t
--- response_body
nilhandshake failed
--- error_log
client timed out
lua_certificate_by_lua: cert cb aborted
--- no_error_log
went on
[crit]
[alert]



=== TEST 9: what the code may wait for, and what it may not call
--- http_config eval
qq{
    $::Init
    server {
        $::Server
        ssl_certificate_by_lua_block {
            local semaphore = require "ngx.semaphore".new()
            ngx.timer.at(0, function(premature)
                ngx.log(ngx.WARN, "a timer in ", ngx.get_phase())
                semaphore:post()
            end)
            assert(semaphore:wait(1))
            assert(coroutine.wrap(function() coroutine.yield(ngx.get_phase()) end)()
                   == "ssl_cert")
            local calls = {
                say = function() ngx.say("x") end,
                var = function() return ngx.var.uri end,
                header = function() ngx.header.a = 1 end,
                status = function() ngx.status = 200 end,
                headers = function() return ngx.req.get_headers() end,
                args = function() return ngx.req.get_uri_args() end,
                body = function() ngx.req.read_body() end,
                capture = function() ngx.location.capture("/") end,
                exec = function() ngx.exec("/") end,
                redirect = function() ngx.redirect("/") end,
                socket = function() assert(ngx.req.socket()) end,
                on_abort = function() assert(ngx.on_abort(function() end)) end,
            }
            for name, call in pairs(calls) do
                local ok, err = pcall(call)
                ngx.log(ngx.WARN, name, ": ", ok, " ", (tostring(err):gsub(".*: ", "")))
            end
        }
    }
}
--- config
    location /t {
        content_by_lua_block {
            ngx.say(handshake() and "ok")
        }
    }
--- request
GET /t
--- response_body
ok
--- error_log
a timer in timer
say: false API disabled in the context of ssl_certificate_by_lua*
var: false API disabled in the current context
header: false API disabled in the current context
status: false API disabled in the current context
headers: false API disabled in the current context
args: false API disabled in the current context
body: false API disabled in the context of ssl_certificate_by_lua*
capture: false API disabled in the context of ssl_certificate_by_lua*
exec: false API disabled in the context of ssl_certificate_by_lua*
redirect: false API disabled in the context of ssl_certificate_by_lua*
socket: false API disabled in the context of ssl_certificate_by_lua*
on_abort: false
--- no_error_log
[alert]



=== TEST 10: lua_code_cache off: the code runs in the worker's VM
--- http_config eval
qq{
    $::Init
    lua_code_cache off;
    server {
        $::Server
        ssl_certificate_by_lua_block {
            local kept = package.loaded
            kept.handshakes = (kept.handshakes or 0) + 1
            ngx.log(ngx.WARN, "handshake ", kept.handshakes)
        }
    }
}
--- config
    location /t {
        content_by_lua_block {
            ngx.say(handshake() and "ok", " ", handshake() and "ok")
        }
    }
--- request
GET /t
--- response_body
ok ok
--- error_log eval
[qr/handshake [13]/, qr/handshake [24]/]
--- no_error_log
[error]



=== TEST 11: a server without TLS
--- http_config
    server {
        listen unix:$TEST_NGINX_HTML_DIR/nginx.sock;
        ssl_certificate_by_lua_block { ngx.log(ngx.WARN, "hello") }
    }
--- config
--- must_die
--- error_log
no ssl configured for the server
--- no_error_log
[alert]



=== TEST 12: twice in one server
--- http_config eval
qq{
    server {
        $::Server
        ssl_certificate_by_lua_block { ngx.log(ngx.WARN, "one") }
        ssl_certificate_by_lua_file two.lua;
    }
}
--- config
--- must_die
--- error_log
"ssl_certificate_by_lua_file" directive is duplicate
--- no_error_log
[alert]



=== TEST 13: a server that a client is led to has no code
--- http_config eval
qq{
    $::Init
    server {
        $::Server
        ssl_certificate_by_lua_block { ngx.log(ngx.WARN, "the code runs") }
    }
    server {
        listen unix:\$TEST_NGINX_HTML_DIR/nginx.sock ssl;
        server_name else.test.com;
        ssl_certificate \$TEST_NGINX_CERT_DIR/test.crt;
        ssl_certificate_key \$TEST_NGINX_CERT_DIR/test.key;
    }
}
--- config
    lua_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/ca.crt;
    location /t {
        content_by_lua_block {
            ngx.say(handshake("else.test.com", true) and "ok")
        }
    }
--- request
GET /t
--- response_body
ok
--- no_error_log
the code runs
[error]



=== TEST 14: the requests of a handshake whose VMs are their own do not inherit its ngx.ctx
--- http_config eval
qq{
    $::Init
    lua_code_cache off;
    server {
        $::Server
        ssl_certificate_by_lua_block { ngx.ctx.name = "the handshake's" }
        location / {
            content_by_lua_block {
                ngx.ctx.own = "own"
                local text = tostring(ngx.ctx.name) .. " " .. ngx.ctx.own
                ngx.header.content_length = #text
                ngx.print(text)
            }
        }
    }
}
--- config
    location /t {
        content_by_lua_block {
            ngx.ctx.name = "another's"
            local sock = handshake()
            ngx.say(get(sock, "/"), ", ", get(sock, "/"))
        }
    }
--- request
GET /t
--- response_body
nil own, nil own
--- no_error_log
[error]
