# balancer_by_lua*, and ngx.balancer of lua-resty-core.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3 + 10);
no_long_string();

our $Backends = <<'_EOC_';
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        location / {
            content_by_lua_block {
                ngx.req.read_body()
                ngx.say("one ", ngx.var.uri, " ", ngx.var.connection_requests, " ",
                        ngx.var.http_x_try, " ", ngx.req.get_body_data())
            }
        }
        location /slow { content_by_lua_block { ngx.sleep(1) ngx.say("slow") } }
        location /missing { return 404 "one has not\n"; }
    }
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
        listen unix:$TEST_NGINX_SERVER_ROOT/html/two.sock;
        location / { content_by_lua_block { ngx.say("two ", ngx.var.connection_requests) } }
    }
_EOC_

add_block_preprocessor(sub {
    my $block = shift;
    $block->set_value('http_config', $Backends . $block->http_config)
        if defined $block->http_config && $block->http_config =~ /upstream/;
});

run_tests();

__DATA__

=== TEST 1: an address with a port beside it, with its own, and of a socket file
--- http_config
    upstream chosen {
        server 127.0.0.1:1;
        balancer_by_lua_block {
            local balancer = require "ngx.balancer"
            local how = ngx.var.arg_how
            if how == "port" then
                assert(balancer.set_current_peer("127.0.0.1", $TEST_NGINX_RAND_PORT_2))
            elseif how == "text" then
                assert(balancer.set_current_peer("127.0.0.1", "$TEST_NGINX_RAND_PORT_2"))
            elseif how == "own" then
                assert(balancer.set_current_peer("127.0.0.1:$TEST_NGINX_RAND_PORT_2", 1))
            else
                assert(balancer.set_current_peer("unix:$TEST_NGINX_SERVER_ROOT/html/two.sock"))
            end
        }
    }
--- config
    location = /t {
        content_by_lua_block {
            for _, how in ipairs{"port", "text", "own", "unix"} do
                local res = ngx.location.capture("/proxy?how=" .. how)
                ngx.print(how, " ", res.status, " ", res.body)
            end
        }
    }
    location /proxy { proxy_pass http://chosen; }
--- request
GET /t
--- response_body
port 200 two 1
text 200 two 1
own 200 two 1
unix 200 two 1
--- no_error_log
[error]



=== TEST 2: addresses that are none
--- http_config
    upstream chosen {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        balancer_by_lua_block {
            local balancer = require "ngx.balancer"
            local function try(...)
                local ok, err = balancer.set_current_peer(...)
                ngx.log(ngx.WARN, "peer: ", ok, ", ", err)
            end
            try("example.com", 80)
            try("", 80)
            try("127.0.0.1:http", 80)
            try("127.0.0.1:80000", 80)
            try("unix:" .. ("x"):rep(200))
        }
    }
--- config
    location = /t { proxy_pass http://chosen; }
--- request
GET /t
--- response_body
one /t 1 nil nil
--- grep_error_log eval: qr/peer: .*?(?= while)/
--- grep_error_log_out
peer: nil, no host allowed
peer: nil, no host
peer: nil, invalid port
peer: nil, invalid port
peer: nil, too long path in the unix domain socket



=== TEST 3: outside of the balancer
--- http_config
    upstream chosen {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        balancer_by_lua_block { }
    }
--- config
    location = /t {
        access_by_lua_block {
            local balancer = require "ngx.balancer"
            ngx.log(ngx.WARN, "before: ", select(2, balancer.set_current_peer("127.0.0.1", 1)))
        }
        proxy_pass http://chosen;
        log_by_lua_block {
            local balancer = require "ngx.balancer"
            local function tell(...)
                ngx.log(ngx.WARN, "after: ", (select(select("#", ...), ...)))
            end
            tell(balancer.set_current_peer("127.0.0.1", 1))
            tell(balancer.set_more_tries(1))
            tell(balancer.get_last_failure())
            tell(balancer.set_timeouts(1, 1, 1))
            tell(balancer.recreate_request())
        }
    }
--- request
GET /t
--- response_body
one /t 1 nil nil
--- grep_error_log eval: qr/(before|after): [^,]*?(?= while|,)/
--- grep_error_log_out
before: no upstream found
after: API disabled in the current context
after: API disabled in the current context
after: API disabled in the current context
after: API disabled in the current context
after: API disabled in the current context



=== TEST 4: tries, how each failed, and what they share
--- http_config
    upstream chosen {
        server 127.0.0.1:1;
        balancer_by_lua_block {
            local balancer = require "ngx.balancer"
            local ctx = ngx.ctx
            ctx.tries = (ctx.tries or 0) + 1
            ngx.log(ngx.WARN, "try ", ctx.tries, " after ", ctx.access, ": ",
                    balancer.get_last_failure())
            if ctx.tries == 1 then
                assert(balancer.set_more_tries(2))
                assert(balancer.set_current_peer("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
            elseif ctx.tries == 2 then
                assert(balancer.set_current_peer("127.0.0.1", 1))
            else
                assert(balancer.set_current_peer("127.0.0.1", $TEST_NGINX_RAND_PORT_2))
            end
        }
    }
--- config
    location = /missing {
        access_by_lua_block { ngx.ctx.access = "access" }
        proxy_next_upstream error http_404;
        proxy_pass http://chosen;
        log_by_lua_block {
            ngx.log(ngx.WARN, "in all: ", ngx.ctx.tries, " ", ngx.var.upstream_status)
        }
    }
--- request
GET /missing
--- response_body
two 1
--- grep_error_log eval: qr/(try|in all:) [^"]*?(?= while)/
--- grep_error_log_out
try 1 after access: nil
try 2 after access: next404
try 3 after access: failed502
in all: 3 404, 502, 200



=== TEST 5: no more tries than nginx's limit, and none less than none
--- http_config
    upstream chosen {
        server 127.0.0.1:1;
        balancer_by_lua_block {
            local balancer = require "ngx.balancer"
            ngx.ctx.tries = (ngx.ctx.tries or 0) + 1
            local count = tonumber(ngx.var.arg_count)
            local ok, err = balancer.set_more_tries(count)
            ngx.log(ngx.WARN, "try ", ngx.ctx.tries, ": ", ok, ", ", err)
            assert(balancer.set_current_peer("127.0.0.1", 1))
        }
    }
--- config
    location = /t {
        content_by_lua_block {
            for _, count in ipairs{1, 9, 0, -7} do
                ngx.say(count, ": ", ngx.location.capture("/proxy?count=" .. count).status)
            end
        }
    }
    location = /proxy {
        proxy_next_upstream_tries 3;
        proxy_pass http://chosen;
    }
--- request
GET /t
--- response_body
1: 502
9: 502
0: 502
-7: 502
--- grep_error_log eval: qr/try \d: .*?(?= while)/
--- grep_error_log_out
try 1: true, nil
try 2: true, nil
try 3: true, reduced tries due to limit
try 1: true, reduced tries due to limit
try 2: true, reduced tries due to limit
try 3: true, reduced tries due to limit
try 1: true, nil
try 1: true, nil



=== TEST 6: times are one request's own
--- http_config
    upstream chosen {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        balancer_by_lua_block {
            local balancer = require "ngx.balancer"
            if ngx.var.arg_times then
                assert(balancer.set_timeouts(5, nil, 5))
                assert(balancer.set_timeouts(nil, 5, 0.05))
            end
        }
    }
--- config
    location = /t {
        content_by_lua_block {
            for _, args in ipairs{"?times=short", "", "?times=short"} do
                ngx.say(ngx.location.capture("/slow" .. args).status)
            end
        }
    }
    location = /slow { proxy_pass http://chosen; }
--- request
GET /t
--- response_body
504
200
504
--- error_log
upstream timed out (110: Connection timed out) while reading response header from upstream
--- no_error_log
[alert]



=== TEST 7: times that are none
--- http_config
    upstream chosen {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        balancer_by_lua_block {
            local balancer = require "ngx.balancer"
            ngx.log(ngx.WARN, "refused: ", select(2, pcall(balancer.set_timeouts, 0)))
            ngx.log(ngx.WARN, "refused: ", select(2, pcall(balancer.set_timeouts, 1, "1")))
            ngx.log(ngx.WARN, "refused: ", select(2, pcall(balancer.set_timeouts, 1, 1, -1)))
        }
    }
--- config
    location = /t { proxy_pass http://chosen; }
--- request
GET /t
--- response_body
one /t 1 nil nil
--- grep_error_log eval: qr/refused: .*?(?= while)/
--- grep_error_log_out
refused: bad connect timeout
refused: bad send timeout
refused: bad read timeout



=== TEST 8: the request is made anew for a try, with its body
--- http_config
    upstream chosen {
        server 127.0.0.1:1;
        balancer_by_lua_block {
            local balancer = require "ngx.balancer"
            ngx.var.try = ngx.var.try + 1
            assert(balancer.recreate_request())
            if ngx.var.try == "1" then
                assert(balancer.set_more_tries(1))
                assert(balancer.set_current_peer("127.0.0.1", 1))
            else
                assert(balancer.recreate_request())
                assert(balancer.set_current_peer("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
            end
        }
    }
--- config
    location = /t {
        set $try 0;
        proxy_set_header X-Try "try $try";
        proxy_pass http://chosen;
    }
--- request
POST /t
the body
--- response_body
one /t 1 try 2 the body
--- no_error_log
[alert]



=== TEST 9: in a subrequest without a body
--- http_config
    upstream chosen {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        balancer_by_lua_block { assert(require("ngx.balancer").recreate_request()) }
    }
--- config
    location = /t {
        content_by_lua_block {
            ngx.print(ngx.location.capture("/proxy").body)
            ngx.print(ngx.location.capture("/proxy").body)
        }
    }
    location = /proxy { proxy_pass http://chosen; }
--- request
GET /t
--- response_body
one /proxy 1 nil nil
one /proxy 1 nil nil
--- no_error_log
[error]



=== TEST 10: ngx.exit
--- http_config
    upstream chosen {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        balancer_by_lua_block {
            ngx.exit(tonumber(ngx.var.arg_code))
            ngx.log(ngx.WARN, "behind exit ", ngx.var.arg_code)
        }
    }
--- config
    location = /t {
        content_by_lua_block {
            for _, code in ipairs{ngx.OK, ngx.ERROR, -3, ngx.DECLINED, 200, 403, 503} do
                ngx.say(code, ": ", ngx.location.capture("/proxy?code=" .. code).status)
            end
        }
    }
    location = /proxy { proxy_pass http://chosen; }
--- request
GET /t
--- response_body
0: 200
-1: 500
-3: 502
-5: 502
200: 500
403: 500
503: 500
--- error_log
behind exit 503
no live upstreams while connecting to upstream
--- no_error_log
[alert]



=== TEST 11: a try that is declined is a try that failed
--- http_config
    upstream chosen {
        server 127.0.0.1:1;
        server 127.0.0.1:1;
        server 127.0.0.1:1;
        balancer_by_lua_block {
            ngx.ctx.tries = (ngx.ctx.tries or 0) + 1
            ngx.log(ngx.WARN, "try ", ngx.ctx.tries)
            ngx.exit(ngx.DECLINED)
        }
    }
--- config
    location = /t { proxy_pass http://chosen; }
--- request
GET /t
--- error_code: 502
--- response_body_like: 502 Bad Gateway
--- grep_error_log eval: qr/try \d/
--- grep_error_log_out
try 1
try 2
try 3



=== TEST 12: errors end one request
--- http_config
    upstream chosen {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        balancer_by_lua_block {
            local function fail() error(ngx.var.arg_text, 0) end
            if ngx.var.arg_text then fail() end
        }
    }
--- config
    location = /t {
        content_by_lua_block {
            ngx.say(ngx.location.capture("/proxy?text=oops").status)
            ngx.say(ngx.location.capture("/proxy").status)
        }
    }
    location = /proxy { proxy_pass http://chosen; }
--- request
GET /t
--- response_body
500
200
--- error_log
failed to run balancer_by_lua*: oops
in function 'fail'



=== TEST 13: what the balancer may not do
--- http_config
    upstream chosen {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        balancer_by_lua_block {
            local calls = {
                say = function() ngx.say("no") end,
                capture = function() ngx.location.capture("/t") end,
                exec = function() ngx.exec("/t") end,
                redirect = function() ngx.redirect("/t") end,
                read_body = function() ngx.req.read_body() end,
                eof = function() ngx.eof() end,
            }
            for name, call in pairs(calls) do
                local ok, err = pcall(call)
                if ok or not err:find("API disabled in the context of balancer_by_lua*", 1, true) then
                    ngx.log(ngx.ERR, name, ": ", ok, " ", err)
                end
            end
            ngx.log(ngx.WARN, "phase: ", ngx.get_phase(), " ", ngx.req.get_method(), " ",
                    ngx.var.uri)
        }
    }
--- config
    location = /t { proxy_pass http://chosen; }
--- request
GET /t
--- response_body
one /t 1 nil nil
--- error_log
phase: balancer GET /t
--- no_error_log
[error]



=== TEST 14: beside keepalive, which keeps connections of each server
--- http_config
    upstream chosen {
        server 127.0.0.1:1;
        balancer_by_lua_block {
            local port = ngx.var.arg_to == "one" and $TEST_NGINX_RAND_PORT_1
                         or $TEST_NGINX_RAND_PORT_2
            assert(require("ngx.balancer").set_current_peer("127.0.0.1", port))
        }
        keepalive 4;
    }
--- config
    location = /t {
        content_by_lua_block {
            local counts = {}
            for _, to in ipairs{"one", "two", "one", "two", "two"} do
                local body = ngx.location.capture("/proxy?to=" .. to).body
                local count = tonumber(body:match(" (%d+)"))
                ngx.say(body:sub(1, 3), " ", counts[to] and count - counts[to])
                counts[to] = count
            end
        }
    }
    location = /proxy {
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_pass http://chosen;
    }
--- request
GET /t
--- response_body
one nil
two nil
one 1
two 1
two 1
--- no_error_log
[error]



=== TEST 15: the block's servers where the code names none, with a named one between
--- http_config
    upstream chosen {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
        balancer_by_lua_block {
            if ngx.var.arg_named then
                assert(require("ngx.balancer").set_current_peer("127.0.0.1", $TEST_NGINX_RAND_PORT_2))
            end
        }
    }
--- config
    location = /t {
        content_by_lua_block {
            local seen = {}
            for i = 1, 4 do
                local body = ngx.location.capture("/proxy").body
                local one = body:sub(1, 3)
                seen[one] = (seen[one] or 0) + 1
                ngx.print(ngx.location.capture("/proxy?named=1").body)
            end
            ngx.say(seen.one, " ", seen.two)
        }
    }
    location = /proxy { proxy_pass http://chosen; }
--- request
GET /t
--- response_body
two 1
two 1
two 1
two 1
2 2
--- no_error_log
[error]



=== TEST 16: several requests at once
--- http_config
    upstream chosen {
        server 127.0.0.1:1;
        balancer_by_lua_block {
            local balancer = require "ngx.balancer"
            ngx.ctx.tries = (ngx.ctx.tries or 0) + 1
            if ngx.ctx.tries == 1 then
                assert(balancer.set_more_tries(1))
                assert(balancer.set_current_peer("127.0.0.1", 1))
                return
            end
            local port = ngx.var.arg_to == "one" and $TEST_NGINX_RAND_PORT_1
                         or $TEST_NGINX_RAND_PORT_2
            assert(balancer.get_last_failure() == "failed")
            assert(balancer.set_current_peer("127.0.0.1", port))
        }
    }
--- config
    location = /t {
        content_by_lua_block {
            local all = {ngx.location.capture_multi{
                {"/proxy?to=one"}, {"/proxy?to=two"}, {"/proxy?to=one"}, {"/proxy?to=two"},
            }}
            for _, res in ipairs(all) do ngx.print(res.status, " ", res.body) end
        }
    }
    location = /proxy { proxy_pass http://chosen; }
--- request
GET /t
--- response_body
200 one /proxy 1 nil nil
200 two 1
200 one /proxy 1 nil nil
200 two 1
--- no_error_log
[alert]



=== TEST 17: a file, whose name holds no variables
--- http_config
    upstream chosen {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        balancer_by_lua_file html/$choose.lua;
    }
--- config
    location = /t { proxy_pass http://chosen; }
--- user_files
>>> $choose.lua
ngx.log(ngx.WARN, "in the file: ", ngx.var.uri)
--- request
GET /t
--- response_body
one /t 1 nil nil
--- error_log
$choose.lua:1: in the file: /t while connecting to upstream



=== TEST 18: a file that is missing
--- http_config
    upstream chosen {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        balancer_by_lua_file html/missing.lua;
    }
--- config
    location = /t { proxy_pass http://chosen; }
--- request
GET /t
--- error_code: 500
--- response_body_like: 500 Internal Server Error
--- error_log eval
qr/failed to load external Lua file ".*missing\.lua": cannot open/



=== TEST 19: after ngx.exec and error_page, and with a VM for each request
--- http_config
    lua_code_cache off;
    upstream chosen {
        server 127.0.0.1:1;
        balancer_by_lua_block {
            ngx.ctx.word = (ngx.ctx.word or "") .. "b"
            ngx.log(ngx.WARN, "word: ", ngx.ctx.word)
            if ngx.var.uri == "/fails" then ngx.exit(ngx.ERROR) end
            assert(require("ngx.balancer").set_current_peer("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
        }
    }
--- config
    location = /t { rewrite_by_lua_block { ngx.ctx.word = "lost" ngx.exec("/fails") } }
    location = /fails {
        error_page 500 = @named;
        proxy_pass http://chosen;
    }
    location @named {
        rewrite_by_lua_block { ngx.req.set_uri("/named") }
        proxy_pass http://chosen;
    }
--- request
GET /t
--- response_body
one /named 1 nil nil
--- grep_error_log eval: qr/word: \w+/
--- grep_error_log_out
word: b
word: b



=== TEST 20: two balancers in a block
--- http_config
    upstream chosen {
        server 127.0.0.1:1;
        balancer_by_lua_block { }
        balancer_by_lua_file a.lua;
    }
--- config
--- must_die
--- error_log
"balancer_by_lua_file" directive is duplicate
--- no_error_log
[alert]



=== TEST 21: no file
--- http_config
    upstream chosen {
        server 127.0.0.1:1;
        balancer_by_lua_file "";
    }
--- config
--- must_die
--- error_log
no runnable Lua code
--- no_error_log
[alert]



=== TEST 22: not in a location
--- http_config
    upstream chosen { server 127.0.0.1:1; }
--- config
    location = /t { balancer_by_lua_block { } }
--- must_die
--- error_log
"balancer_by_lua_block" directive is not allowed here
--- no_error_log
[alert]



=== TEST 23: takes the place of another method, with a warning
--- http_config
    upstream chosen {
        least_conn;
        server 127.0.0.1:1;
        balancer_by_lua_block {
            assert(require("ngx.balancer").set_current_peer("127.0.0.1", $TEST_NGINX_RAND_PORT_2))
        }
    }
--- config
    location = /t { proxy_pass http://chosen; }
--- request
GET /t
--- response_body
two 1
--- no_error_log
[error]
[alert]



=== TEST 24: tries that are added for ever come to an end, and the worker lives
--- http_config
    upstream chosen {
        server 127.0.0.1:1;
        balancer_by_lua_block {
            local balancer = require "ngx.balancer"
            local counts = ngx.shared.counts
            local peer = ngx.var.arg_peer
            counts:incr(peer, 1, 0)
            local ok, err = balancer.set_more_tries(tonumber(ngx.var.arg_more))
            if err then
                counts:set("warning", err)
            end
            if peer == "refused" then
                assert(balancer.set_current_peer("127.0.0.1", 1))
            else
                assert(balancer.set_current_peer("unix:$TEST_NGINX_SERVER_ROOT/html/missing.sock"))
            end
        }
    }
    lua_shared_dict counts 1m;
--- config
    location = /t {
        error_log /dev/null;
        content_by_lua_block {
            local counts = ngx.shared.counts
            for _, peer in ipairs { "refused", "missing" } do
                for _, more in ipairs { 1, 2147483647 } do
                    counts:delete(peer)
                    local res = ngx.location.capture("/proxy?more=" .. more .. "&peer=" .. peer)
                    ngx.say(peer, ": ", res.status, " after ", counts:get(peer), ", ", counts:get("warning"))
                end
            end
            ngx.shared.counts:delete("missing")
            ngx.location.capture("/limited?more=1&peer=missing")
            ngx.say("limited: ", counts:get("missing"))
        }
    }
    location = /proxy {
        error_log /dev/null;
        proxy_pass http://chosen;
    }
    location = /limited {
        error_log /dev/null;
        proxy_next_upstream_tries 1500;
        proxy_pass http://chosen;
    }
--- request
GET /t
--- response_body
refused: 502 after 1000, reduced tries due to limit
refused: 502 after 1000, reduced tries due to limit
missing: 502 after 1000, reduced tries due to limit
missing: 502 after 1000, reduced tries due to limit
limited: 1500
--- no_error_log
[alert]
[emerg]



=== TEST 25: no server line, and no server named
--- http_config
    upstream backend {
        balancer_by_lua_block { print("hello from balancer by lua!") }
    }
--- config
    location = /t { proxy_pass http://backend; }
--- request
GET /t
--- error_code: 500
--- ignore_response_body
--- error_log eval
["hello from balancer by lua! while connecting to upstream,", qr/\[error\] .*? lua balancer: no peer set/]
--- no_error_log
[warn]



=== TEST 26: no server line, but a named server
--- http_config
    upstream backend {
        zone backend 64k;
        balancer_by_lua_block {
            assert(require("ngx.balancer").set_current_peer("127.0.0.1", $TEST_NGINX_SERVER_PORT))
        }
    }
--- config
    location = /t { proxy_pass http://backend/named; }
    location = /named { return 200 "named server"; }
--- request
GET /t
--- response_body chomp
named server
--- no_error_log
[error]



=== TEST 27: a server line after the code is the only server
--- http_config
    upstream backend {
        balancer_by_lua_block { print("chooses nothing") }
        server 127.0.0.1:$TEST_NGINX_SERVER_PORT;
    }
--- config
    location = /t {
        content_by_lua_block {
            for _ = 1, 4 do ngx.print(ngx.location.capture("/proxy").body, " ") end
        }
    }
    location = /proxy { proxy_pass http://backend/real; }
    location = /real { return 200 "real"; }
--- request
GET /t
--- response_body eval
"real real real real "
--- no_error_log
[error]
[warn]



=== TEST 28: a body that the balancer sets is in the request that is made anew
--- http_config
    upstream chosen {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        balancer_by_lua_block {
            if ngx.var.arg_body then
                ngx.req.set_body_data(ngx.var.arg_body)
            end
            local balancer = require "ngx.balancer"
            assert(balancer.recreate_request())
            assert(balancer.recreate_request())
        }
    }
--- config
    location = /t {
        content_by_lua_block {
            for _, given in ipairs { "", "a longer body" } do
                for _, args in ipairs { "", "body=short" } do
                    local res = ngx.location.capture("/proxy?" .. args,
                        { method = ngx.HTTP_POST, body = given })
                    ngx.print(res.status, " ", res.body)
                end
            end
        }
    }
    location = /proxy {
        proxy_read_timeout 1s;
        proxy_pass http://chosen;
    }
--- request
GET /t
--- response_body
200 one /proxy 1 nil nil
200 one /proxy 1 nil short
200 one /proxy 1 nil a longer body
200 one /proxy 1 nil short
--- no_error_log
[error]
[alert]



=== TEST 29: a body that the balancer sets leaves the one that is sent
--- http_config
    upstream chosen {
        server 127.0.0.1:$TEST_NGINX_SERVER_PORT;
        balancer_by_lua_block { ngx.req.set_body_data("y") }
    }
--- config
    client_body_buffer_size 2m;
    location = /t {
        access_by_lua_block {
            ngx.req.read_body()
            ngx.req.set_body_data(("x"):rep(1000000))
        }
        proxy_pass http://chosen/seen;
    }
    location = /seen {
        content_by_lua_block {
            ngx.req.read_body()
            local data = ngx.req.get_body_data()
            ngx.say(#data, " ", data == ("x"):rep(1000000))
        }
    }
--- request
POST /t
old
--- response_body
1000000 true
--- no_error_log
[error]



=== TEST 30: an empty block leaves the choice to nginx
--- http_config
    upstream chosen {
        server 127.0.0.1:$TEST_NGINX_SERVER_PORT;
        balancer_by_lua_block {}
    }
--- config
    location = /t { proxy_pass http://chosen/seen; }
    location = /seen { return 200 "seen\n"; }
--- request
GET /t
--- response_body
seen
--- no_error_log
[error]
