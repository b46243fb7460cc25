# ngx.eof(): ends the response in rewrite, access and content; the code goes on behind it.

use Test::Nginx::Socket::Lua;

repeat_each(2);

plan tests => repeat_each() * (blocks() * 3 + 10);

no_long_string();
run_tests();

__DATA__

=== TEST 1: in content: 1 the first time, then nil and "seen eof"
--- config
    location /t {
        content_by_lua_block {
            ngx.say("hello")
            local ok, err = ngx.eof()
            local again, again_err = ngx.eof()
            ngx.log(ngx.WARN, "first: ", ok, " ", err, ", again: ", again, " ", again_err)
        }
    }
--- request
GET /t
--- response_body
hello
--- error_log
first: 1 nil, again: nil seen eof
--- no_error_log
[error]



=== TEST 2: in rewrite: later phases do not answer again
--- config
    location /t {
        rewrite_by_lua_block {
            ngx.say("from rewrite")
            assert(ngx.eof() == 1)
        }
        content_by_lua_block {
            ngx.log(ngx.ERR, "the content handler ran")
        }
    }
--- request
GET /t
--- response_body
from rewrite
--- error_code: 200
--- no_error_log
[error]



=== TEST 3: in access: later phases do not answer again
--- config
    location /t {
        access_by_lua_block {
            ngx.say("from access")
            assert(ngx.eof() == 1)
        }
        content_by_lua_block {
            ngx.log(ngx.ERR, "the content handler ran")
        }
    }
--- request
GET /t
--- response_body
from access
--- error_code: 200
--- no_error_log
[error]



=== TEST 4: the header is sent where nothing was said, and the body is empty
--- config
    location /t {
        content_by_lua_block {
            ngx.status = 202
            assert(ngx.eof() == 1)
            ngx.log(ngx.WARN, "headers sent: ", ngx.headers_sent)
        }
    }
--- request
GET /t
--- response_body
--- error_code: 202
--- error_log
headers sent: true



=== TEST 5: after it, nothing can be sent, and each function says why
--- config
    location /t {
        content_by_lua_block {
            ngx.print("body")
            ngx.eof()
            local results = {}
            for _, name in ipairs { "say", "print", "flush", "eof" } do
                local ok, err = ngx[name]()
                results[#results + 1] = name .. "=" .. tostring(ok) .. "/" .. tostring(err)
            end
            ngx.log(ngx.WARN, table.concat(results, " "))
        }
    }
--- request
GET /t
--- response_body chop
body
--- error_log
say=nil/seen eof print=nil/seen eof flush=nil/seen eof eof=nil/seen eof
--- no_error_log
[error]



=== TEST 6: no argument is accepted
--- config
    location /t {
        content_by_lua_block {
            local ok, err = pcall(ngx.eof, 1)
            ngx.say(ok, " ", err)
        }
    }
--- request
GET /t
--- response_body
false no argument is expected
--- no_error_log
[error]



=== TEST 7: the client has its answer before the background work is done
--- config
    location /t {
        keepalive_timeout 0;
        content_by_lua_block {
            ngx.say("answer")
            ngx.eof()
            ngx.sleep(0.05)
            local res = ngx.location.capture("/job")
            ngx.log(ngx.WARN, "background: ", res.status, " ", res.body)
        }
    }
    location /job {
        content_by_lua_block {
            ngx.sleep(0.01)
            ngx.print("job done")
        }
    }
--- request
GET /t
--- response_headers
Connection: close
--- response_body
answer
--- wait: 0.2
--- error_log
background: 200 job done



=== TEST 8: HTTP/1.0: the buffered body gets its Content-Length
--- config
    location /t {
        content_by_lua_block {
            ngx.say("one")
            ngx.say("two")
            assert(ngx.eof() == 1)
            ngx.sleep(0.01)
        }
    }
--- request
GET /t HTTP/1.0
--- response_headers
Content-Length: 8
--- response_body
one
two
--- no_error_log
[error]



=== TEST 9: HEAD: the header alone ends the response
--- config
    location /t {
        content_by_lua_block {
            ngx.say("not for HEAD")
            local ok, err = ngx.eof()
            ngx.log(ngx.WARN, "eof: ", ok, " ", err)
        }
    }
--- request
HEAD /t
--- response_body
--- error_log
eof: nil seen eof
--- no_error_log
[error]



=== TEST 10: ngx.exit and errors behind it leave the response alone
--- config
    location /t {
        content_by_lua_block {
            ngx.say("whole")
            ngx.eof()
            if ngx.var.arg_error then
                error("late error")
            end
            ngx.exit(500)
        }
    }
--- request eval
["GET /t", "GET /t?error=1"]
--- response_body eval
["whole\n", "whole\n"]
--- error_code eval
[200, 200]



=== TEST 11: in a phase without a response it says so
--- config
    location /t {
        header_filter_by_lua_block {
            local ok, err = pcall(ngx.eof)
            ngx.log(ngx.WARN, "in header_filter: ", ok, " ", err)
        }
        return 200 "ok";
    }
--- request
GET /t
--- response_body chop
ok
--- error_log
in header_filter: false API disabled in the context of header_filter_by_lua*
--- no_error_log
[error]



=== TEST 12: the connection is kept for the next request while the first one works on
--- config
    location /t {
        content_by_lua_block {
            ngx.say("first")
            ngx.eof()
            ngx.sleep(0.02)
        }
    }
    location /next {
        content_by_lua_block { ngx.say("second") }
    }
--- pipelined_requests eval
["GET /t", "GET /next"]
--- response_body eval
["first\n", "second\n"]
--- no_error_log
[error]
