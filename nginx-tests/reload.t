# Reloads while connections are busy: no request fails, old workers leave, and the master, which
# makes a Lua VM for each configuration, holds no more after the last reload than after the tenth.
#
# A client of our own keeps its connections alive, and sends a request again on a new one where an old
# worker closed it at rest, as HTTP has it. wrk would count that as a failure: it makes a connection for
# each request.
#
# All that only this module has is on. Its error log consists of JSON then.
#
# TEST_NGINX_RELOADS is the number of reloads, 200 where it is not set.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use JSON::PP;
use Test::More;
use LoadClient;
use NameServer;
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
$server->write_file( 'resolv.conf', "nameserver [127.0.0.1]:@{[ $port + 1 ]}\n" );
$server->write_file( 'hosts',       "127.0.0.1 listed.test\n" );
# One that nobody edits may wait while it loads.
$server->write_file( 'waiting.lua', 'ngx.sleep(0.001) return "waited"' );
$server->write_file( 'waits.lua', <<'_EOC_');
local events = ngx.worker.events
local PORT
local _M = {}

function _M.start(port)
    PORT = port
    ngx.sleep(0.001)
    events.on("logged", function(data)
        ngx.sleep(0.001)
        ngx.shared.counts:incr("heard", tonumber(data), 0)
    end)
    events.on_lost(function(count) ngx.shared.counts:incr("lost", count, 0) end)
end

-- In the functions of string.gsub and table.sort, and in a module that loads.
function _M.values()
    local list = { 3, 1, 2 }
    table.sort(list, function(a, b) ngx.sleep(0) return a < b end)
    local text = table.concat(list):gsub("%d", function(digit) ngx.sleep(0.001) return digit * 2 end)
    package.loaded.waiting = nil
    return text .. " " .. require "waiting"
end

-- One name is in the file of hosts, one is known to a name server. The peer says nothing for too long.
function _M.names()
    for _, name in ipairs { "listed.test", "served.test" } do
        local sock = ngx.socket.tcp()
        sock:settimeouts(15000, 15000, 1)
        assert(sock:connect(name, PORT))
        local line, err = sock:receive()
        if err ~= "timeout" then
            return line or err
        end
        sock:close()
    end
    return "found"
end

return _M
_EOC_
my $version = 0;

# Replaces a module that workers have loaded.
sub edit_module {
    $version++;
    rename $server->write_file( 'word.new', "return { version = $version, word = 'rewritten' }" ), "$prefix/word.lua"
        or die "rename: $!";
}
edit_module();
my $is_reference = ( $ENV{TEST_NGINX_LOAD_MODULES} // '' ) =~ m{/nginx/modules/ngx_http_lua_module};
my ( $own, $seen ) = $is_reference ? ( '', '' ) : ( <<"_EOC_", <<'_EOS_' );
    lua_capture_error_log 64k;
    lua_error_log_format json;
    lua_code_cache stat;
    lua_ctx_inherit on;
    lua_log_level timeout=notice abort=notice;
    lua_system_resolver resolv_conf=$prefix/resolv.conf hosts=$prefix/hosts;
    lua_strict_globals error;
    lua_max_memory 200m;
    lua_warn_slice 15s;
    lua_max_slice 20s;
    lua_worker_events 256k;
_EOC_
        location = /status  { lua_status; }
        location = /threads { lua_threads; }
        location = /profile { lua_profile; }
        location = /names   { content_by_lua_block { ngx.say(require("waits").names()) } }
        location = /values  { content_by_lua_block { ngx.say(require("waits").values()) } }
        location = /inherit {
            access_by_lua_block { ngx.ctx.word = "inherited" ngx.exec("/inherited") }
        }
        location = /inherited {
            content_by_lua_block { ngx.say(ngx.ctx.word) }
            log_by_lua_block { ngx.worker.events.post("logged", "1") }
        }
_EOS_
# What the hooks of a worker do, where they may wait.
my ( $begins, $ends ) = $is_reference ? ( '', '' ) : ( "require('waits').start($port)", 'ngx.sleep(0.001)' );
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
    # As many as may be asked for at once; releases differ in what they allow by default.
    lua_worker_thread_vm_pool_size 100;
    lua_package_path "$prefix/?.lua;;";
    lua_shared_dict counts 1m;
$own    init_by_lua_block {
        require "resty.core.regex"
        configured = { ngx.re.match("configuration", "(conf)(.*)", "jo")[1] }
    }
    init_worker_by_lua_block {
        $begins
        ngx.shared.counts:incr("workers", 1, 0)
        assert(ngx.timer.every(0.05, function(premature)
            ngx.shared.counts:incr(premature and "premature" or "ticks", 1, 0)
        end))
    }
    exit_worker_by_lua_block { $ends ngx.shared.counts:incr("exits", 1, 0) }
    server {
        listen 127.0.0.1:$port backlog=1024;
        location = /count {
            content_by_lua_block { ngx.say(ngx.shared.counts:get(ngx.var.arg_of) or 0) }
        }
$seen
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
            rewrite_by_lua_block { ngx.ctx.word = ngx.var.word .. " " .. require("word").word }
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
    $is_reference ? () : ( '/names' => "found\n", '/values' => "246 waited\n", '/inherit' => "inherited\n" ),
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

my $names = NameServer->start( $port + 1, { 'served.test' => '127.0.0.1' } );
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
# Each reload ends a request that would have the workers profiled for long.
my @profiles;
my @ways = $is_reference ? () : qw(threads profile?seconds=600 profile?seconds=600&worker=all profile?seconds=600&mode=wait profile?memory);
for my $reload ( 1 .. $RELOADS ) {
    if (@ways) {
        my $socket = ProcessTest::connection($port);
        print {$socket} "GET /$ways[ $reload % @ways ] HTTP/1.0\r\n\r\n";
        push @profiles, $socket;
    }
    edit_module();
    kill HUP => $master;
    last if !workers_started( $WORKERS * ( $reload + 1 ) );
    $begun = $reload;
    $warm = resident($master) if $reload == $WARM;
}
is $begun, $RELOADS, 'every reload has started its workers';
my %ended;
for my $socket (@profiles) {
    my $line = IO::Select->new($socket)->can_read(60) ? readline $socket : 'nothing';
    # nginx may close a connection whose request it has not read.
    $ended{ ( $line // 'close' ) =~ /^HTTP\S+ (\d+)/ ? $1 : $line // 'close' }++;
}
is delete( $ended{nothing} ), undef, 'no profile outlasts a reload';
delete @ended{ 200, 409, 'close' };
is_deeply \%ended, {}, 'each ends well';

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
my ( $heard, $lost ) = ( count_of('heard'), count_of('lost') );
cmp_ok count_of('logged'), '>', 0, 'requests reached the log phase';

my $last = resident($master);
cmp_ok $last - $warm, '<=', $GROWTH, "the master's memory is flat after $WARM reloads";
note "the master's resident memory: $warm kB after $WARM reloads, $last kB after $RELOADS";

# The level and the text of each line of the error log.
sub lines {
    my @lines = split /\n/, $server->log_text('error.log');
    return map { /\[(\w+)\] (.*)/s ? [ $1, $2 ] : [ 'none', $_ ] } @lines if $is_reference;
    # The last one of a process is text.
    my @objects = map { eval { JSON::PP->new->utf8->decode($_) } // { level => 'none', message => $_ } }
        grep { !/\[notice\] \d+#\d+: exit$/ } @lines;
    return map { [ $_->{level}, $_->{message} ] } @objects;
}

is $server->pid, $master, 'it is the same master';
$server->stop;
my @lines = lines();
my @bad = map {"@$_"} grep { $_->[0] !~ /^(?:notice|info|debug)$/ || $_->[1] =~ /exited on signal/ } @lines;
is_deeply \@bad, [], 'nothing went wrong in it or a worker';
SKIP: {
    skip 'only this module has these', 4 if $is_reference;
    my $told = sub { scalar grep { "@$_" =~ $_[0] } @lines };
    cmp_ok $told->(qr/^notice lua tcp socket read timed out/), '>', 0, 'time-outs have their level';
    cmp_ok $told->(qr/^notice lua_code_cache stat: new code of/), '>', 0, 'modules have been loaded anew';
    cmp_ok $heard, '>', 0, 'workers have heard each other';
    cmp_ok $lost, '==', 0, 'no message is lost';
}

done_testing;
