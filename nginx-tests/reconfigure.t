# A configuration is replaced, refused or taken down while handlers work in the background.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use ProcessTest;

my $port   = ProcessTest::port();
my $server = ProcessTest->new;

# A configuration that calls itself $name; $extra stands in its http block.
sub write_conf {
    my ( $name, $extra ) = @_;
    return $server->write_file( 'nginx.conf', <<"_EOC_");
worker_processes  2;
pid        logs/nginx.pid;
error_log  logs/error.log notice;
events {
}
http {
    access_log off;
    $extra
    server {
        listen 127.0.0.1:$port;
        location = /name {
            content_by_lua_block { ngx.say("$name") }
        }
        location = /job {
            content_by_lua_block {
                ngx.say("accepted")
                ngx.eof()
                ngx.sleep(1)
                local res = ngx.location.capture("/name")
                ngx.log(ngx.NOTICE, "job done, named ", res.body)
            }
        }
        location = /timer {
            content_by_lua_block {
                ngx.timer.at(3600, function(premature)
                    ngx.log(ngx.NOTICE, "timer of $name, premature: ", premature)
                end)
                ngx.say("accepted")
            }
        }
        location = /module {
            content_by_lua_block { ngx.say(require("which")) }
        }
    }
}
_EOC_
}

sub body { return ( ProcessTest::get( $port, $_[0] ) )[2] }

sub write_module {
    my ($says) = @_;
    $server->write_file( 'which.lua', "return '$says'\n" );
}

my $path = 'lua_package_path "' . $server->prefix . '/?.lua;;";';

write_module('old');
$server->start( write_conf( 'first', $path ) );
my $master = $server->pid;
is body('/name'),   "first\n", 'the first configuration';
is body('/module'), "old\n",   'its Lua module';

# A good reload, with a job and a timer under way.
is body('/job'),   "accepted\n", 'a job begins';
is body('/timer'), "accepted\n", 'a timer is set';
write_module('new');
write_conf( 'second', $path );
kill HUP => $master;
ok ProcessTest::wait_until( sub { body('/name') eq "second\n" } ), 'the second configuration';
ok $server->wait_for_line( 'error.log', qr/job done, named first$/m ),
    'the job ends in the configuration that it began in';
ok $server->wait_for_line( 'error.log', qr/timer of first, premature: true/ ),
    'the timer of the old worker is told that it comes early';
ok ProcessTest::wait_until( sub { body('/module') eq "new\n" } ), 'Lua modules are loaded anew';
is $server->pid, $master, 'by the same master';

# A reload that is refused.
write_conf( 'third', 'lua_code_cache perhaps;' );
kill HUP => $master;
ok $server->wait_for_line( 'error.log',
    qr/\[emerg\] .*invalid value "perhaps" in "lua_code_cache" directive/ ), 'a bad one is refused';
is body('/name'), "second\n", 'the second configuration stays';

write_conf( 'fourth', 'lua_package_path "/nonexistent/?.lua";' );
kill HUP => $master;
ok $server->wait_for_line( 'error.log',
    qr/\[alert\] .*failed to load the 'resty\.core' module .*reason: module 'resty\.core' not found/
), 'one without lua-resty-core is refused';
is body('/name'), "second\n", 'the second configuration stays again';

# A worker that is killed is replaced, and the new one works.
write_conf( 'second', $path );
for my $worker ( ProcessTest::children($master) ) {
    kill KILL => $worker;
}
ok $server->wait_for_line( 'error.log', qr/exited on signal 9/ ), 'workers are killed';
ok ProcessTest::wait_until( sub { ( eval { body('/name') } // '' ) eq "second\n" } ),
    'new ones answer';

# A graceful stop waits for jobs and ends timers.
is body('/job'),   "accepted\n", 'a job begins before the end';
is body('/timer'), "accepted\n", 'and a timer';
$server->stop;
my $log = $server->log_text('error.log');
like $log, qr/job done, named second$/m,                   'the job was done';
like $log, qr/timer of second, premature: true/,           'the timer was told';
like $log, qr/\[notice\] $master#.*: exit$/m,                'the master has ended';
unlike $log, qr/exited on signal (?!9\b)|\[error\]|\[crit\]/, 'nothing else went wrong';

done_testing;
