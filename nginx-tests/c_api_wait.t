# Coroutines that wait for another module, by the C API: resumed with results in every phase that can
# wait, cancelled once however they end, and left alone when they wait for something else.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use CModule;
use ProcessTest;

my $port   = ProcessTest::port();
my $server = ProcessTest->new;
my $module = CModule::compile( $server, 'ngx_http_waiter_module' );

my $conf = $server->write_file( 'nginx.conf', <<"_EOC_");
load_module $module;
pid        logs/nginx.pid;
error_log  logs/error.log notice;
worker_processes 1;
events {
}
http {
    access_log off;
    server {
        listen 127.0.0.1:$port;
        location = /phases {
            server_tokens off;
            rewrite_by_lua_block { ngx.ctx.rewrite = { require("waiter").sleep(1, 1) } }
            access_by_lua_block { ngx.ctx.access = { require("waiter").sleep(1, 2) } }
            precontent_by_lua_block { ngx.ctx.precontent = { require("waiter").sleep(1, 3) } }
            content_by_lua_block {
                local ctx = ngx.ctx
                ctx.content = { require("waiter").sleep(1, 4) }
                for _, phase in ipairs{ "rewrite", "access", "precontent", "content" } do
                    ngx.say(phase, ": ", table.concat(ctx[phase], " "))
                end
                ngx.say(require("waiter").counts())
            }
        }
        location = /timer {
            content_by_lua_block {
                local waiter, said = require("waiter"), {}
                ngx.timer.at(0, function() said = { waiter.sleep(1, 5) } end)
                for _ = 1, 1000 do
                    if said[1] then break end
                    ngx.sleep(0.005)
                end
                ngx.say(said[1], " ", said[2], "; ", waiter.counts())
            }
        }
        location = /two {
            content_by_lua_block {
                local waiter = require("waiter")
                local threads = {}
                for i = 1, 2 do
                    threads[i] = ngx.thread.spawn(function() return waiter.sleep(20 / i, i) end)
                end
                ngx.say(select(2, ngx.thread.wait(threads[1])), " ", select(2, ngx.thread.wait(threads[2])))
                -- One waits in a coroutine of its own, behind a call that Lua code made.
                local co = coroutine.wrap(function()
                    coroutine.yield(pcall(waiter.sleep, 1, 3))
                    return waiter.sleep(1, 4)
                end)
                ngx.say(co())
                ngx.say(co())
                ngx.say(waiter.counts())
            }
        }
        location = /subrequests {
            content_by_lua_block {
                local a, b = ngx.location.capture_multi{ { "/waits?n=6" }, { "/waits?n=7" } }
                ngx.say(a.body, b.body, require("waiter").counts())
            }
        }
        location = /waits {
            content_by_lua_block {
                ngx.print(require("waiter").sleep(10, tonumber(ngx.var.arg_n)), "; ")
            }
        }
        location = /killed {
            content_by_lua_block {
                local waiter = require("waiter")
                local thread = ngx.thread.spawn(function() waiter.sleep(60000) end)
                local held = waiter.last()
                ngx.say(waiter.known(ngx.null), " ", ngx.thread.kill(thread))
                ngx.say(waiter.counts())
                -- Others may run in the same memory.
                for i = 1, 20 do
                    ngx.thread.wait(ngx.thread.spawn(function() ngx.sleep(0) end))
                end
                ngx.say(waiter.known(held), " ", waiter.wake(held))
                waiter.cancel(held)
                ngx.say(waiter.counts())
            }
        }
        location = /exit {
            content_by_lua_block {
                ngx.thread.spawn(function() require("waiter").sleep(60000) end)
                ngx.print("out")
                ngx.exit(200)
            }
        }
        location = /error {
            content_by_lua_block {
                ngx.thread.spawn(function() require("waiter").sleep(60000) end)
                ngx.print("out")
                ngx.sleep(0)
                error("an error on purpose")
            }
        }
        location = /aborted {
            lua_check_client_abort on;
            content_by_lua_block { require("waiter").sleep(60000) }
        }
        location = /ended {
            content_by_lua_block { require("waiter").start(60000) ngx.print("out") }
        }
        location = /replaced {
            content_by_lua_block {
                local waiter = require("waiter")
                waiter.start(60000)
                ngx.sleep(0.001)
                ngx.say(waiter.counts())
            }
        }
        # As libraries do whose C functions are called by FFI, and cannot yield.
        location = /lua_yields {
            content_by_lua_block {
                local waiter, yield = require("waiter"), coroutine._yield
                waiter.start(1, 16)
                ngx.say(yield())
                ngx.say(coroutine.wrap(function()
                    waiter.start(1, 17)
                    return yield("to nobody")
                end)())
                ngx.say(waiter.counts())
            }
        }
        location = /counts {
            content_by_lua_block { ngx.print(require("waiter").counts()) }
        }
        location = /current {
            content_by_lua_block {
                local waiter = require("waiter")
                local own = waiter.current()
                ngx.say(own == waiter.current())
                ngx.thread.wait(ngx.thread.spawn(function() ngx.say(own == waiter.current()) end))
                coroutine.wrap(function() ngx.say(own == waiter.current()) end)()
                ngx.say(own == waiter.current())
                ngx.header["X-In-Filter"] = "unset"
                ngx.say(waiter.known(own))
            }
        }
        location = /header_filter {
            content_by_lua_block { ngx.print("") }
            header_filter_by_lua_block {
                ngx.header["X-Current"] = tostring(require("waiter").current())
                ngx.header["X-Sleep"] = table.concat({ require("waiter").sleep(1) }, " ")
            }
        }
        location = /set {
            set_by_lua_block \$found {
                local waiter = require("waiter")
                return tostring(waiter.current()) .. " " .. tostring(pcall(waiter.sleep, 1))
            }
            return 200 "\$found";
        }
        # Woken by a thread of the same request, and by another request.
        location = /wake {
            content_by_lua_block {
                local waiter = require("waiter")
                local thread = ngx.thread.spawn(function()
                    local first = waiter.block()
                    return first, waiter.block()
                end)
                local held = waiter.last()
                ngx.say(waiter.wake(held, 8), " and again ", waiter.wake(held, 9))
                ngx.sleep(0.001)
                ngx.say(waiter.wake(held, 10))
                ngx.say(ngx.thread.wait(thread))
                ngx.say(waiter.wake(held, 11))
                -- One that runs, and one that waits for something of this module's.
                ngx.say(waiter.wake(waiter.current()))
                local sleeper = ngx.thread.spawn(function()
                    waiter.start(60000)
                    ngx.sleep(0.02)
                    return "slept"
                end)
                ngx.say(waiter.wake(waiter.last(), 12))
                ngx.say(select(2, ngx.thread.wait(sleeper)))
                -- Unless that is cancelled before.
                sleeper = ngx.thread.spawn(function()
                    waiter.start(60000)
                    return ngx.sleep(60)
                end)
                waiter.cancel(waiter.last())
                ngx.say(waiter.wake(waiter.last(), 13))
                ngx.say(ngx.thread.wait(sleeper))
                ngx.say(waiter.counts())
            }
        }
        location = /blocks {
            content_by_lua_block { ngx.say("woken with ", (require("waiter").block())) }
        }
        location = /wakes {
            content_by_lua_block {
                local waiter = require("waiter")
                ngx.say(waiter.wake(waiter.last(), 14))
            }
        }
        # A thread that is killed between its resume and its turn.
        location = /killed_late {
            content_by_lua_block {
                local waiter = require("waiter")
                local thread = ngx.thread.spawn(function() ngx.say("not to be seen", waiter.block()) end)
                waiter.wake(waiter.last(), 1)
                ngx.say(ngx.thread.kill(thread))
                ngx.sleep(0.005)
            }
        }
        location = /buffering_on { content_by_lua_block { ngx.print(require("waiter").buffering()) } }
        location = /buffering_off {
            lua_http10_buffering off;
            content_by_lua_block { ngx.print(require("waiter").buffering()) }
        }
    }
}
_EOC_
$server->start($conf);

sub body { return ( ProcessTest::get( $port, $_[0] ) )[2] }
sub counts { return body('/counts') }

# Waits until the module has seen $cancelled cancellations in all.
sub cancelled {
    my ($cancelled) = @_;
    return ProcessTest::wait_until( sub { ( () = $server->log_text('error.log') =~ /waiter cancelled/g ) >= $cancelled } );
}

is body('/phases'), <<'_EOC_', 'every phase that can wait';
rewrite: 1 done
access: 2 done
precontent: 3 done
content: 4 done
4 resumed, 0 cancelled, 0 misused
_EOC_
is body('/timer'), "5 done; 1 resumed, 0 cancelled, 0 misused\n", 'a timer';
is body('/two'),   <<'_EOC_',                                     'two at once, and in a coroutine of Lua code';
1 2done
true3done
4done
4 resumed, 0 cancelled, 0 misused
_EOC_
is body('/subrequests'), "6; 7; 2 resumed, 0 cancelled, 0 misused\n", 'subrequests';

is body('/killed'), <<'_EOC_', 'a thread that is killed: its key finds nothing then';
false 1
0 resumed, 1 cancelled, 0 misused
false false
0 resumed, 0 cancelled, 0 misused
_EOC_
my $cancelled = 1;
is body('/exit'), 'out', 'ngx.exit in another thread';
is counts(),      '0 resumed, 1 cancelled, 0 misused', 'cancels it once';
eval { body('/error') };
ok cancelled( $cancelled + 2 ), 'an error';
is counts(), '0 resumed, 1 cancelled, 0 misused', 'in another thread cancels it once';
is body('/ended'), 'out', 'an end without a wait';
is counts(),       '0 resumed, 1 cancelled, 0 misused', 'cancels it once';
is body('/replaced'), "0 resumed, 1 cancelled, 0 misused\n", 'as does another wait';

is body('/lua_yields'), "16done\n17done\n2 resumed, 0 cancelled, 0 misused\n", 'Lua code yields itself';

{
    my $client = ProcessTest::connection($port);
    print {$client} "GET /aborted HTTP/1.1\r\nHost: localhost\r\n\r\n";
    counts();
    close $client;
    ok cancelled( $cancelled + 5 ), 'the client leaves';
    is counts(), '0 resumed, 1 cancelled, 0 misused', 'the wait is cancelled once';
}

is body('/current'), "true\nfalse\nfalse\ntrue\ntrue\n", 'each coroutine has its own';
my ( undef, $head ) = ProcessTest::get( $port, '/header_filter' );
like $head, qr/X-Current: userdata: .*X-Sleep: \d+ done/si, 'a filter has its own';
is counts(), '1 resumed, 0 cancelled, 0 misused', 'and is resumed';
is body('/set'), 'nil false', 'none where nothing can wait';
is body('/wake'), <<'_EOC_', 'woken by a thread: once, and only where it waits for that';
true and again true
true
true810
false
true
true
slept
true
true13
0 resumed, 2 cancelled, 0 misused
_EOC_
my $refusals = () = $server->log_text('error.log')
    =~ /\[alert\] .*lua co_ctx: another module's coroutine is not waiting for it/g;
# Three of them from within a cleanup, of coroutines that had gone on to sleep.
is $refusals, 6, 'the log tells of the others';

is body('/killed_late'), "1\n", 'a thread that is killed behind its resume';
{
    my $client = ProcessTest::connection($port);
    print {$client} "GET /blocks HTTP/1.0\r\n\r\n";
    counts();
    is body('/wakes'), "true\n", 'another request wakes a coroutine';
    my $answer = do { local $/; <$client> };
    like $answer, qr/woken with 14\n\z/, 'which goes on';
    is body('/wakes'), "false\n", 'and is not found afterwards';
}
is body('/buffering_on'),  1, 'lua_http10_buffering on';
is body('/buffering_off'), 0, 'lua_http10_buffering off';

# A worker that leaves while two wait.
{
    my $client = ProcessTest::connection($port);
    print {$client} "GET /waits?n=15 HTTP/1.0\r\n\r\n";
    my $second = ProcessTest::connection($port);
    print {$second} "GET /aborted HTTP/1.0\r\n\r\n";
    counts();
    my $master = $server->pid;
    kill TERM => $master;
    ok ProcessTest::wait_until( sub { !ProcessTest::is_running($master) } ), 'TERM: the worker leaves';
}
my $log = $server->log_text('error.log');
unlike $log, qr/exited on signal|panicked|\[(?:crit|emerg)\]|still|open socket/, 'in silence';
my $alerts = () = $log =~ /\[alert\]/g;
is $alerts, $refusals, 'no other alert';

done_testing();
