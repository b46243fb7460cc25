# Code of balancer_by_lua* that waits before each try. The C module refuses that.

use Test::Nginx::Socket::Lua;

if ( ( $ENV{TEST_NGINX_LOAD_MODULES} || '' ) =~ m{/nginx/modules/ngx_http_lua_module} ) {
    plan( skip_all => 'with the C module, balancer_by_lua* cannot wait' );
}
else {
    repeat_each(2);
    plan( tests => repeat_each() * 60 );
}

no_long_string();

add_block_preprocessor(
    sub {
        my $block = shift;
        my $http  = $block->http_config // '';
        $block->set_value( http_config => $http . <<'_EOC_' );
    lua_shared_dict places 1m;
    upstream waiting {
        balancer_by_lua_block {
            local balancer = require "ngx.balancer"
            choose(balancer)
        }
        keepalive 8;
    }
_EOC_
        $block->set_value( config => $block->config . <<'_EOC_' );
    location = /echo {
        content_by_lua_block {
            ngx.req.read_body()
            ngx.say("echo ", ngx.var.arg_n, " ", ngx.req.get_body_data())
        }
    }
    location = /fails { return 503; }
    location = /where {
        content_by_lua_block { ngx.print(ngx.var.server_port) }
    }
_EOC_
        $block->set_value( no_error_log => "[alert]" ) unless $block->no_error_log;
        $block->set_value( request => 'GET /t' ) unless $block->request || $block->pipelined_requests;
    }
);

run_tests();

__DATA__

=== TEST 1: a cosocket says where to go
--- http_config
    init_by_lua_block {
        function choose(balancer)
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", ngx.var.server_port))
            assert(sock:send("GET /where HTTP/1.0\r\n\r\n"))
            local port = assert(sock:receive("*a")):match("%d+$")
            sock:close()
            ngx.sleep(0.01)
            assert(balancer.set_current_peer("127.0.0.1", tonumber(port)))
            ngx.ctx.phase = ngx.get_phase()
        end
    }
--- config
    location = /t {
        proxy_pass http://waiting/echo?n=1;
        header_filter_by_lua_block {
            local addr = ngx.var.upstream_addr:gsub(":%d+", "")
            ngx.header["X-Upstream"] = addr .. " " .. ngx.var.upstream_status .. " " .. ngx.ctx.phase
        }
    }
--- pipelined_requests eval
["GET /t", "GET /t", "POST /t\nbody"]
--- response_body eval
["echo 1 nil\n", "echo 1 nil\n", "echo 1 body\n"]
--- response_headers eval
[("X-Upstream: 127.0.0.1 200 balancer") x 3]
--- no_error_log
[error]
[alert]



=== TEST 2: before each try
--- http_config
    init_by_lua_block {
        function choose(balancer)
            local tries = (ngx.ctx.tries or 0) + 1
            ngx.ctx.tries = tries
            local state, code = balancer.get_last_failure()
            ngx.ctx.seen = (ngx.ctx.seen or "") .. tries .. ":" .. tostring(state) .. " " .. tostring(code) .. ";"
            ngx.sleep(0.005)
            if tries == 1 then
                assert(balancer.set_more_tries(2))
            end
            assert(balancer.set_current_peer("127.0.0.1", tries == 3 and ngx.var.server_port or 1))
        end
    }
--- config
    location = /t {
        proxy_pass http://waiting/echo?n=2;
        header_filter_by_lua_block {
            ngx.header["X-Seen"] = ngx.ctx.seen
            ngx.header["X-Status"] = ngx.var.upstream_status
        }
    }
--- response_body
echo 2 nil
--- response_headers
X-Seen: 1:nil nil;2:failed 502;3:failed 502;
X-Status: 502, 502, 200



=== TEST 3: where errors are no reason for another try, waiting is none either
--- http_config
    init_by_lua_block {
        function choose(balancer)
            ngx.sleep(0.005)
            if ngx.var.arg_more then
                balancer.set_more_tries(3)
            end
            ngx.ctx.runs = (ngx.ctx.runs or 0) + 1
            assert(balancer.set_current_peer("127.0.0.1", ngx.var.arg_port or ngx.var.server_port))
        end
    }
--- config
    location = /t {
        proxy_next_upstream off;
        proxy_pass http://waiting/echo?n=3;
        log_by_lua_block { ngx.log(ngx.WARN, "runs: ", ngx.ctx.runs, ".") }
    }
--- pipelined_requests eval
["GET /t", "GET /t?port=1&more=1"]
--- error_code eval
[200, 502]
--- response_body_like eval
[qr/^echo 3 nil$/, qr/502 Bad Gateway/]
--- error_log
runs: 1.
--- no_error_log
runs: 2.
[alert]



=== TEST 4: an error, after a wait
--- http_config
    init_by_lua_block {
        function choose(balancer)
            ngx.sleep(0.005)
            error("oops")
        end
    }
--- config
    location = /t { proxy_pass http://waiting/echo; }
--- error_code: 500
--- response_body_like: 500 Internal
--- error_log eval
qr/failed to run balancer_by_lua\*: .*oops/



=== TEST 5: the wait counts as connecting
--- http_config
    init_by_lua_block {
        function choose(balancer)
            ngx.ctx.runs = (ngx.ctx.runs or 0) + 1
            if ngx.ctx.runs == 1 then
                assert(balancer.set_more_tries(1))
            end
            ngx.sleep(10)
            ngx.log(ngx.WARN, "never")
        end
    }
--- config
    location = /t {
        proxy_connect_timeout 50ms;
        proxy_pass http://waiting/echo;
        log_by_lua_block { ngx.log(ngx.WARN, "runs: ", ngx.ctx.runs, ".") }
    }
--- error_code: 504
--- response_body_like: 504 Gateway
--- error_log
upstream timed out (110: Connection timed out) while connecting to upstream
runs: 1.
--- no_error_log
never
[alert]



=== TEST 6: in a subrequest, with light threads
--- http_config
    init_by_lua_block {
        function choose(balancer)
            local thread = ngx.thread.spawn(function()
                ngx.sleep(0.01)
                return ngx.var.server_port
            end)
            local ok, port = ngx.thread.wait(thread)
            assert(balancer.set_current_peer("127.0.0.1", port))
        end
    }
--- config
    location = /sub {
        proxy_pass http://waiting/echo?n=6;
    }
    location = /t {
        content_by_lua_block {
            local one, two = ngx.location.capture_multi({ { "/sub" }, { "/sub" } })
            ngx.print(one.body, two.body)
        }
    }
--- response_body
echo 6 nil
echo 6 nil
--- no_error_log
[error]
[alert]



=== TEST 7: kept alive, with the request made anew
--- http_config
    init_by_lua_block {
        function choose(balancer)
            ngx.sleep(0.002)
            ngx.req.set_header("X-Late", "late " .. ngx.var.arg_n)
            assert(balancer.recreate_request())
            assert(balancer.set_current_peer("127.0.0.1", ngx.var.server_port))
            if balancer.enable_keepalive then
                assert(balancer.enable_keepalive(10, 10))
            end
        end
    }
--- config
    location = /t {
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_pass http://waiting/late;
    }
    location = /late {
        content_by_lua_block { ngx.say(ngx.var.http_x_late) }
    }
--- pipelined_requests eval
["GET /t?n=1", "GET /t?n=2"]
--- response_body eval
["late 1\n", "late 2\n"]
--- no_error_log
[error]
[alert]



=== TEST 8: a code, after a wait
--- http_config
    init_by_lua_block {
        function choose(balancer)
            ngx.sleep(0.005)
            ngx.exit(ngx.ERROR)
        end
    }
--- config
    location = /t { proxy_pass http://waiting/echo; }
--- error_code: 500
--- response_body_like: 500 Internal
--- no_error_log
[error]
[alert]



=== TEST 9: no server, after a wait
--- http_config
    init_by_lua_block {
        function choose(balancer)
            ngx.sleep(0.005)
            ngx.sleep(0.001)
        end
    }
--- config
    location = /t { proxy_pass http://waiting/echo; }
--- error_code: 500
--- response_body_like: 500 Internal
--- error_log
lua balancer: no peer set
