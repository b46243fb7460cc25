# ngx.location.capture and capture_multi, with all their options.

use Test::Nginx::Socket::Lua;

repeat_each(2);

plan tests => repeat_each() * (blocks() * 3 + 1);

no_long_string();
run_tests();

__DATA__

=== TEST 1: status, body, header and truncated
--- config
    location /sub {
        content_by_lua_block {
            ngx.status = 201
            ngx.header["X-Sub"] = { "a", "b" }
            ngx.header["X-One"] = "1"
            ngx.print("sub body")
        }
    }
    location /t {
        content_by_lua_block {
            local res = ngx.location.capture("/sub")
            ngx.say(res.status, " ", res.body, " ", res.truncated)
            ngx.say(table.concat(res.header["X-Sub"], "+"), " ", res.header["X-One"])
        }
    }
--- request
GET /t
--- response_body
201 sub body false
a+b 1
--- no_error_log
[error]



=== TEST 2: method, body and args
--- config
    location /sub {
        content_by_lua_block {
            ngx.req.read_body()
            ngx.print(ngx.req.get_method(), " ", ngx.var.args, " ",
                      ngx.req.get_body_data() or "no body", " ",
                      ngx.var.http_content_length or "no length")
        }
    }
    location /t {
        content_by_lua_block {
            local function try(uri, options)
                ngx.say(ngx.location.capture(uri, options).body)
            end
            try("/sub?a=1", { method = ngx.HTTP_PUT, body = "hello", args = { b = "x y" } })
            try("/sub", { method = ngx.HTTP_DELETE, args = "c=3" })
            try("/sub", { method = ngx.HTTP_POST, body = "" })
        }
    }
--- request
GET /t
--- response_body
PUT a=1&b=x%20y hello 5
DELETE c=3 no body no length
POST  no body 0
--- no_error_log
[error]



=== TEST 3: a parent's framing headers never reach the subrequest
--- config
    location /sub {
        content_by_lua_block {
            ngx.say(ngx.var.http_content_length or "no length", " ",
                    ngx.var.http_transfer_encoding or "no encoding", " ",
                    ngx.var.http_x_kept)
        }
    }
    location /t {
        content_by_lua_block {
            ngx.req.read_body()
            ngx.print(ngx.location.capture("/sub").body)
            ngx.print(ngx.location.capture("/sub", { method = ngx.HTTP_POST }).body)
        }
    }
--- raw_request eval
"POST /t HTTP/1.1\r
Host: localhost\r
Connection: close\r
Transfer-Encoding: chunked\r
X-Kept: kept\r
\r
3\r
abc\r
0\r
\r
"
--- response_body
no length no encoding kept
3 no encoding kept
--- no_error_log
[error]



=== TEST 4: variables: none, copied, shared, set
--- config
    location /sub {
        set $seen $kept;
        content_by_lua_block {
            ngx.var.kept = ngx.var.kept .. "!"
            ngx.print("[", ngx.var.seen, "]")
        }
    }
    location /t {
        set $kept "parent";
        set $seen "";
        content_by_lua_block {
            for _, options in ipairs { {}, { copy_all_vars = true }, { share_all_vars = true },
                                       { vars = { kept = "given" } } }
            do
                local res = ngx.location.capture("/sub", options)
                ngx.say(res.body, " ", ngx.var.kept)
            end
        }
    }
--- request
GET /t
--- response_body
[] parent
[parent] parent
[parent] parent!
[given] parent!
--- no_error_log
[error]



=== TEST 5: ctx is the subrequest's ngx.ctx
--- config
    location /sub {
        content_by_lua_block {
            ngx.ctx.answer = (ngx.ctx.question or "nothing") .. " heard"
            ngx.print("ok")
        }
    }
    location /t {
        content_by_lua_block {
            ngx.ctx.question = "own"
            local ctx = { question = "given" }
            ngx.location.capture("/sub", { ctx = ctx })
            ngx.say(ctx.answer, ", ", ngx.ctx.answer)
        }
    }
--- request
GET /t
--- response_body
given heard, nil
--- no_error_log
[error]



=== TEST 6: several at once, each with its own result, in order
--- config
    location /sub {
        content_by_lua_block {
            ngx.sleep(tonumber(ngx.var.arg_delay))
            ngx.print(ngx.var.arg_n)
        }
    }
    location /t {
        content_by_lua_block {
            local a, b, c = ngx.location.capture_multi {
                { "/sub?n=1&delay=0.03" },
                { "/sub", { args = { n = 2, delay = 0 } } },
                { "/missing" },
            }
            ngx.say(a.body, " ", b.body, " ", c.status)
        }
    }
--- request
GET /t
--- response_body
1 2 404
--- no_error_log
[alert]



=== TEST 7: in rewrite and access, and from within a subrequest
--- config
    location /leaf {
        content_by_lua_block { ngx.print("leaf") }
    }
    location /sub {
        content_by_lua_block { ngx.print("sub(", ngx.location.capture("/leaf").body, ")") }
    }
    location /t {
        rewrite_by_lua_block { ngx.ctx.rewrite = ngx.location.capture("/sub").body }
        access_by_lua_block { ngx.ctx.access = ngx.location.capture("/sub").body }
        content_by_lua_block { ngx.say(ngx.ctx.rewrite, " ", ngx.ctx.access) }
    }
--- request
GET /t
--- response_body
sub(leaf) sub(leaf)
--- no_error_log
[error]



=== TEST 8: arguments that cannot be are named, and nothing is left behind
--- config
    location /sub {
        content_by_lua_block { ngx.log(ngx.ERR, "a subrequest ran") }
    }
    location /t {
        content_by_lua_block {
            local function try(...)
                local ok, err = pcall(...)
                ngx.say(ok, " ", err)
            end
            try(ngx.location.capture)
            try(ngx.location.capture, "/sub", { method = "GET" })
            try(ngx.location.capture, "/sub", { args = true })
            try(ngx.location.capture, "/sub", { body = {} })
            try(ngx.location.capture, "/sub", { ctx = 1 })
            try(ngx.location.capture, "/../secret")
            try(ngx.location.capture_multi, {})
            try(ngx.location.capture_multi, { { "/sub" }, { "/sub", { vars = { nosuch = 1 } } } })
        }
    }
--- request
GET /t
--- response_body
false expecting one or two arguments
false Bad http request method
false Bad args option value
false Bad http request body
false Bad ctx option value type number, expected a Lua table
false unsafe uri in argument #1: /../secret
false at least one subrequest should be specified
false failed to adjust the subrequest: -1
--- error_log
variable "nosuch" cannot be assigned a value
--- no_error_log
a subrequest ran



=== TEST 9: an error in a subrequest is its own
--- config
    location /sub {
        content_by_lua_block { error("inside") }
    }
    location /t {
        content_by_lua_block {
            local res = ngx.location.capture("/sub")
            ngx.say(res.status, " ", #res.body)
        }
    }
--- request
GET /t
--- response_body
500 0
--- error_log
inside



=== TEST 10: subrequests within each other end somewhere
--- config
    location /t {
        content_by_lua_block {
            local ok, res = pcall(ngx.location.capture, "/t")
            ngx.print(ok and "." .. res.body or "end")
        }
    }
--- request
GET /t
--- response_body_like: ^\.+end$
--- error_log
lua subrequests cycle while processing "/t"



=== TEST 11: exit is refused while a subrequest of another thread is under way
--- config
    location /sub {
        content_by_lua_block { ngx.sleep(0.05) ngx.print("sub") }
    }
    location /t {
        content_by_lua_block {
            local thread = ngx.thread.spawn(function()
                return ngx.location.capture("/sub").body
            end)
            local ok, err = pcall(ngx.exit, 200)
            ngx.say(ok, " ", err)
            local _, body = ngx.thread.wait(thread)
            ngx.say(body)
        }
    }
--- request
GET /t
--- response_body
false attempt to abort with pending subrequests
sub
--- no_error_log
[error]



=== TEST 12: a URI that is no string is named by its type
--- config
    location = /t {
        content_by_lua_block {
            for _, uri in ipairs { true, {}, print } do
                ngx.say(select(2, pcall(ngx.location.capture, uri)))
                ngx.say(select(2, pcall(ngx.location.capture, uri, { args = "a" })))
                ngx.say(select(2, pcall(ngx.location.capture, uri, { ctx = {} })))
            end
            ngx.say(select(2, pcall(ngx.location.capture, nil)))
        }
    }
--- request
GET /t
--- response_body
bad argument #3 to '?' (string expected, got boolean)
bad argument #3 to '?' (string expected, got boolean)
bad argument #3 to '?' (string expected, got boolean)
bad argument #3 to '?' (string expected, got table)
bad argument #3 to '?' (string expected, got table)
bad argument #3 to '?' (string expected, got table)
bad argument #3 to '?' (string expected, got function)
bad argument #3 to '?' (string expected, got function)
bad argument #3 to '?' (string expected, got function)
bad argument #3 to '?' (string expected, got nil)
--- no_error_log
[error]



=== TEST 13: no line ends in a query string
--- config
    location = /args { content_by_lua_block { ngx.say(ngx.var.args) } }
    location = /t {
        content_by_lua_block {
            local bad = "a=1\r\nX-Evil: \0\n"
            ngx.print(ngx.location.capture("/args", { args = bad }).body)
            ngx.print(ngx.location.capture("/args?b=2", { args = bad }).body)
            ngx.print(ngx.location.capture("/args?a=1\nb").body)
            local one, two = ngx.location.capture_multi {
                { "/args", { args = bad } },
                { "/args", { vars = { args = bad } } },
            }
            ngx.print(one.body, two.body)
        }
    }
--- request
GET /t
--- response_body
a=1%0D%0AX-Evil: %00%0A
b=2&a=1%0D%0AX-Evil: %00%0A
a=1%0Ab
a=1%0D%0AX-Evil: %00%0A
a=1%0D%0AX-Evil: %00%0A
--- no_error_log
[error]



=== TEST 14: pages and redirects that nginx would make: their headers, alone and in a batch
--- config
    location /t {
        content_by_lua_block {
            local function show(res)
                local headers = {}
                for name, value in pairs(res.header) do
                    headers[#headers + 1] = name .. "=" .. value
                end
                table.sort(headers)
                local truncated = res.truncated
                if res.status == 204 then
                    -- An nginx before 1.23.4 sends no last buffer for an answer without a body.
                    truncated = truncated ~= (ngx.config.nginx_version < 1023004)
                end
                return table.concat({ res.status, #res.body, tostring(truncated),
                                      table.concat(headers, "; ") }, " ")
            end
            local uris = { "/missing", "/returned", "/moved", "/empty", "/refused", "/relayed", "/fails",
                           "/redirects", "/unchanged", "/exits", "/created", "/rewrites", "/filtered",
                           "/long", "/error", "/directory" }
            local queries = {}
            for i, uri in ipairs(uris) do
                queries[i] = { uri }
            end
            local batch = { ngx.location.capture_multi(queries) }
            for i, uri in ipairs(uris) do
                local alone = show(ngx.location.capture(uri))
                local answer = show(batch[i])
                ngx.say(uri, " ", answer, alone == answer and "" or " BUT " .. alone)
            end
        }
    }
    location = /missing { }
    location = /returned { return 401; }
    location = /moved { return 302 /else; }
    location = /empty { return 204; }
    location = /refused { proxy_pass http://127.0.0.1:1; }
    location = /relayed {
        proxy_intercept_errors on;
        error_page 401 /page;
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/guarded;
    }
    location = /guarded {
        content_by_lua_block {
            ngx.header["WWW-Authenticate"] = 'Basic realm="x"'
            ngx.exit(401)
        }
    }
    location = /fails { content_by_lua_block { ngx.header["X-A"] = "b" error("oops") } }
    location = /redirects { content_by_lua_block { ngx.header["X-A"] = "b" ngx.redirect("/foo", 301) } }
    location = /unchanged { content_by_lua_block { ngx.header["X-A"] = "b" ngx.exit(304) } }
    location = /exits { content_by_lua_block { ngx.exit(404) } }
    location = /created { content_by_lua_block { ngx.header["X-A"] = "b" ngx.exit(201) } }
    location = /rewrites {
        rewrite_by_lua_block { ngx.header["WWW-Authenticate"] = "Basic" ngx.exit(401) }
    }
    location = /filtered { header_filter_by_lua_block { ngx.header["X-Status"] = ngx.status } }
    location = /long { rewrite_by_lua_block { ngx.header["Content-Length"] = 7 ngx.exit(403) } }
    location = /error { content_by_lua_block { ngx.exit(ngx.ERROR) } }
    location /directory { }
--- user_files
>>> directory/file
x
--- request
GET /t
--- response_body
/missing 404 0 true Content-Type=text/plain
/returned 401 0 true Content-Type=text/plain
/moved 302 0 true Content-Type=text/plain; Location=/else
/empty 204 0 false Content-Length=0; Content-Type=text/plain
/refused 502 0 true Content-Type=text/plain
/relayed 401 0 true Content-Type=text/plain; WWW-Authenticate=Basic realm="x"
/fails 500 0 true Content-Type=text/plain; X-A=b
/redirects 301 0 true Content-Type=text/plain; Location=/foo; X-A=b
/unchanged 304 0 true X-A=b
/exits 404 0 true Content-Type=text/plain
/created 201 0 false Content-Type=text/plain; X-A=b
/rewrites 401 0 true Content-Type=text/plain; WWW-Authenticate=Basic
/filtered 404 0 true Content-Type=text/plain; X-Status=404
/long 403 0 true Content-Length=7; Content-Type=text/plain
/error 500 0 true Content-Type=text/plain
/directory 301 0 true Content-Type=text/plain; Location=/directory/
--- error_log
oops



=== TEST 15: request headers of a subrequest
--- config
    location = /t {
        content_by_lua_block {
            local capture = ngx.location.capture
            local function show(headers) ngx.print(capture("/sub", { headers = headers }).body) end
            show(nil)
            show({ ["X-Own"] = "mine", ["x-given"] = 7, Host = "other", ["X-New"] = "a\r\nX-B: b" })
            show({ ["X-Given"] = "" })
            local first, second = ngx.location.capture_multi({
                { "/sub", { headers = { ["X-Given"] = "one" } } },
                { "/sub", { headers = { ["X-Own"] = "two" } } },
            })
            ngx.print(first.body, second.body)
            ngx.say("here: ", ngx.var.http_x_given, " ", ngx.var.http_x_own, " ", ngx.var.host)
            for _, bad in ipairs({ "text", { "text" }, { ["X-A"] = {} }, { Host = "a/b" } }) do
                ngx.say(select(2, pcall(capture, "/sub", { headers = bad })))
            end
        }
    }
    location = /sub {
        content_by_lua_block {
            local headers = ngx.req.get_headers()
            ngx.say(headers["x-given"], " ", headers["x-own"], " ", headers["x-new"], " ",
                ngx.var.host, " ", ngx.var.http_x_given, " ", ngx.var.http_x_own)
        }
    }
--- request
GET /t
--- more_headers
X-Given: from the client
--- response_body
from the client nil nil localhost from the client nil
7 mine a%0D%0AX-B: b other 7 mine
nil nil nil localhost nil nil
one nil nil localhost one nil
from the client two nil localhost from the client two
here: from the client nil localhost
Bad headers option value
attempt to use a non-string key in the "headers" option table
attempt to use bad header value type table
failed to adjust the subrequest: -1
--- no_error_log
[alert]



=== TEST 16: headers that frame a subrequest's body stay right, whatever a script gives
--- config
    location = /t {
        content_by_lua_block {
            ngx.req.read_body()
            local function show(options)
                options.headers = { ["Content-Length"] = "99", ["transfer-encoding"] = "chunked", ["X-A"] = "a" }
                ngx.print(ngx.location.capture("/relay", options).body)
            end
            show({})
            show({ method = ngx.HTTP_POST })
            show({ method = ngx.HTTP_POST, body = "a body" })
        }
    }
    location = /relay { proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/seen; }
    location = /seen {
        content_by_lua_block {
            ngx.req.read_body()
            local headers = ngx.req.get_headers()
            ngx.say(headers["content-length"], " ", headers["transfer-encoding"], " ",
                headers["x-a"], " ", ngx.req.get_body_data())
        }
    }
--- request
POST /t
hello
--- response_body
nil nil a nil
5 nil a hello
6 nil a a body
--- no_error_log
[error]



=== TEST 17: a subrequest has the User-Agent that its parent has now
--- config
    location = /t {
        content_by_lua_block {
            ngx.print(ngx.location.capture("/seen").body)
            ngx.req.set_header("User-Agent", "Opera")
            ngx.print(ngx.location.capture("/seen").body)
            ngx.req.clear_header("User-Agent")
            ngx.print(ngx.location.capture("/seen").body)
        }
    }
    location = /seen {
        content_by_lua_block {
            ngx.say(ngx.var.http_user_agent, " ", ngx.req.get_headers()["user-agent"])
        }
    }
--- request
GET /t
--- more_headers
User-Agent: Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)
--- response_body
Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1) Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)
Opera Opera
nil nil
--- no_error_log
[error]



=== TEST 18: headers that nginx refuses from a client, if they come twice
--- config
    location = /t {
        content_by_lua_block {
            ngx.req.set_header("Content-Range", { "bytes 0-1/2", "bytes 1-1/2" })
            ngx.req.set_header("Proxy-Authorization", { "one", "two" })
            local responses = { ngx.location.capture_multi({ { "/seen" }, { "/seen" } }) }
            for _, res in ipairs(responses) do
                ngx.say(res.status, " ", res.body)
            end
        }
    }
    location = /seen {
        content_by_lua_block {
            local headers = ngx.req.get_headers()
            ngx.print(table.concat(headers["content-range"], ", "), " ",
                table.concat(headers["proxy-authorization"], ", "))
        }
    }
--- request
GET /t
--- response_body
200 bytes 0-1/2, bytes 1-1/2 one, two
200 bytes 0-1/2, bytes 1-1/2 one, two
--- no_error_log
[alert]



=== TEST 19: more subrequests than there is room for responses
--- config
    location = /t {
        content_by_lua_block {
            local queries = {}
            for i = 1, 8000 do
                queries[i] = { "/sub" }
            end
            local ok, err = pcall(ngx.location.capture_multi, queries)
            ngx.say(ok, " ", err:match("stack overflow"))
            ngx.say(ngx.location.capture("/sub").body)
        }
    }
    location = /sub { return 200 sub; }
--- request
GET /t
--- response_body
false stack overflow
sub
--- no_error_log
[alert]



=== TEST 20: bodies that Lua code makes, in pieces of many sizes
--- config
    location = /t {
        content_by_lua_block {
            local function check(uri)
                local res = ngx.location.capture(uri)
                local wanted = {}
                for i = 1, 40 do
                    wanted[i] = (i .. ","):rep(i * i)
                end
                ngx.say(uri, " ", #res.body, " ", res.body == table.concat(wanted))
            end
            for _ = 1, 2 do
                check("/printed")
                check("/filtered")
            end
            local large = ngx.location.capture("/printed").body
            ngx.say(large == ngx.location.capture("/filtered").body)
        }
    }
    location = /printed {
        content_by_lua_block {
            for i = 1, 40 do
                ngx.print((i .. ","):rep(i * i))
            end
        }
    }
    location = /filtered {
        content_by_lua_block {
            for i = 1, 40 do
                ngx.print(i)
                ngx.flush()
            end
        }
        body_filter_by_lua_block {
            local i = tonumber(ngx.arg[1])
            if i then
                ngx.arg[1] = "replaced once more"
                ngx.arg[1] = (i .. ","):rep(i * i)
            end
        }
    }
--- request
GET /t
--- response_body
/printed 66135 true
/filtered 66135 true
/printed 66135 true
/filtered 66135 true
true
--- no_error_log
[error]



=== TEST 21: the Content-Type that a script has set stays, where its code ends with an error
--- config
    location = /t {
        content_by_lua_block {
            for _, uri in ipairs { "/exits", "/fails", "/moves", "/rewrites", "/typeless" } do
                local response = ngx.location.capture(uri)
                ngx.say(response.status, " ", response.header["Content-Type"], " ", #response.body)
            end
        }
    }
    location = /exits { content_by_lua_block { ngx.header.content_type = "text/a; charset=x" ngx.exit(404) } }
    location = /fails { content_by_lua_block { ngx.header.content_type = "text/b" error("oops") } }
    location = /moves { content_by_lua_block { ngx.header["Content-Type"] = "text/c" ngx.redirect("/x") } }
    location = /rewrites { rewrite_by_lua_block { ngx.header.content_type = "text/d" ngx.exit(503) } }
    location = /typeless { content_by_lua_block { ngx.header["X-A"] = "b" ngx.exit(404) } }
--- request
GET /t
--- response_body
404 text/a; charset=x 0
500 text/b 0
302 text/c 0
503 text/d 0
404 text/plain 0
--- error_log
oops
