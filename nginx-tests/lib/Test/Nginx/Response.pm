package Test::Nginx::Response;

# One HTTP response, parsed: status, headers by name, decoded body, and what
# the server sent after it (the next response of a pipeline).

use strict;
use warnings;

# Returns the response; its `failure` is set when the body is badly chunked.
sub parse {
    my ( $class, $raw, %options ) = @_;
    my $self = bless {
        name => $options{name}, headers => {}, raw_headers => '', left => undef,
    }, $class;

    if ( $options{http09} ) {
        @$self{qw(code content)} = ( 200, $raw );
        return $self;
    }
    $self->{raw_headers} = $1 if $raw =~ /\A(.*?\r\n)\r\n/s;
    my ( $status, $rest ) = split /\n/, $raw, 2;
    $rest //= '';
    ( undef, $self->{code} ) = split ' ', $status // '', 3;
    $self->{content} = $self->_take_headers($rest);
    my $code = $self->{code} // '';
    return $self if $code eq '304' || $code eq '101';
    $self->_take_body( $options{head_request} );
    return $self;
}

sub code        { $_[0]{code} }
sub content     { $_[0]{content} }
sub raw_headers { $_[0]{raw_headers} }
sub left        { $_[0]{left} }
sub failure     { $_[0]{failure} }

sub set_content {
    my ( $self, $content ) = @_;
    $self->{content} = $content;
}

sub _key {
    my ($name) = @_;
    return lc( $name =~ tr/_/-/r );
}

# All values of a header, joined as one line; undef when it is absent.
sub header {
    my ( $self, $name ) = @_;
    my $values = $self->{headers}{ _key($name) } or return undef;
    return join ', ', @$values;
}

sub _take_headers {
    my ( $self, $text ) = @_;
    my $last;
    while (1) {
        if ( $text =~ s/\A([^\s:]+)[ \t]*: ?(.*)\n?// ) {
            my ( $name, $value ) = ( $1, $2 );
            $value =~ s/\r\z//;
            $last = $self->{headers}{ _key($name) } //= [];
            push @$last, $value;
        }
        elsif ( $last && $text =~ s/\A([ \t].*)\n?// ) {
            $last->[-1] .= "\n$1";
            $last->[-1] =~ s/\r\z//;
        }
        else {
            $text =~ s/\A\r?\n//;
            return $text;
        }
    }
}

sub _take_body {
    my ( $self, $head_request ) = @_;
    my $encoding = $self->header('Transfer-Encoding') // '';
    my $length   = $self->header('Content-Length');
    if ( $encoding eq 'chunked' ) {
        $self->_take_chunks;
    }
    elsif ( defined $length && $length =~ /^\d+$/ ) {
        my $have = length $self->{content};
        if ( $have > $length ) {
            $self->{left}    = substr $self->{content}, $length;
            $self->{content} = substr $self->{content}, 0, $length;
        }
        elsif ( $have < $length && !$head_request ) {
            warn "WARNING: $self->{name} - response body truncated: ",
                "$length expected, but got $have\n";
        }
    }
}

sub _take_chunks {
    my ($self) = @_;
    my $raw = $self->{content};
    my $decoded = '';
    pos($raw) = 0;
    while (1) {
        if ( $raw =~ /\G0[ \t]*\r\n\r\n/gc ) {
            $self->{left} = $1 if $raw =~ /\G(.+)/gcs;
            last;
        }
        if ( $raw =~ /\G[ \t]*([A-Fa-f0-9]+)[ \t]*\r\n/gc ) {
            my ( $size, $from ) = ( hex $1, pos $raw );
            return $self->_fail(
                'invalid chunked data received (not enough octets for the data section)')
                if length($raw) - $from < $size;
            $decoded .= substr $raw, $from, $size;
            pos($raw) = $from + $size;
            return $self->_fail('invalid chunked data received (expected CRLF).')
                if $raw !~ /\G\r\n/gc;
        }
        elsif ( $raw =~ /\G(.+)/gcs ) {
            return $self->_fail("invalid chunked body received: $1");
        }
        else {
            return $self->_fail("no last chunk found - $raw");
        }
    }
    $self->{content} = $decoded;
}

sub _fail {
    my ( $self, $why ) = @_;
    $self->{failure} = $why;
}

1;
