package Wrk;

# A wrk under way, in a process of its own.
# Invariant: it ends with `finish`, or with its object.

use strict;
use warnings;

# How long it would go on where nobody ended it.
my $LONGEST = '1h';

# Starts $connections connections that send GET for $url with the @headers. Undefined where there is no wrk.
sub start {
    my ( $class, $connections, $url, @headers ) = @_;
    return if !grep { -x "$_/wrk" } split /:/, $ENV{PATH};
    my @words = ( '-t', 1, '-c', $connections, '-d', $LONGEST, '--timeout', '20s' );
    my $pid = open my $out, '-|', 'wrk', @words, ( map { ( '-H', $_ ) } @headers ), $url;
    die "wrk: $!" if !$pid;
    return bless { pid => $pid, out => $out }, $class;
}

# Ends it. Returns how many answers it had, and its own words on those that failed, empty where none did.
sub finish {
    my ($self) = @_;
    # wrk sums up on this signal.
    kill INT => $self->{pid};
    my $said = do { local $/; readline $self->{out} };
    close delete $self->{out};
    my ($answers) = $said =~ /^\s+(\d+) requests in /m or return ( 0, $said );
    return ( $answers, join '; ', $said =~ /^\s+((?:Socket errors|Non-2xx).*)/mg );
}

sub DESTROY {
    my ($self) = @_;
    local ( $?, $! );
    kill KILL => $self->{pid} if $self->{out};
    close delete $self->{out} if $self->{out};
}

1;
