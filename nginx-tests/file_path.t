# A file of code whose path is relative costs memory of the request only.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use ProcessTest;

# kB by which the worker's resident memory may grow: half of what the paths take together.
my ( $REQUESTS, $LENGTH ) = ( 4000, 3000 );
my $GROWTH = $REQUESTS * $LENGTH / 1024 / 2;

my $port   = ProcessTest::port();
my $server = ProcessTest->new;
my $path   = './' x ( $LENGTH / 2 ) . 'said.lua';
$server->write_file( 'said.lua', 'ngx.say(ngx.worker.pid())' );
$server->start( $server->write_http(<<"_EOC_") );
    server {
        listen 127.0.0.1:$port;
        keepalive_requests 100000;
        location / { content_by_lua_file $path; }
    }
_EOC_

sub ask {
    my ($times) = @_;
    for ( 1 .. $times / 100 ) {
        my @requests = ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") x 99;
        my $answers = ProcessTest::talk( $port, @requests, "GET / HTTP/1.0\r\n\r\n" );
        return fail('all requests are answered') if ( () = $answers =~ m{^HTTP/1\.1 200 OK$}mg ) != 100;
    }
    return;
}

my ( undef, undef, $worker ) = ProcessTest::get( $port, '/' );
chomp $worker;

sub resident {
    return ProcessTest::slurp("/proc/$worker/status") =~ /^VmRSS:\s+(\d+) kB/m ? $1 : die "no VmRSS of $worker";
}

ask(1000);
my $before = resident();
ask($REQUESTS);
my $after = resident();
cmp_ok $after - $before, '<', $GROWTH, "the worker's resident memory: $before kB became $after kB";

$server->stop;
unlike $server->log_text('error.log'), qr/\[(?:error|crit|alert|emerg)\]/, 'nothing is wrong';

done_testing;
