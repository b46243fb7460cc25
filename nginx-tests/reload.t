# Reloads while connections are busy: no request fails, old workers leave, and the master, which
# makes a Lua VM for each configuration, holds no more after the last reload than after the tenth.
#
# A client of our own keeps its connections alive, and sends a request again on a new one where an old
# worker closed it at rest, as HTTP has it. wrk would count that as a failure: it makes a connection for
# each request.
#
# TEST_NGINX_RELOADS is the number of reloads, 200 where it is not set.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use LoadClient;
use ProcessTest;
use Wrk;

my $RELOADS     = $ENV{TEST_NGINX_RELOADS} || 200;
my $WARM        = 10;
my $WORKERS     = 2;
my $CONNECTIONS = 50;

# kB by which the master's resident memory may grow after the tenth reload. A VM with lua-resty-core
# is about a thousand kB, and the rest of a configuration some hundred: to keep any of
# them would show in a few reloads. What is allowed for is how the C library's heap comes to lie.
my $GROWTH = 512;

die "TEST_NGINX_RELOADS must be above $WARM" if $RELOADS <= $WARM;

my $port   = ProcessTest::port();
my $server = ProcessTest->new;
my $prefix = $server->prefix;
my $static = join '', map {"line $_ of a static file\n"} 1 .. 300;
$server->write_file( 'static.txt', $static );
$server->write_file( 'job.lua', <<'_EOC_');
return { sum = function(n)
    local sum = 0
    for i = 1, n do
        sum = sum + i
    end
    return sum
end }
_EOC_
# What only this module has, all of it on.
my $is_reference = ( $ENV{TEST_NGINX_LOAD_MODULES} // '' ) =~ m{/nginx/modules/ngx_http_lua_module};
my ( $own, $status ) = $is_reference ? ( '', '' ) : ( <<'_EOC_', 'location = /status { lua_status; }' );
    lua_strict_globals error;
    lua_max_memory 200m;
    lua_warn_slice 15s;
    lua_max_slice 20s;
_EOC_
my $conf = $server->write_file( 'nginx.conf', <<"_EOC_");
worker_processes  $WORKERS;
thread_pool jobs threads=2;
pid        logs/nginx.pid;
error_log  logs/error.log notice;
events {
    worker_connections 256;
}
http {
    access_log off;
    lua_package_path "$prefix/?.lua;;";
    lua_shared_dict counts 1m;
    lua_capture_error_log 64k;
$own    init_by_lua_block {
        require "resty.core.regex"
        configured = { ngx.re.match("configuration", "(conf)(.*)", "jo")[1] }
    }
    init_worker_by_lua_block {
        ngx.shared.counts:incr("workers", 1, 0)
        assert(ngx.timer.every(0.05, function(premature)
            ngx.shared.counts:incr(premature and "premature" or "ticks", 1, 0)
        end))
    }
    exit_worker_by_lua_block { ngx.shared.counts:incr("exits", 1, 0) }
    server {
        listen 127.0.0.1:$port backlog=1024;
        location = /count {
            content_by_lua_block { ngx.say(ngx.shared.counts:get(ngx.var.arg_of) or 0) }
        }
        $status
        location = /static.txt { root $prefix; }
        location = /hello {
            error_log logs/error.log warn;
            content_by_lua_block { ngx.say("hello from ", configured[1]) }
        }
        location = /slow {
            content_by_lua_block {
                ngx.print("one ")
                ngx.flush(true)
                ngx.sleep(0.01)
                ngx.say("two")
            }
        }
        location = /thread {
            content_by_lua_block {
                local ok, sum = ngx.run_worker_thread("jobs", "job", "sum", 20000)
                ngx.say(ok and sum or ngx.var.uri)
            }
        }
        location = /phases {
            set_by_lua_block \$word { return "set" }
            rewrite_by_lua_block { ngx.ctx.word = ngx.var.word .. " rewritten" }
            access_by_lua_block { ngx.sleep(0) }
            content_by_lua_block {
                local thread = ngx.thread.spawn(function()
                    return ngx.location.capture("/hello").body
                end)
                local _, body = ngx.thread.wait(thread)
                ngx.say(ngx.ctx.word, ": ", body)
            }
            header_filter_by_lua_block { ngx.header["X-Filtered"] = "yes" }
            body_filter_by_lua_block { ngx.arg[1] = string.upper(ngx.arg[1]) }
            log_by_lua_block { ngx.shared.counts:incr("logged", 1, 0) }
        }
    }
}
_EOC_

my %expected = (
    '/static.txt' => $static,
    '/hello'      => "hello from conf\n",
    '/thread'     => "200010000\n",
    '/slow'       => "one two\n",
    '/phases'     => "SET REWRITTEN: HELLO FROM CONF\n\n",
);

# An old worker may close the connection that asks.
sub count_of {
    my ($name) = @_;
    my ( undef, undef, $body ) = eval { ProcessTest::get( $port, "/count?of=$name" ) };
    return $body // -1;
}

sub resident {
    my ($pid) = @_;
    return ProcessTest::slurp("/proc/$pid/status") =~ /^VmRSS:\s+(\d+) kB/m ? $1 : die "no VmRSS of $pid";
}

$server->start($conf);
my $master = $server->pid;
my $load   = LoadClient->start( $port, $CONNECTIONS, \%expected );
my $wrk    = Wrk->start( $CONNECTIONS, "http://127.0.0.1:$port/slow", 'Connection: close' );

# Until it has started workers, a master does not act on signals.
sub workers_started {
    my ($number) = @_;
    return ProcessTest::wait_until( sub { count_of('workers') == $number } );
}

ok workers_started($WORKERS), 'the first workers';
my ( $warm, $begun ) = ( 0, 0 );
for my $reload ( 1 .. $RELOADS ) {
    kill HUP => $master;
    last if !workers_started( $WORKERS * ( $reload + 1 ) );
    $begun = $reload;
    $warm = resident($master) if $reload == $WARM;
}
is $begun, $RELOADS, 'every reload has started its workers';

SKIP: {
    skip 'wrk is not installed', 2 if !$wrk;
    my ( $of_wrk, $failed ) = $wrk->finish;
    is $failed, '', 'no request of wrk has failed';
    cmp_ok $of_wrk, '>=', $CONNECTIONS, 'wrk kept its connections busy';
    note "$of_wrk answers to wrk";
}

my ( $answered, $again_reused, $again_new, $failures ) = $load->finish;
is_deeply $failures, [], 'no request has failed';
cmp_ok $answered, '>=', $CONNECTIONS, 'the connections were busy';
note "$answered answers; closed before an answer began: "
    . "$again_reused connections in use, $again_new new ones";

ok ProcessTest::wait_until( sub { ProcessTest::children($master) == $WORKERS } ), 'old workers have left';
cmp_ok count_of('exits'), '==', $WORKERS * $RELOADS, 'each ran its exit_worker_by_lua';
cmp_ok count_of('premature'), '==', $WORKERS * $RELOADS, 'and told its timer that it comes early';
SKIP: {
    skip 'the C module has no lua_status', 1 if $is_reference;
    my $all = $WORKERS * $RELOADS;
    like ProcessTest::talk( $port, "GET /status HTTP/1.0\r\n\r\n" ), qr/^phase_runs_total exit_worker +$all /m,
        'lua_status has counted them';
}
cmp_ok count_of('logged'), '>', 0, 'requests reached the log phase';

my $last = resident($master);
cmp_ok $last - $warm, '<=', $GROWTH, "the master's memory is flat after $WARM reloads";
note "the master's resident memory: $warm kB after $WARM reloads, $last kB after $RELOADS";

is $server->pid, $master, 'it is the same master';
$server->stop;
my @bad = grep {/\[(?:warn|error|crit|alert|emerg)\]|exited on signal/}
    split /^/m, $server->log_text('error.log');
is_deeply \@bad, [], 'nothing went wrong in it or a worker';

done_testing;
