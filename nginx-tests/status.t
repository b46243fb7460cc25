# lua_status: what two workers count, in all three formats, through a crash and a reload.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw(decode_json);
use Test::More;

use ProcessTest;
use PyPI;

plan skip_all => 'the C module has no lua_status'
    if ( $ENV{TEST_NGINX_LOAD_MODULES} // '' ) =~ m{/nginx/modules/ngx_http_lua_module};

my $port  = ProcessTest::port();
my $nginx = ProcessTest->new;
my $http  = <<"_EOC_";
    lua_shared_dict small 100k;
    lua_socket_log_errors off;
    server {
        listen 127.0.0.1:$port;
        location = /status { lua_status; }
        location = /self   { return 200 "me"; }
        location = /hello  { content_by_lua_block { ngx.say("hello") } }
        location = /wait {
            access_by_lua_block { ngx.sleep(0.001) }
            content_by_lua_block {
                local co = coroutine.create(function() coroutine.yield() end)
                coroutine.resume(co)
                ngx.thread.wait(ngx.thread.spawn(function() ngx.sleep(0.001) end))
                ngx.say("waited")
            }
            log_by_lua_block { local n = 0 for i = 1, 1e5 do n = n + i end }
        }
        location = /hang { content_by_lua_block { ngx.thread.spawn(function() ngx.sleep(60) end) ngx.sleep(60) } }
        location = /error  { content_by_lua_block { error("oops") } }
        location = /syntax { content_by_lua_block { this is not Lua } }
        location = /filter {
            header_filter_by_lua_block { error("oops") }
            return 200 "filtered";
        }
        location = /timer {
            content_by_lua_block {
                ngx.timer.at(0, function() end)
                ngx.timer.at(600, function() end)
                ngx.sleep(0.01)
                ngx.say("set")
            }
        }
        location = /pool {
            content_by_lua_block {
                for i = 1, 3 do
                    local sock = ngx.socket.tcp()
                    assert(sock:connect("127.0.0.1", $port))
                    assert(sock:send("GET /self HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n"))
                    repeat local line = sock:receive() until line == ""
                    sock:receive(2)
                    assert(sock:setkeepalive())
                end
                ngx.say(pcall(ngx.socket.tcp().connect, ngx.socket.tcp(), "127.0.0.1", 1))
            }
        }
        location = /pools {
            content_by_lua_block {
                for i = 1, 20 do
                    local sock = ngx.socket.tcp()
                    local name = i == 1 and 'a "name"\\n' or "pool " .. i
                    assert(sock:connect("127.0.0.1", $port, { pool = name, pool_size = 5 }))
                    assert(sock:setkeepalive())
                end
                ngx.say("made")
            }
        }
        location = /queue {
            lua_check_client_abort on;
            content_by_lua_block {
                local function connect()
                    local sock = ngx.socket.tcp()
                    return sock:connect("127.0.0.1", $port, { pool = "narrow", pool_size = 1, backlog = 2 })
                end
                assert(connect())
                ngx.thread.spawn(connect)
                ngx.sleep(30)
            }
        }
        location = /fill {
            content_by_lua_block {
                for i = 1, 1000 do ngx.shared.small:set(i, ("x"):rep(1000)) end
                ngx.say("full")
            }
        }
        location = /collect {
            content_by_lua_block {
                collectgarbage() collectgarbage()
                jit.flush()
                local n = 0
                for i = 1, 1e4 do n = n + i end
                ngx.say(n)
            }
        }
    }
_EOC_
my $conf = $nginx->write_http($http);
$nginx->write_file( 'nginx.conf', ProcessTest::slurp($conf) =~ s/worker_processes 1/worker_processes 2/r );

sub body {
    my ($path) = @_;
    return ProcessTest::talk( $port, "GET $path HTTP/1.0\r\n\r\n" ) =~ s/.*?\n\n//sr;
}

# All numbers by name and labels, and the workers.
sub status {
    my $answer = decode_json( body('/status?format=json') );
    my %numbers;
    for my $name ( keys %{ $answer->{metrics} } ) {
        for my $sample ( @{ $answer->{metrics}{$name}{samples} } ) {
            my $labels = join ',', map {"$_=$sample->{labels}{$_}"} sort keys %{ $sample->{labels} };
            $numbers{ length $labels ? "$name\{$labels}" : $name } = $sample;
        }
    }
    return ( \%numbers, $answer->{workers} );
}

# The sum over all workers.
sub all {
    my ( $numbers, $name ) = @_;
    return $numbers->{"nginx_lua_$name"}{all};
}

$nginx->start($conf);

my ( $numbers, $workers );
ok ProcessTest::wait_until( sub { ( $numbers, $workers ) = status(); @$workers == 2 } ), 'two workers count';
is_deeply $workers, [ sort { $a <=> $b } ProcessTest::children( $nginx->pid ) ], 'they are named';
is all( $numbers, 'phase_runs_total{phase=content}' ), 0, 'nothing has run yet';

body('/hello') for 1 .. 20;
is body('/wait'), "waited\n", 'a request that waits';
body('/error') for 1 .. 2;
body('/syntax');
is body('/filter'), '', 'a filter that fails';
is body('/timer'), "set\n", 'timers';
like body('/pool'), qr/nil.*connection refused/s, 'connections';
is body('/fill'),    "full\n",     'a dictionary that is too small';
is body('/collect'), "50005000\n", 'a collection, and a trace';

# Of other workers, what nobody counts is known a second later.
ok ProcessTest::wait_until( sub {
    ( $numbers, $workers ) = status();
    return all( $numbers, 'timers_pending' ) == 1 && all( $numbers, 'cosocket_pools' ) == 1;
} ), 'a pending timer, and a pool';
my %expected = (
    'phase_runs_total{phase=content}'             => 27,
    'phase_runs_total{phase=access}'              => 1,
    'phase_runs_total{phase=log}'                 => 1,
    'phase_runs_total{phase=header_filter}'       => 1,
    'phase_runs_total{phase=ngx.timer}'           => 1,
    'errors_total{kind=runtime,phase=content}'    => 2,
    'errors_total{kind=load,phase=content}'       => 1,
    'errors_total{kind=memory,phase=content}'     => 0,
    'errors_total{kind=runtime,phase=header_filter}' => 1,
    'coroutines_total'                            => 1,
    'light_threads_total'                         => 1,
    'light_threads'                               => 0,
    'entry_threads'                               => 0,
    'timers_total'                                => 1,
    'timers_late_total'                           => 0,
    'timers_running'                              => 0,
    'cosocket_reuses_total'                       => 2,
    'cosocket_connects_total'                     => 2,
    'cosocket_pools'                              => 1,
    'cosocket_pool_idle'                          => 1,
    'cosocket_pool_used'                          => 0,
    'shared_dict_capacity_bytes{dict=small}'      => 102400,
    "cosocket_pool_size{pool=127.0.0.1:$port}"    => 30,
    "cosocket_pool_reuses{pool=127.0.0.1:$port}"  => 2,
    "cosocket_pool_connections{pool=127.0.0.1:$port,state=idle}" => 1,
    "cosocket_pool_connections{pool=127.0.0.1:$port,state=used}" => 0,
    "cosocket_pool_waiting_connects{pool=127.0.0.1:$port}"       => 0,
);
is all( $numbers, $_ ), $expected{$_}, $_ for sort keys %expected;

# sleep, spawn, wait, the end of the sleep in the thread, resume and yield, the connections' replies.
cmp_ok all( $numbers, 'yields_total' ), '>=', 6, 'yields';
cmp_ok all( $numbers, 'phase_seconds_total{phase=log}' ), '>', 0, 'the time of a phase';
cmp_ok all( $numbers, 'phase_seconds_total{phase=content}' ), '<', 20, 'in seconds';
cmp_ok all( $numbers, 'shared_dict_evictions_total{dict=small}' ), '>', 800, 'evictions';
cmp_ok all( $numbers, 'shared_dict_free_bytes{dict=small}' ), '<', 20000, 'little is free';
cmp_ok all( $numbers, 'shared_dict_largest_free_bytes{dict=small}' ), '<=',
    all( $numbers, 'shared_dict_free_bytes{dict=small}' ), 'in pieces that are no larger than all of it';
cmp_ok all( $numbers, 'shared_dict_free_fragments{dict=small}' ), '<=', 5, 'of a page at least';
cmp_ok all( $numbers, 'vm_memory_bytes' ), '>', 2 * 200_000, 'memory of two VMs';
cmp_ok all( $numbers, 'vm_collections_total' ), '>=', 2, 'collections';
cmp_ok all( $numbers, 'jit_traces_total' ), '>=', 1, 'traces';
cmp_ok all( $numbers, 'jit_trace_flushes_total' ), '==', 1, 'a flush';
for my $name ( 'phase_runs_total{phase=content}', 'vm_memory_bytes' ) {
    my ( $sum, @each ) = ( 0, @{ $numbers->{"nginx_lua_$name"}{workers} } );
    $sum += $_ for @each;
    is $sum, all( $numbers, $name ), "$name is the sum of the workers' @each";
}

# What a request holds while it waits.
my $hanging = ProcessTest::connection($port);
print {$hanging} "GET /hang HTTP/1.0\r\n\r\n";
ok ProcessTest::wait_until( sub { ($numbers) = status(); all( $numbers, 'light_threads' ) == 1 } ), 'a light thread lives';
is all( $numbers, 'entry_threads' ), 1, 'and its request';
close $hanging;

# More pools than there are rows for, with names of all kinds, and one whose connections are all in use.
is body('/pools'), "made\n", 'twenty pools more';
my $queued = ProcessTest::connection($port);
print {$queued} "GET /queue HTTP/1.0\r\n\r\n";
ok ProcessTest::wait_until(
    sub {
        ($numbers) = status();
        return ( all( $numbers, 'cosocket_pool_waiting_connects{pool=narrow}' ) // 0 ) == 1
            && defined all( $numbers, 'cosocket_pool_size{pool=(others)}' );
    }
    ),
    'a connect waits for a place in a pool';
is all( $numbers, 'cosocket_pool_connections{pool=narrow,state=used}' ), 1, 'whose connection is in use';
is all( $numbers, 'cosocket_pool_size{pool=narrow}' ),                   1, 'the only one that it is for';
my %idle = map { /cosocket_pool_connections\{pool=(.*),state=idle\}/s ? ( $1 => $numbers->{$_}{all} ) : () } keys %$numbers;
cmp_ok scalar keys %idle, '<=', 32, 'two workers have sixteen rows each';
cmp_ok $idle{'(others)'}, '>=', 4, 'one of them for the rest';
my $sum = 0;
$sum += $_ for values %idle;
is $sum, all( $numbers, 'cosocket_pool_idle' ), 'together, they have all connections';
ok exists $idle{qq{a "name"\n}}, 'a name with a quote and a newline';
my $sizes = decode_json( body('/status?format=json') )->{metrics}{nginx_lua_cosocket_pool_size}{samples};
my @names = map { $_->{labels}{pool} } @$sizes;
is_deeply \@names, [ sort @names ], 'they are in the order of their names';
close $queued;
ok ProcessTest::wait_until( sub { ($numbers) = status(); !defined all( $numbers, 'cosocket_pool_size{pool=narrow}' ) } ),
    'a pool without connections is gone';

subtest "Prometheus's own parser" => sub {
    my $missing = PyPI::missing();
    return plan skip_all => $missing if defined $missing;
    my $parse = <<'_EOC_';
import json, sys
from prometheus_client.parser import text_string_to_metric_families
families = list(text_string_to_metric_families(sys.stdin.read()))
for family in families:
    assert family.documentation.endswith("."), family
print(json.dumps([[f.type, s.name, s.labels, s.value] for f in families for s in f.samples]))
_EOC_
    ($numbers) = status();
    my $text    = body('/status?format=prometheus');
    my $samples = decode_json( PyPI::run( $parse, $text ) );
    is scalar @$samples, scalar keys %$numbers, 'as many samples as in JSON';
    my %types;
    for my $sample (@$samples) {
        my ( $type, $name, $labels, $value ) = @$sample;
        my $label = join ',', map {"$_=$labels->{$_}"} sort keys %$labels;
        my $full = length $label ? "$name\{$label}" : $name;
        $types{$name} = $type;
        next if $name =~ /seconds|vm_memory|collections|runs|yields/;
        is $value, $numbers->{$full}{all}, $full;
    }
    is $types{nginx_lua_yields_total},        'counter', 'what only grows is a counter';
    is $types{nginx_lua_cosocket_pool_idle}, 'gauge',   'what does not is a gauge';
    my $each = decode_json( PyPI::run( $parse, body('/status?format=prometheus&by=worker') ) );
    my %by_worker = map { $_->[2]{worker} => $_->[3] } grep { $_->[1] eq 'nginx_lua_vm_memory_bytes' } @$each;
    is_deeply [ sort { $a <=> $b } keys %by_worker ], $workers, 'a sample for each worker';
};

subtest 'for people' => sub {
    my $text = body('/status');
    like $text, qr/^ +all +$workers->[0] +$workers->[1]$/m,              'the columns';
    like $text, qr/^phase_runs_total access +1 +[01] +[01]$/m,           'a line of a phase';
    like $text, qr/^errors_total content runtime +2 +[0-2] +[0-2]$/m,    'errors';
    like $text, qr/^phase_seconds_total log +0\.\d{6} +0\.\d{6} +0\.\d{6}$/m, 'a time';
    like $text, qr/^shared_dict_capacity_bytes small +102400$/m,         'a dictionary';
};

like ProcessTest::talk( $port, "POST /status HTTP/1.0\r\nContent-Length: 1\r\n\r\nx" ), qr/^HTTP\S+ 405 /, 'POST is refused';
like ProcessTest::talk( $port, "GET /status?format=xml HTTP/1.0\r\n\r\n" ), qr/^HTTP\S+ 400 /, 'an unknown format, too';
like ProcessTest::talk( $port, "HEAD /status HTTP/1.0\r\n\r\n" ), qr/^HTTP\S+ 200 .*Content-Length: [1-9]/s, 'HEAD has the length';

# A worker that dies, the one with the request that hangs, leaves its numbers to the next one.
my %before = map { $_ => all( $numbers, $_ ) } grep {/_total/} map {s/^nginx_lua_//r} keys %$numbers;
my ($victim) = map { $workers->[$_] } grep { $numbers->{nginx_lua_entry_threads}{workers}[$_] } 0, 1;
kill KILL => $victim;
ok ProcessTest::wait_until( sub {
    ( $numbers, $workers ) = eval { status() };
    $workers && @$workers == 2 && !grep { $_ == $victim } @$workers;
} ), 'another worker in the place of a dead one';
is_deeply [ grep { all( $numbers, $_ ) < $before{$_} } keys %before ], [], 'no sum has become smaller';
is all( $numbers, 'entry_threads' ), 0, 'what a dead worker held is gone';

my @old = @$workers;
kill HUP => $nginx->pid;
ok ProcessTest::wait_until( sub {
    ( $numbers, $workers ) = eval { status() };
    my %now = map { $_ => 1 } @{ $workers || [] };
    $workers && @$workers == 2 && !grep { $now{$_} } @old;
} ), 'the workers after a reload';
is_deeply [ grep { all( $numbers, $_ ) < $before{$_} } keys %before ], [], 'the sums outlast the reload';

# Without lua_status, nothing is counted.
$nginx->write_file( 'nginx.conf', ProcessTest::slurp($conf) =~ s/lua_status;/return 200 "none";/r );
kill HUP => $nginx->pid;
ok ProcessTest::wait_until( sub { eval { body('/status') } eq 'none' } ), 'a reload takes it out';
is body('/hello'), "hello\n", 'and code runs as before';

ok $nginx->stop, 'a pending timer of lua_status keeps no worker';
unlike $nginx->log_text('error.log'), qr/\[(?:alert|emerg)\](?!.*exited on signal 9)/, 'nothing else went wrong';
done_testing;
