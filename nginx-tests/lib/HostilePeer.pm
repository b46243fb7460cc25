package HostilePeer;

# A server that does what a connection's first line tells it, and no client would like. The line is a
# list of words:
#
#     drip         one byte at a time
#     data=HEX     what it sends
#     cut=N        no more than the first N bytes of it
#     take=N       it reads N bytes more before it ends, and no other
#     close        how it ends: in order
#     reset                     by a reset
#     hold                      not before the client does
#     deaf                      not at all, and it reads nothing more
#
# Over UDP the first line of a datagram tells: data=HEX, any number of them, a datagram each; size=N, one
# of N bytes; late=MS, it waits before what follows.
# Invariant: its processes end with its object.

use strict;
use warnings;

use IO::Socket::INET;
use POSIX ();
use Socket qw(IPPROTO_TCP SOL_SOCKET SO_LINGER TCP_NODELAY);
use Time::HiRes qw(sleep);

# Listens at 127.0.0.1:$port for TCP and UDP.
sub start {
    my ( $class, $port ) = @_;
    my %address = ( LocalAddr => '127.0.0.1', LocalPort => $port );
    my $tcp = IO::Socket::INET->new( %address, Proto => 'tcp', Listen => 1000, ReuseAddr => 1 );
    my $udp = IO::Socket::INET->new( %address, Proto => 'udp' );
    die "peer on port $port: $@" if !$tcp || !$udp;
    my @pids = ( run( \&serve_tcp, $tcp ), run( \&serve_udp, $udp ) );
    return bless { pids => \@pids, owner => $$ }, $class;
}

sub run {
    my ( $serve, $socket ) = @_;
    my $pid = fork // die "fork: $!";
    return $pid if $pid;
    # Those that it forks end with it.
    setpgrp;
    local $SIG{CHLD} = 'IGNORE';
    local $SIG{PIPE} = 'IGNORE';
    $serve->($socket);
    POSIX::_exit(0);
}

sub serve_tcp {
    my ($listener) = @_;
    while (1) {
        my $client = $listener->accept or next;
        my $pid = fork // die "fork: $!";
        if ( $pid == 0 ) {
            close $listener;
            converse($client);
            POSIX::_exit(0);
        }
        close $client;
    }
}

sub words {
    my ($line) = @_;
    return map { /^([a-z]+)=(.*)$/ ? ( $1 => $2 ) : ( $_ => 1 ) } split / /, $line;
}

sub converse {
    my ($client) = @_;
    my $line = '';
    # Or a byte waits for the last one's acknowledgement, and a reset takes it away.
    setsockopt $client, IPPROTO_TCP, TCP_NODELAY, 1;
    # No byte behind the line.
    while ( $line !~ s/\n$// ) {
        sysread( $client, $line, 1, length $line ) or return;
    }
    my %todo = words($line);
    my $data = pack 'H*', $todo{data} // '';
    $data = substr $data, 0, $todo{cut} if defined $todo{cut};
    for my $piece ( $todo{drip} ? split //, $data : $data ) {
        syswrite $client, $piece;
        sleep 0.0005 if $todo{drip};
    }
    for ( my $left = $todo{take} // 0; $left > 0; ) {
        $left -= sysread( $client, my $taken, $left < 65536 ? $left : 65536 ) || last;
    }
    1 while $todo{hold} && sysread $client, my $ignored, 65536;
    sleep 600 if $todo{deaf};
    setsockopt $client, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0 if $todo{reset};
    close $client;
}

sub serve_udp {
    my ($socket) = @_;
    while ( defined( my $peer = recv $socket, my $line, 65536, 0 ) ) {
        for my $word ( split / /, $line ) {
            my ( $what, $value ) = $word =~ /^([a-z]+)=(.*)$/s or next;
            sleep $value / 1000 if $what eq 'late';
            send $socket, pack( 'H*', $value ), 0, $peer if $what eq 'data';
            send $socket, 'x' x $value, 0, $peer if $what eq 'size';
        }
    }
}

sub DESTROY {
    my ($self) = @_;
    return if $self->{owner} != $$;
    local ( $?, $! );
    for my $pid ( @{ $self->{pids} } ) {
        kill -KILL => $pid;
        waitpid $pid, 0;
    }
}

1;
