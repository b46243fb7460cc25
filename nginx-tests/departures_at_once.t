# `ngx.on_abort` and `ngx.flush(true)` for a thousand clients at once, with each version of HTTP that this nginx has:
# clients that leave, streams that are reset, clients that do not read and then read on or leave, with a reload
# meanwhile, and with a worker that is told to quit or is terminated.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_RCVBUF);
use Test::More;
use Time::HiRes qw(time);
use Gate;
use HttpClient;
use HttpVersions;
use ProcessTest;

plan skip_all => 'the C module does not notice in all these places'
    if ( $ENV{TEST_NGINX_LOAD_MODULES} // '' ) =~ m{/nginx/modules/ngx_http_lua_module};

# Memcheck takes its time, and some of the descriptors.
my $memcheck = $ENV{TEST_NGINX_USE_VALGRIND};
my ( $MANY, $SOME ) = $memcheck ? ( 60, 24 ) : ( 1000, 120 );
my $PATIENCE = $memcheck ? 600 : 120;
my $limit    = $memcheck ? '' : 'worker_rlimit_nofile 8192;';

my $server = HttpVersions::server('h1');
my $plain  = ProcessTest::port();
my $gate   = Gate->new($server);
my ( undef, $built ) = $server->run( '/dev/null', '-V' );
my %ports = ( h1 => $plain + 1 );
$ports{h2} = $plain + 2 if $built =~ /http_v2_module/;
$ports{h3} = $plain + 3 if $built =~ /http_v3_module/;
my $listen = join "\n", map { HttpVersions::listen_lines( $_, $ports{$_} ) } sort keys %ports;
$listen =~ s/sndbuf=8k/sndbuf=8k backlog=4096/;
# What nginx itself says of HTTP/3's own streams on a connection that a client closes.
my $OF_NGINX = qr/stream cancellation|failed to create server stream/;
my $streams = ( $ports{h2} ? 'http2_max_concurrent_streams 2000; ' : '' ) . ( $ports{h3} ? 'http3_max_concurrent_streams 2000; http3_stream_buffer_size 8k;' : '' );

# The locations of code that has a handler and waits, and of code that waits until its output is taken: how often the
# code goes on once its client has left, and whether it has a handler.
my @WAITING  = ( [ '/exits', 0, 1 ], [ '/waits', 0, 1 ], [ '/goes_on', 1, 1 ], [ '/early', 0, 1 ], [ '/threads', 0, 1 ] );
my @FLUSHING = (
    [ '/flush', 1, 0 ], [ '/flush_early', 1, 0 ], [ '/flush_watched', 0, 0 ], [ '/flush_exits', 0, 1 ],
    [ '/flush_goes_on', 1, 1 ]
);

my $conf = $server->write_file( 'nginx.conf', <<"_EOC_");
pid        logs/nginx.pid;
error_log  logs/error.log notice;
worker_processes 1;
$limit
events {
    worker_connections 8192;
}
http {
    access_log off;
    client_body_timeout ${PATIENCE}s;
    keepalive_requests 100000;
    keepalive_timeout ${PATIENCE}s;
    send_timeout ${PATIENCE}s;
    $streams
    lua_shared_dict notes 1m;
    lua_shared_dict handlers 4m;
    init_by_lua_block {
        local notes, handlers = ngx.shared.notes, ngx.shared.handlers
        function note(name) notes:incr(name, 1, 0) end
        @{[ $gate->wait_function ]}
        -- Notes the handler of this request.
        local function handle()
            handlers:incr(ngx.var.uri .. " " .. ngx.var.arg_n, 1, 0)
            if ngx.worker.exiting() then ngx.log(ngx.NOTICE, "handler for ", ngx.var.arg_tag, " ", ngx.var.arg_n, ";") end
        end
        function exit_if_left()
            assert(ngx.on_abort(function() handle() ngx.exit(499) end))
        end
        function exit_late_if_left()
            assert(ngx.on_abort(function() handle() ngx.sleep(0.01) ngx.exit(499) end))
        end
        -- Returns a function that waits for the handler.
        function note_if_left()
            local left
            assert(ngx.on_abort(function() left = true handle() end))
            return function()
                while not left do ngx.sleep(0.05) end
            end
        end
        function text() return (("%04d "):format(ngx.var.arg_n)):rep(ngx.var.arg_times) end
        -- More than a client takes that does not read. Returns whether it was taken.
        function flush()
            ngx.print(text())
            note("begun")
            local ok, err = ngx.flush(true)
            if ok then
                note("taken")
            elseif err ~= "client aborted" and err ~= "nginx output filter error" then
                ngx.log(ngx.ALERT, "flush: ", err)
            end
            return ok
        end
        -- The bytes that C code has, without what the C library keeps for later, which depends on the order of calls.
        local ffi = require "ffi"
        ffi.cdef "typedef struct { size_t arena, pieces, fast, maps, mapped, most, kept, used, rest, top; } usage_t; usage_t mallinfo2();"
        function in_use()
            local has_it, usage = pcall(function() return ffi.C.mallinfo2() end)
            return has_it and string.format("%d", tonumber(usage.mapped + usage.used)) or 0
        end
        function begin() note("begun") end
        function pass() note("passed") end
    }
    server {
        listen 127.0.0.1:$plain;
        location = /threads_of_worker { lua_threads; }
        location = /state {
            content_by_lua_block {
                collectgarbage()
                collectgarbage()
                local notes = ngx.shared.notes
                ngx.print(ngx.worker.pid(), " ", ngx.var.connections_active, " ", math.ceil(collectgarbage("count")), " ", in_use())
                for _, name in ipairs({ "begun", "passed", "taken", "ended" }) do ngx.print(" ", notes:get(name) or 0) end
            }
        }
        # How many requests have had their handler run, and how often all together.
        location = /handlers {
            content_by_lua_block {
                local handlers, sum = ngx.shared.handlers, 0
                local keys = handlers:get_keys(0)
                for _, key in ipairs(keys) do sum = sum + handlers:get(key) end
                handlers:flush_all()
                handlers:flush_expired()
                ngx.print(#keys, " ", sum)
            }
        }
    }
    server {
        $listen
        server_name localhost;
        lua_check_client_abort on;
        log_by_lua_block { note("ended") }
        location = /exits { content_by_lua_block { exit_if_left() begin() wait() pass() ngx.print(text()) } }
        location = /waits { content_by_lua_block { exit_late_if_left() begin() wait() pass() ngx.print(text()) } }
        location = /goes_on {
            content_by_lua_block {
                local await = note_if_left()
                begin()
                local thread = ngx.thread.spawn(await)
                ngx.thread.wait(thread, ngx.thread.spawn(wait))
                pass()
                ngx.print(text())
                ngx.exit(200)
            }
        }
        location = /early {
            access_by_lua_block { exit_if_left() begin() wait() pass() }
            content_by_lua_block { ngx.print(text()) }
        }
        location = /threads {
            content_by_lua_block {
                exit_if_left()
                begin()
                local threads = {}
                for i = 1, 3 do threads[i] = ngx.thread.spawn(wait) end
                for i = 1, 3 do ngx.thread.wait(threads[i]) end
                pass()
                ngx.print(text())
            }
        }
        location = /flush {
            lua_check_client_abort off;
            content_by_lua_block { flush() ngx.sleep(0.001) pass() }
        }
        location = /flush_early {
            lua_check_client_abort off;
            rewrite_by_lua_block { flush() ngx.sleep(0.001) pass() ngx.exit(200) }
        }
        location = /flush_watched { content_by_lua_block { if flush() then pass() else ngx.sleep(${PATIENCE}) end } }
        location = /flush_exits {
            content_by_lua_block { exit_if_left() if flush() then pass() else ngx.sleep(${PATIENCE}) end }
        }
        location = /flush_goes_on {
            content_by_lua_block {
                local await = note_if_left()
                if not flush() then await() end
                pass()
            }
        }
    }
}
_EOC_
$server->start($conf);

sub body { return ( ProcessTest::get( $plain, $_[0] ) )[2] }

sub now {
    my %state;
    @state{qw(worker active lua_memory memory begun passed taken ended)} = split / /, body('/state');
    return \%state;
}

# The location of request $n among $paths.
sub location { my ( $n, $paths ) = @_; return $paths->[ $n % @$paths ] }

# How many times five bytes are the output: where the code waits until it is taken, more than fits between nginx and a
# client that does not read.
sub repeats {
    my ( $version, $paths ) = @_;
    return $paths == \@WAITING ? 20 : { h1 => 20_000, h2 => 600, h3 => 4000 }->{$version};
}

# Clients of $version that wait for $count answers, one location of $paths after the other. They do what $way says once
# they are told to: they read, close their connections, or reset their streams.
sub clients {
    my ( $version, $count, $way, $tag, $paths ) = @_;
    my @numbers = 1 .. $count;
    my %clients = ( version => $version, way => $way, numbers => \@numbers, paths => $paths );
    my @urls    = map { location( $_, $paths )->[0] . "?n=$_&tag=$tag&times=" . repeats( $version, $paths ) } @numbers;
    if ( $version eq 'h1' ) {
        $clients{sockets} = [ map { h1_client($_) } @urls ];
        return \%clients;
    }
    my %told = $way eq 'reads' ? ( hold => \1 ) : ( stop => 'told', hold => \1, $way eq 'closes' ? ( leave => \1 ) : () );
    $clients{conversation} = HttpClient::start(
        protocol => $version,
        address  => "127.0.0.1:$ports{$version}",
        parallel => $count,
        patience => 1000 * $PATIENCE,
        window   => 1000,
        linger   => $way eq 'resets' ? 300 : 0,
        requests => [ map { { path => $_, %told } } @urls ]
    );
    return \%clients;
}

sub h1_client {
    my ($url) = @_;
    my $socket = IO::Socket::INET->new( Proto => 'tcp', Type => IO::Socket::SOCK_STREAM ) or die "socket: $!";
    setsockopt $socket, SOL_SOCKET, SO_RCVBUF, 4096 or die "SO_RCVBUF: $!";
    connect $socket, Socket::pack_sockaddr_in( $ports{h1}, Socket::inet_aton('127.0.0.1') ) or die "connect: $!";
    $socket->autoflush(1);
    print {$socket} "GET $url HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    return $socket;
}

# Tells clients to do what they are for; returns how many whole answers have come that are right.
sub proceed {
    my ($clients) = @_;
    my $right     = 0;
    my @bodies;
    if ( $clients->{sockets} ) {
        @bodies = h1_bodies($clients);
    }
    else {
        my $outcome = HttpClient::finish( $clients->{conversation} );
        diag "$clients->{version}: $outcome->{error}" if $outcome->{error};
        @bodies = map { $_->{body} } @{ $outcome->{answers} || [] };
    }
    for my $n ( @{ $clients->{numbers} } ) {
        $right += ( $bodies[ $n - 1 ] // '' ) eq sprintf( '%04d ', $n ) x repeats( @$clients{qw(version paths)} );
    }
    return $right;
}

sub h1_bodies {
    my ($clients) = @_;
    my $until = time + $PATIENCE;
    my @bodies;
    for my $socket ( @{ $clients->{sockets} } ) {
        my $text = '';
        if ( $clients->{way} eq 'reads' ) {
            while ( IO::Select->new($socket)->can_read( $until > time ? $until - time : 0 ) && sysread $socket, $text, 65536, length $text ) { }
        }
        close $socket;
        push @bodies, ( ProcessTest::whole_answer($text) )[2];
    }
    return @bodies;
}

# How many of the clients' requests have a location whose column $column is set.
sub expected {
    my ( $column, @all ) = @_;
    return scalar grep { $_ } map {
        my $clients = $_;
        map { location( $_, $clients->{paths} )->[$column] } @{ $clients->{numbers} }
    } @all;
}

sub reaches {
    my ( $before, $name, $count ) = @_;
    return ProcessTest::wait_until( sub { now()->{$name} >= $before->{$name} + $count } ) && now()->{$name} == $before->{$name} + $count;
}

my ( $worker, $descriptors );

sub nothing_is_left {
    return ProcessTest::comes_to_rest( \&now, sub { body('/threads_of_worker') }, $worker, $descriptors );
}

sub ways { return $_[0] eq 'h1' ? 'closes' : ( 'closes', 'resets' ) }

# Clients that wait, all of them.
sub waiting {
    my ( $name, $before, @clients ) = @_;
    my $count = 0;
    $count += @{ $_->{numbers} } for @clients;
    ok reaches( $before, 'begun', $count ), "$name: $count requests wait at once";
    is now()->{taken}, $before->{taken}, '… and no output that is waited for has been taken';
    return $count;
}

# $count clients of $version that leave in the middle.
sub leave_at_once {
    my ( $version, $count, $way, $paths ) = @_;
    my $what    = $paths == \@WAITING ? 'on_abort' : 'flush';
    my $before  = now();
    my $clients = clients( $version, $count, $way, 'leaves', $paths );
    waiting( "$version: $what: the client $way", $before, $clients );
    proceed($clients);
    ok reaches( $before, 'ended', $count ), '… all requests end';
    is body('/handlers'), join( ' ', ( expected( 2, $clients ) ) x 2 ), '… and each handler has run, once';
    is now()->{passed}, $before->{passed} + expected( 1, $clients ), '… and the code has gone on that is to';
    is now()->{taken}, $before->{taken}, '… without output that is said to be taken';
    ok nothing_is_left(), '… and nothing is left';
}

# The same, whose clients stay.
sub stay_at_once {
    my ( $version, $paths ) = @_;
    my $what    = $paths == \@WAITING ? 'on_abort' : 'flush';
    my $before  = now();
    my $clients = clients( $version, $MANY, 'reads', 'stays', $paths );
    waiting( "$version: $what: the client stays", $before, $clients );
    $gate->open;
    is proceed($clients), $MANY, '… and gets its answer';
    ok reaches( $before, 'ended', $MANY ), '… all requests end';
    is now()->{passed}, $before->{passed} + $MANY, '… and all code has gone on';
    is body('/handlers'), '0 0', '… and no handler has run';
    ok nothing_is_left(), '… and nothing is left';
    $gate->shut;
}

# What is opened once is open then.
$gate->shut;
$worker = now()->{worker};
for my $version ( sort keys %ports ) {
    for my $way ( ways($version) ) {
        leave_at_once( $version, 10, $way, $_ ) for \@WAITING, \@FLUSHING;
    }
}
$descriptors = ProcessTest::descriptors($worker);

for my $version ( sort keys %ports ) {
    for my $paths ( \@WAITING, \@FLUSHING ) {
        leave_at_once( $version, $MANY, $_, $paths ) for ways($version);
        stay_at_once( $version, $paths );
    }
}

# What is kept for the next requests is no more after them. Caches fill slowly.
for my $version ( sort keys %ports ) {
    my ( $before, $after, @seen ) = now();
    for ( 1 .. 8 ) {
        leave_at_once( $version, $MANY, 'closes', $_ ) for \@WAITING, \@FLUSHING;
        $after = now();
        push @seen, "$after->{lua_memory} kB, $after->{memory}";
        last if $after->{lua_memory} <= $before->{lua_memory} + 8 && $after->{memory} <= $before->{memory} + 4 * $MANY;
        $before = $after;
    }
    cmp_ok scalar @seen, '<', 8, "$version: no memory is lost" or diag join '; ', @seen;
}

# After a reload, packets of QUIC's old connections reach the new worker as well.
my @tcp = grep { $_ ne 'h3' } sort keys %ports;

# Clients of all kinds that wait: those that are to leave, and those that stay.
sub all_kinds {
    my ( $tag, @versions ) = @_;
    my ( @leaving, @staying );
    my $before = now();
    for my $version (@versions) {
        for my $paths ( \@WAITING, \@FLUSHING ) {
            push @leaving, map { clients( $version, $SOME, $_, $tag, $paths ) } ways($version);
            push @staying, clients( $version, $SOME, 'reads', $tag, $paths );
        }
    }
    waiting( $tag, $before, @leaving, @staying );
    return ( $before, \@leaving, \@staying );
}

my $old = $worker;
my ( $before, $leaving, $staying ) = all_kinds( 'reload', @tcp );
kill HUP => $server->pid;
ok ProcessTest::wait_until( sub { now()->{worker} != $old } ), 'reload: another worker serves';
ok ProcessTest::is_running($old), '… and the old one stays';
proceed($_) for @$leaving;
ok reaches( $before, 'ended', $SOME * @$leaving ), '… clients leave, and their requests end';
# The same request of several clients.
is( ( split / /, body('/handlers') )[1], expected( 2, @$leaving ), '… and each handler has run, once' );
$gate->open;
is proceed($_), $SOME, "… a client of $_->{version} stays, and gets its answers" for @$staying;
ok ProcessTest::wait_until( sub { !ProcessTest::is_running($old) } ), '… and the old worker leaves then';
is now()->{passed}, $before->{passed} + expected( 1, @$leaving ) + $SOME * @$staying, '… after all code that is to go on';

$gate->shut;
( undef, $leaving, $staying ) = all_kinds( 'term', sort keys %ports );
$worker = now()->{worker};
kill TERM => $worker;
ok ProcessTest::wait_until( sub { !ProcessTest::is_running($worker) } ), 'term: the worker ends';
for my $client ( grep {$_} map { $_->{conversation} } @$leaving, @$staying ) {
    kill KILL => $client->{pid};
    close $client->{in};
    waitpid $client->{pid}, 0;
}
( $leaving, $staying ) = ();
ok ProcessTest::wait_until( sub { my $next = eval { now()->{worker} }; $next && $next != $worker } ), '… and the next one serves';
body('/handlers');

( $before, $leaving, $staying ) = all_kinds( 'quit', @tcp );
$worker = now()->{worker};
my $master = $server->pid;
kill QUIT => $master;
ok $server->wait_for_line( 'error.log', qr/\b$worker#\d+: gracefully shutting down/ ), 'quit: the worker is told to';
proceed($_) for @$leaving;
my $handled = sub { $server->count_in_log(qr/handler for quit \d+;/) };
ok ProcessTest::wait_until( sub { $handled->() >= expected( 2, @$leaving ) } ), '… clients leave, and handlers run';
$gate->open;
is proceed($_), $SOME, "… a client of $_->{version} stays, and gets its answers" for @$staying;
ok ProcessTest::wait_until( sub { !ProcessTest::is_running($master) } ), '… and nginx ends';
is $handled->(), expected( 2, @$leaving ), '… each handler has run once';
is join( '', grep { /\[(?:alert|crit|emerg|error)\]|exited on signal|open socket/ && !/$OF_NGINX/ } split /^/m, $server->log_text('error.log') ),
    '', 'nothing went wrong';

done_testing;
