package NameServer;

# A name server of the test's own, over UDP: it knows the addresses that it is given, and nothing else.
# Invariant: its process ends with its object.

use strict;
use warnings;

use IO::Socket::INET;
use POSIX ();
use Socket qw(AF_INET AF_INET6 inet_pton);

# Answers at 127.0.0.1:$port until the object goes: $addresses is a hash of names and their
# addresses: one, or a list.
sub start {
    my ( $class, $port, $addresses ) = @_;
    my $socket = IO::Socket::INET->new( LocalAddr => '127.0.0.1', LocalPort => $port, Proto => 'udp' )
        or die "name server on port $port: $@";
    my $pid = fork // die "fork: $!";
    return bless { pid => $pid, owner => $$ }, $class if $pid;
    while ( defined( my $peer = recv $socket, my $query, 512, 0 ) ) {
        send $socket, answer( $query, $addresses ), 0, $peer;
    }
    POSIX::_exit(0);
}

sub answer {
    my ( $query, $addresses ) = @_;
    my ( $id, $question ) = ( substr( $query, 0, 2 ), substr $query, 12 );
    my ( @labels, $at );
    for ( $at = 0; my $size = ord substr $question, $at, 1; $at += $size + 1 ) {
        push @labels, substr $question, $at + 1, $size;
    }
    $question = substr $question, 0, $at + 5;
    my $type    = unpack 'n', substr $question, $at + 1, 2;
    my $known    = $addresses->{ lc join '.', @labels };
    my @known    = ref $known ? @{$known} : $known // ();
    # An answer that is empty, to types that the name does not have; "no such name", to other names.
    my $code     = @known ? 0 : 3;
    my %families = ( 1 => AF_INET, 28 => AF_INET6 );
    my $family   = $families{$type};
    my @records  = map { pack 'nnnNn/a', 0xc00c, $type, 1, 60, $_ }
        grep {defined} map { $family && /:/ == ( $family == AF_INET6 ) ? inet_pton( $family, $_ ) : undef } @known;
    return $id . pack( 'nnnnn', 0x8180 | $code, 1, scalar @records, 0, 0 ) . $question . join '', @records;
}

# Lets questions wait, and goes on to answer them.
sub pause  { return kill STOP => $_[0]{pid} }
sub resume { return kill CONT => $_[0]{pid} }

sub DESTROY {
    my ($self) = @_;
    return if $self->{owner} != $$;
    local ( $?, $! );
    kill KILL => $self->{pid};
    waitpid $self->{pid}, 0;
}

1;
