# lua_profile of other workers: of one by its number, and of all.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep time);

use ProcessTest;

plan skip_all => 'the C module has no lua_profile'
    if ( $ENV{TEST_NGINX_LOAD_MODULES} // '' ) =~ m{/nginx/modules/ngx_http_lua_module};

my $port   = ProcessTest::port();
my $nginx  = ProcessTest->new;
my $common = <<"_EOC_";
    init_worker_by_lua_block {
        local function compute()
            local sum = 0
            for i = 1, 1e5 do sum = sum + i % 7 end
            return sum
        end
        local work = {
            [0] = function() local function zero() return (compute()) end local sum = zero() ngx.sleep(0.001) return sum end,
            [1] = function() local function one() return (compute()) end local sum = one() ngx.sleep(0.001) return sum end,
        }
        ngx.timer.every(0.01, work[ngx.worker.id()])
    }
    server {
        listen 127.0.0.1:$port;
        location = /profile { lua_profile; }
        location = /id      { content_by_lua_block { ngx.say(ngx.worker.id()) } }
        location = /fill {
            content_by_lua_block {
                local sent, err
                for _, size in ipairs { 10000, 100, 1 } do
                    repeat sent, err = ngx.worker.events.post("nothing", ("x"):rep(size)) until not sent
                end
                ngx.say(err, ";")
            }
        }
        location = /pid     { return 200 "pid \$pid;"; }
        location = /hang    { lua_check_client_abort on; content_by_lua_block { ngx.say("hangs") ngx.flush(true) ngx.sleep(60) } }
    }
_EOC_

sub start {
    my ($http) = @_;
    my $conf = $nginx->write_http($http);
    $nginx->write_file( 'nginx.conf', ProcessTest::slurp($conf) =~ s/worker_processes 1/worker_processes 2/r );
    $nginx->start($conf);
    return ProcessTest::wait_until( sub { ProcessTest::children( $nginx->pid ) == 2 } );
}

sub answer {
    my ($path) = @_;
    return ProcessTest::talk( $port, "GET $path HTTP/1.0\r\n\r\n" );
}

sub body { return answer( $_[0] ) =~ s/.*?\n\n//sr }

ok start("    lua_worker_events 1m;\n$common"), 'two workers';
my $all;
ok ProcessTest::wait_until( sub { $all = body('/profile?seconds=1&worker=all'); $all =~ /;zero / && $all =~ /;one / } ),
    'all workers';
like $all, qr/\A(?:[^\n]+ \d+\n)+\z/, 'lines with numbers';
for my $number ( 0, 1 ) {
    my ( $own, $other ) = $number ? qw(one zero) : qw(zero one);
    my $folded;
    ok ProcessTest::wait_until( sub { $folded = body("/profile?seconds=1&worker=$number"); $folded =~ /;$own / } ),
        "worker $number";
    unlike $folded, qr/;$other /, 'and no other one';
}
like body('/profile?seconds=0.5&worker=all&mode=wait'), qr/^ngx\.timer;function [^;]*;sleep \[C\];\[waits for ngx\.sleep\] \d+$/m, 'waiting';
like body('/profile?seconds=0.2&worker=all&format=svg'), qr/CPU time in Lua, all workers, 0\.2 s/, 'a picture';
like answer('/profile?worker=7'), qr/^HTTP\S+ 400 .*\n\nno such worker\n\z/s, 'a worker that there is not';
like answer('/profile?worker=x'), qr/^HTTP\S+ 400 /, 'nor is that one';

# A client that leaves ends it in all workers.
my $socket = ProcessTest::connection($port);
print {$socket} "GET /profile?seconds=600&worker=all HTTP/1.0\r\n\r\n";
ok ProcessTest::wait_until(
    sub {
        my %busy = map { body("/profile?seconds=0.01") =~ /already/ ? ( busy => 1 ) : ( free => 1 ) } 1 .. 10;
        return !$busy{free};
    }
    ),
    'all are busy';
close $socket;
ok ProcessTest::wait_until(
    sub {
        my %busy = map { body("/profile?seconds=0.01") =~ /already/ ? ( busy => 1 ) : ( free => 1 ) } 1 .. 10;
        return !$busy{busy};
    }
    ),
    'a client that leaves ends it';

# A worker that does not read its messages.
my $filling = ProcessTest::connection($port);
print {$filling} "GET /pid HTTP/1.1\r\nHost: a\r\n\r\n";
my $read = sub { local $/ = ';'; scalar readline $_[0] };
my ($own) = $read->($filling) =~ /pid (\d+);/;
my ($other) = grep { $_ != $own } ProcessTest::children( $nginx->pid );
kill STOP => $other;
print {$filling} "GET /fill HTTP/1.1\r\nHost: a\r\n\r\n";
like $read->($filling), qr/queue is full;/, 'the queue is full';
print {$filling} "GET /profile?seconds=0.1&worker=all HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
like join( '', <$filling> ), qr/^HTTP\S+ 503 .*the queue of lua_worker_events is full/ms, 'others cannot be asked then';
kill CONT => $other;
ok ProcessTest::wait_until( sub { answer('/profile?seconds=0.01&worker=all') =~ /^HTTP\S+ 200 / } ), 'until it reads on';

# The worker that has asked the others exits, and answers before that.
my $asking = ProcessTest::connection($port);
print {$asking} "GET /pid HTTP/1.1\r\nHost: a\r\n\r\n";
my ($asker) = $read->($asking) =~ /pid (\d+);/;
print {$asking} "GET /profile?seconds=600&worker=all HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
my $is_busy = sub { scalar grep { body('/profile?seconds=0.01') =~ /already/ } 1 .. 10 };
ok ProcessTest::wait_until( sub { $is_busy->() == 10 } ), 'all are busy again';
kill QUIT => $asker;
like join( '', <$asking> ), qr/^HTTP\S+ 200 /, 'a worker that exits answers';
ok ProcessTest::wait_until( sub { $is_busy->() == 0 } ), 'and ends it in the others';

# A worker of before a reload, which has still something to do.
my $hanging = ProcessTest::connection($port);
print {$hanging} "GET /hang HTTP/1.1\r\nHost: a\r\n\r\n";
is scalar <$hanging>, "HTTP/1.1 200 OK\r\n", 'a request that takes long';
my @before = ProcessTest::children( $nginx->pid );
kill HUP => $nginx->pid;
ok ProcessTest::wait_until(
    sub {
        my %now = map { $_ => 1 } ProcessTest::children( $nginx->pid );
        return keys %now == 3 && 1 == grep { $now{$_} } @before;
    }
    ),
    'a reload leaves an old worker';
# A new worker may still be starting.
ok ProcessTest::wait_until( sub { $all = body('/profile?seconds=1&worker=all'); $all =~ /;zero / && $all =~ /;one / } ),
    'all workers are the new ones';
close $hanging;
ok ProcessTest::wait_until( sub { ProcessTest::children( $nginx->pid ) == 2 } ), 'the old worker exits';
ok $nginx->stop, 'nginx stops';

# Without messages.
start($common);
like answer('/profile?worker=all'), qr/^HTTP\S+ 400 .*lua_worker_events, which is not in the configuration/s,
    'others cannot be asked without lua_worker_events';
ok $nginx->stop, 'nginx stops';
unlike $nginx->log_text('error.log'), qr/\[(?:alert|emerg|error)\]/, 'nothing went wrong';
done_testing;
