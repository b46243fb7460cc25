package LoadClient;

# A process that keeps connections busy with GET requests, checks every answer, and counts.
# Invariant: each request ends as exactly one of answered or failed. Only a connection that the
# server closed before the first byte of an answer is no failure: such a request is sent once more
# on a new connection, as HTTP lets a client do with GET. Where that happens to a request on a
# connection that had carried none before, it is counted apart.

use strict;
use warnings;

use Errno qw(EAGAIN EINTR);
use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw(time);

use ProcessTest;

# Seconds without an answer after which a request has failed.
my $PATIENCE = 60;

# What tells each client to stop, as long as it has not been told.
my %stops;

# Starts $connections connections to $port. Each sends the paths of $expected, a hash of paths and
# the bodies of their answers, over and over.
sub start {
    my ( $class, $port, $connections, $expected ) = @_;
    pipe my $until,  my $stop   or die "pipe: $!";
    pipe my $report, my $result or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if ( $pid == 0 ) {
        # Those of the others, or they would not see theirs closed.
        close $_ for $stop, $report, values %stops;
        my $text = eval { work( $port, $connections, $expected, $until ) } // "died: $@";
        syswrite $result, $text;
        close $result;
        require POSIX;
        POSIX::_exit(0);
    }
    close $_ for $until, $result;
    $stops{$pid} = $stop;
    return bless { pid => $pid, report => $report }, $class;
}

# Lets the requests under way end. Returns how many were answered, how many were sent a second
# time on a reused connection and on a new one, and a reference to the texts of all failures.
sub finish {
    my ($self) = @_;
    close delete $stops{ $self->{pid} };
    my $text = do { local $/; readline $self->{report} };
    waitpid $self->{pid}, 0;
    my ( $counts, @failures ) = split /\n/, $text;
    my ( $answered, $again_reused, $again_new ) = ( $counts // '' ) =~ /^(\d+) (\d+) (\d+)$/
        or return ( 0, 0, 0, ["no report: $text"] );
    return ( $answered, $again_reused, $again_new, \@failures );
}

sub work {
    my ( $port, $connections, $expected, $until ) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $load = {
        port     => $port,
        expected => $expected,
        paths    => [ sort keys %$expected ],
        select   => IO::Select->new($until),
        by_fd    => {},
        answered => 0,
        again    => [ 0, 0 ],
        failures => [],
    };
    request( $load, { number => $_, sent => $_ } ) for 1 .. $connections;
    while ( %{ $load->{by_fd} } ) {
        my @ready = $load->{select}->can_read(1);
        for my $socket (@ready) {
            if ( $socket == $until ) {
                $load->{stopping} = 1;
                $load->{select}->remove($until);
                next;
            }
            my $slot = $load->{by_fd}{ fileno $socket } // next;
            readable( $load, $slot );
        }
        my $now = time;
        for my $slot ( values %{ $load->{by_fd} } ) {
            fail( $load, $slot, 'no answer' ) if $now - $slot->{since} > $PATIENCE;
        }
    }
    my $counts = join ' ', $load->{answered}, @{ $load->{again} };
    return join "\n", $counts, @{ $load->{failures} };
}

# Sends the next request of a connection's list, connecting where there is no connection.
sub request {
    my ( $load, $slot ) = @_;
    my $paths = $load->{paths};
    $slot->{path}  = $paths->[ $slot->{sent}++ % @$paths ];
    $slot->{tries} = 0;
    send_request( $load, $slot );
}

sub send_request {
    my ( $load, $slot ) = @_;
    $slot->{data}  = '';
    $slot->{since} = time;
    $slot->{tries}++;
    if ( !$slot->{socket} ) {
        my $socket = IO::Socket::INET->new( PeerAddr => '127.0.0.1', PeerPort => $load->{port} );
        return fail( $load, $slot, "connect: $!" ) if !$socket;
        $socket->blocking(0);
        $slot->{socket} = $socket;
        $slot->{reused} = 0;
        $load->{by_fd}{ fileno $socket } = $slot;
        $load->{select}->add($socket);
    }
    my $text = "GET $slot->{path} HTTP/1.1\r\nHost: localhost\r\n\r\n";
    # A request is far smaller than a socket's buffer: it is sent whole or not at all.
    my $sent = syswrite $slot->{socket}, $text;
    closed( $load, $slot, "write: $!" ) if !defined $sent;
}

sub readable {
    my ( $load, $slot ) = @_;
    my $read = sysread $slot->{socket}, $slot->{data}, 65536, length $slot->{data};
    if ( !defined $read ) {
        return if $! == EAGAIN || $! == EINTR;
        return closed( $load, $slot, "read: $!" );
    }
    return closed( $load, $slot, 'closed' ) if $read == 0;
    my ( $status, $head, $body ) = ProcessTest::whole_answer( $slot->{data} );
    return if !defined $status;
    if ( $status != 200 || $body ne $load->{expected}{ $slot->{path} } ) {
        return fail( $load, $slot, "status $status, " . length($body) . ' bytes' );
    }
    $load->{answered}++;
    $slot->{reused} = 1;
    disconnect( $load, $slot ) if $head =~ /^connection: close/mi;
    $load->{stopping} ? disconnect( $load, $slot ) : request( $load, $slot );
}

# The server ended the connection.
sub closed {
    my ( $load, $slot, $how ) = @_;
    return fail( $load, $slot, "$how within an answer" ) if length $slot->{data};
    return fail( $load, $slot, "$how a second time" )    if $slot->{tries} > 1;
    $load->{again}[ $slot->{reused} ? 0 : 1 ]++;
    disconnect( $load, $slot );
    send_request( $load, $slot );
}

sub fail {
    my ( $load, $slot, $why ) = @_;
    push @{ $load->{failures} }, "$slot->{path}: $why";
    disconnect( $load, $slot );
    # A server that is gone for good would otherwise be asked for ever.
    $load->{stopping} = 1 if @{ $load->{failures} } >= 100;
    request( $load, $slot ) if !$load->{stopping};
}

sub disconnect {
    my ( $load, $slot ) = @_;
    my $socket = delete $slot->{socket} // return;
    delete $load->{by_fd}{ fileno $socket };
    $load->{select}->remove($socket);
    close $socket;
}

1;
