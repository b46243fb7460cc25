# The ways in which nginx's processes come and go while connections are busy: the binary is
# upgraded, an upgrade is taken back, and nginx runs in the foreground, without a master too.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use LoadClient;
use ProcessTest;

my $WORKERS     = 3;
my $CONNECTIONS = 30;

my $port   = ProcessTest::port();
my $server = ProcessTest->new;
my $prefix = $server->prefix;

my %expected = (
    '/hello' => "hello from conf\n",
    '/slow'  => "one two\n",
    '/sub'   => "[hello from conf\n]\n",
);

# A configuration whose answers name $generation.
sub write_conf {
    my ( $globals, $generation ) = @_;
    return $server->write_file( 'nginx.conf', <<"_EOC_");
$globals
pid        logs/nginx.pid;
error_log  logs/error.log notice;
events {
    worker_connections 256;
}
http {
    access_log off;
    lua_shared_dict counts 1m;
    init_by_lua_block { configured = "conf" }
    init_worker_by_lua_block {
        local id = ngx.worker.id()
        ngx.log(ngx.NOTICE, "worker ", id, " of $generation begins")
        assert(ngx.timer.every(0.05, function(premature)
            if premature then
                ngx.log(ngx.NOTICE, "timer of $generation ends early")
            end
        end))
    }
    exit_worker_by_lua_block { ngx.log(ngx.NOTICE, "worker of $generation ends") }
    server {
        listen 127.0.0.1:$port backlog=1024;
        location = /hello { content_by_lua_block { ngx.say("hello from ", configured) } }
        location = /slow {
            content_by_lua_block {
                ngx.print("one ")
                ngx.flush(true)
                ngx.sleep(0.01)
                ngx.say("two")
            }
        }
        location = /sub {
            access_by_lua_block { ngx.sleep(0) }
            content_by_lua_block {
                ngx.say("[", ngx.location.capture("/hello").body, "]")
            }
            body_filter_by_lua_block { ngx.arg[1] = ngx.arg[1] }
        }
        location = /generation {
            content_by_lua_block {
                local asked = ngx.shared.counts:incr("asked", 1, 0)
                ngx.say("$generation ", asked)
            }
        }
    }
}
_EOC_
}

sub pid_in { return ProcessTest::slurp("$prefix/logs/$_[0]") =~ /^(\d+)$/m ? $1 : 0 }

sub generation {
    my ( undef, undef, $body ) = eval { ProcessTest::get( $port, '/generation' ) };
    return ( $body // '' ) =~ /^(\w+) \d+$/ ? $1 : '';
}

sub times_logged {
    my ($text) = @_;
    return scalar( () = $server->log_text('error.log') =~ /\Q$text\E/g );
}

sub logged_times {
    my ( $text, $times ) = @_;
    return ProcessTest::wait_until( sub { times_logged($text) == $times } );
}

sub load { return LoadClient->start( $port, $CONNECTIONS, \%expected ) }

# Ends the load, and sees to it that all its requests were answered.
sub all_answered {
    my ( $load, $name ) = @_;
    my ( $answered, undef, undef, $failures ) = $load->finish;
    is_deeply $failures, [], "no request has failed: $name";
    cmp_ok $answered, '>=', $CONNECTIONS, "the connections were busy: $name";
}

sub in_silence {
    my ($name) = @_;
    my @bad = grep {/\[(?:warn|error|crit|alert|emerg)\]|exited on signal|exited with code [1-9]/}
        split /^/m, $server->log_text('error.log');
    is_deeply \@bad, [], "no worker has died, nothing went wrong: $name";
}

sub fresh_log {
    open my $log, '>', "$prefix/logs/error.log" or die "error.log: $!";
}

sub test_upgrade {
    $server->start( write_conf( "worker_processes $WORKERS;", 'first' ) );
    my $old = $server->pid;
    ok logged_times( 'of first begins', $WORKERS ), 'every worker ran its init_worker_by_lua';
    my $load = load();

    # An upgrade that is taken back.
    write_conf( "worker_processes $WORKERS;", 'second' );
    kill USR2 => $old;
    ok logged_times( 'of second begins', $WORKERS ), 'a new master and its workers';
    my ($second) = grep { $_ == pid_in('nginx.pid') } ProcessTest::children($old);
    ok $second, 'which is a child of the old one';
    is pid_in('nginx.pid.oldbin'), $old, 'whose own pid file has moved';
    kill WINCH => $old;
    ok logged_times( 'worker of first ends', $WORKERS ), 'the old workers leave';
    is generation(), 'second', 'the new ones answer';
    # A master that has given way does not read its configuration anew.
    kill HUP => $old;
    ok logged_times( 'of first begins', 2 * $WORKERS ), 'the old master starts workers again';
    kill QUIT => $second;
    ok logged_times( 'worker of second ends', $WORKERS ), 'the new workers leave';
    ok ProcessTest::wait_until( sub { pid_in('nginx.pid') == $old } ), 'the old master has its pid file again';
    is generation(), 'first', 'and answers';

    # One that is kept.
    write_conf( "worker_processes $WORKERS;", 'third' );
    kill USR2 => $old;
    ok logged_times( 'of third begins', $WORKERS ), 'a new master again';
    my $new = pid_in('nginx.pid');
    kill WINCH => $old;
    ok logged_times( 'worker of first ends', 2 * $WORKERS ), 'the old workers leave';
    kill QUIT => $old;
    ok ProcessTest::wait_until( sub { !ProcessTest::is_running($old) } ), 'the old master ends';
    is generation(), 'third', 'the new one answers';
    is pid_in('nginx.pid'), $new, 'with its pid file';

    all_answered( $load, 'upgrades' );
    my @workers = ProcessTest::children($new);
    is @workers, $WORKERS, 'it has its workers and no more';
    kill QUIT => $new;
    ok ProcessTest::wait_until( sub { !ProcessTest::is_running($new) } ), 'it ends';
    is times_logged("timer of $_->[0] ends early"), $_->[1] * $WORKERS, "timers of $_->[0] were told"
        for [ first => 2 ], [ second => 1 ], [ third => 1 ];
    in_silence('upgrades');
}

# Starts nginx as a child of ours that stays in the foreground.
sub start_in_foreground {
    my ($conf) = @_;
    unlink "$prefix/logs/nginx.pid";
    fresh_log();
    my $pid = fork // die "fork: $!";
    if ( $pid == 0 ) {
        open STDOUT, '>', "$prefix/output" or die;
        open STDERR, '>&', \*STDOUT        or die;
        exec $server->command($conf) or die "exec: $!";
    }
    ProcessTest::wait_until( sub { generation() ne '' } ) or BAIL_OUT('nginx does not start');
    return $pid;
}

# Has it end by $signal; its exit status.
sub end_by {
    my ( $signal, $pid ) = @_;
    kill $signal => $pid;
    ProcessTest::wait_until( sub { !ProcessTest::is_running($pid) } ) or kill KILL => $pid;
    waitpid $pid, 0;
    return $?;
}

sub test_daemon_off {
    my $globals = "daemon off; worker_processes $WORKERS;";
    my $pid = start_in_foreground( write_conf( $globals, 'first' ) );
    is $server->pid, $pid, 'daemon off: the master is what was started';
    ok logged_times( 'of first begins', $WORKERS ), 'with its workers';
    my $load = load();
    write_conf( $globals, 'second' );
    kill HUP => $pid;
    ok logged_times( 'of second begins', $WORKERS ), 'it reloads';
    ok logged_times( 'worker of first ends', $WORKERS ), 'the old workers leave';
    is generation(), 'second', 'and the new ones answer';
    all_answered( $load, 'daemon off' );
    is end_by( QUIT => $pid ), 0, 'it ends with status 0';
    is times_logged('worker of second ends'), $WORKERS, 'after its workers';
    in_silence('daemon off');
}

sub test_single_process {
    my $globals = 'daemon off; master_process off;';
    my $pid = start_in_foreground( write_conf( $globals, 'first' ) );
    is $server->pid, $pid, 'master_process off: one process';
    is_deeply [ ProcessTest::children($pid) ], [], 'without others';
    ok logged_times( 'worker 0 of first begins', 1 ), 'it ran its init_worker_by_lua';
    # No reload: where it has no master, nginx forgets the timers that are set.
    my $load = load();
    is generation(), 'first', 'it answers' for 1 .. 20;
    all_answered( $load, 'master_process off' );
    is end_by( QUIT => $pid ), 0, 'it ends with status 0';
    is times_logged('worker of first ends'), 1, 'and ran exit_worker_by_lua';
    in_silence('master_process off');
}

test_upgrade();
test_daemon_off();
test_single_process();

done_testing;
