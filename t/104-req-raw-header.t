# ngx.req.raw_header: the request's header as the client sent it.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3 + 6);
no_long_string();
run_tests();

__DATA__

=== TEST 1: with and without the request line
--- config
    location = /t {
        content_by_lua_block {
            ngx.print(ngx.req.raw_header(), "--\n", ngx.req.raw_header(true))
        }
    }
--- request
GET /t?a=b
--- more_headers
X-Foo: bar
--- response_body eval
my $headers = "Host: localhost\r\nConnection: close\r\nX-Foo: bar\r\n\r\n";
"GET /t?a=b HTTP/1.1\r\n$headers--\n$headers"
--- no_error_log
[error]



=== TEST 2: a header in nginx's large buffers, in several of them
--- config
    client_header_buffer_size 64;
    large_client_header_buffers 16 600;
    location = /t {
        content_by_lua_block { ngx.print(ngx.req.raw_header()) }
    }
--- request
GET /t
--- more_headers eval
join "\n", map { "X-Header-$_: value of header $_" } 1 .. 60
--- response_body eval
my $headers = join "", map { "X-Header-$_: value of header $_\r\n" } 1 .. 60;
"GET /t HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n$headers\r\n"
--- no_error_log
[error]



=== TEST 3: a request line that needs a large buffer itself
--- config
    client_header_buffer_size 64;
    large_client_header_buffers 4 2k;
    location = /t {
        content_by_lua_block { ngx.print(ngx.req.raw_header(true), #ngx.req.raw_header()) }
    }
--- request eval
"GET /t?" . "x" x 1500
--- response_body eval
"Host: localhost\r\nConnection: close\r\n\r\n" . (7 + 1500 + 11 + 38)
--- no_error_log
[error]



=== TEST 4: the body is no part of it, read or not
--- config
    location = /t {
        content_by_lua_block {
            local before = ngx.req.raw_header()
            ngx.req.read_body()
            ngx.say(before == ngx.req.raw_header(), " ", before:sub(-4) == "\r\n\r\n", " ",
                before:find("hello"))
        }
    }
--- request
POST /t
hello

world
--- response_body
true true nil
--- no_error_log
[error]



=== TEST 5: single line feeds, also where nginx has parsed another server's header since
--- config
    location = /t {
        error_page 500 = /page;
        proxy_intercept_errors on;
        proxy_pass http://127.0.0.1:$server_port/bad;
    }
    location = /bad {
        return 500;
    }
    location = /page {
        content_by_lua_block { ngx.print(ngx.req.raw_header()) }
    }
    location = /direct {
        content_by_lua_block { ngx.print(ngx.req.raw_header()) }
    }
--- raw_request eval
["GET /t HTTP/1.1\nHost: localhost\nX-Foo: bar\nConnection: close\n\n",
 "GET /direct HTTP/1.1\nHost: localhost\nX-Foo: bar\nConnection: close\n\n"]
--- response_body eval
["GET /t HTTP/1.1\nHost: localhost\nX-Foo: bar\nConnection: close\n\n",
 "GET /direct HTTP/1.1\nHost: localhost\nX-Foo: bar\nConnection: close\n\n"]
--- no_error_log
[error]



=== TEST 6: empty values, space after values, lines that nginx ignores
--- config
    location = /t {
        content_by_lua_block { ngx.print(ngx.req.raw_header(true)) }
    }
--- raw_request eval
"GET /t HTTP/1.1\r\nHost: localhost\r\nEmpty:\r\nSpaced:  a  \r\nbad_name: x\r\nConnection: close\r\n\r\n"
--- response_body eval
"Host: localhost\r\nEmpty:\r\nSpaced:  a  \r\nbad_name: x\r\nConnection: close\r\n\r\n"
--- no_error_log
[error]



=== TEST 7: requests in one buffer, one after the other
--- config
    client_header_buffer_size 128;
    location = /t {
        content_by_lua_block { ngx.print(ngx.req.raw_header()) }
    }
--- pipelined_requests eval
["GET /t?1", "GET /t?2", "GET /t?3"]
--- more_headers
X-Foo: a value that makes the requests longer than a buffer
--- response_body eval
my $rest = "X-Foo: a value that makes the requests longer than a buffer\r\n\r\n";
["GET /t?1 HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n$rest",
 "GET /t?2 HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n$rest",
 "GET /t?3 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n$rest"]
--- no_error_log
[error]



=== TEST 8: a subrequest has its parent's
--- config
    location = /t {
        content_by_lua_block {
            ngx.req.set_header("X-Foo", "changed")
            ngx.print(ngx.location.capture("/sub").body)
        }
    }
    location = /sub {
        content_by_lua_block { ngx.print(ngx.req.raw_header()) }
    }
--- request
GET /t
--- more_headers
X-Foo: bar
--- response_body eval
"GET /t HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Foo: bar\r\n\r\n"
--- no_error_log
[error]



=== TEST 9: nothing of a request that nginx could not read
--- config
    error_page 400 /bad;
    location = /bad {
        content_by_lua_block {
            ngx.say("[", ngx.req.raw_header(), "]")
        }
    }
--- raw_request eval
"\x01\x02 nonsense\r\n\r\n"
--- response_body
[]
--- error_code: 400
--- no_error_log
[error]
