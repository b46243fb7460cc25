# TLS on cosockets against servers that reset, stay silent, drip, stop half-way or send garbage, in a
# handshake and behind one: each is the error that it should be, the worker goes on and keeps nothing.
# The test itself is the server, or stands between the module and nginx's own.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_LINGER SHUT_WR IPPROTO_TCP TCP_NODELAY);
use Test::More;
use Time::HiRes qw(sleep time);
use ProcessTest;

my $port     = ProcessTest::port();
my $tls_port = $port + 1;
my $server   = ProcessTest->new;
my $certs    = ProcessTest::certs();
my $listener = IO::Socket::INET->new( Listen => 20, LocalAddr => '127.0.0.1', LocalPort => $port + 2, ReuseAddr => 1, Timeout => 20 )
    or die "listen: $!";

my $conf = $server->write_file( 'nginx.conf', <<"_EOC_");
pid        logs/nginx.pid;
error_log  logs/error.log info;
# One answers while the other is kept in a handshake that does not yield.
worker_processes 2;
events {
}
http {
    access_log off;
    ssl_certificate $certs/test.crt;
    ssl_certificate_key $certs/test.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    lua_ssl_protocols TLSv1.2 TLSv1.3;
    server {
        listen 127.0.0.1:$tls_port ssl;
        location / { return 200 "answer\\n"; }
    }
    server {
        listen 127.0.0.1:$port;
        location = /pid {
            content_by_lua_block { ngx.say(ngx.worker.pid()) }
        }
        location = /shake {
            lua_http10_buffering off;
            lua_ssl_trusted_certificate $certs/ca.crt;
            content_by_lua_block {
                local args = ngx.req.get_uri_args()
                local sock = ngx.socket.tcp()
                sock:settimeout(tonumber(args.timeout) or 10000)
                assert(sock:connect("127.0.0.1", args.port))
                local session, err = sock:sslhandshake(nil, "test.com", true, args.status ~= nil)
                if not session then
                    return ngx.say(err, "; ", (select(2, sock:send("x"))))
                end
                if args.wait then
                    ngx.say("shaken")
                    ngx.flush(true)
                    ngx.sleep(0.2)
                end
                local bytes, err = sock:send("GET / HTTP/1.0\\r\\n\\r\\n")
                if not bytes then return ngx.say("sent: ", err) end
                local answer, err, part = sock:receive("*a")
                if answer then return ngx.say(answer:match("answer") or "received: " .. answer) end
                ngx.say("received: ", err, ", ", #part)
            }
        }
        # A handshake on a socket that blocks is over at once.
        location = /at_once {
            content_by_lua_block {
                local ffi = require "ffi"
                ffi.cdef[[
                    int ngx_http_lua_ffi_socket_tcp_hack_fd(void *u, int fd, unsigned char *err,
                        size_t *errlen);
                    int fcntl(int fd, int cmd, ...);
                ]]
                for _, session in ipairs{ false, true } do
                    for _, verify in ipairs{ false, true } do
                        local sock = ngx.socket.tcp()
                        assert(sock:connect("127.0.0.1", ngx.var.arg_port))
                        local fd = ffi.C.ngx_http_lua_ffi_socket_tcp_hack_fd(sock[1], -1, nil, nil)
                        ffi.C.fcntl(fd, 4, ffi.new("int", 0))
                        local result, err = sock:sslhandshake(session, "test.com", verify)
                        ngx.say(type(result), " ", err)
                        sock:close()
                    end
                end
            }
        }
        location = /killed {
            content_by_lua_block {
                for i = 1, 3 do
                    local thread = ngx.thread.spawn(function()
                        local sock = ngx.socket.tcp()
                        assert(sock:connect("127.0.0.1", ngx.var.arg_port))
                        sock:sslhandshake()
                    end)
                    ngx.sleep(0.02 * i)
                    assert(ngx.thread.kill(thread))
                end
                ngx.say("killed")
            }
        }
    }
}
_EOC_
$server->start($conf);

# A request to the module, not yet answered, and its connection to the test.
sub shake {
    my ($arguments) = @_;
    my $client = ProcessTest::connection($port);
    my $query = join '&', 'port=' . $listener->sockport, $arguments // ();
    print {$client} "GET /shake?$query HTTP/1.0\r\n\r\n";
    my $peer = $listener->accept or die "accept: $!";
    $peer->setsockopt( IPPROTO_TCP, TCP_NODELAY, 1 );
    return ( $client, $peer );
}

# What the module makes of it.
sub outcome {
    my ($client) = @_;
    my $answer = '';
    1 while sysread $client, $answer, 4096, length $answer;
    return $answer =~ /\r\n\r\n(?:shaken\n)?(.*)\n\z/s ? $1 : $answer;
}

sub hello {
    my ($peer) = @_;
    my $bytes = '';
    sysread $peer, $bytes, 4096;
    return $bytes;
}

sub reset_connection {
    my ($peer) = @_;
    setsockopt $peer, SOL_SOCKET, SO_LINGER, pack( 'ii', 1, 0 );
    close $peer;
}

# Carries bytes between the module and nginx's server, at most $piece at once; ends where either side
# closes, once $limit bytes have come from the server, or once $until can be read. Returns the number
# of bytes that have come from the server.
sub relay {
    my ( $peer, %how ) = @_;
    # The module has begun its handshake before a worker has to answer it.
    IO::Select->new($peer)->can_read(10);
    my $upstream = ProcessTest::connection($tls_port);
    $upstream->setsockopt( IPPROTO_TCP, TCP_NODELAY, 1 );
    my ( $select, $count ) = ( IO::Select->new( $peer, $upstream ), 0 );
    my $piece = $how{piece} || 65536;
    $select->add( $how{until} // () );
    while ( my @ready = $select->can_read(20) ) {
        return $count if $how{until} && grep { $_ == $how{until} } @ready;
        for my $from (@ready) {
            my $limit = $piece;
            $limit = $how{limit} - $count if defined $how{limit} && $from == $upstream && $how{limit} - $count < $piece;
            my $read = sysread( $from, my $bytes, $limit );
            return $count if !$read;
            syswrite $from == $peer ? $upstream : $peer, $bytes;
            $count += $read if $from == $upstream;
            return $count if defined $how{limit} && $count >= $how{limit};
        }
    }
    return $count;
}

my $failed = 'handshake failed; closed';

my %servers = (
    'resets after the hello'  => sub { hello( $_[0] ); reset_connection( $_[0] ) },
    'closes at once'          => sub { close $_[0] },
    'closes after the hello'  => sub { hello( $_[0] ); close $_[0] },
    'says no more'            => sub { hello( $_[0] ); shutdown $_[0], SHUT_WR },
    'sends text'              => sub { hello( $_[0] ); syswrite $_[0], "HTTP/1.1 400 Bad Request\r\n\r\n" },
    'sends zeros'             => sub { hello( $_[0] ); syswrite $_[0], "\0" x 20_000 },
    'sends ones'              => sub { hello( $_[0] ); syswrite $_[0], "\xff" x 20_000 },
    'sends a record of junk'  => sub { hello( $_[0] ); syswrite $_[0], "\x16\x03\x03\x00\x40" . "\x5a" x 64 },
    'sends too large a one'   => sub { hello( $_[0] ); syswrite $_[0], "\x16\x03\x03\xff\xff" . "\x02" x 65_535 },
    'sends data of no session' => sub { hello( $_[0] ); syswrite $_[0], "\x17\x03\x03\x00\x10" . "\x01" x 16 },
    'sends an alert'          => sub { hello( $_[0] ); syswrite $_[0], "\x15\x03\x03\x00\x02\x02\x28" },
    'sends back what it gets' => sub { syswrite $_[0], hello( $_[0] ) },
);
for my $name ( sort keys %servers ) {
    my ( $client, $peer ) = shake();
    $servers{$name}->($peer);
    is outcome($client), $failed, "a server $name";
}

{
    my ( $client, $peer ) = shake('timeout=100');
    is outcome($client), 'timeout; closed', 'a server that is silent';
    ( $client, $peer ) = shake('timeout=100');
    syswrite $peer, "\x16\x03";
    is outcome($client), 'timeout; closed', 'a server that begins to speak';
}
{
    my ( $client, $peer ) = shake();
    unlike hello($peer), qr/\x00\x05\x00\x05\x01\x00\x00\x00\x00/, 'a status is not asked for';
    close $peer;
    outcome($client);
    ( $client, $peer ) = shake('status=1');
    like hello($peer), qr/\x00\x05\x00\x05\x01\x00\x00\x00\x00/, 'unless it is wanted';
    close $peer;
    outcome($client);
}

my $handshake;
{
    my ( $client, $peer ) = shake();
    relay($peer);
    close $peer;
    is outcome($client), 'answer', 'a server behind a relay';
    ( $client, $peer ) = shake();
    relay( $peer, piece => 1 );
    close $peer;
    is outcome($client), 'answer', 'a server that drips';
    # The handshake alone: the module waits a little then.
    ( $client, $peer ) = shake('wait=1');
    $handshake = relay( $peer, until => $client );
    reset_connection($peer);
    like outcome($client), qr/^(?:sent|received): (?:connection reset by peer|broken pipe|closed)/,
        'a server that resets behind the handshake';
}
for my $cut ( 1, 4, 5, 6, 60, 130, 200, 400, 600 ) {
    my ( $client, $peer ) = shake();
    relay( $peer, limit => $cut );
    close $peer;
    is outcome($client), $failed, "a server that ends $cut bytes into the handshake";
}
{
    my ( $client, $peer ) = shake('wait=1');
    relay( $peer, until => $client );
    close $peer;
    like outcome($client), qr/^(?:received: |received: connection reset by peer, 0|sent: .*)$/,
        'one that closes behind it';
    ( $client, $peer ) = shake('wait=1');
    relay( $peer, until => $client );
    syswrite $peer, "\x17\x03\x03\x00\x20" . "\x77" x 32;
    is outcome($client), 'received: error, 0', 'one that sends what cannot be read';
    ( $client, $peer ) = shake('wait=1');
    relay( $peer, until => $client );
    syswrite $peer, "\x17\x03\x03\x40\x00" . "\x77" x 32;
    close $peer;
    like outcome($client), qr/^sent: |^received: (?:(?:error|connection reset by peer), 0)?$/, 'one that stops in a record';
    ( $client, $peer ) = shake();
    relay( $peer, limit => $handshake + 60 );
    close $peer;
    like outcome($client), qr/^received: (?:(?:error|connection reset by peer), 0)?$/, 'or in the answer';
}

{
    my $client = ProcessTest::connection($port);
    print {$client} "GET /at_once?port=@{[ $listener->sockport ]} HTTP/1.0\r\n\r\n";
    relay( $listener->accept // last ) for 1 .. 4;
    my $refused = 'nil 20: unable to get local issuer certificate';
    is outcome($client), "boolean nil\n$refused\ncdata nil\n$refused", 'handshakes that are over at once';
}
{
    my ( undef, undef, $body ) = ProcessTest::get( $port, "/killed?port=@{[ $listener->sockport ]}" );
    is $body, "killed\n", 'threads that are killed in a handshake';
    my $closed = 0;
    for ( 1 .. 3 ) {
        my $peer = $listener->accept or last;
        hello($peer);
        $closed++ if IO::Select->new($peer)->can_read(10) && !sysread( $peer, my $bytes, 1 );
    }
    is $closed, 3, 'have their connections closed';
}

# What the workers hold open beside what they had to begin with.
sub sockets {
    return scalar grep { ( readlink // '' ) =~ /^socket:/ } map { glob "/proc/$_/fd/*" } ProcessTest::children( $server->pid );
}
my $before = sockets();
for ( 1 .. 20 ) {
    my ( $client, $peer ) = shake();
    ( values %servers )[ $_ % keys %servers ]->($peer);
    outcome($client);
}
ok ProcessTest::wait_until( sub { sockets() <= $before } ), 'no connection is left';

# Workers that are told to leave, in a handshake.
my @waiting = map { [ shake('timeout=500') ] } 1 .. 6;
my @workers = ProcessTest::children( $server->pid );
my $master  = $server->pid;
kill QUIT => $master;
is outcome( $_->[0] ), 'timeout; closed', 'QUIT: a handshake ends in its time' for @waiting;
ok ProcessTest::wait_until(
    sub { !grep { ProcessTest::is_running($_) } @workers, $master }
    ),
    'QUIT: the workers leave';
unlike $server->log_text('error.log'), qr/\[(?:alert|emerg)\]|exited on signal/, 'in silence';

$server->start($conf);
@waiting = map { [ shake('timeout=60000') ] } 1 .. 6;
( $master, @workers ) = ( $server->pid, ProcessTest::children( $server->pid ) );
kill TERM => $master;
ok ProcessTest::wait_until(
    sub { !grep { ProcessTest::is_running($_) } @workers, $master }
    ),
    'TERM: the workers leave';
unlike $server->log_text('error.log'), qr/\[(?:alert|emerg)\]|exited on signal/, 'in silence';

done_testing();
