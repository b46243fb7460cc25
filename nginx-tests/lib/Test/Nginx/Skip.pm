package Test::Nginx::Skip;

# Whether a block is to be skipped: skip_nginx, skip_nginx2, skip_openssl,
# skip_eval. Each is "N: condition", N being the checks that count as skipped.

use strict;
use warnings;

use Exporter 'import';
use Test::Nginx::State;

our @EXPORT = qw(skip_reason);

my %compare = (
    '<'  => sub { $_[0] < 0 },
    '<=' => sub { $_[0] <= 0 },
    '>'  => sub { $_[0] > 0 },
    '>=' => sub { $_[0] >= 0 },
    '==' => sub { $_[0] == 0 },
    '!=' => sub { $_[0] != 0 },
);

# Compares dotted versions; letters ("1.0.2e") count after the numbers.
sub version_cmp {
    my ( $left, $right ) = @_;
    my @left  = $left  =~ /\d+|[a-z]+/g;
    my @right = $right =~ /\d+|[a-z]+/g;
    while ( @left || @right ) {
        my ( $l, $r ) = ( shift @left // 0, shift @right // 0 );
        my $order = "$l$r" =~ /^\d+$/ ? $l <=> $r : $l cmp $r;
        return $order if $order;
    }
    return 0;
}

sub version_holds {
    my ( $name, $version, $condition ) = @_;
    bail_out("$name - bad version condition: $condition")
        if $condition !~ /^\s*(<=?|>=?|==|!=)\s*(\d[\w.]*)\s*$/;
    return $compare{$1}->( version_cmp( $version, $2 ) );
}

# "3: < 1.2.3", "3: < 1.2.3 and >= 1.0.0", "3: < 1.2.3 or > 2.0.0".
sub by_version {
    my ( $name, $text, $product, $version ) = @_;
    bail_out("$name - invalid skip section: $text") if $text !~ /^\s*(\d+)\s*:\s*(.+)/s;
    my ( $count, $condition ) = ( $1, trim($2) );
    my $reason = $condition =~ s/\s*:\s*(.*)// ? "$1: " : '';
    return if !defined $version;
    my $holds = 0;
    for my $any ( split /\s+or\s+/, $condition ) {
        my @all = split /\s+and\s+/, $any;
        $holds ||= !grep { !version_holds( $name, $version, $_ ) } @all;
    }
    return ( $count, "$reason$product version $version $condition" ) if $holds;
    return;
}

sub by_eval {
    my ( $name, $text ) = @_;
    bail_out("$name - invalid skip_eval: $text") if $text !~ /^\s*(\d+)\s*:\s*(.+)/s;
    my ( $count, $code ) = ( $1, $2 );
    my $skip = eval "package main; no strict; $code";
    bail_out("$name - skip_eval failed: $@") if $@;
    return ( $count, "skip_eval: $code" ) if $skip;
    return;
}

# The number of checks to skip and the reason, or nothing.
sub skip_reason {
    my ($block) = @_;
    my $name = $block->name;
    my @found;
    for my $text ( $block->skip_nginx, $block->skip_nginx2 ) {
        next if !defined $text;
        @found = by_version( $name, $text, 'nginx', $NginxRawVersion );
        return @found if @found;
    }
    if ( defined $block->skip_openssl ) {
        @found = by_version( $name, $block->skip_openssl, 'OpenSSL', $OpenSSLVersion );
        return @found if @found;
    }
    return by_eval( $name, $block->skip_eval ) if defined $block->skip_eval;
    return;
}

1;
