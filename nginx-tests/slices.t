# lua_warn_slice and lua_max_slice: code that runs for long without waiting, interpreted, compiled, in a C
# function; caught errors; and what others notice of it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep);

use ProcessTest;

plan skip_all => 'the C module has neither directive'
    if ( $ENV{TEST_NGINX_LOAD_MODULES} // '' ) =~ m{/nginx/modules/ngx_http_lua_module};

my $port  = ProcessTest::port();
my $nginx = ProcessTest->new;

sub http {
    my ($directives) = @_;
    return <<"_EOC_";
    $directives
    init_by_lua_block {
        -- Runs for so many seconds.
        function spin(seconds)
            ngx.update_time()
            local stop = ngx.now() + seconds
            repeat ngx.update_time() until ngx.now() > stop
        end
        jit.off(spin)
        interpreted = loadstring("while true do end")
        jit.off(interpreted)
    }
    server {
        listen 127.0.0.1:$port;
        location = /short    { content_by_lua_block { spin(0.01) ngx.sleep(0.15) spin(0.01) ngx.say("short") } }
        location = /long     { content_by_lua_block { spin(0.3) ngx.say("long") } }
        location = /compiled {
            content_by_lua_block {
                local os_clock = os.clock
                local stop, n = os_clock() + 0.3, 0
                repeat for i = 1, 1e6 do n = n + i % 3 end until os_clock() > stop
                ngx.say("compiled")
            }
        }
        location = /filter {
            header_filter_by_lua_block { spin(0.3) }
            content_by_lua_block { ngx.say("filtered") }
        }
        location = /timer { content_by_lua_block { ngx.timer.at(0, function() spin(0.3) end) ngx.say("set") } }
        location = /runaway { content_by_lua_block { interpreted() } }
        location = /caught  { content_by_lua_block { while true do pcall(interpreted) end } }
        location = /thread  { content_by_lua_block {
            ngx.say(ngx.thread.wait(ngx.thread.spawn(interpreted)))
        } }
        location = /threads { content_by_lua_block {
            while true do ngx.thread.wait(ngx.thread.spawn(interpreted)) end
        } }
        location = /turns   { content_by_lua_block {
            local function take_turns() while true do coroutine.yield() end end
            ngx.thread.spawn(take_turns)
            take_turns()
        } }
        location = /early   {
            access_by_lua_block {
                local function take_turns() while true do coroutine.yield() end end
                ngx.thread.spawn(take_turns)
                take_turns()
            }
            content_by_lua_block { ngx.say("unseen") }
        }
        location = /spawns  { content_by_lua_block { while true do ngx.thread.spawn(function() end) end } }
        location = /yields  { content_by_lua_block {
            local function take_turns()
                ngx.update_time()
                local stop = ngx.now() + 0.3
                repeat coroutine.yield() ngx.update_time() until ngx.now() > stop
            end
            ngx.thread.spawn(take_turns)
            take_turns()
            ngx.say("yielded")
        } }
        location = /header  { header_filter_by_lua_block { interpreted() } content_by_lua_block { ngx.say("unseen") } }
        location = /endless { content_by_lua_block { while true do end } }
        location = /c       { content_by_lua_block { ("a"):rep(30):find((".-"):rep(25) .. "b") } }
        location = /stopped {
            content_by_lua_block {
                local stop = os.clock() + 0.12
                repeat until os.clock() > stop
                ngx.say("went on")
            }
        }
        location = /hello   { content_by_lua_block { ngx.say("hello") } }
        location = /hook    { content_by_lua_block { ngx.say((debug.gethook())) } }
    }
_EOC_
}

sub answer {
    my ($path) = @_;
    return ProcessTest::talk( $port, "GET $path HTTP/1.0\r\n\r\n" );
}

sub body { return answer(@_) =~ s/.*?\n\n//sr }

sub workers { return ProcessTest::children( $nginx->pid ) }

my $running = qr/\[warn\].*? lua code has been running for more than 100 ms without waiting/;
my $ran     = qr/\[warn\].*? lua code ran for more than 100 ms without waiting in compiled code or in a C function/;

$nginx->start( $nginx->write_http( http('lua_warn_slice 100ms;') ) );
# How many lines are about code that runs, or has run, for too long.
my $mentions = sub { $nginx->count_in_log($running) + $nginx->count_in_log($ran) };
# On a busy machine, a run may last longer than its code does: one of some is as short as that.
my ( $short, $before, $shown );
for ( 1 .. 10 ) {
    $before = $mentions->();
    $short  = body('/short');
    $shown  = $mentions->();
    last if $shown == $before;
}
is $short, "short\n", 'code that waits in time';
is $shown, $before, 'is not mentioned';
is body('/long'), "long\n", 'code that does not';
like $nginx->log_text('error.log'), qr/$running\nstack traceback:(?:\n\t.*)*?\n\tinit_by_lua\(nginx\.conf:\d+\):\d+: in function 'spin'\n\tcontent_by_lua/,
    'is shown where it is';
is $mentions->(), $shown + 1, 'once';
like $nginx->log_text('error.log'), qr/^\t.*, client: "?127\.0\.0\.1"?, .*request(?:_line)?: "GET \/long/m, 'with its request';
is body('/hook'), "nil\n", 'no hook stays';
is body('/filter'), "filtered\n", 'a filter';
is $mentions->(), $shown + 2, 'too';
is body('/timer'), "set\n", 'a timer';
ok ProcessTest::wait_until( sub { $mentions->() == $shown + 3 } ), 'too';
is body('/compiled'), "compiled\n", 'compiled code';
ok ProcessTest::wait_until( sub { $mentions->() == $shown + 4 } ), 'has its line, be it later';
is body('/yields'), "yielded\n", 'threads that take turns';
is $mentions->(), $shown + 5, 'do not wait';
is scalar( workers() ), 1, 'the worker lives';
$nginx->stop;

$nginx->write_file( 'logs/error.log', '' );
$nginx->start( $nginx->write_http( http('lua_max_slice 300ms;') ) );
ok ProcessTest::wait_until( sub { workers() } ), 'a worker starts';
my ($worker) = workers();
my $error    = 'the code ran for longer than lua_max_slice without waiting';
is body('/long'), "long\n", 'code below the limit';
for my $path (qw(/runaway /caught)) {
    my $before = $nginx->count_in_log("lua entry thread aborted: runtime error: .*:\\d+: $error");
    like answer($path), qr/^HTTP\S+ 500 /, "$path ends in a 500";
    is $nginx->count_in_log("lua entry thread aborted: runtime error: .*:\\d+: $error"), $before + 1, 'with its error';
}
answer('/thread');
is $nginx->count_in_log("lua user thread aborted: runtime error: .*:1: $error"), 1, 'a light thread';
for my $path (qw(/threads /turns /early /spawns)) {
    like answer($path), qr/^HTTP\S+ 500 /, "$path, light threads one after another, have one limit";
}
is answer('/header'), '', 'a filter';
is $nginx->count_in_log("failed to run header_filter_by_lua\\*: .*:1: $error"), 1, 'has its error';
is body('/hello'), "hello\n", 'the next request is served';
is body('/hook'),  "nil\n",   'and no hook stays';
is_deeply [ workers() ], [$worker], 'by the same worker';

# A container that is paused, a machine without time for it. A busy machine may take that long from code that is
# not stopped, too, so there are some tries.
my $went_on = '';
for ( 1 .. 5 ) {
    my $socket = ProcessTest::connection($port);
    print {$socket} "GET /stopped HTTP/1.0\r\n\r\n";
    sleep 0.05;
    kill STOP => $worker;
    sleep 2;
    kill CONT => $worker;
    1 while sysread $socket, $went_on, 65536, length $went_on;
    last if $went_on =~ /^went on$/m;
}
like $went_on, qr/^went on$/m, 'while the process stands still, no code counts as running';
is_deeply [ workers() ], [$worker], 'nor is the worker ended';

for my $path (qw(/endless /c)) {
    ok ProcessTest::wait_until( sub { workers() } ), 'there is a worker';
    ($worker) = workers();
    is eval { answer($path) } // '', '', "$path cannot be ended";
    ok ProcessTest::wait_until( sub { my ($new) = workers(); $new && $new != $worker } ), 'another worker takes over';
    ok ProcessTest::wait_until( sub { ( eval { body('/hello') } // '' ) eq "hello\n" } ), 'and serves';
}
is $nginx->count_in_log('\[alert\].* lua code runs for longer than lua_max_slice in compiled code or in a C function'), 2, 'the log says why';
is $nginx->count_in_log('exited with code 1'), 2, 'and how';
is $nginx->count_in_log('\[(?:alert|emerg)\](?!.*lua code runs for longer)'), 0, 'nothing else went wrong';
done_testing;
