package Test::Nginx::Request;

# From a block's request sections to the bytes on the wire.
# A request is a list of packets; a packet is a hash with `value` and,
# optionally, `delay_before` and `delay_after` in seconds.

use strict;
use warnings;

use Exporter 'import';
use Test::Nginx::State;

our @EXPORT = qw(requests_of indexed_value);

# The value of a section for one of several requests; sections that serve
# several requests must be arrays.
sub indexed_value {
    my ( $name, $value, $index, $need_array ) = @_;
    if ( ref $value eq 'ARRAY' ) {
        bail_out("$name - several values given for a single request")
            if !$need_array && $index != 0;
        return $value->[$index];
    }
    bail_out(
        "$name - You asked for many requests, the expected results should be arrays as well."
    ) if $need_array;
    return $value;
}

sub parse_request {
    my ( $name, $text ) = @_;
    my ( $first, $content ) = split /^/, $text, 2;
    bail_out("$name - Request line should be non-empty")
        if !defined $first || $first !~ /\S/;
    $first =~ /^\s*(\S+)(?: *(\S+))?(?: *(\S+))?/;
    my ( $method, $url, $version ) = ( $1, $2 // '/', $3 // 'HTTP/1.1' );
    return ( $method, $url, $version, $content );
}

# `more_headers` as header lines, and whether they announce a chunked body.
sub extra_headers {
    my ($text) = @_;
    my ( $lines, $chunked ) = ( '', 0 );
    for my $header ( split /\n+/, $text // '' ) {
        next if $header =~ /^\s*\#/;
        my ( $key, $value ) = split /:\s*/, $header, 2;
        $value //= '';
        $chunked = 1 if lc $key eq 'transfer-encoding' && $value eq 'chunked';
        $lines .= "$key: $value\r\n";
    }
    return ( $lines, $chunked );
}

sub chunk {
    my ($data) = @_;
    return sprintf( "%x\r\n", length $data ) . "$data\r\n";
}

# Builds the head from the first packet's request line and returns one string
# per packet; together they are the request.
sub build_packets {
    my ( $name, $more_headers, $connection, @packets ) = @_;
    my ( $headers, $chunked ) = extra_headers($more_headers);
    my ( $method, $url, $version, $content )
        = parse_request( $name, join '', @packets );

    my $length = '';
    if ( !$chunked && defined $content && $content ne '' ) {
        $content =~ s/^\s+|\s+$//gs if @packets == 1;
        $length = 'Content-Length: ' . length($content) . "\r\n"
            if $headers !~ /^Content-Length:/m;
    }
    my $head = "$method $url $version\r\n";
    $head .= "Host: $ServerName\r\n"      if $headers !~ /^Host:/mi;
    $head .= "Connection: $connection\r\n" if $headers !~ /^Connection:/m;
    $head .= "$headers$length\r\n";

    # The first packet carries what follows the request line in it.
    my @bodies = @packets;
    $bodies[0] =~ s/\A[^\n]*\n?//;
    if ( @packets == 1 ) {
        $bodies[0] = $content // '';
        $bodies[0] =~ s/\A\s+|\s+\z//g if $chunked;
    }
    if ($chunked) {
        @bodies = map { length $_ ? chunk($_) : '' } @bodies;
        $bodies[-1] .= "0\r\n\r\n";
    }
    $bodies[0] = $head . $bodies[0];
    return @bodies;
}

sub packets_of {
    my ( $name, $headers, $request ) = @_;
    my @packets = ref $request eq 'ARRAY' ? @$request : ($request);
    my @built   = build_packets( $name, $headers, 'close',
        map { ref $_ ? $_->{value} : $_ } @packets );
    return [
        map {
            my $options = ref $packets[$_] ? $packets[$_] : {};
            +{ %$options, value => $built[$_] }
        } 0 .. $#packets
    ];
}

sub raw_packets {
    my ($raw) = @_;
    return [ map { +{ value => $_ } } ref $raw eq 'ARRAY' ? @$raw : ($raw) ];
}

sub pipelined {
    my ( $name, $block ) = @_;
    my $requests = $block->pipelined_requests;
    bail_out("$name - invalid entries in --- pipelined_requests")
        if ref $requests ne 'ARRAY';
    my $wire = '';
    for my $i ( 0 .. $#$requests ) {
        my $headers = $block->more_headers;
        $headers = $headers->[$i] if ref $headers eq 'ARRAY';
        my $connection = $i == $#$requests ? 'close' : 'keep-alive';
        $wire .= join '',
            build_packets( $name, $headers, $connection, expand_env( $requests->[$i] ) );
    }
    return [ { value => $wire } ];
}

# All requests of a block, each sent on a connection of its own.
sub requests_of {
    my ($block) = @_;
    my $name = $block->name;
    return raw_packets( $block->raw_request ) if defined $block->raw_request;
    return pipelined( $name, $block )         if $block->pipelined_requests;

    my $request = $block->request;
    if ( defined $block->request_eval ) {
        $request = eval $block->request_eval;
        bail_out("$name - request_eval - $@") if $@;
    }
    bail_out("$name - request empty") if !defined $request;
    if ( !ref $request ) {
        1 while $request =~ s/^\s*\#[^\n]+\n//gs;
    }
    my @requests = ref $request eq 'ARRAY' ? @$request : ($request);
    my @result;
    for my $i ( 0 .. $#requests ) {
        my $headers = $block->more_headers;
        $headers = $headers->[$i] if ref $headers eq 'ARRAY';
        push @result, packets_of( $name, $headers, $requests[$i] );
    }
    return @result;
}

1;
