# The request body: reading, discarding, looking at it, and replacing it.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * 170;

no_long_string();

# Locations that show what a back end got.
our $Back = <<'_CONF_';
    location /back {
        client_max_body_size 0;
        content_by_lua_block {
            ngx.req.read_body()
            local body = ngx.req.get_body_data()
            local name = ngx.req.get_body_file()
            if name then
                local file = io.open(name)
                body = "file:" .. file:read("*a")
                file:close()
            end
            ngx.say(ngx.var.http_content_length, " ", ngx.var.http_transfer_encoding, " ", body)
        }
    }
_CONF_

our $Pieces = [ "POST /t HTTP/1.0\r\nContent-Length: 10\r\n\r\n12", '3456', '7890' ];

run_tests();

__DATA__

=== TEST 1: a body, an empty one and none
--- config
    location = /t {
        content_by_lua_block {
            ngx.say(ngx.req.get_body_data(), " ", ngx.req.get_body_file())
            ngx.say(select("#", ngx.req.read_body()))
            ngx.say(ngx.req.get_body_data(), " ", ngx.req.get_body_file())
            ngx.req.read_body()
            ngx.say(ngx.req.get_body_data(), " ", ngx.var.request_body)
        }
    }
--- pipelined_requests eval
["POST /t\nhello", "POST /t\n", "GET /t"]
--- response_body eval
["nil nil\n0\nhello nil\nhello hello\n", "nil nil\n0\nnil nil\nnil nil\n", "nil nil\n0\nnil nil\nnil nil\n"]
--- no_error_log
[error]



=== TEST 2: a body that comes in pieces, read in the server's rewrite phase
--- http_config
    server_rewrite_by_lua_block { ngx.req.read_body() }
--- config
    location = /t {
        content_by_lua_block { ngx.say(ngx.req.get_body_data()) }
    }
--- raw_request eval: $::Pieces
--- raw_request_middle_delay: 0.02
--- response_body
1234567890
--- no_error_log
[error]



=== TEST 3: the same in the rewrite phase
--- config
    location = /t {
        rewrite_by_lua_block { ngx.req.read_body() }
        content_by_lua_block { ngx.say(ngx.req.get_body_data()) }
    }
--- raw_request eval: $::Pieces
--- raw_request_middle_delay: 0.02
--- response_body
1234567890
--- no_error_log
[error]



=== TEST 4: the same in the access phase
--- config
    location = /t {
        access_by_lua_block { ngx.req.read_body() }
        content_by_lua_block { ngx.say(ngx.req.get_body_data()) }
    }
--- raw_request eval: $::Pieces
--- raw_request_middle_delay: 0.02
--- response_body
1234567890
--- no_error_log
[error]



=== TEST 5: the same in the content phase, watching the client
--- config
    location = /t {
        lua_check_client_abort on;
        content_by_lua_block { ngx.req.read_body() ngx.say(ngx.req.get_body_data()) }
    }
--- raw_request eval: $::Pieces
--- raw_request_middle_delay: 0.02
--- response_body
1234567890
--- no_error_log
[error]



=== TEST 6: chunked bodies
--- config
    location = /t {
        content_by_lua_block {
            ngx.req.read_body()
            ngx.say(ngx.var.content_length, " ", ngx.req.get_body_data())
        }
    }
--- raw_request eval
["POST /t HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
 "c\r\n5;x=y\r\ndefgh\r\n0\r", "\n\r\n"]
--- raw_request_middle_delay: 0.02
--- response_body_like: 8 abcdefgh
--- no_error_log
[error]



=== TEST 7: the client is told to go on
--- config
    location = /t {
        content_by_lua_block {
            ngx.req.read_body()
            ngx.say("got ", ngx.req.get_body_data())
        }
    }
--- raw_request eval
["POST /t HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", "hello"]
--- raw_request_middle_delay: 0.02
--- error_code: 100
--- response_body_like: HTTP/1\.1 200 OK(?s:.*)got hello
--- no_error_log
[error]



=== TEST 8: a body too large for memory is in a file
--- config
    client_body_buffer_size 1k;
    location = /t {
        content_by_lua_block {
            ngx.req.read_body()
            local name = ngx.req.get_body_file()
            local file = io.open(name)
            ngx.say(ngx.req.get_body_data(), " ", #file:read("*a"))
            file:close()
            ngx.req.set_body_data("small")
            ngx.say(ngx.req.get_body_data(), " ", ngx.req.get_body_file(), " ", io.open(name))
        }
    }
--- request eval
"POST /t\n" . "x" x 5000
--- response_body_like
^nil 5000
small nil nil.*
--- error_log
a client request body is buffered to a temporary file
--- no_error_log
[error]



=== TEST 9: a body that nginx does not take ends the request
--- config
    location = /t {
        client_max_body_size 4;
        content_by_lua_block {
            ngx.req.read_body()
            ngx.log(ngx.ERR, "not reached")
        }
    }
    location = /r {
        client_max_body_size 4;
        rewrite_by_lua_block {
            pcall(ngx.req.read_body)
            ngx.log(ngx.ERR, "not reached")
        }
        content_by_lua_block { ngx.log(ngx.ERR, "not reached") }
    }
--- raw_request eval
my $chunked = "Host: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
"POST /" . ($::Turn++ % 2 ? "t" : "r") . " HTTP/1.1\r\n$chunked"
--- error_code: 413
--- response_body_like: 413 Request Entity Too Large
--- no_error_log
not reached



=== TEST 10: a body that never comes
--- config
    client_body_timeout 100ms;
    location = /t {
        content_by_lua_block {
            ngx.req.read_body()
            ngx.log(ngx.ERR, "not reached")
        }
        log_by_lua_block { ngx.log(ngx.WARN, "status: ", ngx.status) }
    }
--- raw_request eval
"POST /t HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe"
--- ignore_response
--- wait: 0.2
--- error_log
status: 408
--- no_error_log
not reached
[alert]



=== TEST 11: replaced by data, as a back end sees it
--- config eval
$::Back . <<'_CONF_'
    location = /t {
        rewrite_by_lua_block {
            ngx.req.read_body()
            for text in (ngx.var.arg_s .. ","):gmatch("([^,]*),") do
                ngx.req.set_body_data(text)
            end
        }
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back;
    }
_CONF_
--- pipelined_requests eval
["POST /t?s=longer-than-that\nhello", "POST /t?s=x\nhello", "POST /t?s=\nhello", "GET /t?s=new", "GET /t?s=1,,222,33"]
--- response_body eval
["16 nil longer-than-that\n", "1 nil x\n", "0 nil nil\n", "3 nil new\n", "2 nil 33\n"]
--- no_error_log
[error]
[alert]



=== TEST 12: a chunked body, replaced, has one length and no chunks
--- config eval
$::Back . <<'_CONF_'
    location = /t {
        rewrite_by_lua_block {
            ngx.req.read_body()
            ngx.req.set_body_data(ngx.req.get_body_data() .. "!")
        }
        proxy_http_version 1.1;
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back;
    }
_CONF_
--- raw_request eval
"POST /t HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
--- response_body_like: 6 nil hello!
--- no_error_log
[error]



=== TEST 13: replaced by a file, as a back end sees it; deleted where asked
--- config eval
$::Back . <<'_CONF_'
    location = /t {
        rewrite_by_lua_block {
            local name = "$TEST_NGINX_SERVER_ROOT/html/" .. ngx.var.arg_f
            ngx.req.read_body()
            ngx.req.set_body_file(name, ngx.var.arg_clean == "yes")
            ngx.log(ngx.WARN, "same name: ", ngx.req.get_body_file() == name, ", ", ngx.req.get_body_data())
        }
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back;
    }
    location = /exists {
        content_by_lua_block { ngx.say(io.open("$TEST_NGINX_SERVER_ROOT/html/" .. ngx.var.arg_f) and "there" or "gone") }
    }
_CONF_
--- user_files
>>> a.txt
A file.
>>> empty.txt
--- pipelined_requests eval
["POST /t?f=a.txt\nhello", "GET /exists?f=a.txt", "GET /t?f=a.txt&clean=yes", "GET /exists?f=a.txt",
 "POST /t?f=empty.txt&clean=yes\nhello", "GET /exists?f=empty.txt"]
--- response_body eval
["8 nil A file.\n\n", "there\n", "8 nil A file.\n\n", "gone\n", "0 nil nil\n", "gone\n"]
--- error_log
same name: true, nil
--- no_error_log
[error]
[alert]



=== TEST 14: a file that cannot be had leaves the body as it was
--- config
    location = /t {
        content_by_lua_block {
            ngx.req.read_body()
            for _, name in ipairs{"/no/such/file", "a\0b"} do
                local ok, err = pcall(ngx.req.set_body_file, name)
                ngx.say(ok, " ", (err:gsub("%z.*", "")))
            end
            ngx.say(ngx.req.get_body_data(), " ", ngx.req.get_body_file(), " ", ngx.var.http_content_length)
        }
    }
--- request
POST /t
hello
--- response_body_like
^false stat\(\) "/no/such/file" failed
false stat\(\) "a.*
hello nil 5
--- no_error_log
[alert]
[crit]



=== TEST 15: made of pieces, in memory and beyond it
--- config eval
$::Back . <<'_CONF_'
    location = /t {
        rewrite_by_lua_block {
            ngx.req.read_body()
            local size = tonumber(ngx.var.arg_size)
            if size then ngx.req.init_body(size) else ngx.req.init_body() end
            for n = 1, tonumber(ngx.var.arg_n) do
                ngx.req.append_body("piece" .. n .. " ")
            end
            ngx.req.append_body("")
            ngx.req.finish_body()
            ngx.log(ngx.WARN, "in a file: ", ngx.req.get_body_file() ~= nil)
        }
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back;
    }
_CONF_
--- pipelined_requests eval
["POST /t?n=2\nhello", "GET /t?n=2&size=14", "GET /t?n=2&size=5", "GET /t?n=2&size=0", "POST /t?n=0\nhello"]
--- response_body eval
["14 nil piece1 piece2 \n", "14 nil piece1 piece2 \n", "14 nil piece1 piece2 \n", "14 nil piece1 piece2 \n", "0 nil nil\n"]
--- grep_error_log eval: qr/in a file: \w+/
--- grep_error_log_out eval
CORE::join "", map { "in a file: $_\n" } qw(false false true true false)
--- no_error_log
[error]
[alert]



=== TEST 16: out of turn, each call says what is missing
--- config
    location = /t {
        content_by_lua_block {
            local function try(name, ...)
                ngx.say(name, ": ", select(2, pcall(ngx.req[name], ...)))
            end
            try("set_body_data", "x")
            try("set_body_file", "x")
            try("init_body")
            try("append_body", "x")
            try("finish_body")
            ngx.req.read_body()
            try("append_body", "x")
            try("finish_body")
            try("init_body", -1)
            try("init_body", "x")
            ngx.say(ngx.req.get_body_data())
        }
    }
--- request
POST /t
hi
--- response_body
set_body_data: request body not read yet
set_body_file: request body not read yet
init_body: request body not read yet
append_body: request_body not initialized
finish_body: request_body not initialized
append_body: request_body not initialized
finish_body: request_body not initialized
init_body: bad size argument: -1
init_body: bad argument #1 to '?' (number expected, got string)
hi
--- no_error_log
[alert]



=== TEST 17: a body that is being discarded
--- config
    location = /t {
        content_by_lua_block {
            ngx.req.discard_body()
            local function try(name, ...)
                ngx.say(name, ": ", select(2, pcall(ngx.req[name], ...)))
            end
            try("set_body_data", "x")
            try("set_body_file", "x")
            try("init_body")
            ngx.say(next(ngx.req.get_post_args()))
        }
    }
--- raw_request eval
["POST /t HTTP/1.0\r\nContent-Length: 100\r\n\r\nhi", "x" x 98]
--- raw_request_middle_delay: 0.05
--- response_body
set_body_data: request body already discarded asynchronously
set_body_file: request body already discarded asynchronously
init_body: request body already discarded asynchronously
nil
--- no_error_log
[alert]



=== TEST 18: argument counts
--- config
    location = /t {
        content_by_lua_block {
            for _, call in ipairs{{"read_body", 1}, {"discard_body", 1},
                {"get_body_file", 1}, {"set_body_data"}, {"set_body_file"}, {"set_body_file", 1, 2, 3},
                {"init_body", 1, 2}, {"append_body"}, {"finish_body", 1}, {"set_body_data", {}}} do
                ngx.say(call[1], ": ", select(2, pcall(ngx.req[call[1]], unpack(call, 2))))
            end
        }
    }
--- request
GET /t
--- response_body
read_body: expecting 0 arguments but seen 1
discard_body: expecting 0 arguments but seen 1
get_body_file: expecting 0 arguments but seen 1
set_body_data: expecting 1 arguments but seen 0
set_body_file: expecting 1 or 2 arguments but seen 0
set_body_file: expecting 1 or 2 arguments but seen 3
init_body: expecting 0 or 1 argument but seen 2
append_body: expecting 1 arguments but seen 0
finish_body: expecting 0 argument but seen 1
set_body_data: bad argument #1 to '?' (string expected, got table)



=== TEST 19: a body that nobody read, or that was discarded, never becomes the next request
--- config
    location = /unread {
        content_by_lua_block { ngx.say("done") }
    }
    location = /exit {
        content_by_lua_block { ngx.exit(204) }
    }
    location = /discard {
        content_by_lua_block { ngx.req.discard_body() ngx.say("done") }
    }
    location = /evil {
        content_by_lua_block { ngx.log(ngx.ERR, "smuggled") }
    }
    location = /next {
        content_by_lua_block { ngx.log(ngx.WARN, "the next one after ", ngx.var.arg_after) }
    }
--- raw_request eval
my $evil = "GET /evil HTTP/1.1\r\nHost: a\r\n\r\n";
my $length = sprintf "Content-Length: %d\r\n\r\n%s", length $evil, $evil;
my $chunks = sprintf "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", length $evil, $evil;
my $all = "";
for my $start ("HEAD /unread", "POST /unread", "GET /exit", "HEAD /exit", "POST /discard") {
    for my $framing ($length, $chunks) {
        $all .= "$start HTTP/1.1\r\nHost: a\r\n$framing";
        my ($method, $name) = split m{ /}, $start;
        $all .= "GET /next?after=$method-$name HTTP/1.1\r\nHost: a\r\n\r\n";
    }
}
$all . "GET /next?after=all HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
--- ignore_response
--- grep_error_log eval: qr/the next one after [\w-]+/
--- grep_error_log_out eval
CORE::join "", map { "the next one after $_\n" }
    map( { ( $_, $_ ) } qw(HEAD-unread POST-unread GET-exit HEAD-exit POST-discard) ), "all"
--- no_error_log
smuggled



=== TEST 20: two threads wait for one body
--- config
    location = /t {
        content_by_lua_block {
            local function reader()
                ngx.req.read_body()
                return ngx.req.get_body_data()
            end
            local one, two = ngx.thread.spawn(reader), ngx.thread.spawn(reader)
            ngx.say(select(2, ngx.thread.wait(one)), " ", select(2, ngx.thread.wait(two)))
        }
    }
--- raw_request eval
["POST /t HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhe", "llo"]
--- raw_request_middle_delay: 0.05
--- response_body_like: hello hello
--- no_error_log
[error]
[alert]



=== TEST 21: a thread that waits for the body is killed, another one exits the request
--- config
    location = /kill {
        content_by_lua_block {
            local thread = ngx.thread.spawn(function ()
                ngx.req.read_body()
                ngx.log(ngx.ERR, "not reached")
            end)
            ngx.say(ngx.thread.kill(thread))
            ngx.sleep(0.1)
            ngx.say("still here")
        }
    }
    location = /exit {
        content_by_lua_block {
            ngx.thread.spawn(function ()
                ngx.req.read_body()
                ngx.log(ngx.ERR, "not reached")
            end)
            ngx.say("bye")
            ngx.exit(200)
        }
    }
--- raw_request eval
["POST /" . ($::Way++ % 2 ? "kill" : "exit") . " HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe", "llo"]
--- raw_request_middle_delay: 0.05
--- response_body_like: bye|still here
--- no_error_log
not reached
[alert]



=== TEST 22: where the body cannot be read
--- config
    location = /t {
        content_by_lua_block { ngx.say("ok") }
        log_by_lua_block { ngx.log(ngx.WARN, select(2, pcall(ngx.req.read_body))) }
    }
--- request
POST /t
hello
--- response_body
ok
--- error_log
API disabled in the context of log_by_lua*



=== TEST 23: a subrequest that nginx makes has its own length
--- config
    location = /t {
        auth_request /auth;
        content_by_lua_block {
            ngx.req.read_body()
            local headers = ngx.req.get_headers()
            ngx.say(headers["content-length"], " ", ngx.var.http_content_length, " ",
                ngx.req.get_body_data())
        }
    }
    location = /auth {
        content_by_lua_block {
            ngx.req.read_body()
            ngx.req.set_body_data("nine here")
            ngx.log(ngx.WARN, "in it: ", ngx.var.http_content_length, " ", ngx.req.get_body_data())
        }
    }
--- request
POST /t
hello
--- response_body
5 5 hello
--- error_log
in it: 9 nine here
--- no_error_log
[error]



=== TEST 24: and none where there was none
--- config
    location = /t {
        auth_request /auth;
        content_by_lua_block {
            ngx.say(ngx.req.get_headers()["content-length"], " ", ngx.var.http_content_length)
        }
    }
    location = /auth {
        content_by_lua_block {
            ngx.req.read_body()
            ngx.req.init_body()
            ngx.req.append_body("nine ")
            ngx.req.append_body("here")
            ngx.req.finish_body()
            ngx.log(ngx.WARN, "in it: ", ngx.req.get_headers()["content-length"])
        }
    }
--- request
GET /t
--- response_body
nil nil
--- error_log
in it: 9
--- no_error_log
[error]



=== TEST 25: a body that a subrequest shares stays its parent's
--- config
    location = /t {
        ssi on;
        default_type text/html;
        rewrite_by_lua_block { ngx.req.read_body() }
        content_by_lua_block { ngx.print('<!--#include virtual="/sub" --><!--#include virtual="/look" -->') }
        log_by_lua_block {
            ngx.log(ngx.WARN, "in the end: ", ngx.var.http_content_length, " ", ngx.var.request_body)
        }
    }
    location = /sub {
        content_by_lua_block {
            ngx.req.read_body()
            ngx.req.set_body_data("nine here")
            ngx.say(ngx.var.http_content_length, " ", ngx.req.get_body_data())
        }
    }
    location = /look {
        content_by_lua_block {
            ngx.say(ngx.var.http_content_length, " ", ngx.req.get_body_data())
        }
    }
--- request
POST /t
hello
--- response_body
9 nine here
5 hello
--- error_log
in the end: 5 hello
--- no_error_log
[error]



=== TEST 26: get_body_data with a maximum
--- config
    client_body_buffer_size 1k;
    location = /t {
        content_by_lua_block {
            ngx.req.read_body()
            local get = ngx.req.get_body_data
            for _, max in ipairs{ 1, 5, 9, 10, 2^60, 0, 0.5, -1 } do
                ngx.say(max, ": ", get(max))
            end
            ngx.say("nil: ", select(2, pcall(get, nil)))
            ngx.say("two: ", select(2, pcall(get, 1, 2)))
            ngx.req.set_body_data("")
            ngx.say("none: ", get(3))
        }
    }
--- request
POST /t
nine here
--- response_body
1: n
5: nine 
9: nine here
10: nine here
1.1529215046068e+18: nine here
0: nine here
0.5: nine here
-1: nine here
nil: bad argument #1 to '?' (number expected, got nil)
two: expecting 0 or 1 arguments but seen 2
none: nil
--- no_error_log
[error]



=== TEST 27: get_body_data with a maximum, where nginx has the body in two buffers
--- config
    client_header_buffer_size 1k;
    client_body_buffer_size 8k;
    location = /t {
        content_by_lua_block {
            ngx.req.read_body()
            local whole = ngx.req.get_body_data()
            ngx.say(#whole)
            for _, max in ipairs{ 1, 700, 1500, 3999, 4000, 4001 } do
                local part = ngx.req.get_body_data(max)
                ngx.say(#part, " ", part == whole:sub(1, max))
            end
        }
    }
--- request eval
"POST /t\n" . join "", map { sprintf "%04d", $_ } 1 .. 1000
--- response_body
4000
1 true
700 true
1500 true
3999 true
4000 true
4000 true
--- no_error_log
[error]



=== TEST 28: a body in a file, which a subrequest replaces, stays its parent's
--- config
    client_body_buffer_size 1k;
    location = /t {
        content_by_lua_block {
            local function show()
                local file = io.open(ngx.req.get_body_file())
                ngx.say(file and #file:read("*a"))
                if file then file:close() end
            end
            ngx.req.read_body()
            show()
            for _, uri in ipairs{ "/set", "/init", "/within" } do
                local options = { method = ngx.HTTP_POST, always_forward_body = true }
                ngx.print(ngx.location.capture(uri, options).body)
                show()
            end
        }
    }
    location = /set {
        content_by_lua_block { ngx.req.set_body_data("new") ngx.say(ngx.req.get_body_data()) }
    }
    location = /init {
        content_by_lua_block {
            ngx.req.init_body()
            ngx.req.append_body("newer")
            ngx.req.finish_body()
            ngx.say(ngx.req.get_body_data())
        }
    }
    location = /within {
        content_by_lua_block {
            local options = { method = ngx.HTTP_POST, always_forward_body = true }
            ngx.print("within: ", ngx.location.capture("/set", options).body)
        }
    }
--- request eval
"POST /t\n" . "x" x 9000
--- response_body
9000
new
9000
newer
9000
within: new
9000
--- no_error_log
[error]



=== TEST 29: a body that its request replaces stays that of a subrequest under way
--- config
    location = /t {
        content_by_lua_block {
            ngx.req.read_body()
            ngx.req.set_body_data(("x"):rep(5000))
            local thread = ngx.thread.spawn(function()
                local options = { method = ngx.HTTP_POST, always_forward_body = true }
                return ngx.location.capture("/sub", options).body
            end)
            ngx.sleep(0.01)
            ngx.req.set_body_data("new")
            ngx.print(select(2, ngx.thread.wait(thread)))
            ngx.say(ngx.req.get_body_data())
        }
    }
    location = /sub {
        content_by_lua_block {
            ngx.sleep(0.05)
            local data = ngx.req.get_body_data()
            ngx.say(#data, " ", data == ("x"):rep(5000))
        }
    }
--- request
POST /t
old
--- response_body
5000 true
new
--- no_error_log
[error]



=== TEST 30: a finalizer that replaces the body while it is read (the C module reads freed memory)
--- config
    location = /t {
        content_by_lua_block {
            local get, set = ngx.req.get_body_data, ngx.req.set_body_data
            local goes_on, runs = true, 0
            local function make()
                local proxy = newproxy(true)
                getmetatable(proxy).__gc = function()
                    runs = runs + 1
                    set("new")
                    if goes_on then make() end
                end
            end
            local long = ("x"):rep(1000000)
            ngx.req.read_body()
            make()
            -- From now on, each allocation is preceded by a whole collection.
            local pause = collectgarbage("setpause", 0)
            local step = collectgarbage("setstepmul", 1e8)
            collectgarbage()
            set(long)
            local before = runs
            local data = get()
            local after = runs
            goes_on = false
            collectgarbage("setpause", pause)
            collectgarbage("setstepmul", step)
            collectgarbage()
            ngx.say(after > before, " ", data == long, " ", get())
        }
    }
--- request
POST /t
old
--- response_body
true true new
--- no_error_log
[error]



=== TEST 31: $request_body of a body that is replaced then (freed memory in the C module)
--- http_config
    map $request_body $has_body {
        ""      no;
        default yes;
    }
--- config
    location = /t {
        content_by_lua_block {
            ngx.req.read_body()
            local long = ("x"):rep(1000000)
            ngx.req.set_body_data(long)
            ngx.say(ngx.var.request_body == long, " ", ngx.var.has_body)
            ngx.req.set_body_data("new")
            local value = ngx.var.request_body
            ngx.say(value == long or value == "new", " ", ngx.req.get_body_data())
        }
    }
--- request
POST /t
old
--- response_body
true yes
true new
--- no_error_log
[error]
