# Worker hooks whose code waits: with requests coming in, through reloads, when workers quit or are
# terminated, and with a thousand threads.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep);

use ProcessTest;

my $port  = ProcessTest::port();
my $nginx = ProcessTest->new;

sub get {
    my ($path) = @_;
    return ProcessTest::talk( $port, "GET $path HTTP/1.0\r\n\r\n" ) =~ s/.*\n\n//sr;
}

my $conf = $nginx->write_http(<<"_EOC_");
    init_worker_by_lua_block {
        local threads = {}
        for i = 1, 1000 do
            threads[i] = ngx.thread.spawn(function()
                ngx.sleep(0.001 * (i % 50))
                local sock = ngx.socket.tcp()
                if i % 50 == 0 then
                    assert(sock:connect("127.0.0.1", $port))
                    sock:close()
                end
                return 1
            end)
        end
        local sum = 0
        for i = 1, 1000 do
            local ok, n = ngx.thread.wait(threads[i])
            sum = sum + (ok and n or 0)
        end
        package.loaded.sum = sum
        ngx.log(ngx.NOTICE, "threads ended: ", sum)
        ngx.sleep(600)
    }
    exit_worker_by_lua_block {
        ngx.log(ngx.NOTICE, "exit begins")
        ngx.sleep(0.05)
        ngx.log(ngx.NOTICE, "exit ends")
    }
    server {
        listen 127.0.0.1:$port;
        location = /sum { content_by_lua_block { ngx.say(package.loaded.sum) } }
        location = /up  { content_by_lua_block { ngx.say("up") } }
        location = /slow { content_by_lua_block { ngx.sleep(30) ngx.say("answered") } }
    }
_EOC_
$nginx->start($conf);

is get('/up'), "up\n", 'requests are answered while the code of init_worker waits';
ok $nginx->wait_for_line( 'error.log', qr/threads ended: 1000/ ), 'a thousand threads wait and end';
is get('/sum'), "1000\n", 'what they leave is there for requests';

my $reloads = 3;
for my $i ( 1 .. $reloads ) {
    kill HUP => $nginx->pid;
    my $answers = grep { get('/up') eq "up\n" } 1 .. 20;
    is $answers, 20, "reload $i: every request is answered";
    ok ProcessTest::wait_until( sub { $nginx->count_in_log(qr/threads ended: 1000/) == $i + 1 } ),
        "reload $i: the new worker's code goes on after its first wait";
}

ok ProcessTest::wait_until( sub { $nginx->count_in_log(qr/gracefully shutting down/) == $reloads } ), 'the old workers quit';

# The old workers sleep for ten minutes in init_worker: a timer, which a worker that quits waits for.
# worker_shutdown_timeout does not apply, because no connection of a client is open.
is $nginx->count_in_log(qr/exit begins/), 0, 'a worker that quits waits for the timers of its init_worker code';

my $slow = ProcessTest::connection($port);
print {$slow} "GET /slow HTTP/1.0\r\n\r\n";
ok ProcessTest::wait_until( sub { get('/up') eq "up\n" } ), 'the request has started';
kill TERM => $nginx->pid;
my $answer = join '', <$slow>;
unlike $answer, qr/answered/, 'a terminated worker ends its requests';
ok ProcessTest::wait_until( sub { $nginx->count_in_log(qr/exit ends/) == $reloads + 1 } ),
    'the code of exit_worker waits and ends in each worker that is terminated';
is join( '', grep {/\[(?:alert|crit|emerg|error)\]|signal 11/} split /^/m, $nginx->log_text('error.log') ), '', 'nothing went wrong';

# Without a master, and with code that would wait for too long.
my $alone = ProcessTest->new;
$alone->start( $alone->write_file( 'nginx.conf', <<"_EOC_") );
pid        logs/nginx.pid;
error_log  logs/error.log notice;
master_process off;
worker_shutdown_timeout 100ms;
events {
}
http {
    init_worker_by_lua_block { ngx.sleep(0.01) ngx.log(ngx.NOTICE, "waited") }
    exit_worker_by_lua_block {
        local semaphore = require "ngx.semaphore".new()
        local sock = ngx.socket.udp()
        sock:settimeout(60000)
        assert(sock:setpeername("127.0.0.1", $port))
        ngx.thread.spawn(function() semaphore:wait(60) end)
        sock:receive()
        ngx.log(ngx.ERR, "never")
    }
}
_EOC_
ok $alone->wait_for_line( 'error.log', qr/waited/ ), 'without a master, too';
my $pid = $alone->pid;
# Without a master, nginx may look at its signals just before one comes, and then wait for events.
ok ProcessTest::wait_until( sub { kill QUIT => $pid; !ProcessTest::is_running($pid) } ), 'the process ends';
like $alone->log_text('error.log'),
    qr/exit_worker_by_lua: the code still waits, and is ended after 100 ms/,
    'code that waits for longer than worker_shutdown_timeout is ended, threads and sockets included';
unlike $alone->log_text('error.log'), qr/never|\[(?:alert|crit|emerg)\]|signal 11/, 'and nothing else went wrong';

# An old worker that ends talks to the new one, over TLS.
my $cert = ProcessTest::certs();
my $tls  = ProcessTest->new;
$tls->start( $tls->write_http(<<"_EOC_") );
    exit_worker_by_lua_block {
        local sock = ngx.socket.tcp()
        sock:settimeout(4000)
        assert(sock:connect("127.0.0.1", $port))
        local ok, err = sock:sslhandshake(nil, "test.com")
        assert(sock:send("GET / HTTP/1.0\\r\\n\\r\\n"))
        ngx.log(ngx.NOTICE, "heard: ", ok and sock:receive("*a"):match("[^\\n]*\$"), " ", err)
    }
    server {
        listen 127.0.0.1:$port ssl;
        ssl_certificate $cert/test.crt;
        ssl_certificate_key $cert/test.key;
        return 200 "the new worker";
    }
_EOC_
ok $tls->wait_for_line( 'error.log', qr/start worker process \d/ ), 'a worker has started';
kill HUP => $tls->pid;
ok $tls->wait_for_line( 'error.log', qr{heard: the new worker nil} ), 'TLS while a worker exits'
    or diag $tls->log_text('error.log');
unlike $tls->log_text('error.log'), qr/\[(?:alert|crit|emerg|error)\]|signal 11/, 'without an error';

done_testing;
