# ngx.process.signal_graceful_exit: a worker ends its work and leaves, and its master, whose id
# ngx.process tells, starts another.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use ProcessTest;

my $port   = ProcessTest::port();
my $server = ProcessTest->new;
my $conf   = $server->write_file( 'nginx.conf', <<"_EOC_");
pid        logs/nginx.pid;
error_log  logs/error.log info;
worker_processes 1;
events {
}
http {
    access_log off;
    server {
        listen 127.0.0.1:$port;
        location = /pid {
            content_by_lua_block {
                local process = require "ngx.process"
                ngx.say(ngx.worker.pid(), " ", process.get_master_pid(), " ", process.type())
            }
        }
        location = /leave {
            content_by_lua_block {
                assert(ngx.timer.at(3600, function(premature)
                    ngx.log(ngx.WARN, "premature: ", premature,
                            ", exiting: ", ngx.worker.exiting())
                end))
                ngx.say("exiting: ", ngx.worker.exiting())
                require("ngx.process").signal_graceful_exit()
            }
        }
    }
}
_EOC_
$server->start($conf);

my ( undef, undef, $before ) = ProcessTest::get( $port, '/pid' );
my ($worker) = ProcessTest::children( $server->pid );
is $before, "$worker " . $server->pid . " worker\n", 'the worker knows itself and its master';

my ( undef, undef, $leave ) = ProcessTest::get( $port, '/leave' );
is $leave, "exiting: false\n", 'a worker at work is not exiting';
ok ProcessTest::wait_until( sub { !ProcessTest::is_running($worker) } ), 'it leaves when told to';
ok $server->wait_for_line( 'error.log', qr/\[warn\].*premature: true, exiting: true/ ),
    'its timers end before, and see that it exits';

my ( undef, undef, $after ) = ProcessTest::get( $port, '/pid' );
my ($other) = $after =~ /^(\d+) (\d+) worker$/;
isnt $other, $worker, 'another worker serves on';
unlike $server->log_text('error.log'), qr/\[(?:alert|emerg|crit|error)\]/, 'in silence';
$server->stop;

done_testing();
