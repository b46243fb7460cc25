# Names that cosockets look up without a `resolver`: lua_system_resolver, and the file of hosts. What name
# servers answer is in nginx-tests/system_names.t.

use Test::Nginx::Socket::Lua;

$ENV{TEST_NGINX_HTML_DIR} ||= html_dir();

our $Http = <<'_EOC_';
    lua_system_resolver hosts=$TEST_NGINX_HTML_DIR/hosts resolv_conf=$TEST_NGINX_HTML_DIR/resolv.conf;
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        return 200 "here\n";
    }
_EOC_

our $Files = <<'_EOC_';
>>> hosts
# names of this test
127.0.0.1   one.test  Alias  # both
::1         two.test
127.0.0.1   two.test
255.255.255.255 nowhere.test
>>> resolv.conf
search test
options ndots:2
_EOC_

repeat_each(2);

plan tests => repeat_each() * 21;

no_long_string();
run_tests();

__DATA__

=== TEST 1: names of the file, and others, without a server to ask
--- http_config eval: $::Http
--- config
    location /t {
        lua_socket_log_errors off;
        content_by_lua_block {
            for _, name in ipairs({ "one.test", "ALIAS", "one.test.", "one", "nowhere.test" }) do
                local sock = ngx.socket.tcp()
                local ok, err = sock:connect(name, $TEST_NGINX_RAND_PORT_1)
                ngx.say(name, ": ", ok and "connected" or err)
            end
            for _, name in ipairs({ "one.test", "one" }) do
                local sock = ngx.socket.udp()
                ngx.say(name, ": ", sock:setpeername(name, $TEST_NGINX_RAND_PORT_1))
            end
        }
    }
--- user_files eval: $::Files
--- request
GET /t
--- response_body
one.test: connected
ALIAS: connected
one.test.: connected
one: no resolver defined to resolve "one"
nowhere.test: network is unreachable
one.test: 1
one: nilno resolver defined to resolve "one"
--- no_error_log
[crit]



=== TEST 2: of addresses of both families, one that refuses does not matter
--- http_config eval: $::Http
--- config
    location /t {
        content_by_lua_block {
            local count = 0
            for i = 1, 30 do
                local sock = ngx.socket.tcp()
                assert(sock:connect("two.test", $TEST_NGINX_RAND_PORT_1))
                assert(sock:send("GET / HTTP/1.0\r\n\r\n"))
                count = count + (assert(sock:receive("*a")):match("here") and 1 or 0)
            end
            ngx.say(count)
        }
    }
--- user_files eval: $::Files
--- request
GET /t
--- response_body
30
--- no_error_log
[error]
--- error_log
lua tcp socket connect failed
--- log_level: debug



=== TEST 3: where all refuse, the last one says why
--- http_config eval: $::Http
--- config
    location /t {
        content_by_lua_block {
            local sock = ngx.socket.tcp()
            ngx.say(sock:connect("two.test", 1))
            ngx.say(sock:connect("one.test", $TEST_NGINX_RAND_PORT_1))
        }
    }
--- user_files eval: $::Files
--- request
GET /t
--- response_body
nilconnection refused
1
--- error_log
connect() failed (111: Connection refused)



=== TEST 4: turned off
--- skip_eval: 3: qx{$Test::Nginx::Util::NginxBinary -v 2>&1} =~ /Angie/ # which has the system's
--- http_config
    lua_system_resolver off;
--- config
    location /t {
        content_by_lua_block {
            ngx.say(ngx.socket.tcp():connect("localhost", 80))
            ngx.say(ngx.socket.udp():setpeername("localhost", 80))
        }
    }
--- request
GET /t
--- response_body
nilno resolver defined to resolve "localhost"
nilno resolver defined to resolve "localhost"
--- no_error_log
[error]



=== TEST 5: a resolver comes first
--- http_config eval: $::Http
--- config
    resolver 127.0.0.1:1;
    resolver_timeout 50ms;
    location /t {
        lua_socket_log_errors off;
        content_by_lua_block {
            ngx.say(ngx.socket.tcp():connect("one.test", $TEST_NGINX_RAND_PORT_1))
        }
    }
--- user_files eval: $::Files
--- request
GET /t
--- response_body
nilone.test could not be resolved (110: Operation timed out)



=== TEST 6: a file that is not there
--- http_config
    lua_system_resolver hosts=/no/such/file;
--- config
--- must_die
--- error_log
open() "/no/such/file" failed (2: No such file or directory)



=== TEST 7: values that are none
--- http_config
    lua_system_resolver maybe;
--- config
--- must_die
--- error_log
invalid parameter "maybe"



=== TEST 8: twice
--- http_config
    lua_system_resolver on;
    lua_system_resolver off;
--- config
--- must_die
--- error_log
"lua_system_resolver" directive is duplicate
