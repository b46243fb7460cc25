package Test::Nginx::Client;

# Sends one request and collects all bytes until the server closes or nothing
# happens for the block's timeout.

use strict;
use warnings;

use Errno qw(EAGAIN EINTR EWOULDBLOCK EINPROGRESS);
use Exporter 'import';
use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw(sleep);
use Test::Nginx::State;

our @EXPORT = qw(send_request);

sub connect_to_server {
    my ($name) = @_;
    my $error;
    for ( 1 .. 50 ) {
        my $sock = IO::Socket::INET->new(
            PeerAddr => $ServerAddr,
            PeerPort => $ServerPortForClient,
            Proto    => 'tcp',
            Timeout  => 2,
        );
        return $sock if $sock;
        $error = $!;
        sleep 0.02;
    }
    bail_out("$name - Can't connect to $ServerAddr:$ServerPortForClient: $error");
}

# Returns the raw response (undef when nothing was read), whether the request
# was a HEAD, and whether the wait for the server timed out.
#   options: timeout (seconds), middle_delay (seconds between packets),
#   shutdown (how to shut the socket down once all is sent), name.
sub send_request {
    my ( $packets, %options ) = @_;
    my $sock = connect_to_server( $options{name} );
    $sock->blocking(0);
    local $SIG{PIPE} = 'IGNORE';

    my $timeout = $options{timeout};
    my @queue   = map { {%$_} } @$packets;
    for my $i ( 1 .. $#queue ) {
        $queue[$i]{delay_before} //= $options{middle_delay};
    }
    my $head_request = ( $queue[0]{value} // '' ) =~ /^HEAD\b/;
    my ( $response, $timed_out );
    my ( $out, $delay_after ) = next_packet( \@queue );
    my $read_open = 1;

    while ( $read_open || defined $out ) {
        my $reader = IO::Select->new( $read_open ? $sock : () );
        my $writer = IO::Select->new( defined $out ? $sock : () );
        my ( $readable, $writable )
            = IO::Select->select( $reader, $writer, undef, $timeout );
        if ( !$readable ) {
            $timed_out = 1;
            last;
        }
        if (@$writable) {
            my $sent = syswrite $sock, $out;
            if ( defined $sent ) {
                substr( $out, 0, $sent ) = '';
            }
            elsif ( !retry($!) ) {
                $out   = undef;
                @queue = ();
            }
            if ( defined $out && $out eq '' ) {
                sleep $delay_after if $delay_after;
                ( $out, $delay_after ) = next_packet( \@queue );
                if ( !defined $out && defined $options{shutdown} ) {
                    shutdown $sock, $options{shutdown} || 0;
                }
            }
        }
        if (@$readable) {
            my $got = sysread $sock, my $data, 1048576;
            if    ($got)           { $response .= $data }
            elsif ( defined $got ) { $read_open = 0; $out = undef }
            elsif ( !retry($!) )   { $read_open = 0; $out = undef }
        }
    }
    close $sock;
    return ( $response, $head_request, $timed_out );
}

sub retry {
    my ($errno) = @_;
    return $errno == EAGAIN || $errno == EINTR || $errno == EWOULDBLOCK;
}

sub next_packet {
    my ($queue) = @_;
    my $packet = shift @$queue or return;
    sleep $packet->{delay_before} if $packet->{delay_before};
    return ( $packet->{value}, $packet->{delay_after} );
}

1;
