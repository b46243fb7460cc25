# examples/async/nginx.conf does what its README says. The file is run as it is, but for the port. Its
# database locations are the matter of redis.t, memcached.t, mariadb.t and postgresql.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(sleep);
use AsyncExample;
use ProcessTest;

my $port   = ProcessTest::port();
my $server = AsyncExample::start($port);

# Asks and checks that the whole answer is there before the work behind it, of a second, is done.
sub answers_at_once {
    my ( $path, $says ) = @_;
    my $head = AsyncExample::answers_at_once( $server, $port, $path, $says );
    unlike $server->log_text('background.log'), qr/background: \Q$path\E is done/,
        "$path: the answer comes before that line";
    return $head;
}

my $head = answers_at_once('/async');
like $head, qr/^Connection: close\r$/m, '/async asks the client to close';
answers_at_once('/async-proxy-on');
answers_at_once('/timer');
$head = answers_at_once( '/async-proxy-off', 'accepted; there will be no outcome in' );
like $head, qr/^Connection: close\r$/m, '/async-proxy-off asks the client to close';

# A client that leaves before its answer, once the backend has the request.
{
    my $client = ProcessTest::connection($port);
    print {$client} "GET /wait-proxy-off HTTP/1.1\r\nHost: localhost\r\n\r\n";
    sleep 0.2;
    ok !IO::Select->new($client)->can_read(0), '/wait-proxy-off has not answered yet';
    close $client;
}

ok $server->wait_for_line( 'access.log', qr{^499 GET /wait-proxy-off$}m ),
    '/wait-proxy-off is logged with 499';
ok $server->wait_for_line( 'access.log', qr{^499 GET /async-proxy-off$}m ),
    '/async-proxy-off is logged with 499';

ok $server->wait_for_line( 'background.log',
    qr/\[notice\] .*background: \/async is done, the job answered 200 "42", client: "?127\.0\.0\.1/ ),
    '/async works on after its answer';
ok $server->wait_for_line( 'background.log',
    qr/background: \/async-proxy-on is done, the backend answered 200 "hello from the backend"/ ),
    '/async-proxy-on outlives its client';
ok $server->wait_for_line( 'background.log',
    qr/background: \/timer is done, the job's result is 42, context: ngx\.timer/ ),
    'the timer runs its job';
ok $server->wait_for_line( 'access.log', qr{^200 GET \Q$_\E$}m ), "$_ is logged with 200"
    for qw(/async /async-proxy-on /timer);

# All three wait for the same second of the backend: those that end with their client end first.
my ($order) = join ' ', $server->log_text('access.log') =~ m{^\d+ GET /(\S+-proxy-\S+)$}mg;
is $order, 'async-proxy-off wait-proxy-off async-proxy-on', 'they end in this order';

# The twin was asked after the other and its backend takes as long: wait for one more round of the
# backend, so that its line would be there.
ProcessTest::get( $port, '/backend' );
unlike $server->log_text('background.log'), qr/-off is done/, 'nothing goes on without its client';
like $server->log_text('background.log'),
    qr{\[info\] .*client (?:prematurely )?closed connection.* "GET \Q$_\E HTTP/1\.1"},
    "$_: the log tells why"
    for qw(/async-proxy-off /wait-proxy-off);

$server->stop;
unlike $server->log_text('error.log'), qr/\[(?:error|crit|alert|emerg)\]/, 'nothing went wrong';
unlike $server->log_text('background.log'), qr/\[(?:error|crit|alert|emerg)\]/,
    'nothing went wrong in a handler';

done_testing;
