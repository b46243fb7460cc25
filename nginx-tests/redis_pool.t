# A thousand requests at once, each with a round trip to Redis over a pooled connection: none fails,
# every connection is accounted for, memory does not grow. Redis is killed under that load: the requests
# get clear errors, and once it is back they are served again.
#
# REDIS_REQUESTS says how many requests (10,000).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use Test::More;
use LoadClient;
use ProcessTest;
use Service;

if ( my $reason = Service::missing('redis') ) {
    plan skip_all => $reason;
}

my $requests = $ENV{REDIS_REQUESTS} || 10_000;
# Four processes with 250 connections each.
my @CLIENTS = (250) x 4;
# What the second location's pool holds at most; its other requests queue for one of them.
my $FEW = 50;
# By how many hundredths resident memory may grow.
my $GROWTH = 5;

my $port       = ProcessTest::port();
my $redis_port = $port + 1;
my $redis      = Service->start( 'redis', $redis_port );
my $server     = ProcessTest->new;
my $conf       = $server->write_file( 'nginx.conf', <<"_EOC_");
pid        logs/nginx.pid;
error_log  logs/error.log notice;
worker_processes 1;
worker_rlimit_nofile 8192;
events {
    worker_connections 4096;
}
http {
    access_log off;
    keepalive_requests 1000000;
    lua_shared_dict outcomes 1m;
    lua_socket_pool_size 2000;
    lua_socket_log_errors off;
    init_by_lua_block {
        local function round_trip(options)
            local red = require("nginx.redis"):new()
            red:set_timeout(60000)
            local ok, err = red:connect("127.0.0.1", $redis_port, options)
            if not ok then return "connect: " .. err end
            ok, err = red:incr("count")
            if not ok then return "incr: " .. err end
            ok, err = red:set_keepalive(600000)
            if not ok then return "set_keepalive: " .. err end
            return "done"
        end
        function answer(options)
            ngx.shared.outcomes:incr(round_trip(options), 1, 0)
            ngx.say("answered")
        end
    }
    server {
        listen 127.0.0.1:$port backlog=2000;
        location = /many {
            content_by_lua_block { answer() }
        }
        location = /few {
            content_by_lua_block { answer({ pool = "few", pool_size = $FEW, backlog = 2000 }) }
        }
        location = /outcomes {
            content_by_lua_block {
                local outcomes = ngx.shared.outcomes
                for _, outcome in ipairs(outcomes:get_keys(0)) do
                    ngx.say(outcomes:get(outcome), " ", outcome)
                end
            }
        }
        location = /forget {
            content_by_lua_block { ngx.shared.outcomes:flush_all() ngx.say("forgotten") }
        }
        location = /worker {
            content_by_lua_block { collectgarbage() collectgarbage() ngx.say(ngx.worker.pid()) }
        }
        location = /status {
            stub_status;
        }
    }
}
_EOC_
$server->start($conf);

sub body { return ( ProcessTest::get( $port, $_[0] ) )[2] }

# How often each thing has happened since /forget.
sub outcomes {
    my %count = map { /^(\d+) (.+)$/ ? ( $2 => $1 ) : () } split /\n/, body('/outcomes');
    return \%count;
}

sub requests_so_far {
    my $sum = 0;
    $sum += $_ for values %{ outcomes() };
    return $sum;
}

sub start_clients {
    my $expected = { '/many' => "answered\n", '/few' => "answered\n" };
    return map { LoadClient->start( $port, $_, $expected ) } @CLIENTS;
}

# Lets the clients end; returns how many requests were answered, and checks that all were.
sub finish_clients {
    my ( $name, @clients ) = @_;
    my ( $answered, @failures ) = (0);
    for my $client (@clients) {
        my ( $count, undef, undef, $failures ) = $client->finish;
        $answered += $count;
        push @failures, @$failures;
    }
    is join( "\n", @failures ), '', "$name: every request is answered";
    return $answered;
}

# All clients send until that many requests more have been served.
sub serve {
    my ( $name, $count ) = @_;
    body('/forget');
    my @clients = start_clients();
    ok wait_for( sub { requests_so_far() >= $count } ), "$name: $count requests";
    my $answered = finish_clients( $name, @clients );
    is_deeply outcomes(), { done => $answered }, "$name: each made its round trip";
    return $answered;
}

# With patience that goes with the number of requests.
sub wait_for {
    my ($done) = @_;
    for ( 0 .. $requests / 20_000 ) {
        return 1 if ProcessTest::wait_until($done);
    }
    return 0;
}

sub resident {
    my ($pid) = @_;
    my ($kilobytes) = ProcessTest::slurp("/proc/$pid/status") =~ /^VmRSS:\s+(\d+) kB/m;
    return $kilobytes;
}

# The connections that Redis has, but for the one that asks.
sub clients_of_redis {
    my $socket = IO::Socket::INET->new( PeerAddr => '127.0.0.1', PeerPort => $redis_port ) or die "redis: $!";
    print {$socket} "CLIENT LIST\r\nGET count\r\n";
    my ($length) = readline($socket) =~ /^\$(\d+)/ or die 'no client list';
    read $socket, my $list, $length + 2;
    readline $socket;
    my $count = readline $socket;
    return ( scalar( () = $list =~ /^id=/mg ) - 1, $count + 0 );
}

chomp( my $worker = body('/worker') );
# Not that of the client that has asked.
sleep 1;
my $fresh = ProcessTest::descriptors($worker);

# Any part may still find more requests under way at once than all before, but not one after the other.
my ( $answers, $grows, @resident ) = ( 0, 1 );
for my $part ( 1 .. 8 ) {
    $answers += serve( "part $part", int( $requests / 3 ) );
    body('/worker');
    push @resident, resident($worker);
    $grows = 100 * ( $resident[-1] - $resident[-2] ) >= $GROWTH * $resident[-2] if $part > 2;
    last if !$grows;
}
diag "$answers requests; resident after each part: ", join ', ', map {"$_ kB"} @resident;
ok !$grows, 'memory does not grow';

# nginx counts the connection of the client that asks.
like body('/status'), qr/^Active connections: 1 $/m, 'no client is left';
my ( $pooled, $count ) = clients_of_redis();
is $count, $answers, 'Redis counts as many round trips as there were answers';
ok wait_for( sub { ProcessTest::descriptors($worker) == $fresh + $pooled } ),
    "each of the worker's $pooled pooled connections is one at Redis";
cmp_ok $pooled, '>=', $FEW, 'the small pool is full';
cmp_ok $pooled, '<=', $FEW + 1000, 'and the other holds no more than there were requests at once';

# Redis dies under load, and comes back.
body('/forget');
my @clients = start_clients();
wait_for( sub { requests_so_far() > $requests / 20 } );
$redis->kill;
ok wait_for( sub { ( outcomes()->{'connect: connection refused'} // 0 ) > 100 } ), 'killed: requests are refused';
ok wait_for( sub { ProcessTest::descriptors($worker) < $fresh + @CLIENTS * $CLIENTS[0] + 100 } ),
    'killed: pooled connections are closed';
$redis->run;
my $recovered = outcomes()->{done};
ok wait_for( sub { outcomes()->{done} > $recovered + 1000 } ), 'back: requests are served again';
my $answered = finish_clients( 'killed and back', @clients );
my $outcomes = outcomes();
my $sum      = 0;
$sum += $_ for values %$outcomes;
is $sum, $answered, 'each request knows what became of it';
diag join ', ', map {"$outcomes->{$_} times $_"} sort keys %$outcomes;
delete @$outcomes{
    'done',        'connect: connection refused', 'connect: connection reset by peer',
    'incr: closed', 'incr: connection reset by peer', 'incr: broken pipe',
    # Killed after its reply, and before the connection came to rest.
    'set_keepalive: closed', 'set_keepalive: invalid connection',
    'set_keepalive: connection in dubious state',
};
is_deeply $outcomes, {}, 'no other errors than those of a server that is gone';

serve( 'back', $requests / 10 );
($pooled) = clients_of_redis();
ok wait_for( sub { ProcessTest::descriptors($worker) == $fresh + $pooled } ),
    "back: the worker's $pooled pooled connections are those of Redis";

# It ends in peace: what rests in the pools is closed.
$redis->stop;
ok wait_for( sub { ProcessTest::descriptors($worker) == $fresh } ), 'without Redis no descriptor is left';
is body('/worker'), "$worker\n", 'the worker is the same';
$server->stop;
unlike $server->log_text('error.log'), qr/\[(?:alert|emerg|crit)\]/, 'no alarm';

done_testing;
