# ngx.status: reading and setting, before the header is sent and after.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3 + 4);
no_long_string();
run_tests();

__DATA__

=== TEST 1: no status yet, then the one that was set
--- config
    location = /t {
        content_by_lua_block {
            local before = ngx.status
            ngx.status = 201
            ngx.say(before, " ", ngx.status)
        }
    }
--- request
GET /t
--- response_body
0 201
--- error_code: 201
--- no_error_log
[error]



=== TEST 2: a status from a string, and none from another
--- config
    location = /t {
        content_by_lua_block {
            ngx.status = "418"
            local ok = pcall(function() ngx.status = "teapot" end)
            ngx.say(ok, " ", ngx.status)
        }
    }
--- request
GET /t
--- response_body
false 418
--- error_code: 418
--- no_error_log
[error]



=== TEST 3: too late once the header is out
--- config
    location = /t {
        content_by_lua_block {
            ngx.say("first")
            ngx.status = 404
            ngx.say(ngx.status)
        }
    }
--- request
GET /t
--- response_body
first
200
--- error_log
attempt to set ngx.status after sending out response headers
--- no_error_log
[alert]



=== TEST 4: the header filter may still change it
--- config
    location = /t {
        content_by_lua_block {
            ngx.status = 404
            ngx.say("body")
        }
        header_filter_by_lua_block {
            ngx.status = ngx.status + 6
        }
    }
--- request
GET /t
--- response_body
body
--- error_code: 410
--- no_error_log
[error]



=== TEST 5: the status of nginx's error page, replaced
--- config
    location = /t {
        error_page 404 /page;
        return 404;
    }
    location = /page {
        content_by_lua_block {
            local before = ngx.status
            ngx.status = 200
            ngx.say(before, " ", ngx.status)
        }
    }
--- request
GET /t
--- response_body
404 200
--- no_error_log
[error]



=== TEST 6: 101 has a status line
--- config
    location = /t {
        content_by_lua_block {
            ngx.status = 101
            ngx.send_headers()
        }
    }
--- request
GET /t
--- raw_response_headers_like: ^HTTP/1\.1 101 Switching Protocols\r
--- error_code: 101
--- ignore_response_body
--- no_error_log
[error]



=== TEST 7: no status without a client
--- config
    location = /t {
        content_by_lua_block {
            local done
            ngx.timer.at(0, function()
                ngx.log(ngx.WARN, "read: ", select(2, pcall(function() return ngx.status end)))
                ngx.log(ngx.WARN, "set: ", select(2, pcall(function() ngx.status = 200 end)))
            end)
            ngx.say("ok")
        }
    }
--- request
GET /t
--- response_body
ok
--- wait: 0.1
--- error_log eval
[qr/read: .*API disabled in the current context/, qr/set: .*API disabled in the current context/]
--- no_error_log
[alert]



=== TEST 8: a status with a reason, whose line ends are escaped
--- config
    location = /t {
        content_by_lua_block {
            local ffi = require "ffi"
            ffi.cdef[[
                int ngx_http_lua_ffi_set_resp_status_and_reason(ngx_http_request_t *r,
                    int status, const char *reason, size_t reason_len);
            ]]
            local r = require("resty.core.base").get_request()
            local reason = "All Good\r\nX: y"
            local set = ffi.C.ngx_http_lua_ffi_set_resp_status_and_reason
            local refused = set(r, 99, reason, #reason)
            ngx.say(refused, " ", set(r, 290, reason, #reason), " ", ngx.status)
        }
    }
--- request
GET /t
--- raw_response_headers_like: ^HTTP/1\.1 290 All Good%0D%0AX: y\r
--- response_body
-5 0 290
--- error_code: 290
--- error_log
invalid HTTP status code 99



=== TEST 9: conditions of the request count
--- config
    location = /t {
        content_by_lua_block {
            ngx.header["Last-Modified"] = "Thu, 18 Nov 2010 11:27:35 GMT"
            ngx.say("whole")
        }
    }
--- request
GET /t
--- more_headers
If-Modified-Since: Thu, 18 Nov 2010 11:27:35 GMT
--- response_body
--- error_code: 304
--- no_error_log
[error]



=== TEST 10: unless the code bypasses them
--- config
    location = /t {
        content_by_lua_block {
            local ffi = require "ffi"
            ffi.cdef "int ngx_http_lua_ffi_bypass_if_checks(ngx_http_request_t *r);"
            local r = require("resty.core.base").get_request()
            local rc = ffi.C.ngx_http_lua_ffi_bypass_if_checks(r)
            ngx.header["Last-Modified"] = "Thu, 18 Nov 2010 11:27:35 GMT"
            ngx.say("whole ", rc)
        }
    }
--- request
GET /t
--- more_headers
If-Modified-Since: Thu, 18 Nov 2010 11:27:35 GMT
--- response_body
whole 0
--- no_error_log
[error]



=== TEST 11: an empty reason leaves nginx's own, and 101 has one only
--- config
    location = /t {
        content_by_lua_block {
            local ffi = require "ffi"
            ffi.cdef[[
                int ngx_http_lua_ffi_set_resp_status_and_reason(ngx_http_request_t *r,
                    int status, const char *reason, size_t reason_len);
            ]]
            local function line(status, reason)
                local sock = ngx.socket.tcp()
                assert(sock:connect("127.0.0.1", ngx.var.server_port))
                assert(sock:send("GET /set?" .. status .. reason .. " HTTP/1.0\r\n\r\n"))
                return (sock:receive():gsub("^HTTP/1%.1 ", ""))
            end
            ngx.say(line(202, "Fine"))
            ngx.say(line(202, ""))
            ngx.say(line(101, "Fine"))
        }
    }
    location = /set {
        content_by_lua_block {
            local r = require("resty.core.base").get_request()
            local status, reason = ngx.var.args:match("^(%d+)(.*)$")
            local set = require("ffi").C.ngx_http_lua_ffi_set_resp_status_and_reason
            assert(set(r, tonumber(status), reason, #reason) == 0)
            ngx.eof()
        }
    }
--- request
GET /t
--- response_body
202 Fine
202 Accepted
101 Switching Protocols
--- no_error_log
[error]
