# lua_log_level: the levels of time-outs of cosockets, and of clients that leave; inherited, and refused.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use Test::More;

use ProcessTest;

plan skip_all => 'the C module has no lua_log_level'
    if ( $ENV{TEST_NGINX_LOAD_MODULES} // '' ) =~ m{/nginx/modules/ngx_http_lua_module};

my $port  = ProcessTest::port();
my $nginx = ProcessTest->new;

my $code = <<'_EOC_';
content_by_lua_block {
    local function connected(options)
        local sock = ngx.socket.tcp()
        sock:settimeouts(50, 50, 50)
        assert(sock:connect("127.0.0.1", PORT, options))
        return sock
    end
    ngx.say(select(2, connected():receive()))
    -- A pool of one, and a connect that waits for it.
    local options = { pool_size = 1, backlog = 1, pool = ngx.var.uri }
    local first = connected(options)
    local second = ngx.socket.tcp()
    second:settimeouts(50, 50, 50)
    ngx.say(select(2, second:connect("127.0.0.1", PORT, options)))
    first:close()
    local sock = connected()
    local sent, why = sock:send(("x"):rep(20000000))
    ngx.say(why)
    local udp = ngx.socket.udp()
    udp:settimeout(50)
    udp:setpeername("127.0.0.1", PORT)
    ngx.say(select(2, udp:receive()))
}
_EOC_
# A server that takes connections, and neither reads nor writes.
my $silent = IO::Socket::INET->new( Listen => 20, LocalAddr => '127.0.0.1', ReuseAddr => 1 ) or die $!;
my $deaf   = IO::Socket::INET->new( Proto => 'udp', LocalAddr => '127.0.0.1', LocalPort => $silent->sockport ) or die $!;
my $silent_port = $silent->sockport;
$code =~ s/PORT/$silent_port/g;

my $abort = 'lua_check_client_abort on; content_by_lua_block { ngx.sleep(20) }';
sub http {
    my ($directives) = @_;
    return <<"_EOC_";
error_log logs/error.log info;
$directives
server {
    listen 127.0.0.1:$port;
    location = /as_outside { $code }
    location = /inside { lua_log_level timeout=notice; $code }
    location = /off { lua_socket_log_errors off; $code }
    location = /abort { $abort }
    location = /abort_inside { lua_log_level abort=warn timeout=debug; $abort }
}
_EOC_
}

my @lines = ( 'lua tcp socket read timed out', 'lua tcp socket queued connect timed out', 'lua tcp socket write timed out',
    'lua udp socket read timed out' );

# How often each level has each line for a path.
sub levels {
    my ($path) = @_;
    $nginx->write_file( 'logs/error.log', '' );
    is ProcessTest::talk( $port, "GET $path HTTP/1.0\r\n\r\n" ) =~ s/.*?\n\n//sr, "timeout\n" x 4, "$path: time-outs";
    my $text = $nginx->log_text('error.log');
    return [ map { $text =~ /\[(\w+)\] \d+#\d+: \*\d+ \Q$_\E/ ? $1 : 'none' } @lines ];
}

sub abort_level {
    my ($path) = @_;
    $nginx->write_file( 'logs/error.log', '' );
    my $client = ProcessTest::connection($port);
    print {$client} "GET $path HTTP/1.0\r\n\r\n";
    select undef, undef, undef, 0.2;
    close $client;
    my $line = qr/\[(\w+)\] \d+#\d+: \*\d+ client prematurely closed connection/;
    $nginx->wait_for_line( 'error.log', $line ) or return 'none';
    return $nginx->log_text('error.log') =~ $line ? $1 : 'none';
}

$nginx->start( $nginx->write_http( http('') ) );
is_deeply levels('/as_outside'), [ ('error') x 4 ],  'as the C module does it';
is_deeply levels('/inside'),     [ ('notice') x 4 ], 'as the location says';
is_deeply levels('/off'),        [ ('none') x 4 ],   'lua_socket_log_errors off';
is abort_level('/abort'), 'info', 'a client that leaves, as the C module does it';
is abort_level('/abort_inside'), 'warn', '… and as the location says';
$nginx->stop;

$nginx->start( $nginx->write_http( http('lua_log_level timeout=info; lua_log_level abort=notice;') ) );
is_deeply levels('/as_outside'), [ ('info') x 4 ],   'inherited';
is_deeply levels('/inside'),     [ ('notice') x 4 ], 'or not';
is abort_level('/abort'), 'notice', 'the other kind, too';
$nginx->stop;

for (
    [ 'timeout=often',           'invalid parameter "timeout=often", it must end in a level of error_log' ],
    [ 'timeout',                 'invalid parameter "timeout", it must end in a level of error_log' ],
    [ 'lateness=info',           'invalid parameter "lateness=info", it must be timeout=LEVEL or abort=LEVEL' ],
    [ 'abort=warn abort=notice', '"lua_log_level" directive is duplicate' ],
) {
    my ( $words, $says ) = @$_;
    my ( $status, $said ) = $nginx->run( $nginx->write_http("lua_log_level $words;\n"), '-t' );
    is $status >> 8, 1, "$words: refused";
    like $said, qr/\Q$says\E in \S+nginx\.conf:8$/m, '… with the reason';
}

done_testing;
