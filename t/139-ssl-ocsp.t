# ngx.ocsp: who answers for a certificate, the question, the answer, and the answer that goes to the
# client with the certificate.

use Test::Nginx::Socket::Lua;
use Cwd ();

$ENV{TEST_NGINX_CERT_DIR} ||= Cwd::cwd() . '/t/cert';
$ENV{TEST_NGINX_HTML_DIR} ||= html_dir();

our $Init = <<'_EOC_';
    init_by_lua_block {
        function read(name)
            local file = assert(io.open("$TEST_NGINX_CERT_DIR/" .. name))
            local text = file:read("*a")
            file:close()
            return text
        end

        function der(...)
            local text = ""
            for _, name in ipairs{...} do
                text = text .. require "ngx.ssl".cert_pem_to_der(read(name))
            end
            return text
        end
    }
_EOC_

repeat_each(2);

plan tests => repeat_each() * (blocks() * 3 + 1);

no_long_string();
run_tests();

__DATA__

=== TEST 1: who answers
--- http_config eval: $::Init
--- config
    location /t {
        content_by_lua_block {
            local ocsp = require "ngx.ocsp"
            local chain = der("stapled.crt")
            ngx.say(ocsp.get_ocsp_responder_from_der_chain(chain))
            ngx.say(ocsp.get_ocsp_responder_from_der_chain(chain, 16))
            ngx.say(ocsp.get_ocsp_responder_from_der_chain(der("test.crt")))
            ngx.say(ocsp.get_ocsp_responder_from_der_chain("hello"))
            ngx.say(ocsp.get_ocsp_responder_from_der_chain(""))
            local leaf = chain:sub(1, #chain - #der("ca.crt"))
            ngx.say(ocsp.get_ocsp_responder_from_der_chain(leaf))
            ngx.say(ocsp.get_ocsp_responder_from_der_chain(leaf .. "hello"))
            ngx.say(ocsp.get_ocsp_responder_from_der_chain(leaf .. der("stranger.crt")))
        }
    }
--- request
GET /t
--- response_body
http://127.0.0.1:8888/ocsp?a=1
http://127.0.0.1truncated
nil
nild2i_X509_bio() failed
nild2i_X509_bio() failed
nilno issuer certificate in chain
nild2i_X509_bio() failed
nilissuer certificate not next to leaf
--- no_error_log
[error]



=== TEST 2: the question
--- http_config eval: $::Init
--- config
    location /t {
        content_by_lua_block {
            local ocsp = require "ngx.ocsp"
            local chain = der("stapled.crt")
            local question = assert(ocsp.create_ocsp_request(chain))
            ngx.say(#question > 60, " ", question:find("\18\52", 1, true) ~= nil)
            ngx.say((select(2, ocsp.create_ocsp_request(chain, 60)):gsub("%d+ >", "SIZE >")))
            ngx.say(assert(ocsp.create_ocsp_request(chain, #question)) == question)
            ngx.say(ocsp.create_ocsp_request("hello"))
            ngx.say(ocsp.create_ocsp_request(der("test.crt")))
            ngx.say(ocsp.create_ocsp_request(der("test.crt") .. "hello"))
        }
    }
--- request
GET /t
--- response_body
true true
output buffer too small: SIZE > 60
true
nild2i_X509_bio() failed
nilno issuer certificate in chain
nild2i_X509_bio() failed
--- no_error_log
[error]



=== TEST 3: answers
--- http_config eval: $::Init
--- config
    location /t {
        content_by_lua_block {
            local ocsp = require "ngx.ocsp"
            local chain = der("stapled.crt")
            for _, name in ipairs{"good", "revoked", "old", "refused"} do
                local ok, err = ocsp.validate_ocsp_response(read("stapled_" .. name .. ".der"), chain)
                -- With newer releases, what follows true is the time of the next update.
                ngx.say(name, ": ", ok, ok and "" or err)
            end
            local good = read("stapled_good.der")
            ngx.say(ocsp.validate_ocsp_response("hello", chain))
            ngx.say(ocsp.validate_ocsp_response("hello", chain, 6))
            ngx.say(ocsp.validate_ocsp_response(good, "hello"))
            ngx.say(ocsp.validate_ocsp_response(good, der("test.crt")))
            ngx.say(ocsp.validate_ocsp_response(good, der("test.crt", "ca.crt")))
            ngx.say(ocsp.validate_ocsp_response(good, der("test.crt", "stranger.crt")))
            local changed = good:gsub("Test authority", "Best authority", 1)
            ngx.say(ocsp.validate_ocsp_response(changed, chain))
        }
    }
--- request
GET /t
--- response_body
good: true
revoked: nilcertificate status "revoked" in the OCSP response
old: nilOCSP_check_validity() failed
refused: nilOCSP response not successful (6: unauthorized)
nild2i_OCSP_RESPONSE() failed
nild2i_OC
nild2i_X509_bio() failed
nilno issuer certificate in chain
nilcertificate status not found in the OCSP response
nilcertificate status not found in the OCSP response
nilOCSP_basic_verify() failed
--- no_error_log
[error]



=== TEST 4: an answer goes to the client that asks for it
--- http_config eval
qq{
    $::Init
    server {
        listen unix:\$TEST_NGINX_HTML_DIR/nginx.sock ssl;
        ssl_certificate \$TEST_NGINX_CERT_DIR/stapled.crt;
        ssl_certificate_key \$TEST_NGINX_CERT_DIR/stapled.key;
        ssl_certificate_by_lua_block {
            local ocsp = require "ngx.ocsp"
            assert(ocsp.set_ocsp_status_resp("replaced by the next"))
            ngx.log(ngx.WARN, "stapled: ", ocsp.set_ocsp_status_resp(read("stapled_good.der")))
        }
    }
}
--- config
    location /t {
        content_by_lua_block {
            local function handshake(asks)
                local sock = ngx.socket.tcp()
                assert(sock:connect("unix:$TEST_NGINX_HTML_DIR/nginx.sock"))
                assert(sock:sslhandshake(false, "test.com", false, asks))
                sock:close()
            end
            handshake(false)
            handshake(true)
            ngx.say("ok")
        }
    }
--- request
GET /t
--- response_body
ok
--- grep_error_log eval: qr/stapled: [^,]+/
--- grep_error_log_out
stapled: trueno status req
stapled: true
--- no_error_log
[error]
