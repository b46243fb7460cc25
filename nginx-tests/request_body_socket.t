# ngx.req.socket on bodies of each kind: chunks of HTTP/1.1, streams of HTTP/2 and, where this nginx has it, HTTP/3.
# Many at once, a reader that is slower than its client, a reload and a worker that exits in the middle.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use HttpClient;
use HttpVersions;
use ProcessTest;

plan skip_all => 'for this module only'
    if ( $ENV{TEST_NGINX_LOAD_MODULES} // '' ) =~ m{/nginx/modules/ngx_http_lua_module};

my $plain  = ProcessTest::port();
my $server = HttpVersions::server('h1');
my $has_h3 = ( $server->run( '/dev/null', '-V' ) )[1] =~ /http_v3_module/;
my %ports  = ( h1 => $plain + 1, h2 => $plain + 2, $has_h3 ? ( h3 => $plain + 3 ) : () );
my $listen = join "\n", map { HttpVersions::listen_lines( $_, $ports{$_} ) } sort keys %ports;
my $many   = $has_h3 ? 'http3_max_concurrent_streams 1000;' : '';
my $conf   = $server->write_file( 'nginx.conf', <<"_EOC_");
pid        logs/nginx.pid;
error_log  logs/error.log info;
worker_processes 1;
worker_shutdown_timeout 10s;
events {
    worker_connections 4096;
}
http {
    access_log off;
    http2_max_concurrent_streams 1000;
    keepalive_requests 100000;
    client_max_body_size 0;
    lua_shared_dict seen 1m;
    $many
    server {
        listen 127.0.0.1:$plain;
        $listen
        location = /whole {
            content_by_lua_block {
                local socket = assert(ngx.req.socket())
                local length = assert(socket:receive("*l"))
                ngx.shared.seen:incr(ngx.var.arg_n or "begun", 1, 0)
                local data = assert(socket:receive(tonumber(length)))
                ngx.print(#data, " ", select(2, socket:receive(1)))
            }
        }
        location = /slow {
            content_by_lua_block {
                local socket = assert(ngx.req.socket())
                assert(socket:receive(1))
                ngx.sleep(0.3)
                local taken, all = tonumber(ngx.var.request_length), 1
                repeat
                    local data, err = socket:receiveany(100000)
                    all = all + #(data or "")
                until not data
                ngx.print(taken < 1000000 and "little" or taken, " ", all)
            }
        }
        location = /discarded {
            content_by_lua_block {
                ngx.req.discard_body()
                ngx.print(select(2, ngx.req.socket()))
            }
        }
        location = /seen { content_by_lua_block { ngx.print(ngx.shared.seen:get(ngx.var.arg_n) or 0) } }
        location = /worker { content_by_lua_block { ngx.print(ngx.worker.pid()) } }
    }
}
_EOC_
$server->start($conf);

sub body { return ( ProcessTest::get( $plain, $_[0] ) )[2] }

sub begin {
    my ( $version, $path, %more ) = @_;
    my %request = ( method => 'POST', path => $path, %more );
    return HttpClient::start( protocol => $version, address => "127.0.0.1:$ports{$version}", requests => [ \%request ] );
}

sub answer { return HttpVersions::shown( HttpClient::finish( $_[0] ) ) }

for my $version ( sort keys %ports ) {
    my ( $requests, $parallel ) = $version eq 'h1' ? ( 100, 1 ) : ( 1000, 1000 );
    my %request = ( method => 'POST', path => "/whole?n=$version", body => [ "6\nabc", 'def' ], pause => 10 );
    my $outcome = HttpClient::talk(
        protocol => $version,
        address  => "127.0.0.1:$ports{$version}",
        parallel => $parallel,
        patience => 60_000,
        requests => [ map { {%request} } 1 .. $requests ]
    );
    is scalar( grep { ( $_->{body} // '' ) eq '6 closed' } @{ $outcome->{answers} } ), $requests,
        "$version: $requests bodies";
    is body("/seen?n=$version"), $requests, '… each of which has begun';

    is answer( begin( $version, '/slow', body => [ ( 'x' x 100_000 ) x 80 ] ) ), '200 little 8000000',
        "$version: a slow reader slows the client down";
}

# Only the stream tells that nginx drops its body.
is answer( begin( 'h2', '/discarded', body => [ 'abc', 'def' ], pause => 100 ) ), '200 request body discarded',
    'h2: a body that was discarded';

# Connections of HTTP/1.1 side by side.
my @open = map { ProcessTest::connection( $ports{h1} ) } 1 .. 1000;
my $head = "POST /whole?n=side HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
print {$_} $head, "4\r\n6\nab\r\n" for @open;
ok ProcessTest::wait_until( sub { body('/seen?n=side') == 1000 } ), 'h1: 1000 bodies at once';
print {$_} "2\r\ncd\r\n2\r\nef\r\n0\r\n\r\n" for @open;
is scalar( grep { my $socket = $_; local $/; <$socket> =~ /6 closed/ } @open ), 1000, '… each of which is read';
close $_ for @open;

# A reload, then the end of the worker, while the client still sends.
for my $version ( sort keys %ports ) {
    my $worker = body('/worker');
    my $client = begin( $version, "/whole?n=reload-$version", body => [ "6\nabc", 'def' ], pause => 1500 );
    ok ProcessTest::wait_until( sub { body("/seen?n=reload-$version") } ), "$version: the body has begun";
    kill HUP => $server->pid;
    ok ProcessTest::wait_until( sub { body('/worker') ne $worker } ), '… and another worker serves';
    is answer($client), '200 6 closed', '… and the old one reads the rest';
    # The end of a QUIC connection may reach the new worker instead.
    ok $version eq 'h3' || ProcessTest::wait_until( sub { !ProcessTest::is_running($worker) } ), '… before it leaves';
}
for my $version ( sort keys %ports ) {
    my $client = begin( $version, "/whole?n=end-$version", body => [ "6\nabc", 'def' ], pause => 60_000 );
    ok ProcessTest::wait_until( sub { body("/seen?n=end-$version") } ), "$version: the body has begun";
    my ($worker) = ProcessTest::children( $server->pid );
    kill TERM => $worker;
    ok ProcessTest::wait_until( sub { !ProcessTest::is_running($worker) } ), '… and its worker ends';
    close $client->{in};
    kill KILL => $client->{pid};
    waitpid $client->{pid}, 0;
}

$server->stop;
my $log = $server->log_text('error.log');
unlike $log, qr/\[(?:alert|emerg|crit)\]|exited on signal/, 'no alarm';
# A worker that is terminated closes HTTP/3's connections; the code may hear of it.
unlike $log =~ s/^.*\[error\] .*: client aborted\b.*\n//mgr, qr/\[error\]/, 'no other error';

done_testing;
