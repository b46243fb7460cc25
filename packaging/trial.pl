#!/usr/bin/perl
# Installs the package over the C module of a running site, and goes back, in the root directory of a Debian
# that is there for this alone (cargo xtask ci --only packages). Needs no more than perl-base. Prints TAP.
#
# usage: trial.pl PACKAGE.deb PORT

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;

my ( $deb, $port ) = @ARGV;
my $OURS     = 'libnginx-mod-http-lua-rust';
my $THEIRS   = 'libnginx-mod-http-lua';
my $ENABLED  = '/etc/nginx/modules-enabled';
my $SITE     = '/etc/nginx/conf.d/trial.conf';
my $PATIENCE = 20;
my $checks   = 0;

$ENV{DEBIAN_FRONTEND} = 'noninteractive';
$ENV{PATH}            = '/usr/sbin:/usr/bin:/sbin:/bin';
$ENV{LC_ALL}          = 'C';

sub ok {
    my ( $passed, $name, $why ) = @_;
    $checks++;
    print $passed ? "ok $checks - $name\n" : "not ok $checks - $name\n";
    print map {"# $_\n"} split /\n/, $why if !$passed && defined $why;
}

sub like {
    my ( $found, $pattern, $name ) = @_;
    ok( scalar( $found =~ $pattern ), $name, $found );
}

sub is {
    my ( $found, $wanted, $name ) = @_;
    ok( $found eq $wanted, $name, "found $found\nwanted $wanted" );
}

# The exit status and the output of a command.
sub run {
    my $output = qx{@_ 2>&1 </dev/null};
    return ( $? >> 8, $output );
}

sub succeeds {
    my ( $name, @command ) = @_;
    my ( $status, $output ) = run(@command);
    ok( $status == 0, $name, $output );
    return $output;
}

sub apt { return ( 'apt-get -q -y --no-install-recommends', @_ ) }

sub write_file {
    my ( $path, $text, $mode ) = @_;
    open my $out, '>', $path or die "$path: $!";
    print {$out} $text;
    close $out or die "$path: $!";
    chmod $mode, $path if $mode;
}

sub slurp {
    my ($path) = @_;
    open my $in, '<', $path or return '';
    local $/;
    return readline($in) // '';
}

# Which module answers; what else came.
sub ask {
    my $socket = IO::Socket::INET->new( PeerAddr => '127.0.0.1', PeerPort => $port ) or return "connect: $!";
    print {$socket} "GET / HTTP/1.0\r\n\r\n";
    my $answer = '';
    while ( IO::Select->new($socket)->can_read($PATIENCE) ) {
        sysread( $socket, $answer, 4096, length $answer ) or last;
    }
    return $answer =~ m{^HTTP/1\.1 200 .*\r\n\r\n(C|Rust)\n\z}s ? $1 : "answer: $answer";
}

sub wait_for {
    my ( $wanted, $name ) = @_;
    my $found;
    for ( 1 .. $PATIENCE * 10 ) {
        $found = ask();
        last if $found eq $wanted;
        select undef, undef, undef, 0.1;
    }
    is( $found, $wanted, $name );
}

# A process that sends one request after the other, until the pipe is closed; then how often each came.
sub start_requests {
    pipe my $until,  my $stop   or die "pipe: $!";
    pipe my $report, my $result or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if ( $pid == 0 ) {
        close $stop;
        my %times;
        $times{ ask() =~ s/\n/ /gr }++ until IO::Select->new($until)->can_read(0.005);
        print {$result} map {"$_ $times{$_}\n"} sort keys %times;
        exit 0;
    }
    close $result;
    return { stop => $stop, report => $report };
}

sub end_requests {
    my ($requests) = @_;
    close $requests->{stop};
    my $report = $requests->{report};
    return join '', readline $report;
}

sub state_of {
    my ($package) = @_;
    my ( $status, $output ) = run("dpkg-query -W -f '\${db:Status-Status}' $package");
    return $status == 0 ? $output : 'not-installed';
}

sub enabled { return join ' ', sort map {s{.*/}{}r} grep {/lua/} glob "$ENABLED/*" }
sub pid     { return slurp('/run/nginx.pid') =~ /^(\d+)$/ ? $1 : 0 }

# Whether maintainer scripts may start and stop servers here.
sub allow_servers {
    my ($allowed) = @_;
    write_file( '/usr/sbin/policy-rc.d', "#!/bin/sh\nexit " . ( $allowed ? 0 : 101 ) . "\n", 0755 );
}

# A site under the C module, as it runs before.
allow_servers(0);
succeeds( 'package lists', 'apt-get -q update' );
succeeds( 'nginx and the C module', apt("install nginx $THEIRS") );
allow_servers(1);
unlink '/etc/nginx/sites-enabled/default';
my $site = <<"_EOC_";
init_by_lua_block { which = ngx.config.ngx_rust_version and "Rust" or "C" }
server {
    listen 127.0.0.1:$port;
    access_log off;
    location / {
        content_by_lua_block { require "resty.core" ngx.say(which) }
    }
}
_EOC_
write_file( $SITE, $site );
succeeds( 'nginx starts', '/usr/sbin/nginx' );
wait_for( 'C', 'the C module answers' );

# This module takes its place.
{
    my $requests = start_requests();
    my $before   = pid();
    my $said     = succeeds( 'the package is installed', apt("install $deb") );
    like( $said, qr/^Restarting nginx: a reload would keep the Lua module/m, 'it says that nginx is restarted, and why' );
    wait_for( 'Rust', 'this module answers' );
    ok( pid() != $before, 'in another process' );
    my $report = end_requests($requests);
    like( $report, qr/\AC \d+\nRust \d+\n\z/, 'no request has failed' );
    is( state_of($THEIRS), 'config-files', 'the C module is removed' );
    is( state_of('lua-resty-core'), 'installed', 'lua-resty-core stays' );
    is( enabled(), "50-mod-http-lua-rust.conf 50-mod-http-lua.conf.removed", 'one of the two is enabled' );
    succeeds( 'no dependency is broken', 'apt-get check' );
    succeeds( 'the C module is purged', "dpkg --purge $THEIRS" );
    is( enabled(), '50-mod-http-lua-rust.conf', 'which leaves this one enabled' );
    succeeds( 'and nginx in order', 'nginx -t' );
}

# With a configuration that nginx would not start with, the site goes on.
{
    my $before = pid();
    write_file( $SITE, "no_such_directive;\n$site" );
    my $said = succeeds( 'the package is installed once more', apt("install --reinstall $deb") );
    like( $said, qr/^nginx goes on with the Lua module that it has loaded/m, 'it says that nginx goes on' );
    is( pid(), $before, 'it is the same nginx' );
    is( ask(), 'Rust', 'which answers' );
    write_file( $SITE, $site );
}

# And back.
{
    my $said = succeeds( 'the C module is installed again', apt("install $THEIRS") );
    like( $said, qr/^A running nginx keeps the Lua module that it has loaded/m, 'the package says that nginx keeps it' );
    is( state_of($OURS), 'config-files', 'this module is removed' );
    is( ask(), 'Rust', 'the running nginx goes on with it' );
    succeeds( 'nginx is restarted', 'invoke-rc.d nginx restart' );
    wait_for( 'C', 'the C module answers' );
    succeeds( 'this module is purged', "dpkg --purge $OURS" );
    is( enabled(), '50-mod-http-lua.conf', 'the C module is enabled, and nothing is left' );
    is( join( ' ', grep {-e} glob "/usr/share/nginx/modules-available/*rust* /usr/share/doc/$OURS" ), '', 'nowhere' );
    succeeds( 'nginx is in order', 'nginx -t' );
}
print "1..$checks\n";
