# What functions say where they may not be called, and which of their faults they name first.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan( tests => repeat_each() * blocks() * 3 );

no_long_string();

our $HttpConfig = <<'_EOC_';
    init_by_lua_block {
        -- Calls the functions, and tells what each says.
        function found_in(calls)
            local found = {}
            for i, call in ipairs(calls) do
                local ok, err = pcall(unpack(call, 2))
                -- Releases say in different words how many arguments ngx.req.socket takes.
                err = tostring(err):gsub("^.-:%d+: ", ""):gsub("0 or 1 argument, but got", "zero arguments, but got")
                found[i] = call[1] .. ": " .. (ok and "returned " or "") .. err
            end
            return table.concat(found, "\n")
        end
    }
_EOC_

run_tests();

__DATA__

=== TEST 1: the phase comes behind faults of the arguments
--- http_config eval: $::HttpConfig
--- config
    location /t {
        lua_check_client_abort on;
        set_by_lua_block $found {
            return found_in {
                { "sleep()", ngx.sleep },
                { "sleep(-1)", ngx.sleep, -1 },
                { "sleep(0)", ngx.sleep, 0 },
                { "flush(1, 2)", ngx.flush, 1, 2 },
                { "flush()", ngx.flush },
                { "eof(1)", ngx.eof, 1 },
                { "eof()", ngx.eof },
                { "spawn(1)", ngx.thread.spawn, 1 },
                { "spawn(f)", ngx.thread.spawn, function() end },
                { "create(1)", coroutine.__create, 1 },
                { "create(f)", coroutine.__create, function() end },
                { "wrap(f)", coroutine.__wrap, function() end },
                { "resume(1)", coroutine.__resume, 1 },
                { "resume(co)", coroutine.__resume, coroutine._create(function() end) },
                { "status(1)", coroutine.__status, 1 },
                { "status(co)", coroutine.__status, coroutine._create(function() end) },
                { "udp(1)", ngx.socket.udp, 1 },
                { "tcp(1)", ngx.socket.tcp, 1 },
                { "stream(1)", ngx.socket.stream, 1 },
                { "udp()", ngx.socket.udp },
                { "req.socket(1, 2)", ngx.req.socket, 1, 2 },
                { "req.socket()", ngx.req.socket },
                { "set_uri('')", ngx.req.set_uri, "" },
                { "set_uri('/', true)", ngx.req.set_uri, "/", true },
                { "exec()", ngx.exec },
                { "exec('')", ngx.exec, "" },
                { "redirect()", ngx.redirect },
                { "redirect('/', 200)", ngx.redirect, "/", 200 },
                { "exit(ngx.AGAIN)", ngx.exit, ngx.AGAIN },
                { "read_body(1)", ngx.req.read_body, 1 },
                { "capture()", ngx.location.capture },
                { "capture_multi({})", ngx.location.capture_multi, {} },
                { "on_abort(1)", ngx.on_abort, 1 },
                { "on_abort(f)", ngx.on_abort, function() end },
            }
        }
        content_by_lua_block { ngx.say(ngx.var.found) }
    }
--- request
GET /t
--- response_body
sleep(): attempt to pass 0 arguments, but accepted 1
sleep(-1): invalid sleep duration "-1000"
sleep(0): API disabled in the context of set_by_lua*, which cannot wait: use rewrite_by_lua*, and set ngx.var there
flush(1, 2): attempt to pass 2 arguments, but accepted 0 or 1
flush(): API disabled in the context of set_by_lua*
eof(1): no argument is expected
eof(): API disabled in the context of set_by_lua*
spawn(1): bad argument #1 to '?' (Lua function expected)
spawn(f): API disabled in the context of set_by_lua*, which cannot wait: use rewrite_by_lua*, and set ngx.var there
create(1): bad argument #1 to '?' (Lua function expected)
create(f): API disabled in the context of set_by_lua*, which cannot wait: use rewrite_by_lua*, and set ngx.var there
wrap(f): API disabled in the context of set_by_lua*, which cannot wait: use rewrite_by_lua*, and set ngx.var there
resume(1): bad argument #1 to '?' (coroutine expected)
resume(co): API disabled in the context of set_by_lua*, which cannot wait: use rewrite_by_lua*, and set ngx.var there
status(1): bad argument #1 to '?' (coroutine expected)
status(co): API disabled in the context of set_by_lua*, which cannot wait: use rewrite_by_lua*, and set ngx.var there
udp(1): expecting zero arguments, but got 1
tcp(1): expecting zero arguments, but got 1
stream(1): expecting zero arguments, but got 1
udp(): API disabled in the context of set_by_lua*, which cannot wait: use rewrite_by_lua*, and set ngx.var there
req.socket(1, 2): expecting zero arguments, but got 2
req.socket(): API disabled in the context of set_by_lua*
set_uri(''): attempt to use zero-length uri
set_uri('/', true): API disabled in the context of set_by_lua*
exec(): expecting one or two arguments, but got 0
exec(''): The uri argument is empty
redirect(): expecting one or two arguments
redirect('/', 200): only ngx.HTTP_MOVED_TEMPORARILY, ngx.HTTP_MOVED_PERMANENTLY, ngx.HTTP_PERMANENT_REDIRECT, ngx.HTTP_SEE_OTHER, and ngx.HTTP_TEMPORARY_REDIRECT are allowed
exit(ngx.AGAIN): bad argument to 'ngx.exit': does not accept NGX_AGAIN or NGX_DONE
read_body(1): expecting 0 arguments but seen 1
capture(): expecting one or two arguments
capture_multi({}): at least one subrequest should be specified
on_abort(1): bad argument #1 to '?' (Lua function expected)
on_abort(f): API disabled in the context of set_by_lua*, which cannot wait: use rewrite_by_lua*, and set ngx.var there
--- no_error_log
[error]



=== TEST 2: the phase comes first
--- http_config eval: $::HttpConfig
--- config
    location /t {
        set_by_lua_block $found {
            return found_in {
                { "say", ngx.say, "x" },
                { "print", ngx.print, "x" },
                { "send_headers", ngx.send_headers },
                { "exec", ngx.exec, "/" },
                { "redirect", ngx.redirect, "/" },
                { "capture", ngx.location.capture, "/" },
                { "capture_multi", ngx.location.capture_multi, { { "/" } } },
                { "read_body", ngx.req.read_body },
                { "wait", ngx.thread.wait },
                { "kill", ngx.thread.kill },
                { "yield", coroutine.__yield },
                { "tcp", ngx.socket.tcp },
                { "stream", ngx.socket.stream },
                { "on_abort", ngx.on_abort },
            }
        }
        content_by_lua_block { ngx.say(ngx.var.found) }
    }
--- request
GET /t
--- response_body
say: API disabled in the context of set_by_lua*
print: API disabled in the context of set_by_lua*
send_headers: API disabled in the context of set_by_lua*
exec: API disabled in the context of set_by_lua*
redirect: API disabled in the context of set_by_lua*
capture: API disabled in the context of set_by_lua*, which cannot wait: use rewrite_by_lua*, and set ngx.var there
capture_multi: API disabled in the context of set_by_lua*, which cannot wait: use rewrite_by_lua*, and set ngx.var there
read_body: API disabled in the context of set_by_lua*
wait: API disabled in the context of set_by_lua*, which cannot wait: use rewrite_by_lua*, and set ngx.var there
kill: API disabled in the context of set_by_lua*, which cannot wait: use rewrite_by_lua*, and set ngx.var there
yield: API disabled in the context of set_by_lua*, which cannot wait: use rewrite_by_lua*, and set ngx.var there
tcp: API disabled in the context of set_by_lua*, which cannot wait: use rewrite_by_lua*, and set ngx.var there
stream: API disabled in the context of set_by_lua*, which cannot wait: use rewrite_by_lua*, and set ngx.var there
on_abort: returned nil
--- no_error_log
[error]



=== TEST 3: without a client's request
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            assert(ngx.timer.at(0, function()
                package.loaded.found = found_in {
                    { "flush()", ngx.flush },
                    { "eof()", ngx.eof },
                    { "on_abort", ngx.on_abort },
                    { "req.socket()", ngx.req.socket },
                    { "set_uri", ngx.req.set_uri, "/" },
                    { "get_post_args", ngx.req.get_post_args },
                    { "discard_body", ngx.req.discard_body },
                    { "get_body_data", ngx.req.get_body_data },
                    { "http_version", ngx.req.http_version },
                    { "set_uri()", ngx.req.set_uri },
                    { "set_uri_args()", ngx.req.set_uri_args },
                    { "get_post_args(1, 2)", ngx.req.get_post_args, 1, 2 },
                    { "discard_body(1)", ngx.req.discard_body, 1 },
                    { "get_body_data(1, 2)", ngx.req.get_body_data, 1, 2 },
                    { "get_body_file(1)", ngx.req.get_body_file, 1 },
                    { "set_body_data()", ngx.req.set_body_data },
                    { "set_body_data({})", ngx.req.set_body_data, {} },
                    { "set_body_data(1)", ngx.req.set_body_data, 1 },
                    { "set_body_file()", ngx.req.set_body_file },
                    { "init_body(1, 2)", ngx.req.init_body, 1, 2 },
                    { "init_body('x')", ngx.req.init_body, "x" },
                    { "append_body()", ngx.req.append_body },
                    { "finish_body(1)", ngx.req.finish_body, 1 },
                    { "get_headers('x')", ngx.resp.get_headers, "x" },
                    { "timer.at()", ngx.timer.at },
                    { "timer.at(0, 1)", ngx.timer.at, 0, 1 },
                    { "timer.every(0, f)", ngx.timer.every, 0, function() end },
                }
            end))
            ngx.sleep(0)
            while not package.loaded.found do
                ngx.sleep(0.001)
            end
            ngx.say(package.loaded.found)
        }
    }
--- request
GET /t
--- response_body
flush(): API disabled in the context of ngx.timer
eof(): API disabled in the context of ngx.timer
on_abort: API disabled in the context of ngx.timer
req.socket(): API disabled in the context of ngx.timer
set_uri: API disabled in the current context
get_post_args: API disabled in the current context
discard_body: API disabled in the current context
get_body_data: API disabled in the current context
http_version: API disabled in the current context
set_uri(): expecting 1, 2 or 3 arguments but seen 0
set_uri_args(): expecting 1 argument but seen 0
get_post_args(1, 2): expecting 0 or 1 arguments but seen 2
discard_body(1): expecting 0 arguments but seen 1
get_body_data(1, 2): expecting 0 or 1 arguments but seen 2
get_body_file(1): expecting 0 arguments but seen 1
set_body_data(): expecting 1 arguments but seen 0
set_body_data({}): bad argument #1 to '?' (string expected, got table)
set_body_data(1): API disabled in the current context
set_body_file(): expecting 1 or 2 arguments but seen 0
init_body(1, 2): expecting 0 or 1 argument but seen 2
init_body('x'): API disabled in the current context
append_body(): expecting 1 arguments but seen 0
finish_body(1): expecting 0 argument but seen 1
get_headers('x'): bad argument #1 to '?' (number expected, got string)
timer.at(): expecting at least 2 arguments but got 0
timer.at(0, 1): bad argument #2 to '?' (Lua function expected)
timer.every(0, f): delay cannot be zero
--- no_error_log
[error]



=== TEST 4: a socket that is at hand
--- http_config eval: $::HttpConfig
--- config
    location /t {
        set_by_lua_block $found {
            local sock, tcp = ngx.ctx.sock, ngx.ctx.tcp
            ngx.log(ngx.WARN, found_in {
                { "setpeername()", sock.setpeername },
                { "setpeername('a', 1)", sock.setpeername, sock, "a", 1 },
                { "bind()", tcp.bind },
                { "bind('127.0.0.1')", tcp.bind, tcp, "127.0.0.1" },
                { "connect()", tcp.connect },
                { "connect('a', 1)", tcp.connect, tcp, "a", 1 },
            })
        }
        return 200 "body\n";
    }
    server_rewrite_by_lua_block { ngx.ctx.sock, ngx.ctx.tcp = ngx.socket.udp(), ngx.socket.tcp() }
--- request
GET /t
--- response_body
body
--- grep_error_log eval: qr/(?:setpeername|bind|connect)\(.*?(?:(?:seen|got) 0|set_by_lua\*)/
--- grep_error_log_out
setpeername(): ngx.socket.udp setpeername: expecting 2 or 3 arguments (including the object), but seen 0
setpeername('a', 1): API disabled in the context of set_by_lua*
bind(): expecting 2 or 3 arguments, but got 0
bind('127.0.0.1'): API disabled in the context of set_by_lua*
connect(): ngx.socket connect: expecting 2, 3, or 4 arguments (including the object), but seen 0
connect('a', 1): API disabled in the context of set_by_lua*
