# Code that waits in all phases of a request, on streams of HTTP/2 and, where this nginx has it, HTTP/3: a thousand at
# once on one connection, streams that are reset and connections that close in the middle, a reload, and a worker that
# exits.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use HttpClient;
use HttpVersions;
use ProcessTest;

plan skip_all => 'for this module only'
    if ( $ENV{TEST_NGINX_LOAD_MODULES} // '' ) =~ m{/nginx/modules/ngx_http_lua_module};

# Memcheck takes its time.
my ( $MANY, $ROUNDS ) = $ENV{TEST_NGINX_USE_VALGRIND} ? ( 60, 3 ) : ( 1000, 15 );

my $server = HttpVersions::server('h2');
my $plain  = ProcessTest::port();
my ( undef, $built ) = $server->run( '/dev/null', '-V' );
my %ports = ( h2 => $plain + 1, $built =~ /http_v3_module/ ? ( h3 => $plain + 2 ) : () );
my $listen = join "\n", map { HttpVersions::listen_lines( $_, $ports{$_} ) } sort keys %ports;
my $prefix = $server->prefix;

$server->write_file( 'numbers',    join( '', map { sprintf "%07d\n", $_ } 1 .. 3000 ) );
$server->write_file( 'page.shtml', 'first <!--# include virtual="/part?n=$arg_n" -->, second <!--# include virtual="/part?n=$arg_n" -->' );
my $numbers = ProcessTest::slurp("$prefix/numbers");

# What each location answers to request $n; `exits` is one whose filter replaces the response.
my %answers = (
    '/says'  => sub {"1 for $_[0] 2 for $_[0] 3 for $_[0] "},
    '/page'  => sub {"first PART $_[0] OF A PAGE, second PART $_[0] OF A PAGE"},
    '/large' => sub {$numbers},
    '/exits' => sub {"PART $_[0] OF A PAGE"},
    '/jumps' => sub {"PART $_[0] OF A PAGE"},
    '/asks'  => sub {"2 answers: PART $_[0] OF A PAGE"},
    '/takes' => sub {"took body of $_[0]"},
);
my @paths = sort keys %answers;

my $conf = $server->write_http( <<"_EOC_", "worker_connections 4096;\n" );
    lua_shared_dict notes 1m;
    lua_max_pending_logs 10000;
    keepalive_requests 100000;
    http2_max_concurrent_streams 2000;
    @{[ $ports{h3} ? 'http3_max_concurrent_streams 2000;' : '' ]}
    init_by_lua_block {
        function wait() ngx.sleep(math.random(0, 20) / 1000) end
    }
    upstream chosen {
        server 0.0.0.1;
        balancer_by_lua_block { wait() assert(require("ngx.balancer").set_current_peer("127.0.0.1", $plain)) }
    }
    server {
        listen 127.0.0.1:$plain;
        $listen
        server_name localhost;
        default_type text/plain;
        lua_check_client_abort on;
        server_rewrite_by_lua_block { wait() }
        header_filter_by_lua_block { wait() }
        body_filter_by_lua_block { wait() }
        log_by_lua_block {
            local path = ngx.var.uri
            wait()
            assert(path == ngx.var.uri)
            ngx.shared.notes:incr("logged", 1, 0)
        }
        location = /says {
            content_by_lua_block {
                for i = 1, 3 do
                    ngx.print(i, " for ", ngx.var.arg_n, " ")
                    ngx.flush(i == 2)
                    wait()
                end
            }
        }
        location = /page {
            ssi on;
            ssi_types text/plain;
            alias $prefix/page.shtml;
        }
        location = /part {
            body_filter_by_lua_block { wait() ngx.arg[1] = ngx.arg[1]:upper() }
            content_by_lua_block { ngx.print("part ", ngx.var.arg_n) wait() ngx.print(" of a page") }
        }
        location = /large {
            proxy_pass http://chosen/numbers;
            proxy_buffers 4 4k;
            proxy_buffer_size 4k;
            proxy_busy_buffers_size 8k;
        }
        location = /numbers {
            header_filter_by_lua_block { }
            body_filter_by_lua_block { }
            log_by_lua_block { }
            alias $prefix/numbers;
        }
        location = /exits {
            error_page 403 =200 /part?n=\$arg_n;
            header_filter_by_lua_block { wait() return ngx.exit(403) }
            content_by_lua_block { ngx.print("not this") ngx.flush(true) wait() ngx.print("nor this") }
        }
        location = /jumps {
            rewrite_by_lua_block { wait() }
            content_by_lua_block { wait() ngx.exec("/part", ngx.var.args) }
        }
        location = /asks {
            access_by_lua_block { wait() }
            content_by_lua_block {
                local part = "/part?n=" .. ngx.var.arg_n
                local answers = { ngx.location.capture_multi({ { part }, { part } }) }
                wait()
                ngx.print(#answers, " answers: ", answers[2].body)
                ngx.eof()
                wait()
            }
        }
        location = /takes {
            content_by_lua_block {
                local sock, err = ngx.req.socket()
                if not sock then return ngx.print(err) end
                ngx.print("took ", (sock:receive("*a")))
            }
        }
        location = /state {
            header_filter_by_lua_block { }
            body_filter_by_lua_block { }
            log_by_lua_block { }
            content_by_lua_block {
                collectgarbage()
                ngx.print(ngx.worker.pid(), " ", ngx.var.connections_active, " ", ngx.shared.notes:get("logged") or 0)
            }
        }
        location = /threads {
            header_filter_by_lua_block { }
            body_filter_by_lua_block { }
            log_by_lua_block { }
            lua_threads;
        }
    }
_EOC_
$server->start($conf);

sub body { return ( ProcessTest::get( $plain, $_[0] ) )[2] // '' }

sub now {
    my %state;
    @state{qw(worker active logged)} = split / /, body('/state');
    return \%state;
}
sub worker { return now()->{worker} // '' }

# The $n-th request, of one path after the other, or of all at random.
sub request {
    my ( $n, $path ) = @_;
    $path //= $paths[ $n % @paths ];
    my %body = $path eq '/takes' ? ( method => 'POST', body => [ 'body ', "of $n" ], pause => 1 ) : ();
    return { path => "$path?n=$n", %body };
}

sub begin {
    my ( $version, @requests ) = @_;
    return HttpClient::start(
        protocol => $version,
        address  => "127.0.0.1:$ports{$version}",
        parallel => scalar @requests,
        patience => 120_000,
        requests => \@requests
    );
}

# How many of the answers to `request` 1 and following are right.
sub right {
    my ($outcome) = @_;
    my ( $n, $right ) = ( 0, 0 );
    for my $answer ( @{ $outcome->{answers} || [] } ) {
        my $path = $paths[ ++$n % @paths ];
        my $ok = ( $answer->{status} // 0 ) == 200 && ( $answer->{body} // '' ) eq $answers{$path}->($n);
        diag "$path $n: ", $answer->{status} // 'none', ' ', substr( $answer->{body} // '', 0, 200 ), ' ', $answer->{error} // ''
            if !$ok && $n - $right < 5;
        $right += $ok;
    }
    return $right;
}

sub nothing_is_left {
    my ( $worker, $descriptors ) = @_;
    return ProcessTest::comes_to_rest( \&now, sub { body('/threads') }, $worker, $descriptors );
}

for my $version ( sort keys %ports ) {
    my $worker = worker();
    is right( HttpClient::finish( begin( $version, map { request($_) } 1 .. $MANY ) ) ), $MANY, "$version: $MANY at once";
    is worker(), $worker, '… by one worker';
    # The connection of a QUIC client that does not say goodbye lasts for its time.
    my $comes_to_rest = $version ne 'h3';
    ok !$comes_to_rest || nothing_is_left($worker), '… which is at rest then';
    my $descriptors = ProcessTest::descriptors($worker);

    # Some reset their streams, the others close the connection.
    srand 1;
    for my $round ( 1 .. $ROUNDS ) {
        my @clients = map {
            my @requests = map { request( $_, $paths[ rand @paths ] ) } 1 .. 1 + rand 30;
            $_->{stop} = rand() < 0.5 ? 'header' : 'data' for grep { rand() < 0.7 } @requests;
            begin( $version, @requests );
        } 1 .. 4;
        select undef, undef, undef, rand 0.05;
        kill KILL => $clients[$_]{pid} for 0, 1;
        HttpClient::finish($_) for @clients[ 2, 3 ];
        for my $killed ( @clients[ 0, 1 ] ) {
            close $killed->{in};
            waitpid $killed->{pid}, 0;
        }
    }
    ok !$comes_to_rest || nothing_is_left( $worker, $descriptors ),
        "$version: nothing is left of clients that leave in the middle";
    is right( HttpClient::finish( begin( $version, map { request($_) } 1 .. 50 ) ) ), 50, '… and others are served by it';
    is worker(), $worker, '… still by the same worker';
}

# Clients whose streams wait, some of which have ended.
sub busy {
    my ($version) = @_;
    my $logged    = now()->{logged};
    my $client    = begin( $version, map { request($_) } 1 .. 200 );
    ok ProcessTest::wait_until( sub { now()->{logged} > $logged } ), "$version: some streams have ended";
    return $client;
}

for my $version ( sort keys %ports ) {
    my $worker = worker();
    # After a reload, packets of QUIC's old connections reach the new worker as well.
    if ( $version ne 'h3' ) {
        my $client = busy($version);
        kill HUP => $server->pid;
        ok ProcessTest::wait_until( sub { worker() ne $worker } ), '… and another worker serves';
        is right( HttpClient::finish($client) ), 200, '… the old one answers all';
        ok ProcessTest::wait_until( sub { !ProcessTest::is_running($worker) } ), '… before it leaves';
        $worker = worker();
    }
    my $client = busy($version);
    kill TERM => $worker;
    ok ProcessTest::wait_until( sub { !ProcessTest::is_running($worker) } ), '… when the worker is terminated';
    kill KILL => $client->{pid};
    close $client->{in};
    waitpid $client->{pid}, 0;
    ok ProcessTest::wait_until( sub { worker() =~ /\d/ } ), '… and the next one serves';
}
$server->stop;
is join( '', grep {/\[(?:alert|crit|emerg)\]|exited on signal|open socket/} split /^/m, $server->log_text('error.log') ),
    '', 'no alarm';
done_testing;
