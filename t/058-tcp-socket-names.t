# TCP cosockets that connect to names: a resolver of the test's own answers.

use IO::Socket::INET;
use Test::Nginx::Socket::Lua;

repeat_each(2);

plan tests => repeat_each() * (blocks() * 3);

# Answers ok*.test with 127.0.0.1, gone*.test with "no such name", and nothing for other names.
my $dns = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'udp') or die "no socket: $!";
our $Port = $dns->sockport;
my $parent = $$;
my $child = fork // die "no process: $!";
if ($child == 0) {
    alarm 120;
    while (defined $dns->recv(my $query, 512)) {
        my ($id, $rest) = (substr($query, 0, 2), substr($query, 12));
        my $end = index($rest, "\0");
        my $question = substr($rest, 0, $end + 5);
        my $is_a = substr($question, -4, 2) eq "\0\1";
        if ($question =~ /\A.ok/s) {
            my $answer = "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1";
            $dns->send("$id\x81\x80\0\1" . ($is_a ? "\0\1" : "\0\0") . "\0\0\0\0$question"
                . ($is_a ? $answer : ''));
        } elsif ($question =~ /\A.gone/s) {
            $dns->send("$id\x81\x83\0\1\0\0\0\0\0\0$question");
        }
    }
    require POSIX;
    POSIX::_exit(0);
}
END { kill 'TERM', $child if $child && $$ == $parent }

$ENV{TEST_NGINX_DNS_PORT} = $Port;

our $HttpConfig = <<'_EOC_';
    resolver 127.0.0.1:$TEST_NGINX_DNS_PORT ipv6=off;
    resolver_timeout 100ms;
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        return 200 "here\n";
    }
_EOC_

no_long_string();
run_tests();

__DATA__

=== TEST 1: a name, and the same again from nginx's cache
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            for i = 1, 2 do
                local sock = ngx.socket.tcp()
                ngx.say(sock:connect("ok" .. ngx.var.connection .. ".test", $TEST_NGINX_RAND_PORT_1))
                sock:send("GET / HTTP/1.0\r\n\r\n")
                ngx.say((sock:receive("*a"):match("\r\n\r\n(%w+)")))
                ngx.say(sock:close())
            end
        }
    }
--- request
GET /t
--- response_body
1
here
1
1
here
1
--- no_error_log
[error]



=== TEST 2: no such name, and no answer
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local sock = ngx.socket.tcp()
            ngx.say(sock:connect("gone.test", 80))
            ngx.say(sock:connect("silent.test", 80))
            ngx.say(sock:connect("ok.test", $TEST_NGINX_RAND_PORT_1))
        }
    }
--- request
GET /t
--- response_body
nilgone.test could not be resolved (3: Host not found)
nilsilent.test could not be resolved (110: Operation timed out)
1
--- no_error_log
[alert]



=== TEST 3: while the resolver works: busy, killed, or given up with the request
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local sock = ngx.socket.tcp()
            local thread = ngx.thread.spawn(function ()
                return sock:connect("silent.test", 80)
            end)
            ngx.say(sock:connect("ok.test", $TEST_NGINX_RAND_PORT_1))
            ngx.say(ngx.thread.kill(thread))
            ngx.say(sock:connect("ok.test", $TEST_NGINX_RAND_PORT_1))
            for i = 1, 3 do
                ngx.thread.spawn(function ()
                    ngx.socket.tcp():connect("silent" .. i .. ".test", 80)
                end)
            end
            ngx.exit(200)
        }
    }
--- request
GET /t
--- response_body
nilsocket busy connecting
1
1
--- wait: 0.2
--- error_log
lua tcp socket abort resolver



=== TEST 4: a pool whose place is given back when a name is not found
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local opts = { pool = "names", pool_size = 1, backlog = 0 }
            local sock = ngx.socket.tcp()
            for i = 1, 2 do
                ngx.say(sock:connect("gone.test", 80, opts))
            end
            ngx.say(sock:connect("ok.test", $TEST_NGINX_RAND_PORT_1, opts))
            sock:close()
        }
    }
--- request
GET /t
--- response_body
nilgone.test could not be resolved (3: Host not found)
nilgone.test could not be resolved (3: Host not found)
1
--- no_error_log
[alert]
