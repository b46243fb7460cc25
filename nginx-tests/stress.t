# Requests that spawn, wait, kill and abort at random: light threads over sleeps, captures,
# semaphores, coroutines, timers and programs, in every phase that can wait; some clients leave. A
# request that hangs has failed. At the end the worker is the same, and has said nothing alarming.
#
# STRESS_REQUESTS says how many requests (300), STRESS_SEED which ones (the time; it is printed), and
# STRESS_PATIENCE for how many seconds one of them may stay silent (30).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use Test::More;
use Time::HiRes qw(time);
use ProcessTest;

my $requests = $ENV{STRESS_REQUESTS} || 300;
my $seed     = $ENV{STRESS_SEED}     || time;
my $patience = $ENV{STRESS_PATIENCE} || 30;
my $clients  = 16;

my $port   = ProcessTest::port();
my $server = ProcessTest->new;

# The reference needs a patched nginx for ngx.pipe.
plan skip_all => 'for this module only'
    if ( $ENV{TEST_NGINX_LOAD_MODULES} // '' ) =~ m{/nginx/modules/ngx_http_lua_module};

$server->write_file( 'stress.lua', <<'_EOC_');
-- A random tree of light threads, the same for the same seed.
local pipe = require "ngx.pipe"
local semaphore = require "ngx.semaphore"
local shared = semaphore.new(1)
local _M = {}

local function random(seed)
    local state = seed % 2147483647 + 1
    return function(n)
        state = state * 48271 % 2147483647
        return state % n + 1
    end
end

local actions
local function act(r, depth)
    return actions[r(#actions)](r, depth)
end

local function program(r, args)
    local proc, err = pipe.spawn(args)
    if not proc then
        error(err)
    end
    proc:set_timeouts(r(50), r(50), r(50), r(50))
    return proc
end

actions = {
    function(r) ngx.sleep((r(10) - 1) / 1000) end,
    function() ngx.sleep(0) end,
    function() coroutine.yield() end,
    function(r) ngx.location.capture("/job?n=" .. r(5)) end,
    function(r) ngx.location.capture_multi({ { "/job?n=" .. r(5) }, { "/fail" }, { "/job?n=0" } }) end,
    function(r)
        if shared:wait(r(20) / 1000) then
            ngx.sleep(r(3) / 1000)
            shared:post(1)
        end
    end,
    function(r)
        local own = semaphore.new()
        local thread = ngx.thread.spawn(function() own:wait(r(20) / 1000) end)
        if r(2) == 1 then own:post(1) end
        ngx.thread.wait(thread)
    end,
    function(r, depth)
        local co = coroutine.create(function() act(r, depth + 1) coroutine.yield(1) act(r, depth + 1) end)
        coroutine.resume(co)
        if r(2) == 1 then coroutine.resume(co) end
    end,
    function(r)
        local proc = program(r, { "cat" })
        proc:write(string.rep("x", r(200000)))
        proc:stdout_read_bytes(r(100000))
        if r(2) == 1 then proc:shutdown("stdin") proc:stdout_read_all() proc:wait() end
    end,
    function(r)
        local proc = program(r, { "sleep", "0.0" .. r(9) })
        local thread = ngx.thread.spawn(function() return proc:wait() end)
        proc:stderr_read_any(10)
        if r(2) == 1 then proc:kill(r(2) == 1 and 9 or 15) end
        if r(2) == 1 then ngx.thread.kill(thread) end
    end,
    function(r) ngx.timer.at(0, function() pcall(act, r, 3) end) end,
    function(r, depth)
        if depth > 3 then return end
        local threads = {}
        for i = 1, r(4) do
            threads[i] = ngx.thread.spawn(function() act(r, depth + 1) act(r, depth + 1) end)
        end
        local way = r(4)
        if way == 1 then
            for _, thread in ipairs(threads) do ngx.thread.wait(thread) end
        elseif way == 2 then
            ngx.thread.wait(unpack(threads))
            for _, thread in ipairs(threads) do ngx.thread.kill(thread) end
        elseif way == 3 then
            for _, thread in ipairs(threads) do
                if r(2) == 1 then ngx.thread.kill(thread) end
            end
        end
    end,
    function() error("on purpose") end,
    function(r)
        if r(3) == 1 then ngx.exit(r(2) == 1 and 403 or ngx.OK) end
    end,
}

-- Does `n` things for the seed that the request names.
function _M.run(n)
    local r = random(tonumber(ngx.var.arg_seed))
    for _ = 1, n do
        act(r, 0)
    end
end

return _M
_EOC_

my $conf = $server->write_file( 'nginx.conf', <<"_EOC_");
pid        logs/nginx.pid;
error_log  logs/error.log notice;
worker_processes 1;
worker_rlimit_nofile 8192;
events {
    worker_connections 4096;
}
http {
    access_log off;
    lua_package_path "\$prefix/?.lua;;";
    lua_max_running_timers 4096;
    lua_max_pending_timers 4096;
    server {
        listen 127.0.0.1:$port;
        # Two numbers at rest: the worker's id, and its open descriptors.
        location = /worker {
            content_by_lua_block {
                collectgarbage()
                collectgarbage()
                local count = 0
                for _ in io.popen("ls /proc/" .. ngx.worker.pid() .. "/fd"):lines() do
                    count = count + 1
                end
                ngx.say(ngx.worker.pid(), " ", count)
            }
        }
        location = /job {
            content_by_lua_block { ngx.sleep(tonumber(ngx.var.arg_n) / 1000) ngx.say("job") }
        }
        location = /fail {
            content_by_lua_block { error("on purpose") }
        }
        location = /content {
            content_by_lua_block { require("stress").run(4) ngx.say("done") }
        }
        location = /abort {
            lua_check_client_abort on;
            content_by_lua_block {
                ngx.on_abort(function() ngx.sleep(0.001) ngx.exit(499) end)
                require("stress").run(6)
                ngx.say("done")
            }
        }
        location = /phases {
            rewrite_by_lua_block { require("stress").run(2) }
            access_by_lua_block { require("stress").run(2) }
            content_by_lua_block { ngx.say("done") }
        }
        location = /exec {
            rewrite_by_lua_block { require("stress").run(2) }
            content_by_lua_block {
                ngx.thread.spawn(function() require("stress").run(2) end)
                ngx.exec("/content", ngx.var.args)
            }
        }
    }
}
_EOC_
diag "STRESS_SEED=$seed STRESS_REQUESTS=$requests";
srand $seed;
$server->start($conf);

my @paths = qw(/content /abort /phases /exec);
my ( $worker, $descriptors ) = split ' ', ( ProcessTest::get( $port, '/worker' ) )[2];

# Clients side by side: each sends a request, and the answer's end is the server's close.
my ( %open, @hung, %seen );
my $sent = 0;
my $select = IO::Select->new;

while ( $sent < $requests || %open ) {
    while ( $sent < $requests && keys %open < $clients ) {
        $sent++;
        my $path   = $paths[ rand @paths ] . '?seed=' . int rand 2**31;
        my $leaves = rand() < 0.2;
        my $socket = ProcessTest::connection($port);
        print {$socket} "GET $path HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        $open{$socket} = {
            socket => $socket,
            path   => $path,
            answer => '',
            until  => $leaves ? time + rand 0.02 : undef,
            since  => time,
        };
        $select->add($socket);
    }
    for my $socket ( $select->can_read(0.005) ) {
        my $client = $open{$socket};
        my $read   = sysread $socket, $client->{answer}, 65536, length $client->{answer};
        $client->{over} = 1 if !$read;
    }
    for my $client ( values %open ) {
        my $leaves = defined $client->{until} && time > $client->{until};
        my $hangs  = time - $client->{since} > $patience;
        next if !$client->{over} && !$leaves && !$hangs;
        push @hung, $client->{path} if $hangs && !$client->{over};
        if ( $client->{over} ) {
            my ($status) = $client->{answer} =~ m{\AHTTP/1\.1 (\d+) };
            # None: an error while another thread's subrequest is pending ends in a close without a word.
            # A worker that dies does the same, but is another one afterwards.
            $seen{ $status // 'none' }++;
        }
        $select->remove( $client->{socket} );
        close $client->{socket};
        delete $open{ $client->{socket} };
    }
    last if @hung > 5;
}
diag 'answers: ' . join ', ', map {"$seen{$_} times $_"} sort keys %seen;
is "@hung", '', 'no request hangs';
ok $seen{200} && $seen{500}, 'some requests succeed, some fail';

# What the last requests left under way ends by itself.
my ( $last, $left );
ProcessTest::wait_until(
    sub {
        ( $last, $left ) = split ' ', ( ProcessTest::get( $port, '/worker' ) )[2];
        return $left <= $descriptors && !ProcessTest::children($last);
    }
);
is $last, $worker,      'the worker is the same';
is $left, $descriptors, 'no descriptor is left open';
is scalar( ProcessTest::children($last) ), 0, 'no program is left';
$server->stop;
unlike $server->log_text('error.log'), qr/\[(?:alert|emerg|crit)\]|exited on signal/, 'no alarm';

done_testing();
