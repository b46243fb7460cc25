# Names that cosockets look up without a `resolver`, at the name server of a resolv.conf: addresses of both
# families, domains to search, many at once, clients and workers that leave in the middle, a reload.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use Test::More;
use NameServer;
use ProcessTest;

my $port   = ProcessTest::port();
my $server = ProcessTest->new;
my $prefix = $server->prefix;
my $names  = NameServer->start( $port + 1,
    { 'four.test' => '127.0.0.1', 'six.test' => '::1', 'both.test' => [ '127.0.0.1', '::1' ], 'short.a.test' => '127.0.0.1' } );
# A name server that says nothing.
my $silent = IO::Socket::INET->new( LocalAddr => '127.0.0.1', LocalPort => $port + 2, Proto => 'udp' ) or die "$!";

sub resolv_conf { $server->write_file( 'resolv.conf', join '', map {"$_\n"} @_ ) }
my $answering = "nameserver [127.0.0.1]:" . ( $port + 1 );
resolv_conf( $answering, 'search none.test a.test' );
$server->write_file( 'hosts', "127.0.0.1 four\n" );

my $conf = $server->write_http( <<"_EOC_");
    lua_system_resolver resolv_conf=$prefix/resolv.conf hosts=$prefix/hosts;
    lua_socket_log_errors off;
    server {
        listen 127.0.0.1:$port backlog=2048;
        location = /peer { return 200 here; }
        location = /worker { content_by_lua_block { ngx.print(ngx.worker.pid()) } }
        location = /tcp {
            content_by_lua_block {
                local sock = ngx.socket.tcp()
                local ok, err = sock:connect(ngx.var.arg_name, $port)
                if not ok then
                    return ngx.print(err)
                end
                assert(sock:send("GET /peer HTTP/1.0\\r\\n\\r\\n"))
                ngx.print(assert(sock:receive("*a")):match("\\r\\n\\r\\n(.*)"))
            }
        }
        location = /udp {
            content_by_lua_block {
                local sock = ngx.socket.udp()
                ngx.print((select(-1, sock:setpeername(ngx.var.arg_name, $port))))
            }
        }
        # Many light threads, each of which looks up.
        location = /many {
            content_by_lua_block {
                local threads, good = {}, 0
                for i = 1, 1000 do
                    threads[i] = ngx.thread.spawn(function()
                        local sock = ngx.socket.udp()
                        -- A name that is not there is asked for in each domain. There are not many: the
                        -- name server's socket has room for some hundred questions.
                        local name = i % 2 == 0 and "both.test" or "gone" .. i % 100 .. ".test"
                        return sock:setpeername(name, $port)
                    end)
                end
                for i = 1, 1000 do
                    local _, ok, err = ngx.thread.wait(threads[i])
                    if i % 2 == 0 and ok or i % 2 == 1 and tostring(err):find("3: Host not found", 1, true) then
                        good = good + 1
                    end
                end
                ngx.print(good)
            }
        }
        # Whether the code ends when its client leaves.
        location = /left {
            lua_check_client_abort on;
            content_by_lua_block {
                local watched = require "watched"
                watched.waits = true
                ngx.on_abort(function() watched.left = true; ngx.exit(499) end)
                ngx.socket.tcp():connect("slow" .. ngx.worker.pid() .. ".test", $port)
            }
        }
        location = /watched {
            content_by_lua_block {
                local watched = require "watched"
                ngx.print(watched.left and "left" or watched.waits and "waits" or "none")
            }
        }
    }
    init_by_lua_block { package.loaded.watched = {} }
_EOC_
$server->start($conf);

# Reloads, and waits for the old worker's end.
sub reload {
    my $old = answer('/worker');
    kill HUP => $server->pid;
    return ProcessTest::wait_until( sub { !ProcessTest::is_running($old) } );
}

sub answer { return ( ProcessTest::get( $port, $_[0] ) )[2] }

is answer("/tcp?name=four.test"), 'here', 'an IPv4 address';
is answer("/tcp?name=four"),      'here', 'a name of the file of hosts';
is answer("/udp?name=four.test"), '1',    'for a datagram';
isnt answer("/tcp?name=six.test"), 'here', 'an IPv6 address, where nobody listens';
my $good = grep { answer("/tcp?name=both.test") eq 'here' } 1 .. 30;
is $good, 30, 'of both families, the one that connects is found each time';
is answer("/tcp?name=short"),  'here', 'a name in a domain to search';
is answer("/tcp?name=short."), 'short. could not be resolved (3: Host not found)', 'a dot at the end forbids that';
is answer("/tcp?name=gone"),   'gone could not be resolved (3: Host not found)',   'a name in no domain';
is answer('/many'), '1000', 'a thousand at once';

resolv_conf( "nameserver [127.0.0.1]:" . ( $port + 2 ) );
is answer("/tcp?name=short"), 'here', 'the files are read by a reload only';
ok reload(), 'reloaded';

my $client = ProcessTest::connection($port);
print {$client} "GET /left HTTP/1.1\r\nHost: x\r\n\r\n";
ok ProcessTest::wait_until( sub { answer('/watched') eq 'waits' } ), 'a look-up waits for the server';
close $client;
ok ProcessTest::wait_until( sub { answer('/watched') eq 'left' } ), 'and ends with its client';

$client = ProcessTest::connection($port);
print {$client} "GET /tcp?name=slow HTTP/1.1\r\nHost: x\r\n\r\n";
my $worker = answer('/worker');
kill TERM => $worker;
ok ProcessTest::wait_until( sub { !ProcessTest::is_running($worker) } ), 'a worker exits in a look-up';
ok ProcessTest::wait_until( sub { ( answer('/worker') // '' ) =~ /^\d+$/ } ), 'another takes its place';
resolv_conf($answering);
ok reload(), 'reloaded again';
is answer("/tcp?name=four.test"), 'here', 'and there are names again';
$server->stop;
unlike $server->log_text('error.log'), qr/\[(?:alert|emerg|crit)\]/, 'nothing bad in the log';
done_testing;
