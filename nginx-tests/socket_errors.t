# The lines about the errors of cosockets: to a lua-resty-core for 0.10.30 or later they name the server,
# in the same places as the C module.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use ProcessTest;
use RestyCore;

my $port     = ProcessTest::port();
my $tls_port = $port + 1;
my $closed   = $port + 2;
my $server   = ProcessTest->new;
my $cert     = ProcessTest::certs();
my $has_ipv6 = -s '/proc/net/if_inet6' ? 'true' : 'false';
my $long     = 'unix:/' . 'a' x 80;

sub start {
    my ($path) = @_;
    unlink $server->prefix . '/logs/error.log';
    $server->start( $server->write_http( <<"_EOC_" ) );
lua_package_path "$path";
reset_timedout_connection on;
lua_ssl_trusted_certificate $cert/ca.crt;
server {
    listen 127.0.0.1:$tls_port ssl;
    ssl_certificate $cert/test.crt;
    ssl_certificate_key $cert/test.key;
}
server {
    listen 127.0.0.1:$port;
    location = /base {
        content_by_lua_block { ngx.print(package.searchpath("resty.core.base", package.path)) }
    }
    location = /short { return 200 "short"; }
    # nginx resets the connection.
    location = /reset { return 444; }
    location = /errors {
        content_by_lua_block {
            local sock
            local function tcp(...)
                sock = ngx.socket.tcp()
                sock:settimeout(100)
                return sock:connect(...)
            end
            local function reset() sock:send("GET /reset HTTP/1.0\\r\\n\\r\\n") sock:receive() end
            tcp("127.0.0.1", $closed)
            tcp("unix:/nonexistent")
            tcp("$long")
            if $has_ipv6 then tcp("[fe80::1]", $closed) end
            sock = ngx.socket.tcp()
            sock:bind("192.0.2.1")
            sock:connect("127.0.0.1", $port)

            tcp("127.0.0.1", $port)
            reset()
            tcp("127.0.0.1", $port, { pool = "p" })
            sock:send("GET /short HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
            sock:receiveuntil("short")()
            assert(sock:setkeepalive())
            assert(sock:connect("elsewhere.test", 80, { pool = "p" }) and sock:getreusedtimes() == 1)
            reset()

            tcp("127.0.0.1", $tls_port)
            sock:sslhandshake(nil, "other.com", true)
            tcp("127.0.0.1", $port)
            sock:sslhandshake()
            tcp("127.0.0.1", $port)
            sock:receive()
            sock:close()
            sock:send("x")
            tcp("127.0.0.1", $port, { pool_size = 1, backlog = 1 })
            local holder = sock
            tcp("127.0.0.1", $port, { pool_size = 1, backlog = 1 })

            sock = ngx.socket.udp()
            sock:setpeername("127.0.0.1", $closed)
            sock:send("x")
            sock:receive()
            sock:settimeout(1)
            sock:receive()
            sock:send("x")
            ngx.sleep(0.01)
            sock:send("x")
            sock:setpeername("unix:/nonexistent")
            ngx.print("done")
        }
    }
}
_EOC_
}

sub body { my ( undef, undef, $body ) = ProcessTest::get( $port, $_[0] ); return $body }

# The lines about errors without what the request's log adds, and without reasons.
sub errors {
    is body('/errors'), 'done', 'the errors are made';
    my @lines = $server->log_text('error.log') =~ /\[(?:error|crit)\] \S+ \*\d+ (.*?), client: /g;
    s/ \((?:\d+:|SSL:) .*?\)(?=,|\z)//, s/ u:\w+, c:\w+// for @lines;
    return \@lines;
}

sub lines {
    my ($named) = @_;
    my $upstream = sub { $named ? ", upstream: $_[0]" : '' };
    my $ipv6 = $named ? 'connect() to [fe80::1] failed' : "connect() to [fe80::1]:$closed failed";
    $ipv6 .= $upstream->("[fe80::1]:$closed(fe80::1)");
    my $udp = $upstream->("127.0.0.1:$closed(127.0.0.1)");
    return [
        'connect() failed',
        'connect() to unix:/nonexistent failed' . $upstream->('unix:/nonexistent(unix:/nonexistent)'),
        "connect() to $long failed" . $upstream->( 'unix:/' . 'a' x 22 . "...($long)" ),
        $has_ipv6 eq 'true' ? $ipv6 : (),
        'bind(192.0.2.1) failed' . $upstream->("127.0.0.1:$port(127.0.0.1)"),
        'recv() failed',
        'recv() failed' . $upstream->("127.0.0.1:$port(127.0.0.1)"),
        'lua ssl certificate does not match host "other.com"' . $upstream->("127.0.0.1:$tls_port(127.0.0.1)"),
        'SSL_do_handshake() failed',
        'lua tcp socket read timed out' . $upstream->("127.0.0.1:$port(127.0.0.1)"),
        'attempt to send data on a closed socket:, ft:0 eof:0',
        "lua tcp socket queued connect timed out, when trying to connect to 127.0.0.1:$port",
        "recv() failed$udp", "lua udp socket read timed out$udp", "send() failed$udp",
        'connect() failed' . $upstream->('unix:/nonexistent(unix:/nonexistent)'),
    ];
}

start(';;');
my $base = body('/base');
RestyCore::needs_first_release( $server, $base );
is_deeply errors(), lines(0), '0.10.23: lines do not name the server';
$server->stop;

start( RestyCore::copy( $server, 'newer', $base, RestyCore::asking( 10030, '0.10.30' ) ) );
is_deeply errors(), lines(1), '0.10.30: lines name the server';
$server->stop;

done_testing;
