# Code of log_by_lua* that waits, for requests that are over: clients that leave, connections that stay
# or close, TLS, many at once, reloads, and workers that quit or are terminated.

use strict;
use warnings;

use FindBin;
use IO::Socket::INET;
use lib "$FindBin::Bin/lib";

use Test::More;

use ProcessTest;

plan skip_all => 'with the C module, log_by_lua* cannot wait'
    if ( $ENV{TEST_NGINX_LOAD_MODULES} // '' ) =~ m{/nginx/modules/ngx_http_lua_module};

my $port  = ProcessTest::port();
my $cert  = ProcessTest::certs();
my $tls   = $port + 1;
my $nginx = ProcessTest->new;

my $locations = <<'_EOC_';
        location = /up { content_by_lua_block { ngx.say("up") } }
        location = /late {
            content_by_lua_block {
                ngx.sleep(tonumber(ngx.var.arg_before) or 0)
                ngx.say("ok")
            }
            log_by_lua_block {
                local mark = ngx.var.arg_mark
                ngx.sleep(tonumber(ngx.var.arg_for) or 0.2)
                ngx.log(ngx.NOTICE, "late: ", mark == ngx.var.arg_mark and mark, " ", ngx.status, " ",
                    ngx.var.http_x_mark, " ", ngx.var.ssl_protocol or "plain", ".")
            }
        }
_EOC_
my $conf = $nginx->write_http( <<"_EOC_", "worker_connections 4096;\n" );
    keepalive_requests 100000;
    lua_max_pending_logs 4000;
    server {
        listen 127.0.0.1:$port;
        listen 127.0.0.1:$tls ssl;
        ssl_certificate $cert/test.crt;
        ssl_certificate_key $cert/test.key;
        lua_check_client_abort on;
$locations
    }
_EOC_
$nginx->start($conf);

# A client that leaves while its code runs: the log code runs all the same, without a connection.
my $client = ProcessTest::connection($port);
print {$client} "GET /late?mark=left&before=10 HTTP/1.1\r\nHost: a\r\nX-Mark: gone\r\n\r\n";
select undef, undef, undef, 0.1;
close $client;
ok $nginx->wait_for_line( 'error.log', qr/late: left 499 gone plain\./ ), 'a client that leaves';

# One that leaves while the log code waits.
$client = ProcessTest::connection($port);
print {$client} "GET /late?mark=heard HTTP/1.1\r\nHost: a\r\nX-Mark: one\r\n\r\n";
sysread $client, my $answer, 15;
like $answer, qr{^HTTP/1.1 200}, 'the response comes before the log code ends';
is $nginx->count_in_log(qr/late: heard/), 0, '… which waits';
close $client;
ok $nginx->wait_for_line( 'error.log', qr/late: heard 200 one plain\./ ), '… and goes on without its client';

SKIP: {
    skip 'no curl', 2 if `curl --version 2>/dev/null` !~ /\bSSL\b/;
    my $url = "https://127.0.0.1:$tls/late?mark=tls";
    is `curl --silent --insecure --header 'X-Mark: tls' $url`, "ok\n", 'over TLS';
    ok $nginx->wait_for_line( 'error.log', qr/late: tls 200 tls TLSv1\.\d\./ ), '… whose data are there';
}

# A thousand at once, ten to a connection, which goes on meanwhile.
my @clients = map { ProcessTest::connection($port) } 1 .. 100;
for my $number ( 0 .. $#clients ) {
    my @requests = map {"GET /late?mark=$number.$_&for=1 HTTP/1.1\r\nHost: a\r\nX-Mark: m$number.$_\r\n\r\n"} 0 .. 9;
    print { $clients[$number] } @requests, "GET /up HTTP/1.0\r\n\r\n";
}
my $ups = grep { my $all = join '', <$_>; $all =~ /\nup\n\z/ } @clients;
is $ups, 100, 'a thousand at once: all connections go on';
ok ProcessTest::wait_until( sub { $nginx->count_in_log(qr/late: (\d+\.\d) 200 m\1 plain\./) == 1000 } ),
    '… and all log code ends, each with its own request';

# An old worker waits for log code, as for timers.
my ($old) = ProcessTest::children( $nginx->pid );
like ProcessTest::talk( $port, "GET /late?mark=reload&for=1 HTTP/1.0\r\nX-Mark: r\r\n\r\n" ), qr/ok/, 'a request before a reload';
kill HUP => $nginx->pid;
ok ProcessTest::wait_until( sub { $nginx->count_in_log(qr/gracefully shutting down/) == 1 } ), '… the old worker quits';
is $nginx->count_in_log(qr/late: reload/), 0, '… while the log code still waits';
ok $nginx->wait_for_line( 'error.log', qr/\b$old#\d+: .*late: reload 200 r plain\./ ), '… and ends in the old worker';
ok ProcessTest::wait_until( sub { !ProcessTest::is_running($old) } ), '… which then leaves';

# A worker that is told to quit, while code of another connection waits in a cosocket.
ProcessTest::wait_until( sub { ProcessTest::talk( $port, "GET /up HTTP/1.0\r\n\r\n" ) =~ /up/ } );
like ProcessTest::talk( $port, "GET /late?mark=quit&for=0.5 HTTP/1.0\r\nX-Mark: q\r\n\r\n" ), qr/ok/, 'a request before the end';
ok $nginx->stop, 'nginx ends';
is $nginx->count_in_log(qr/late: quit 200 q plain\./), 1, '… once the log code has ended';
is join( '', grep {/\[(?:alert|crit|emerg|error)\]|signal 11/} split /^/m, $nginx->log_text('error.log') ), '',
    'nothing went wrong';

# A worker that is terminated ends code that waits.
$nginx->start($conf);
like ProcessTest::talk( $port, "GET /late?mark=term&for=600 HTTP/1.0\r\n\r\n" ), qr/ok/, 'a request whose log code waits long';
my $pid = $nginx->pid;
kill TERM => $pid;
ok ProcessTest::wait_until( sub { !ProcessTest::is_running($pid) } ), '… does not hold up nginx when it is terminated';

# worker_shutdown_timeout: what the code waits for from others fails then, its own sleep goes on. And the limit of a
# configuration is for its own workers: what old ones still have does not count.
my $peer = IO::Socket::INET->new( Listen => 10, LocalAddr => '127.0.0.1' ) or die "no port: $!";
sub configured {
    my ($max) = @_;
    return $nginx->write_file( 'nginx.conf', <<"_EOC_" );
pid        logs/nginx.pid;
error_log  logs/error.log info;
worker_shutdown_timeout 500ms;
events {
}
http {
    access_log off;
    lua_max_pending_logs $max;
    server {
        listen 127.0.0.1:$port;
$locations
        location = /asks {
            content_by_lua_block { ngx.say("ok") }
            log_by_lua_block {
                local sock = ngx.socket.tcp()
                sock:settimeout(600000)
                assert(sock:connect("127.0.0.1", @{[ $peer->sockport ]}))
                ngx.log(ngx.NOTICE, "asked: ", select(2, sock:receive()), ".")
            }
        }
    }
}
_EOC_
}

sub refused { return $nginx->count_in_log(qr/failed to run log_by_lua\*: the code waits, but $_[0] lua_max_pending_logs are not enough/) }

$nginx->start( configured(2) );
for my $path ( '/asks', '/late?mark=shut&for=3', '/late?mark=third&for=0.01' ) {
    like ProcessTest::talk( $port, "GET $path HTTP/1.0\r\nX-Mark: s\r\n\r\n" ), qr/ok/, "$path before the worker must leave";
}
ok ProcessTest::wait_until( sub { refused(2) == 1 } ), '… the third is one too many';
($old) = ProcessTest::children( $nginx->pid );
configured(1);
kill HUP => $nginx->pid;
ok $nginx->wait_for_line( 'error.log', qr/\b$old#\d+: gracefully shutting down/ ), '… a new worker comes';
like ProcessTest::talk( $port, "GET /late?mark=new&for=1 HTTP/1.0\r\nX-Mark: n\r\n\r\n" ), qr/ok/, '… which has a limit of its own';
ok ProcessTest::wait_until( sub { ProcessTest::talk( $port, "GET /late?mark=more HTTP/1.0\r\n\r\n" ); refused(1) > 0 } ), '… of one';
ok $nginx->wait_for_line( 'error.log', qr/\b$old#\d+: .*asked: (?:closed|connection aborted|timeout)\./ ), 'in the old worker, what never came fails';
ok $nginx->wait_for_line( 'error.log', qr/\b$old#\d+: .*late: shut 200 s plain\./ ), '… what sleeps ends';
ok $nginx->wait_for_line( 'error.log', qr/late: new 200 n plain\./ ), '… and what waits in the new one';
is $nginx->count_in_log(qr/late: third/), 0, '… but for what was refused';
ok ProcessTest::wait_until( sub { !ProcessTest::is_running($old) } ), '… the old worker leaves';
$nginx->stop;
unlike $nginx->log_text('error.log'), qr/\[(?:alert|crit|emerg)\]|signal 11|open socket/, '… with nothing left behind';

done_testing();
