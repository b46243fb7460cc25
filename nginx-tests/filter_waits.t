# Filters whose code waits, in a whole process: clients that leave in the middle, a thousand at once, a reload, a
# worker that is told to leave, and a large response whose filter is slower than the server that it comes from.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use Test::More;
use Time::HiRes qw(sleep time);
use ProcessTest;

plan skip_all => 'the C module does not wait in filters'
    if ( $ENV{TEST_NGINX_LOAD_MODULES} // '' ) =~ m{/nginx/modules/ngx_http_lua_module};

my $MEGABYTES = 100;
my $FEW       = 20_000;

my $port   = ProcessTest::port();
my $server = ProcessTest->new;

sub configuration {
    my ($generation) = @_;
    return $server->write_file( 'nginx.conf', <<"_EOC_");
pid        logs/nginx.pid;
error_log  logs/error.log info;
worker_processes 1;
worker_rlimit_nofile 8192;
events {
    worker_connections 4096;
}
http {
    access_log off;
    lua_shared_dict notes 100k;
    header_filter_by_lua_block { ngx.header["X-Generation"] = "$generation" }
    server {
        listen 127.0.0.1:$port backlog=2048;
        location = /worker {
            content_by_lua_block { collectgarbage() collectgarbage() ngx.print(ngx.worker.pid()) }
        }
        location = /note {
            content_by_lua_block { ngx.print(ngx.shared.notes:get(ngx.var.arg_name) or 0) }
        }
        location = /header {
            header_filter_by_lua_block {
                ngx.shared.notes:incr("started", 1, 0)
                ngx.sleep(tonumber(ngx.var.arg_seconds))
                ngx.header["X-Generation"] = "$generation"
                ngx.shared.notes:incr("ended", 1, 0)
            }
            content_by_lua_block { ngx.say("body of ", ngx.var.arg_n) }
            log_by_lua_block { ngx.shared.notes:incr("logged", 1, 0) }
        }
        location = /body {
            body_filter_by_lua_block {
                if ngx.arg[1] == "" then return end
                ngx.shared.notes:incr("started", 1, 0)
                ngx.sleep(tonumber(ngx.var.arg_seconds))
                ngx.shared.notes:incr("ended", 1, 0)
            }
            content_by_lua_block { ngx.say("body of ", ngx.var.arg_n) }
            log_by_lua_block { ngx.shared.notes:incr("logged", 1, 0) }
        }
        location = /both {
            header_filter_by_lua_block {
                ngx.sleep(math.random(0, 20) / 1000)
                ngx.header["X-N"] = ngx.location.capture("/word").body .. ngx.var.arg_n
                ngx.header.content_length = nil
            }
            body_filter_by_lua_block {
                ngx.sleep(math.random(0, 20) / 1000)
                ngx.arg[1] = ngx.arg[1]:upper()
            }
            proxy_pass http://127.0.0.1:$port/from?n=\$arg_n;
        }
        location = /word { return 200 "word "; }
        location = /from {
            content_by_lua_block {
                for i = 1, 3 do ngx.print("part ", i, " of ", ngx.var.arg_n, " ") ngx.flush(true) ngx.sleep(0.002) end
            }
        }
        location = /slowed {
            proxy_pass http://127.0.0.1:$port/large;
            proxy_http_version 1.1;
            proxy_buffers 8 16k;
            proxy_buffer_size 16k;
            proxy_busy_buffers_size 32k;
            proxy_max_temp_file_size 0;
            body_filter_by_lua_block { ngx.sleep(0.001) }
        }
        location = /slowed_unbuffered {
            proxy_pass http://127.0.0.1:$port/large;
            proxy_http_version 1.1;
            proxy_buffering off;
            proxy_buffers 8 16k;
            proxy_buffer_size 16k;
            body_filter_by_lua_block { ngx.sleep(0.001) }
        }
        location = /slowed_header {
            proxy_pass http://127.0.0.1:$port/large;
            proxy_http_version 1.1;
            proxy_buffers 8 16k;
            proxy_buffer_size 16k;
            proxy_max_temp_file_size 0;
            header_filter_by_lua_block { ngx.sleep(0.3) }
        }
        location = /many {
            header_filter_by_lua_block { ngx.sleep(0.1) }
            content_by_lua_block {
                if ngx.var.arg_length then ngx.header.content_length = ngx.var.arg_length end
                for _ = 1, ngx.var.arg_pieces do ngx.print("xxxxxxxxxx") end
            }
        }
        location = /many_captured {
            content_by_lua_block {
                ngx.print(ngx.location.capture("/many", { args = { pieces = ngx.var.arg_pieces } }).body)
            }
        }
        location = /large {
            alias @{[ $server->prefix ]}/large;
        }
    }
}
_EOC_
}

{
    open my $large, '>', $server->prefix . '/large' or die "large: $!";
    my $piece = join '', map { sprintf "%015d\n", $_ } 1 .. 65536;
    print {$large} $piece for 1 .. $MEGABYTES;
    close $large or die "large: $!";
}
my $LENGTH = $MEGABYTES * 16 * 65536;

$server->start( configuration('one') );

sub got  { return ( ProcessTest::get( $port, shift ) )[2] }
sub noted { return got("/note?name=$_[0]") }

sub asked {
    my ( $path, %more ) = @_;
    my $socket = ProcessTest::connection($port);
    my $close  = $more{keeps} ? '' : "Connection: close\r\n";
    print {$socket} "GET $path HTTP/1.1\r\nHost: localhost\r\n$close\r\n";
    return $socket;
}

sub answer {
    my ($socket) = @_;
    my $answer = '';
    1 while sysread $socket, $answer, 65536, length $answer;
    return $answer;
}

my $worker = got('/worker');

# The worker's memory, in kilobytes.
sub resident {
    my ($kilobytes) = ProcessTest::slurp("/proc/$worker/status") =~ /^VmRSS:\s+(\d+) kB/m;
    return $kilobytes;
}

# Clients that leave while the code of a filter waits: it is not continued, and the request ends.
for my $path (qw(/header /body)) {
    my ( $started, $ended, $logged ) = map { noted($_) } qw(started ended logged);
    my @clients = map { asked("$path?seconds=600&n=$_") } 1 .. 20;
    ok ProcessTest::wait_until( sub { noted('started') == $started + 20 } ), "$path: all wait";
    is noted('logged'), $logged, "$path: none has ended";
    close $_ for @clients;
    ok ProcessTest::wait_until( sub { noted('logged') == $logged + 20 } ), "$path: they end once their clients have left";
    is noted('ended'), $ended, "$path: without running on";
}

# A thousand at once.
{
    my %open = map { my $socket = asked("/both?n=$_"); ( $socket => { n => $_, socket => $socket, text => '' } ) } 1 .. 1000;
    my $select = IO::Select->new( map { $_->{socket} } values %open );
    my ( $right, $until ) = ( 0, time + 120 );
    while ( %open && time < $until ) {
        for my $socket ( $select->can_read(1) ) {
            my $client = $open{$socket};
            next if sysread $socket, $client->{text}, 65536, length $client->{text};
            my $n     = $client->{n};
            my $parts = '';
            for my $chunk ( $client->{text} =~ /\r\n\r\n(.*)/s ? split( /\r\n/, $1 ) : () ) {
                $parts .= $chunk if $chunk !~ /^[0-9a-f]*$/;
            }
            my $expected = join '', map {"PART $_ OF $n "} 1 .. 3;
            $right++ if $client->{text} =~ m{^HTTP/1\.1 200 .*^X-N: word $n\r$}ms && $parts eq $expected;
            $select->remove($socket);
            close $socket;
            delete $open{"$socket"};
        }
    }
    is $right, 1000, 'a thousand at once: all are right';
}

# A filter that is slower than the server behind: the worker does not fill its memory with what it has not passed yet.
for my $path (qw(/slowed /slowed_unbuffered /slowed_header)) {
    my $socket = asked($path);
    my ( $length, $most, $first, $text ) = ( 0, 0, resident(), '' );
    my $header_len;
    while ( my $read = sysread $socket, $text, 1 << 20 ) {
        if ( !defined $header_len ) { $header_len = index( $text, "\r\n\r\n" ) + 4; $length -= $header_len }
        $length += $read;
        my $resident = resident();
        $most = $resident if $resident > $most;
    }
    is $length, $LENGTH, "$path: $MEGABYTES megabytes come";
    # Buffers of 144 kilobytes, and a megabyte.
    cmp_ok $most - $first, '<', 1144, "$path: in little memory";
}

# The worker's time on the processor, in the kernel's ticks.
sub ticks {
    my @fields = split / /, ProcessTest::slurp("/proc/$worker/stat") =~ s/^.*\) //r;
    return $fields[11] + $fields[12];
}

# Very many pieces that are kept while a header waits, in a response, in one that is longer than its header says, and
# in one that is captured: four times as many take four times as long, and sixteen times if each looks for the end of
# the others.
if ( !$ENV{TEST_NGINX_USE_VALGRIND} ) {
    my %paths = (
        'many pieces'            => sub { ( "/many?pieces=$_[0]", 10 * $_[0] ) },
        'too many'               => sub { ( "/many?pieces=$_[0]&length=" . ( 10 * $_[0] - 1 ), 10 * $_[0] - 1 ) },
        'many of a captured one' => sub { ( "/many_captured?pieces=$_[0]", 10 * $_[0] ) },
    );
    for my $name ( sort keys %paths ) {
        my @taken;
        for my $pieces ( $FEW, 4 * $FEW ) {
            my ( $path, $length ) = $paths{$name}->($pieces);
            my $before = ticks();
            my ($body) = answer( asked($path) ) =~ /\r\n\r\n(.*)/s;
            is( ( $body // '' ) =~ tr/x//, $length, "$name: all of $pieces come" );
            push @taken, ticks() - $before;
        }
        cmp_ok $taken[1], '<', 9 * ( $taken[0] + 1 ), "$name: each as soon";
    }
}

# A reload: the old worker ends what waits, the new one serves.
{
    my ( $started, @clients ) = ( noted('started'), asked('/header?seconds=1&n=1'), asked('/body?seconds=1&n=2') );
    ok ProcessTest::wait_until( sub { noted('started') == $started + 2 } ), 'a reload: two wait';
    configuration('two');
    kill HUP => $server->pid;
    ok ProcessTest::wait_until( sub { got('/worker') != $worker } ), 'another worker serves';
    like answer( $clients[0] ), qr/^X-Generation: one\r.*body of 1/ms, 'the old one ends the header that waited';
    like answer( $clients[1] ), qr/^X-Generation: one\r.*body of 2/ms, 'and the body';
    like answer( asked('/header?seconds=0&n=3') ), qr/^X-Generation: two\r.*body of 3/ms, 'the new code runs then';
    ok ProcessTest::wait_until( sub { !ProcessTest::is_running($worker) } ), 'the old one leaves';
}

# A worker that is told to leave ends what waits; one that must stop does not.
for my $signal (qw(QUIT TERM)) {
    $worker = got('/worker');
    my ( $started, @clients ) = ( noted('started'), asked('/header?seconds=0.5&n=1'), asked('/body?seconds=0.5&n=2') );
    ok ProcessTest::wait_until( sub { noted('started') == $started + 2 } ), "$signal: two wait";
    kill $signal => $worker;
    my @answers = map { answer($_) } @clients;
    is scalar( grep {/body of \d/} @answers ), $signal eq 'QUIT' ? 2 : 0, "$signal: what waited";
    ok ProcessTest::wait_until( sub { !ProcessTest::is_running($worker) } ), "$signal: the worker leaves";
}

$server->stop;
# But for what was asked for above.
my $log = $server->log_text('error.log') =~ s/^.* response body longer than its header says, .*\n//gmr;
unlike $log, qr/\[(?:alert|emerg|crit|error)\]|exited on signal|open socket|client timed out/, 'in silence';

done_testing();
