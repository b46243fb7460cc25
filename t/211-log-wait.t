# Code of log_by_lua* that waits: it goes on after the request. The C module refuses that.

use Test::Nginx::Socket::Lua;

if ( ( $ENV{TEST_NGINX_LOAD_MODULES} || '' ) =~ m{/nginx/modules/ngx_http_lua_module} ) {
    plan( skip_all => 'with the C module, log_by_lua* cannot wait' );
}
else {
    repeat_each(2);
    plan( tests => repeat_each() * 174 );
}

$ENV{TEST_NGINX_HTML_DIR} ||= html_dir();
no_long_string();

# What /t logs late goes to the dictionary; /late waits for it and shows it.
add_block_preprocessor(
    sub {
        my $block = shift;
        $block->set_value( http_config => ( $block->http_config // '' ) . <<'_EOC_' );
    lua_shared_dict late 1m;
_EOC_
        $block->set_value( config => $block->config . <<'_EOC_' );
    location = /echo {
        content_by_lua_block { ngx.say("echo: ", ngx.var.arg_text) }
    }
    # Sends raw requests over one connection, and answers with the last answer's body.
    location = /drive {
        content_by_lua_block {
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", ngx.var.server_port))
            assert(sock:send(raw()))
            local answer = assert(sock:receive("*a"))
            ngx.print((answer:match(".*\r\n\r\n(.*)")))
        }
    }
    location = /late {
        content_by_lua_block {
            local late = ngx.shared.late
            local count = tonumber(ngx.var.arg_count) or 1
            for _ = 1, 500 do
                if late:llen("lines") >= count then
                    break
                end
                ngx.sleep(0.01)
            end
            while true do
                local line = late:lpop("lines")
                if not line then
                    break
                end
                ngx.say(line)
            end
        }
    }
_EOC_
        $block->set_value( no_error_log => "[error]\n[alert]" ) unless $block->no_error_log;
    }
);

run_tests();

__DATA__

=== TEST 1: the request's context, phase, status and the log's lines
--- config
    location /t {
        content_by_lua_block { ngx.ctx.name = "mine"; ngx.say("ok") }
        log_by_lua_block {
            ngx.sleep(0.01)
            ngx.log(ngx.WARN, "after: ", ngx.ctx.name, " ", ngx.get_phase(), " ", ngx.status, ".")
            ngx.shared.late:rpush("lines", "done")
        }
    }
--- pipelined_requests eval
["GET /t", "GET /late"]
--- response_body eval
["ok\n", "done\n"]
--- error_log eval
["after: mine log 200.",
qr/while logging request, client: "?127\.0\.0\.1"?, server: "?localhost"?, request(?:_line)?: "GET \/t HTTP\/1\.1", host: "localhost"/]



=== TEST 2: variables, headers, arguments and the body, while the connection's next requests come
--- config
    location /t {
        client_body_buffer_size 1k;
        set $mine "set $arg_n";
        content_by_lua_block {
            ngx.req.read_body()
            ngx.header["X-Answer"] = "answer " .. ngx.var.arg_n
            ngx.say(ngx.var.arg_n)
        }
        log_by_lua_block {
            local first = ngx.var.request_uri
            ngx.sleep(0.05)
            local words = { first == ngx.var.request_uri, ngx.var.request, ngx.var.uri, ngx.var.args,
                ngx.var.arg_n, ngx.var.mine, ngx.var.http_x_name, ngx.req.get_headers()["X-Name"],
                ngx.req.get_uri_args().n, ngx.req.get_method(), ngx.req.get_body_data() or "-",
                ngx.var.remote_addr, ngx.var.server_port == ngx.var.arg_none, ngx.var.sent_http_x_answer,
                ngx.resp.get_headers()["X-Answer"], ngx.var.status, ngx.var.host,
                #ngx.req.raw_header() > 20, ngx.req.raw_header():match("^[^\r]*"), ngx.var.tcpinfo_rtt }
            for i = 1, 20 do
                words[i] = tostring(words[i])
            end
            ngx.shared.late:rpush("lines", table.concat(words, "|"))
        }
    }
--- http_config
    init_by_lua_block {
        function raw()
            local requests = {}
            for n = 1, 2 do
                requests[n] = "POST /t?n=" .. n .. " HTTP/1.1\r\nHost: a\r\nX-Name: name" .. n
                    .. "\r\nContent-Length: 5\r\n\r\nbody" .. n
            end
            return table.concat(requests) .. "GET /late?count=2 HTTP/1.0\r\n\r\n"
        end
    }
--- request
GET /drive
--- response_body
true|POST /t?n=1 HTTP/1.1|/t|n=1|1|set 1|name1|name1|1|POST|body1|127.0.0.1|false|answer 1|answer 1|200|a|true|POST /t?n=1 HTTP/1.1|nil
true|POST /t?n=2 HTTP/1.1|/t|n=2|2|set 2|name2|name2|2|POST|body2|127.0.0.1|false|answer 2|answer 2|200|a|true|POST /t?n=2 HTTP/1.1|nil



=== TEST 3: cosockets, whose connection is kept alive, light threads, semaphores, worker threads
--- config
    location /t {
        return 200 "ok\n";
        log_by_lua_block {
            local semaphore = require "ngx.semaphore"
            local sema = semaphore.new()
            local function ask(text)
                local sock = ngx.socket.tcp()
                assert(sock:connect("127.0.0.1", ngx.var.server_port))
                assert(sock:send("GET /echo?text=" .. text .. " HTTP/1.1\r\nHost: a\r\n\r\n"))
                repeat
                    local line = assert(sock:receive())
                until line == ""
                assert(sock:receive())
                local answer = assert(sock:receive())
                assert(sock:receive(2) and sock:receive())
                sock:receive()
                assert(sock:setkeepalive())
                sema:post()
                return answer
            end
            local threads = { ngx.thread.spawn(ask, "one"), ngx.thread.spawn(ask, "two") }
            assert(sema:wait(1))
            assert(sema:wait(1))
            local answers = {}
            for i, thread in ipairs(threads) do
                answers[i] = select(2, ngx.thread.wait(thread))
            end
            ngx.shared.late:rpush("lines", table.concat(answers, ", "))
        }
    }
--- pipelined_requests eval
["GET /t", "GET /late"]
--- response_body eval
["ok\n", "echo: one, echo: two\n"]



=== TEST 4: light threads that outlive the entry thread
--- config
    location /t {
        return 200 "ok\n";
        log_by_lua_block {
            ngx.thread.spawn(function()
                ngx.sleep(0.02)
                ngx.shared.late:rpush("lines", "thread of " .. ngx.var.uri)
            end)
        }
    }
--- pipelined_requests eval
["GET /t", "GET /late"]
--- response_body eval
["ok\n", "thread of /t\n"]



=== TEST 5: errors before and after the code has waited
--- config
    location /t {
        return 200 "ok\n";
        log_by_lua_block {
            if ngx.var.arg_wait then
                ngx.shared.late:rpush("lines", "waits")
                ngx.sleep(0.001)
            end
            error("oops, " .. ngx.var.arg_n)
        }
    }
--- pipelined_requests eval
["GET /t?n=1", "GET /t?n=2&wait=1", "GET /late"]
--- response_body eval
["ok\n", "ok\n", "waits\n"]
--- wait: 0.2
--- error_log eval
[qr/failed to run log_by_lua\*: log_by_lua\(nginx.conf:\d+\):6: oops, 1/,
qr/failed to run log_by_lua\*: log_by_lua\(nginx.conf:\d+\):6: oops, 2/]
--- no_error_log
[alert]
lua entry thread aborted



=== TEST 6: the limit
--- http_config
    lua_max_pending_logs 2;
--- config
    location /t {
        return 200 "ok\n";
        log_by_lua_block {
            ngx.sleep(0.3)
            ngx.shared.late:rpush("lines", "done " .. ngx.var.arg_n)
        }
    }
--- pipelined_requests eval
["GET /t?n=1", "GET /t?n=2", "GET /t?n=3", "GET /late?count=2", "GET /t?n=4", "GET /late"]
--- response_body eval
["ok\n", "ok\n", "ok\n", "done 1\ndone 2\n", "ok\n", "done 4\n"]
--- error_log
failed to run log_by_lua*: the code waits, but 2 lua_max_pending_logs are not enough
--- no_error_log
[alert]



=== TEST 7: code that waits for nothing
--- config
    location /t {
        return 200 "ok\n";
        log_by_lua_block {
            local co = coroutine.wrap(function(...)
                local sum = ...
                while true do
                    sum = sum + coroutine.yield(sum)
                end
            end)
            local thread = ngx.thread.spawn(function() return "thread" end)
            ngx.shared.late:rpush("lines", co(1) .. " " .. co(2) .. " " .. co(3) .. " "
                .. select(2, ngx.thread.wait(thread)))
        }
    }
--- pipelined_requests eval
["GET /t", "GET /late"]
--- response_body eval
["ok\n", "1 3 6 thread\n"]



=== TEST 8: what needs a client or a response is still refused
--- config
    location /t {
        return 200 "ok\n";
        log_by_lua_block {
            ngx.sleep(0.001)
            for _, name in ipairs({ "say", "flush", "eof", "send_headers" }) do
                local ok, err = pcall(ngx[name])
                ngx.shared.late:rpush("lines", name .. ": " .. tostring(err))
            end
            local ok, err = pcall(ngx.location.capture, "/late")
            ngx.shared.late:rpush("lines", "capture: " .. err)
            ok, err = pcall(ngx.req.read_body)
            ngx.shared.late:rpush("lines", "read_body: " .. err)
            ok, err = pcall(ngx.req.socket)
            ngx.shared.late:rpush("lines", "socket: " .. err)
        }
    }
--- pipelined_requests eval
["GET /t", "GET /late?count=7"]
--- response_body eval
["ok\n", CORE::join "", map { "$_: API disabled in the context of log_by_lua*\n" }
    qw(say flush eof send_headers capture read_body socket)]



=== TEST 9: the file of the request body stays until the code ends
--- config
    location /t {
        client_body_buffer_size 1k;
        client_body_in_file_only clean;
        content_by_lua_block { ngx.req.read_body(); ngx.say("ok") }
        log_by_lua_block {
            ngx.sleep(0.02)
            local file = assert(io.open(ngx.req.get_body_file()))
            ngx.shared.late:rpush("lines", file:read("*a"))
            file:close()
        }
    }
--- http_config
    init_by_lua_block {
        function raw()
            return "POST /t HTTP/1.1\r\nHost: a\r\nContent-Length: 14\r\n\r\nkept in a file"
                .. "GET /late HTTP/1.0\r\n\r\n"
        end
    }
--- request
GET /drive
--- response_body
kept in a file



=== TEST 10: other modules' log code, connections that are counted, addresses that are replaced
--- http_config
    limit_conn_zone $binary_remote_addr zone=one:1m;
    log_format mine '$request_uri $status $arg_n $connection_requests';
--- config
    access_log logs/mine.log mine;
    location /t {
        limit_conn one 1;
        set_real_ip_from 127.0.0.1;
        real_ip_header X-Forwarded-For;
        content_by_lua_block { ngx.say(ngx.var.remote_addr) }
        log_by_lua_block {
            ngx.sleep(0.05)
            ngx.shared.late:rpush("lines", ngx.var.remote_addr .. " " .. ngx.var.realip_remote_addr)
        }
    }
    location /addr {
        content_by_lua_block { ngx.say(ngx.var.remote_addr) }
    }
--- pipelined_requests eval
["GET /t?n=1", "GET /addr", "GET /t?n=2", "GET /late?count=2"]
--- more_headers
X-Forwarded-For: 10.1.2.3
--- response_body eval
["10.1.2.3\n", "127.0.0.1\n", "10.1.2.3\n", "10.1.2.3 127.0.0.1\n10.1.2.3 127.0.0.1\n"]



=== TEST 11: a proxied response, and an error page
--- config
    error_page 404 =200 /page;
    location /t {
        proxy_pass http://127.0.0.1:$server_port/echo?text=$arg_text;
        log_by_lua_block {
            ngx.sleep(0.01)
            ngx.shared.late:rpush("lines", "upstream " .. ngx.var.upstream_status .. " "
                .. (ngx.var.upstream_addr == "127.0.0.1:" .. ngx.var.server_port and "addr" or "?"))
        }
    }
    location = /page {
        add_header X-Page 1;
        content_by_lua_block { ngx.say("page") }
        log_by_lua_block {
            ngx.sleep(0.01)
            ngx.shared.late:rpush("lines", ngx.var.uri .. " for " .. ngx.var.request_uri)
        }
    }
--- pipelined_requests eval
["GET /t?text=a", "GET /late", "GET /none", "GET /late"]
--- response_body eval
["echo: a\n", "upstream 200 addr\n", "page\n", "/page for /none\n"]
--- no_error_log
[alert]
[crit]



=== TEST 12: a request that nginx could not read
--- http_config
    init_by_lua_block {
        function raw()
            return "GET /t HTTP/1.1\r\nHost: a b/c\r\n\r\n"
        end
    }
--- config
    log_by_lua_block {
        if ngx.status == 400 then
            ngx.sleep(0.01)
            ngx.shared.late:rpush("lines", ngx.status .. " " .. ngx.var.request .. ".")
        end
    }
--- pipelined_requests eval
["GET /drive", "GET /late"]
--- response_body_like eval
[qr/400 Bad Request/, qr{^400 GET /t HTTP/1.1\.$}]
--- no_error_log
[alert]
[error]



=== TEST 13: the code of a subrequest's log waits, and the end of the main request for it
--- config
    location = /sub {
        log_subrequest on;
        content_by_lua_block { ngx.ctx.name = ngx.var.arg_name; ngx.print("sub ", ngx.var.arg_name, " ") }
        log_by_lua_block {
            ngx.sleep(tonumber(ngx.var.arg_wait))
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", ngx.var.server_port))
            assert(sock:send("GET /echo?text=" .. ngx.ctx.name .. " HTTP/1.0\r\n\r\n"))
            local line = assert(sock:receive("*a")):match("echo: %S+")
            ngx.shared.late:rpush("lines", line .. " " .. ngx.var.uri .. " " .. ngx.status)
        }
    }
    location = /captures {
        content_by_lua_block {
            ngx.print(ngx.location.capture("/sub?name=a&wait=0.05").body, ngx.location.capture("/sub?name=b&wait=0.01").body)
        }
        log_by_lua_block { ngx.sleep(0.001) ngx.shared.late:rpush("lines", "main " .. ngx.var.uri) }
    }
    location = /page.html {
        ssi on;
        ssi_types *;
        content_by_lua_block { ngx.say('<!--#include virtual="/sub?name=c&wait=0.03" -->end') }
    }
    location = /mirrored {
        mirror /sub_of_mirror;
        content_by_lua_block { ngx.say("mirrored") }
    }
    location = /sub_of_mirror {
        internal;
        rewrite ^ /sub?name=d&wait=0.02? last;
    }
    location = /next { content_by_lua_block { ngx.say("next, after ", ngx.shared.late:llen("lines")) } }
    location = /t {
        content_by_lua_block {
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", ngx.var.server_port))
            for _, path in ipairs { "/captures", "/page.html", "/mirrored", "/next" } do
                assert(sock:send("GET " .. path .. " HTTP/1.1\r\nHost: localhost\r\n\r\n"))
                assert(sock:receiveuntil("\r\n\r\n")())
                ngx.say((sock:receiveuntil("\r\n0\r\n\r\n")():gsub("%x+\r\n", ""):gsub("\r?\n", "")))
            end
            ngx.print(ngx.location.capture("/late?count=5").body)
        }
    }
--- request
GET /t
--- response_body
sub a sub b 
sub c end
mirrored
next, after 5
echo: b /sub 200
echo: a /sub 200
main /captures
echo: c /sub 200
echo: d /sub 200
--- wait: 0.1



=== TEST 14: files that outlive the connection
--- config
    location /t.txt {
        log_by_lua_block {
            ngx.sleep(0.05)
            ngx.shared.late:rpush("lines", ngx.var.status)
        }
    }
    location /body {
        client_body_in_file_only clean;
        content_by_lua_block { ngx.req.read_body(); ngx.say("ok") }
        log_by_lua_block {
            ngx.sleep(0.05)
            ngx.shared.late:rpush("lines", ngx.req.get_post_args().kept)
        }
    }
    # Fills the memory of connections that have ended with the letter z.
    location /fill {
        content_by_lua_block {
            local socks = {}
            for i = 1, 8 do
                socks[i] = ngx.socket.tcp()
                assert(socks[i]:connect("unix:$TEST_NGINX_HTML_DIR/fill.sock"))
                assert(socks[i]:send("GET /" .. ("z"):rep(500)))
            end
            ngx.sleep(0.1)
            for i = 1, 8 do
                socks[i]:close()
            end
            ngx.say("filled")
        }
    }
--- http_config
    connection_pool_size 512;
    server {
        listen unix:$TEST_NGINX_HTML_DIR/fill.sock;
        connection_pool_size 256;
        client_header_buffer_size 512;
    }
    init_by_lua_block {
        local count = 0
        function raw()
            count = count + 1
            return count % 2 == 1 and "GET /t.txt HTTP/1.0\r\n\r\n"
                or "POST /body HTTP/1.0\r\nContent-Length: 11\r\n\r\nkept=inFile"
        end
    }
--- user_files
>>> t.txt
text
--- pipelined_requests eval
["GET /drive", "GET /drive", "GET /fill", "GET /late?count=2"]
--- response_body eval
["text\n", "ok\n", "filled\n", "200\ninFile\n"]



=== TEST 15: addresses that outlive the connection
--- config
    location /limited {
        limit_req zone=all burst=100 nodelay;
        content_by_lua_block { ngx.say("limited") }
        log_by_lua_block {
            ngx.sleep(0.05)
            ngx.shared.late:rpush("lines", table.concat({ ngx.var.binary_remote_addr:byte(1, -1) }, "."))
        }
    }
    location /replaced {
        set_real_ip_from 127.0.0.1;
        real_ip_header X-Forwarded-For;
        content_by_lua_block { ngx.say("replaced") }
        log_by_lua_block {
            ngx.sleep(0.05)
            local var = ngx.var
            ngx.shared.late:rpush("lines", var.remote_addr .. " for " .. var.realip_remote_addr
                .. (tonumber(var.realip_remote_port) > 1023 and ", with its port" or ""))
        }
    }
    # Fills the memory of connections that have ended with the letter z.
    location /fill {
        content_by_lua_block {
            local socks = {}
            for i = 1, 8 do
                socks[i] = ngx.socket.tcp()
                assert(socks[i]:connect("unix:$TEST_NGINX_HTML_DIR/fill.sock"))
                assert(socks[i]:send("GET /" .. ("z"):rep(500)))
            end
            ngx.sleep(0.1)
            for i = 1, 8 do
                socks[i]:close()
            end
            ngx.say("filled")
        }
    }
--- http_config
    connection_pool_size 512;
    limit_req_zone $binary_remote_addr zone=all:1m rate=1000r/s;
    server {
        listen unix:$TEST_NGINX_HTML_DIR/fill.sock;
        connection_pool_size 256;
        client_header_buffer_size 512;
    }
    init_by_lua_block {
        local count = 0
        function raw()
            count = count + 1
            return count % 2 == 1 and "GET /limited HTTP/1.0\r\n\r\n"
                or "GET /replaced HTTP/1.0\r\nX-Forwarded-For: 10.1.2.3\r\n\r\n"
        end
    }
--- pipelined_requests eval
["GET /drive", "GET /drive", "GET /fill", "GET /late?count=2"]
--- response_body eval
["limited\n", "replaced\n", "filled\n", "127.0.0.1\n10.1.2.3 for 127.0.0.1, with its port\n"]



=== TEST 16: the limit counts a subrequest's code until that ends, however long the main request lasts
--- http_config
    lua_max_pending_logs 2;
--- config
    location = /sub {
        log_subrequest on;
        content_by_lua_block { ngx.print("sub") }
        log_by_lua_block {
            ngx.sleep(0.001)
            ngx.shared.late:rpush("lines", "logged " .. ngx.var.arg_n)
        }
    }
    location = /t {
        content_by_lua_block {
            for n = 1, 5 do
                ngx.location.capture("/sub?n=" .. n)
                ngx.print(ngx.location.capture("/late").body)
            end
        }
    }
--- request
GET /t
--- response_body
logged 1
logged 2
logged 3
logged 4
logged 5
