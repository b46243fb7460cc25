# What is said where nginx has no connection left: worker_connections, in use.

use Test::Nginx::Socket::Lua;

worker_connections(16);
repeat_each(2);

plan tests => repeat_each() * (blocks() * 3);

our $HttpConfig = <<'_EOC_';
    init_by_lua_block {
        -- Takes all connections that are left; gives the sockets, and what the last one said.
        function exhaust()
            local taken = {}
            while #taken < 100 do
                local sock = ngx.socket.udp()
                local ok, err = sock:setpeername("127.0.0.1", 9)
                if not ok then return taken, err end
                taken[#taken + 1] = sock
            end
        end
    }
_EOC_

add_block_preprocessor(sub {
    my $block = shift;
    $block->set_value('http_config', $HttpConfig);
    $block->set_value('request', "GET /t\n");
});

no_long_string();
run_tests();

__DATA__

=== TEST 1: sockets; once there is one again, they connect
--- config
    location /t {
        content_by_lua_block {
            local taken, err = exhaust()
            ngx.say(#taken > 2, " ", err)
            local tcp, udp = ngx.socket.tcp(), ngx.socket.udp()
            ngx.say(tcp:connect("127.0.0.1", $TEST_NGINX_SERVER_PORT))
            ngx.say(tcp:connect("unix:/tmp/nobody.sock"))
            ngx.say(udp:setpeername("127.0.0.1", 9))
            ngx.say(udp:setpeername("unix:/tmp/nobody.sock"))
            ngx.say(tcp:send("x"))
            taken[1]:close()
            ngx.say(tcp:connect("127.0.0.1", $TEST_NGINX_SERVER_PORT))
        }
    }
--- response_body
true worker_connections are not enough
nilworker_connections are not enough
nilworker_connections are not enough
nilworker_connections are not enough
nilworker_connections are not enough
nilclosed
1
--- error_log
16 worker_connections are not enough



=== TEST 2: programs, timers and subrequests
--- config
    location /t {
        content_by_lua_block {
            exhaust()
            ngx.say(require("ngx.pipe").spawn("true"))
            ngx.say(ngx.timer.at(0, function() end))
            ngx.say(ngx.location.capture("/sub").body)
            ngx.say(ngx.location.capture("/proxy").status)
        }
    }
    location /sub { return 200 sub; }
    location /proxy { proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/sub; }
--- response_body
nilno connection
nilworker_connections are not enough
sub
500
--- error_log
16 worker_connections are not enough
