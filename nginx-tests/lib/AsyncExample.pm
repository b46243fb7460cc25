package AsyncExample;

# examples/async as it is, but for its ports, on an nginx of the test's own.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use Test::More;

use ProcessTest;

my $DIRECTORY = abs_path( dirname(__FILE__) . '/../../examples/async' );

sub directory { return $DIRECTORY }

# Starts it on $port; %moved are ports in the file and what takes their place.
sub start {
    my ( $port, %moved ) = @_;
    my $server = ProcessTest->new;
    my $conf   = ProcessTest::slurp("$DIRECTORY/nginx.conf");
    my $ports  = join '|', 8088, keys %moved;
    $moved{8088} = $port;
    $conf =~ s/\b($ports)\b/$moved{$1}/g;
    symlink "$DIRECTORY/lua", $server->prefix . '/lua' or die "symlink: $!";
    $server->start( $server->write_file( 'nginx.conf', $conf ) );
    return $server;
}

# Asks and checks the whole answer; returns its head.
sub answers_at_once {
    my ( $server, $port, $path, $says ) = @_;
    $says //= 'accepted; the outcome will be in';
    my ( $status, $head, $body ) = ProcessTest::get( $port, $path );
    is $status, 200, "$path answers";
    is $body, "$says " . $server->prefix . "/logs/background.log\n", "$path names the log file";
    return $head;
}

# Checks a database's location, which the file has on $standard_port, while $service runs, which lets
# its job tell $holds, and after that.
sub database_job {
    my ( $port, $path, $holds, $standard_port, $service ) = @_;
    my $server = start( $port, $standard_port => $service->{port} );
    my $head = answers_at_once( $server, $port, $path );
    like $head, qr/^Connection: close\r$/m, "$path asks the client to close";
    ok $server->wait_for_line( 'background.log',
        qr/\[notice\] .*background: \Q$path\E is done, \Q$holds\E, client: "?127\.0\.0\.1/ ),
        "$path works on after its answer";
    $service->stop;
    answers_at_once( $server, $port, $path );
    ok $server->wait_for_line( 'background.log',
        qr/background: \Q$path\E is not done, connect to 127\.0\.0\.1:\d+: connection refused, client:/ ),
        "$path tells that its server is gone";
    $server->stop;
    unlike $server->log_text($_), qr/\[(?:error|crit|alert|emerg)\]/, "$path: nothing else in $_"
        for qw(error.log background.log);
}

1;
