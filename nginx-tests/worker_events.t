# Messages between workers: who gets them, in which order, what becomes of them in a queue that is full, when
# workers die, through reloads, without a master, and with an event method that reports no changes.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use Test::More;
use Time::HiRes qw(sleep);

use ProcessTest;

my $port  = ProcessTest::port();
my $nginx = ProcessTest->new;

# What each worker gets is written to a list of its own in a shared dictionary. Under /post, a request posts as
# many messages as its arguments say, and waits where the queue is full.
my $lua = <<'_EOC_';
    lua_worker_events 64k;
    lua_shared_dict got 8m;
    lua_max_running_timers 20;
    init_by_lua_block {
        local got, events = ngx.shared.got, ngx.worker.events
        events.on("set by init", function(data) got:rpush("list" .. ngx.worker.id(), data) end)
    }
    init_worker_by_lua_block {
        local got, events, id = ngx.shared.got, ngx.worker.events, ngx.worker.id()
        got:set("pid" .. id, ngx.worker.pid())
        local last = {}
        events.on("count", function(data, name, sender)
            local from, n = data:match("^(%S+) (%d+)")
            n = tonumber(n)
            if n ~= (last[from] or 0) + 1 then
                got:rpush("list" .. id, from .. ": " .. n .. " after " .. (last[from] or 0))
            end
            last[from] = n
            got:incr("count" .. id, 1, 0)
        end)
        events.on("show", function(data, name, sender)
            got:rpush("list" .. id, table.concat({ data, name, tostring(sender), ngx.get_phase() }, " "))
        end)
        events.on("sleep", function(data)
            ngx.sleep(0.02)
            got:incr("slept" .. id, 1, 0)
        end)
        events.on("fail", function() error("failed on purpose") end)
        events.on_lost(function(count) got:incr("lost" .. id, count, 0) end)
    }
    server {
        listen 127.0.0.1:PORT;
        location = /post {
            content_by_lua_block {
                local arg = ngx.req.get_uri_args()
                local post, sleep, padding = ngx.worker.events.post, ngx.sleep, (" "):rep(tonumber(arg.size) or 0)
                for n = 1, tonumber(arg.n) or 1 do
                    local data = arg.from and arg.from .. " " .. n .. padding or arg.data .. padding
                    local ok, err = post(arg.name, data, tonumber(arg.to))
                    while err == "queue is full" and not arg.once do
                        sleep(0.001)
                        ok, err = post(arg.name, data, tonumber(arg.to))
                    end
                    if not ok then
                        ngx.say(tostring(ok), " ", err, " ", n)
                        return
                    end
                end
                ngx.say("posted")
            }
        }
        location = /get {
            content_by_lua_block {
                local key = ngx.var.arg_key
                local value = ngx.shared.got:get(key)
                ngx.print(tostring(value))
            }
        }
        location = /list {
            content_by_lua_block {
                local got, key = ngx.shared.got, "list" .. ngx.var.arg_worker
                while true do
                    local line = got:lpop(key)
                    if not line then break end
                    ngx.say(line)
                end
            }
        }
        location = /binary {
            content_by_lua_block {
                local bytes = {}
                for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
                local data = table.concat(bytes)
                ngx.worker.events.on("\0binary\n", function(got) ngx.shared.got:set("binary", got == data) end)
                ngx.say(ngx.worker.events.post("\0binary\n", data, ngx.worker.id()))
            }
        }
        location = /wrong {
            content_by_lua_block {
                local events = ngx.worker.events
                ngx.say(events.post("a", ("x"):rep(1024 * 1024)))
                ngx.say(events.post(("a"):rep(65536), "x"))
                ngx.say(pcall(events.post, "a"))
                ngx.say(pcall(events.post, "a", "b", "c"))
                ngx.say(pcall(events.on, "a", "b"))
                ngx.say(pcall(events.on, "a", print))
            }
        }
        # Finalizers that run before each allocation, and change what is called for which message.
        location = /finalizers {
            content_by_lua_block {
                local events = ngx.worker.events
                local goes_on, calls, failed, came = true, 0, 0, nil
                local function make()
                    local proxy = newproxy(true)
                    getmetatable(proxy).__gc = function()
                        calls = calls + 1
                        if not pcall(events.on, "garbage", nil) then failed = failed + 1 end
                        if goes_on then make() end
                    end
                end
                events.on("for one", function(data) came = data end)
                make()
                local pause, step = collectgarbage("setpause", 0), collectgarbage("setstepmul", 1e8)
                collectgarbage()
                events.post("for one", "hello", ngx.worker.id())
                for _ = 1, 200 do
                    if came then break end
                    ngx.sleep(0.01)
                end
                goes_on = false
                collectgarbage("setpause", pause)
                collectgarbage("setstepmul", step)
                collectgarbage()
                events.on("for one", nil)
                ngx.say(tostring(came), " ", calls > 0, " ", failed)
            }
        }
        location = /own_vm {
            lua_code_cache off;
            content_by_lua_block {
                ngx.say(pcall(ngx.worker.events.on, "a", function() end))
                ngx.say(ngx.worker.events.post("show", "from a VM of its own", 0))
            }
        }
        location = /hang { lua_check_client_abort on; content_by_lua_block { ngx.say("hangs") ngx.flush(true) ngx.sleep(30) } }
    }
_EOC_
$lua =~ s/PORT/$port/;

sub configure {
    my ( $workers, $events, $global ) = @_;
    my $conf = $nginx->write_http( $lua, $events );
    my $text = ProcessTest::slurp($conf) =~ s/worker_processes 1/worker_processes $workers/r;
    return $nginx->write_file( 'nginx.conf', ( $global // '' ) . $text );
}

sub body {
    my ($path) = @_;
    return ProcessTest::talk( $port, "GET $path HTTP/1.0\r\n\r\n" ) =~ s/.*?\n\n//sr;
}

sub value { return body("/get?key=$_[0]") }

# Whether each of the workers comes to have that number under that name.
sub all_have {
    my ( $key, $number, @workers ) = @_;
    return ProcessTest::wait_until( sub { !grep { value("$key$_") ne $number } @workers } )
        || diag( join ', ', map { "$key$_: " . value("$key$_") } @workers ) && 0;
}

my @ALL = 0 .. 3;
$nginx->start( configure(4) );
ok ProcessTest::wait_until( sub { !grep { value("pid$_") eq 'nil' } @ALL } ), 'four workers';

is body('/post?name=set+by+init&data=hello'), "posted\n", 'a message for a function of init_by_lua';
my @got = ('') x 4;
ok ProcessTest::wait_until( sub { $got[$_] .= body("/list?worker=$_") for @ALL; !grep { $_ ne "hello\n" } @got } ),
    'each worker gets it, the sender too'
    or diag explain \@got;

is body('/post?name=show&data=one&to=2'), "posted\n", 'a message for one worker';
my $shown = '';
ok ProcessTest::wait_until( sub { $shown .= body('/list?worker=2') } ), 'that one gets it';
like $shown, qr/^one show [0-3] timer\n\z/, 'with its name and its sender, in code like a timer\'s';
is join( '', map { body("/list?worker=$_") } 0, 1, 3 ), '', 'no other does';

is body('/binary'), "true\n", 'a message of all bytes, to itself';
ok ProcessTest::wait_until( sub { value('binary') eq 'true' } ), 'comes as it was sent';

is body('/post?name=a&data=b&to=4'),            "nil no such worker 1\n", 'there is no such worker';
is body('/post?name=a&data=b&to=-1'),           "nil no such worker 1\n", 'nor that one';
is body('/post?name=a&data=b&to=4294967296'),   "nil no such worker 1\n", 'nor one whose number is too large';
is body('/wrong'), <<'_EOC_', 'what cannot be sent, and wrong arguments';
nilmessage is too long for lua_worker_events
nilmessage is too long for lua_worker_events
falsebad argument #2 to '?' (string expected, got no value)
falsebad argument #3 to '?' (number expected, got string)
falsebad argument #2 to '?' (Lua function expected)
falsebad argument #2 to '?' (Lua function expected)
_EOC_
is body('/finalizers'), "hello true 0\n", 'a finalizer may set functions while a message is delivered';
is body('/own_vm'), "falsenot with lua_code_cache off, which ends with the request what it would call\ntrue\n",
    'a VM of a request\'s own can send, and not receive';

# Many times the room of the zone, from several senders at once, with messages of every length.
my @clients = map {
    my $socket = ProcessTest::connection($port);
    print {$socket} "GET /post?name=count&from=s$_&n=1000&size=" . 37 * $_ . " HTTP/1.0\r\n\r\n";
    $socket;
} 1 .. 4;
is join( '', map { my $client = $_; ( join '', <$client> ) =~ s/.*\r\n\r\n//sr } @clients ), "posted\n" x 4,
    'four requests post a thousand messages each, through a queue that gets full';
ok all_have( 'count', 4000, @ALL ), 'each worker gets all of them';
is join( '', map { body("/list?worker=$_") } @ALL ) =~ s/^from a VM.*\n//mr, '', 'in the order of each sender';

is body('/post?name=fail&data=x&to=1'), "posted\n", 'a message whose function fails';
is body('/post?name=sleep&data=x&n=100'), "posted\n", 'a hundred messages whose functions wait, twenty at a time';
ok all_have( 'slept', 100, @ALL ), 'all have been called in the end';
is $nginx->count_in_log(qr/failed on purpose/), 1, 'the error is logged';

# A worker that is busy for too long.
my $busy = value('pid1');
kill STOP => $busy;
# A connection may wait for the stopped worker, which does not answer.
my $ask = sub {
    my ($path) = @_;
    my $socket = ProcessTest::connection($port);
    print {$socket} "GET $path HTTP/1.0\r\n\r\n";
    return IO::Select->new($socket)->can_read(2) ? ( join '', <$socket> ) =~ s/.*\r\n\r\n//sr : '';
};
ok ProcessTest::wait_until( sub { $ask->('/post?name=count&from=x&n=4000&once=1&size=1000&to=1') =~ /^nil queue is full/ } ), 'nobody can send when the queue is full';
ok ProcessTest::wait_until( sub { $ask->('/post?name=count&from=y&n=50&once=1&size=1000') eq "posted\n" } ),
    'but no worker keeps the others from it for long';
kill CONT => $busy;
ok ProcessTest::wait_until( sub { $ask->('/get?key=lost1') =~ /^\d+$/ } ), 'that worker is told that it has lost messages';
cmp_ok value('lost1'), '>=', 40, 'and how many';
like $nginx->log_text('error.log'),
    qr/\[warn\] $busy#.*this worker did not read its messages for too long, and has lost \d+ of them/, 'and so is the log';
is join( '', map { value("lost$_") } 0, 2, 3 ), 'nil' x 3, 'no other has lost any';
body("/list?worker=$_") for @ALL;

# Workers that are killed at any moment, many of them while they hold the lock.
my $stuck = 0;
for my $round ( 1 .. 12 ) {
    my @posters = map {
        my $socket = ProcessTest::connection($port);
        print {$socket} "GET /post?name=unknown&from=k&n=3000&size=500 HTTP/1.0\r\n\r\n";
        $socket;
    } 1 .. 4;
    sleep 0.02 + 0.01 * $round;
    my @pids = ProcessTest::children( $nginx->pid );
    kill KILL => $pids[ $round % @pids ];
    for my $client (@posters) {
        my $ended = IO::Select->new($client)->can_read(30);
        $stuck++ if !$ended;
        close $client;
    }
}
is $stuck, 0, 'posts end while workers are killed';
ok ProcessTest::wait_until( sub { my @now = grep { kill 0, value("pid$_") } @ALL; @now == 4 } ), 'new workers have come';
is body("/post?name=show&data=again&to=$_"), "posted\n", "a message for worker $_" for @ALL;
for my $id (@ALL) {
    my $list = '';
    ok ProcessTest::wait_until( sub { $list .= body("/list?worker=$id"); $list =~ /^again show \d timer$/m } ), "worker $id gets it";
}

# A reload under load: what is posted reaches the workers of both configurations.
my $hanging = ProcessTest::connection($port);
print {$hanging} "GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n";
my $line = '';
sysread $hanging, $line, 4096;
my @during = map {
    my $socket = ProcessTest::connection($port);
    print {$socket} "GET /post?name=unknown&from=r&n=5000&size=300 HTTP/1.0\r\n\r\n";
    $socket;
} 1 .. 3;
for ( 1 .. 3 ) {
    kill HUP => $nginx->pid;
    sleep 0.3;
}
is join( '', map { my $client = $_; ( join '', <$client> ) =~ s/.*\r\n\r\n//sr } @during ), "posted\n" x 3,
    'requests post messages through three reloads';
ok ProcessTest::wait_until( sub { ProcessTest::children( $nginx->pid ) == 5 } ), 'one old worker is left';
body("/list?worker=$_") for @ALL;
is body('/post?name=show&data=both'), "posted\n", 'a message to all';
my $lists = '';
ok ProcessTest::wait_until( sub { $lists .= body("/list?worker=$_") for @ALL; 5 <= ( () = $lists =~ /^both/mg ) } ),
    'four new workers and the old one get it'
    or diag $lists;
is body("/post?name=show&data=new&to=$_"), "posted\n", "to worker $_" for @ALL;
$lists = '';
ok ProcessTest::wait_until( sub { $lists .= body("/list?worker=$_") for @ALL; 4 <= ( () = $lists =~ /^new/mg ) } ), 'to each worker';
sleep 0.3;
$lists .= body("/list?worker=$_") for @ALL;
is scalar( () = $lists =~ /^new/mg ), 4, 'the new one of two workers with a number gets it alone';
close $hanging;
ok $nginx->stop, 'nginx ends';
my $log = $nginx->log_text('error.log');
unlike $log, qr/\[(?:alert|emerg|crit)\](?!.*exited on signal 9|.* was locked by|.*lua_code_cache is off)/, 'nothing went wrong';

for my $case (
    [ 'without a master', undef,        "master_process off;\n" ],
    [ 'with poll',        "use poll;\n", '' ],
    )
{
    my ( $name, $events, $global ) = @$case;
    $nginx = ProcessTest->new;
    my $conf = configure( 1, $events, $global );
    my ( undef, $said ) = $nginx->run( $conf, '-t' );
    if ( $said =~ /invalid event type/ ) {
        diag "$name: this nginx has none";
        next;
    }
    $nginx->start($conf);
    is body('/post?name=show&data=alone'), "posted\n", "$name, a message";
    my $list = '';
    ok ProcessTest::wait_until( sub { $list .= body('/list?worker=0') } ), 'comes';
    like $list, qr/^alone show 0 timer\n\z/, 'once';
    ok $nginx->stop, 'nginx ends';
    unlike $nginx->log_text('error.log'), qr/\[(?:alert|emerg|crit|error)\](?!.*lua_code_cache is off)/, 'nothing went wrong';
}

# Without the directive.
$nginx = ProcessTest->new;
my $bare = <<"_EOC_";
    server {
        listen 127.0.0.1:$port;
        location = /t {
            content_by_lua_block {
                ngx.say(ngx.worker.events.post("a", "b"))
                ngx.say(pcall(ngx.worker.events.on, "a", function() end))
            }
        }
    }
_EOC_
$nginx->start( $nginx->write_http($bare) );
is body('/t'), <<'_EOC_', 'without lua_worker_events';
nilthere is no lua_worker_events in the configuration
falsethere is no lua_worker_events in the configuration
_EOC_
$nginx->stop;
for my $case ( [ '8k', 'it must be 16k at least' ], [ 'x', 'invalid value' ], [ '1m; lua_worker_events 1m', 'is duplicate' ] ) {
    my ( $status, $said ) = $nginx->run( $nginx->write_http("lua_worker_events $case->[0];\n$bare"), '-t' );
    like $said, qr/"lua_worker_events" directive.*\Q$case->[1]\E|\Q$case->[1]\E/, "lua_worker_events $case->[0] is refused";
    isnt $status, 0, 'nginx does not start';
}

done_testing;
