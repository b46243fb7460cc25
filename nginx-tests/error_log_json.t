# lua_error_log_format json: every line of the error log is an object, whatever is logged, to files and to syslog, by
# several workers at once; each output keeps its level.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use Test::More;

use ProcessTest;

plan skip_all => 'the C module has no lua_error_log_format'
    if ( $ENV{TEST_NGINX_LOAD_MODULES} // '' ) =~ m{/nginx/modules/ngx_http_lua_module};

my $port   = ProcessTest::port();
my $nginx  = ProcessTest->new;
my $prefix = $nginx->prefix;
my $syslog = IO::Socket::INET->new( Proto => 'udp', LocalAddr => '127.0.0.1' ) or die "no UDP socket: $!";
my $at     = $syslog->sockport;
my $json   = JSON::PP->new->utf8;

$nginx->write_file( 'fail.lua', <<'_EOC_');
local function inner()
    error("oops")
end
local function outer()
    inner()
end
outer()
_EOC_

sub http {
    my ($format) = @_;
    return <<"_EOC_";
    $format
    lua_capture_error_log 100k;
    error_log logs/error.log notice;
    error_log logs/severe.log crit;
    error_log syslog:server=127.0.0.1:$at,tag=web error;
    lua_socket_connect_timeout 50ms;
    lua_socket_read_timeout 50ms;
    log_format ids '\$request_id';
    init_by_lua_block {
        print("at the start")
        errlog = require "ngx.errlog"
    }
    server {
        listen 127.0.0.1:$port;
        server_name example.com;
        access_log logs/ids.log ids;
        location = /log  { content_by_lua_block { ngx.log(ngx.ERR, "hello: ", 1, " ", nil, " ", true) } }
        location = /named {
            content_by_lua_block {
                local function named() ngx.log(ngx.WARN, "a.lua:7: mine") return 1 end
                local n = named()
            }
        }
        location = /fail    { content_by_lua_file fail.lua; }
        location = /binary  {
            content_by_lua_block {
                local bytes = {}
                for byte = 0, 255 do bytes[#bytes + 1] = string.char(byte) end
                ngx.log(ngx.ERR, table.concat(bytes))
            }
        }
        location = /utf8    { content_by_lua_block { ngx.log(ngx.ERR, "Grüße, \xe4\xb8\x96\xe7\x95\x8c \xf0\x9f\x8c\x8d") } }
        location = /long    { content_by_lua_block { ngx.log(ngx.ERR, ("0123456789"):rep(10000), "\\n") } }
        location = /crit    { content_by_lua_block { ngx.log(ngx.CRIT, "severe") } }
        location = /debug   { content_by_lua_block { ngx.log(ngx.INFO, "too detailed") } }
        location = /raw     { content_by_lua_block { errlog.raw_log(ngx.ERR, "raw") } }
        location = /timer   { content_by_lua_block { ngx.timer.at(0, function() error("in a timer") end) } }
        location = /filter  { header_filter_by_lua_block { error("in a filter") } return 200 "filtered"; }
        location = /unloaded {
            rewrite_by_lua_block { ngx.ctx.rewritten = true }
            access_by_lua_file missing.lua;
        }
        location = /deep    { content_by_lua_block { error(("x"):rep(3000)) } }
        location = /socket  {
            content_by_lua_block {
                local sock = ngx.socket.tcp()
                assert(sock:connect("127.0.0.1", $port))
                sock:receive()
                assert(not sock:connect("127.0.0.1", 1))
            }
        }
        location = /sub     { content_by_lua_block { ngx.location.capture("/log") } }
        location = /none    { root html; }
        location = /many    {
            content_by_lua_block {
                local text = ("y"):rep(3000)
                for i = 1, 50 do ngx.log(ngx.NOTICE, ngx.worker.pid(), " ", ngx.var.arg_n, " ", i, " ", text) end
            }
        }
        location = /captured {
            content_by_lua_block { for _, part in ipairs(errlog.get_logs(10)) do ngx.say(part) end }
        }
    }
_EOC_
}

sub start {
    my ($format) = @_;
    my $conf = $nginx->write_http( http($format) );
    $nginx->write_file( 'nginx.conf', ProcessTest::slurp($conf) =~ s/worker_processes 1/worker_processes 3/r );
    $nginx->start($conf);
    ProcessTest::wait_until( sub { $nginx->count_in_log('start worker process \d') == 3 } ) or die 'no workers';
}

sub get {
    my ( $path, $host ) = @_;
    return ProcessTest::talk( $port, "GET $path HTTP/1.0\r\nHost: example.com\r\nReferer: http://r/\r\n\r\n" );
}

# The objects of a log from byte $from on.
sub events {
    my ( $name, $from ) = @_;
    my $text = substr $nginx->log_text($name), $from || 0;
    return map { $json->decode($_) } split /\n/, $text;
}

# The events that a request makes in a log.
sub events_of {
    my ( $path, $count, $name ) = @_;
    $name ||= 'error.log';
    my $from = length $nginx->log_text($name);
    get($path);
    my @events;
    ProcessTest::wait_until( sub { @events = eval { events( $name, $from ) }; @events >= $count } );
    is scalar @events, $count, "$path: so many events";
    return @events;
}

# The next message of the syslog.
sub syslogged {
    return unless IO::Select->new($syslog)->can_read(10);
    $syslog->recv( my $message, 65536 );
    return $message;
}

start('lua_error_log_format json;');
my @all = events('error.log');
ok( ( grep { $_->{message} =~ /^start worker process \d+$/ } @all ), "nginx's own lines" );

my ($event) = events_of( '/log', 1 );
like $event->{time}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d$/, 'the time';
ok( ( grep { $_ == $event->{pid} } ProcessTest::children( $nginx->pid ) ), 'the process' );
cmp_ok $event->{connection}, '>', 0, 'the connection';
my ($id) = reverse split /\n/, $nginx->log_text('ids.log');
is $event->{request_id}, $id, 'the id is that of the access log';
delete @$event{qw(time pid connection request_id)};
like delete $event->{chunk}, qr/^content_by_lua\(nginx\.conf:\d+\):1$/, 'the place';
is_deeply $event, {
    level => 'error', phase => 'content_by_lua*', client => '127.0.0.1', server => 'example.com',
    request => 'GET /log HTTP/1.0', host => 'example.com', referrer => 'http://r/', message => 'hello: 1 nil true',
}, 'and the rest';
like syslogged(), qr/^<187>.* web: \{.*"message":"hello: 1 nil true"\}$/, 'syslog has it too';

($event) = events_of( '/named', 1 );
is $event->{message}, 'a.lua:7: mine', 'a text that looks like a place';
like $event->{chunk}, qr/^content_by_lua\(nginx\.conf:\d+\):2$/, 'is none';

($event) = events_of( '/fail', 1 );
like $event->{message}, qr{^lua entry thread aborted: runtime error: \S*/fail\.lua:2: oops$}, 'an error';
like $event->{chunk}, qr{/fail\.lua:2$}, '… with its place';
like $event->{traceback}, qr{^coroutine 0:\n\t\[C\]: in function 'error'\n\t\S*/fail\.lua:2: in function 'inner'\n.*in main chunk|fail\.lua:7}s,
    '… and its traceback';
my $short = $json->decode( syslogged() =~ s/^.*? web: //r );
is $short->{traceback}, $event->{traceback}, '… in syslog too';

($event) = events_of( '/binary', 1 );
my $expected = join '', map( {chr} 0 .. 127 ), map { sprintf '\\x%02x', $_ } 128 .. 255;
is $event->{message}, $expected, 'all bytes';
is $json->decode( syslogged() =~ s/^.*? web: //r )->{message}, $expected, '… in syslog too';

($event) = events_of( '/utf8', 1 );
is $event->{message}, "Gr\x{fc}\x{df}e, \x{4e16}\x{754c} \x{1f30d}", 'UTF-8';
syslogged();

($event) = events_of( '/long', 1 );
is $event->{message}, '0123456789' x 10000 . "\n", 'a long message is whole';
my $cut = syslogged();
my $header = length( $cut =~ s/\{.*//rs );
$short = $json->decode( substr $cut, $header );
ok $short->{cut}, '… and cut for syslog';
cmp_ok length($cut) - $header, '<=', 2048, '… to what nginx would send';
cmp_ok length($cut) - $header, '>', 2000, '… and no less';
like $short->{message}, qr/^(?:0123456789)+\d*$/, '… at its end';
is $short->{request_id}, $event->{request_id}, '… with the rest of it';

($event) = events_of( '/deep', 1 );
like $event->{message}, qr/: x{3000}$/, 'a long error';
like $event->{traceback}, qr/in main chunk|content_by_lua/, '… has its traceback';
ok $json->decode( syslogged() =~ s/^.*? web: //r )->{cut}, '… which syslog has no room for';

($event) = events_of( '/crit', 1, 'severe.log' );
is "$event->{level} $event->{message}", 'crit severe', 'another log';
is scalar events('severe.log'), 1, '… has what is severe';
like syslogged(), qr/^<186>.*"severe"/, '… and syslog its severity';
get('/debug');
is $nginx->count_in_log('too detailed'), 0, 'what is below the level is not there';

($event) = events_of( '/raw', 1 );
is $event->{message}, 'raw', 'raw_log';
($event) = events_of( '/timer', 1 );
like $event->{message}, qr/^lua entry thread aborted: .*: in a timer$/, 'a timer';
is "$event->{phase} $event->{client}", 'ngx.timer 127.0.0.1', '… and its client';
($event) = events_of( '/filter', 1 );
is $event->{phase}, 'header_filter_by_lua*', 'a filter';
($event) = events_of( '/unloaded', 1 );
is $event->{phase}, 'access_by_lua*', 'code that cannot be loaded';
my @events = events_of( '/socket', 2 );
is $events[0]{message}, 'lua tcp socket read timed out', 'a time-out';
is $events[0]{request}, 'GET /socket HTTP/1.0', '… with its request';
is $events[1]{level}, 'error', "an error that nginx finds";
like $events[1]{message}, qr/^connect\(\) failed \(111: Connection refused\)/, '… with its number';
($event) = events_of( '/sub', 1 );
is "$event->{request} $event->{subrequest}", 'GET /sub HTTP/1.0 /log', 'a subrequest';
($event) = events_of( '/none', 1 );
like $event->{message}, qr/^open\(\) "\S+" failed \(2: No such file or directory\), client: "?127\.0\.0\.1"?, .*, request(?:_line)?: "GET \/none HTTP\/1\.0"/,
    "nginx's own error";
cmp_ok $event->{connection}, '>', 0, '… and its connection';

# The code of log_by_lua* and of ngx.errlog sees lines as before.
my $captured = '';
ok ProcessTest::wait_until( sub { get('/log'); $captured .= get('/captured'); $captured =~ /hello/ } ), 'captured lines';
like $captured, qr/^\d{4}\/.* \[error\] \d+#\d+: \*\d+ \[lua\] content_by_lua\(nginx\.conf:\d+\):1: hello: 1 nil true, client: "?127\.0\.0\.1"?, /m,
    '… are as without JSON';

# Many workers at once.
my $from = length $nginx->log_text('error.log');
my @busy = map { my $c = ProcessTest::connection($port); print {$c} "GET /many?n=$_ HTTP/1.0\r\n\r\n"; $c } 1 .. 20;
for my $connection (@busy) { local $/ = undef; readline $connection; close $connection }
my ( %seen, %by );
for my $event ( events( 'error.log', $from ) ) {
    next unless $event->{message} =~ /^(\d+) (\d+) (\d+) y{3000}$/;
    $seen{"$2 $3"}++;
    $by{$1}++;
    is $event->{pid}, $1, 'a process' if $1 != $event->{pid};
}
is scalar keys %seen, 1000, 'all lines of many workers are whole';
cmp_ok scalar keys %by, '>', 1, '… of more than one';

# nginx reopens its logs, and loads its configuration again.
rename "$prefix/logs/error.log", "$prefix/logs/error.log.1" or die $!;
kill USR1 => $nginx->pid;
ok ProcessTest::wait_until( sub { -e "$prefix/logs/error.log" } ), 'a new file';
ok ProcessTest::wait_until( sub { get('/log'); $nginx->count_in_log('hello') } ), '… is written to';
is_deeply [ grep { !defined $_->{message} } events('error.log') ], [], '… as JSON';
kill HUP => $nginx->pid;
ok ProcessTest::wait_until( sub { $nginx->count_in_log('at the start') } ), 'a reload';
($event) = grep { $_->{message} eq 'at the start' } events('error.log');
like "$event->{level} $event->{chunk}", qr/^notice init_by_lua\(nginx\.conf:\d+\):2$/, '… and its code';
ok ProcessTest::wait_until( sub { $nginx->count_in_log('exited with code 0') == 3 } ), '… which ends the old workers';
$nginx->stop;
for my $name (qw(error.log error.log.1 severe.log)) {
    # nginx itself takes the writer away from the log of a process that ends.
    my @lines = grep { !/^\S+ \S+ \[notice\] \d+#\d+: exit$/ } split /\n/, $nginx->log_text($name);
    is_deeply [ grep { !eval { $json->decode($_) } } @lines ], [], "every line of $name is JSON";
}

# Without the directive, and with its default.
for my $format ( '', 'lua_error_log_format line;' ) {
    $nginx->write_file( 'logs/error.log', '' );
    start($format);
    get('/long');
    ok $nginx->wait_for_line( 'error.log', qr/^\d{4}\/.* \[error\] \d+#\d+: \*\d+ \[lua\] content_by_lua\(nginx\.conf:\d+\):1: 0123456789/m ),
        "lines are text with '$format'";
    is $nginx->count_in_log('(?m)^.{2047}$'), 1, '… and cut by nginx';
    $nginx->stop;
}

# A reload that is refused leaves the format that is in force.
for my $formats ( [qw(json line)], [qw(line json)] ) {
    my ( $kept, $refused ) = @$formats;
    $nginx->write_file( 'logs/error.log', '' );
    start("lua_error_log_format $kept;");
    $nginx->write_http( http("lua_error_log_format $refused;") =~ s/print\("at the start"\)/error("not this one")/r );
    kill HUP => $nginx->pid;
    ok $nginx->wait_for_line( 'error.log', qr/not this one/ ), "$refused instead of $kept is refused";
    my $from = length $nginx->log_text('error.log');
    kill WINCH => $nginx->pid;
    ok $nginx->wait_for_line( 'error.log', qr/gracefully shutting down/ ), '… the master goes on';
    my @lines = grep {/SIGWINCH/} split /\n/, substr $nginx->log_text('error.log'), $from;
    is scalar( grep {/^\{/} @lines ), $kept eq 'json' ? @lines : 0, "… as $kept";
    ok scalar @lines, '… with a line of its own';
    $nginx->stop;
}
my ( $status, $said ) = $nginx->run( $nginx->write_http(qq{lua_error_log_format json; init_by_lua_block { error("oops") }}) );
isnt $status, 0, 'a start that fails';
like $said, qr/(?:^nginx: \[error\] |"message":")init_by_lua error: \S+:1: oops/m, '… says why';
( $status, $said ) = $nginx->run( $nginx->write_http( http('lua_error_log_format xml;') ), '-t' );
isnt $status, 0, 'another format is refused';
like $said, qr/invalid value "xml" in "lua_error_log_format" directive, it must be "line" or "json"/, '… by name';

done_testing;
