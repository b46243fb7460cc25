# A worker is told to leave, by TERM and by QUIT, while everything that a light thread can wait for is
# under way: it leaves without a crash or an [alert], and takes the programs that it started along.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use Test::More;
use ProcessTest;

my $port   = ProcessTest::port();
my $server = ProcessTest->new;

plan skip_all => 'the reference has no ngx.pipe on a stock nginx'
    if ( $ENV{TEST_NGINX_LOAD_MODULES} // '' ) =~ m{/nginx/modules/ngx_http_lua_module};

$server->write_file( 'job.lua', <<'_EOC_');
return { work = function()
    local ends = os.time() + 1
    repeat until os.time() > ends
end }
_EOC_

# What is under way ends by itself within a second or two, so that QUIT need not wait for long.
my $conf = $server->write_file( 'nginx.conf', <<"_EOC_");
pid        logs/nginx.pid;
error_log  logs/error.log info;
worker_processes 1;
thread_pool jobs threads=2;
events {
}
http {
    access_log off;
    lua_package_path "\$prefix/?.lua;;";
    server {
        listen 127.0.0.1:$port;
        location = /pid {
            content_by_lua_block { ngx.say(ngx.worker.pid()) }
        }
        location = /slow {
            content_by_lua_block { ngx.sleep(2) }
        }
        location = /all {
            lua_check_client_abort on;
            content_by_lua_block {
                local semaphore = require "ngx.semaphore"
                local pipe = require "ngx.pipe"
                local spawn = ngx.thread.spawn
                local never = semaphore.new()
                local programs = {}
                local function program(args)
                    local proc = assert(pipe.spawn(args))
                    proc:set_timeouts(2000, 2000, 2000, 2000)
                    programs[#programs + 1] = proc:pid()
                    return proc
                end
                -- Kept beyond the request: its end is the worker's.
                package.loaded.kept = program({ "sleep", "600" })

                spawn(function() ngx.sleep(2) end)
                spawn(function() never:wait(2) end)
                spawn(function() ngx.run_worker_thread("jobs", "job", "work") end)
                spawn(function() ngx.location.capture("/slow") end)
                spawn(function() coroutine.wrap(function() ngx.sleep(2) end)() end)
                local sleeper = program({ "sleep", "600" })
                spawn(function() sleeper:stdout_read_all() end)
                spawn(function() sleeper:stderr_read_line() end)
                spawn(function() sleeper:write(string.rep("x", 1000000)) end)
                spawn(function() sleeper:wait() end)
                spawn(function()
                    program("trap '' TERM; echo ready; while true; do sleep 0.1; done"):wait()
                end)
                ngx.timer.at(0, function() ngx.sleep(2) end)
                ngx.timer.at(0, function() program({ "sleep", "600" }):wait() end)
                ngx.timer.at(0, function() never:wait(2) end)
                ngx.timer.at(600, function() end)
                ngx.sleep(0.1)
                ngx.say(table.concat(programs, " "))
                ngx.flush(true)
            }
        }
    }
}
_EOC_
$server->start($conf);

for my $signal (qw(TERM QUIT)) {
    my ( undef, undef, $worker ) = ProcessTest::get( $port, '/pid' );
    chomp $worker;
    my @clients = map { ProcessTest::connection($port) } 1 .. 3;
    my @programs;
    for my $client (@clients) {
        print {$client} "GET /all HTTP/1.1\r\nHost: localhost\r\n\r\n";
        my $answer = '';
        ProcessTest::wait_until( sub { !sysread( $client, $answer, 4096, length $answer ) || $answer =~ /^\d+ [\d ]+$/m } );
        my ($ids) = $answer =~ /^(\d+ [\d ]+)$/m;
        push @programs, split / /, $ids // '';
    }
    # Each request started three programs, and a timer of each one more.
    is scalar @programs, 3 * 4, "$signal: programs run";
    is scalar( grep { ProcessTest::is_running($_) } @programs ), 3 * 4, "$signal: all of them";
    kill $signal => $worker;
    ok ProcessTest::wait_until( sub { !ProcessTest::is_running($worker) } ), "$signal: the worker leaves";
    ok ProcessTest::wait_until(
        sub { !grep { ProcessTest::is_running($_) } @programs }
        ),
        "$signal: and its programs end";
    close $_ for @clients;
}
$server->stop;
unlike $server->log_text('error.log'), qr/\[(?:alert|emerg|crit)\]|exited on signal/, 'in silence';

done_testing();
