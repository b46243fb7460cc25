# lua_threads: what waits for what, and ten thousand of them, which keep nobody waiting.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw(decode_json);
use Test::More;
use Time::HiRes qw(sleep time);

use ProcessTest;

plan skip_all => 'the C module has no lua_threads'
    if ( $ENV{TEST_NGINX_LOAD_MODULES} // '' ) =~ m{/nginx/modules/ngx_http_lua_module};

my $port  = ProcessTest::port();
my $nginx = ProcessTest->new;
my $conf  = $nginx->write_http(<<"_EOC_");
    server {
        listen 127.0.0.1:$port;
        location = /threads { lua_threads; }
        location = /silent  { content_by_lua_block { ngx.sleep(600) } }
        location = /wait {
            content_by_lua_block {
                local function read()
                    local sock = ngx.socket.tcp()
                    assert(sock:connect("127.0.0.1", $port))
                    assert(sock:send("GET /silent HTTP/1.0\\r\\n\\r\\n"))
                    sock:settimeout(600000)
                    sock:receive()
                end
                local semaphore = require("ngx.semaphore").new()
                local function wait() semaphore:wait(600) end
                local function nap()
                    local inner = coroutine.create(function() ngx.sleep(600) end)
                    coroutine.resume(inner)
                end
                idle, new = coroutine.create(coroutine.yield), coroutine.create(read)
                coroutine.resume(idle)
                local threads = { ngx.thread.spawn(read), ngx.thread.spawn(wait), ngx.thread.spawn(nap) }
                ngx.thread.wait(unpack(threads))
            }
        }
        location = /timer {
            content_by_lua_block {
                ngx.timer.at(0, function() ngx.sleep(600) end)
                ngx.say("set")
            }
        }
        location = /many {
            content_by_lua_block {
                for i = 1, 10000 do ngx.thread.spawn(function() ngx.sleep(600) end) end
                ngx.sleep(600)
            }
        }
        location = /rounds {
            content_by_lua_block {
                local list
                ngx.thread.spawn(function() list = ngx.location.capture("/threads?format=json").body end)
                local rounds, longest, start = 0, 0, os.clock()
                local before = start
                while not list do
                    ngx.sleep(0)
                    local now = os.clock()
                    rounds, longest, before = rounds + 1, math.max(longest, now - before), now
                end
                ngx.say(("%d %.6f %.6f"):format(rounds, longest, before - start))
                ngx.print(list)
            }
        }
        location = /hello { content_by_lua_block { ngx.say("hello") } }
    }
_EOC_
$nginx->start($conf);

sub body {
    my ($path) = @_;
    return ProcessTest::talk( $port, "GET $path HTTP/1.0\r\n\r\n" ) =~ s/.*?\n\n//sr;
}

# The threads of each URI.
sub threads {
    my $answer = decode_json( body('/threads?format=json') );
    my %threads;
    push @{ $threads{ $_->{uri} } }, $_ for @{ $answer->{threads} };
    return ( \%threads, $answer->{worker} );
}

sub leave_waiting {
    my ($path) = @_;
    my $socket = ProcessTest::connection($port);
    print {$socket} "GET $path HTTP/1.0\r\n\r\n";
    return $socket;
}

my ( $threads, $worker ) = threads();
is_deeply $threads, {}, 'nothing waits';
is $worker, ( ProcessTest::children( $nginx->pid ) )[0], 'the worker is named';
like body('/threads'), qr/^worker $worker: 0 threads and coroutines$/, 'for people, too';

my @waiting = leave_waiting('/wait');
ok ProcessTest::wait_until( sub { ($threads) = threads(); $threads->{'/silent'} } ), 'a request waits';
is body('/timer'), "set\n", 'and a timer';
sleep 0.05;
($threads) = threads();

my %waits = map { ( $_->{waits_for} // $_->{status} ) => $_ } @{ $threads->{'/wait'} };
# `new` has not been resumed: nothing waits there.
is_deeply [ sort keys %waits ], [
    'a semaphore', 'data from a TCP connection', 'ngx.sleep', 'ngx.thread.wait',
    'resumed another coroutine', 'suspended by coroutine.yield',
], 'what each waits for';
is $waits{'ngx.thread.wait'}{kind}, 'entry thread', 'an entry thread';
is $waits{'a semaphore'}{kind},     'light thread', 'a light thread';
is $waits{'ngx.sleep'}{kind},       'coroutine',    'a coroutine';
like join( "\n", @{ $waits{'ngx.sleep'}{traceback} } ), qr/^\Q[C]\E:.*'sleep'\ncontent_by_lua\(nginx\.conf:\d+\):\d+: in function </,
    'its traceback';
is_deeply $waits{'suspended by coroutine.yield'}{traceback}, [], 'what may be garbage has none';
cmp_ok $waits{'ngx.sleep'}{waited_ms}, '>=', 40, 'since when';
cmp_ok $waits{'ngx.sleep'}{age_ms}, '>=', $waits{'ngx.sleep'}{waited_ms}, 'its age';
cmp_ok $waits{'ngx.sleep'}{request_age_ms}, '>=', 40, 'the age of the request';
is $waits{'ngx.sleep'}{phase}, 'content_by_lua*', 'the phase';
cmp_ok $waits{'ngx.sleep'}{connection}, '>', 0, 'the connection';
is_deeply [ map {"$_->{phase} $_->{waits_for}"} @{ $threads->{''} } ], ['ngx.timer ngx.sleep'], 'the timer';
cmp_ok $threads->{''}[0]{request_age_ms}, '<', 100_000, 'whose age is that of its handler';
my $text = body('/threads');
like $text, qr/^worker $worker: 8 threads and coroutines$/m, 'how many';
like $text, qr/^light thread, \d+\.\d{3} s old, waits for a semaphore since \d+\.\d{3} s\n  content_by_lua\*, request "\/wait" of connection \*\d+, \d+\.\d{3} s old\n    \[C\]/m,
    'a paragraph';

@waiting = ();
like ProcessTest::talk( $port, "GET /threads?format=prometheus HTTP/1.0\r\n\r\n" ), qr/^HTTP\S+ 400 /, 'no numbers for Prometheus';
like ProcessTest::talk( $port, "DELETE /threads HTTP/1.0\r\n\r\n" ), qr/^HTTP\S+ 405 /, 'DELETE is refused';

# Many threads: other code runs while the list is made, and a client that leaves stops it.
push @waiting, leave_waiting('/many');
ok ProcessTest::wait_until( sub { body('/threads') =~ /^worker \d+: 10\d{3} / } ), 'ten thousand';
my ( $rounds, $longest, $whole, $list ) = body('/rounds') =~ /^(\d+) (\S+) (\S+)\n(.*)/s;
cmp_ok $rounds, '>=', 3, "the event loop makes rounds meanwhile: $rounds";
cmp_ok $longest, '<', $whole / 2, "each takes a small part of the CPU time: $longest of $whole s";
cmp_ok scalar @{ decode_json($list)->{threads} }, '>', 10_000, 'the list is whole';
for ( 1 .. 5 ) {
    my $leaver = ProcessTest::connection($port);
    print {$leaver} "GET /threads HTTP/1.0\r\n\r\n";
    body('/hello');
    close $leaver;
}
is body('/hello'), "hello\n", 'clients that leave change nothing';
is scalar( ProcessTest::children( $nginx->pid ) ), 1, 'the worker lives';
is( ( threads() )[1], $worker, 'the same one' );
unlike $nginx->log_text('error.log'), qr/\[(?:alert|emerg|error)\]/, 'nothing went wrong';
# What sleeps for minutes would keep a worker that quits.
kill TERM => $nginx->pid;
done_testing;
