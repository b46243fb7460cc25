package Test::Nginx::Checks;

# What a block expects of a response. Every function makes as many checks as
# the block's section has expectations, whatever the outcome, so that plans
# written for a file hold.

use strict;
use warnings;

use Exporter 'import';
use Test::More ();
use Test::Nginx::Request qw(indexed_value);
use Test::Nginx::State;

our @EXPORT = qw(check_response);

# A response and which of the block's requests it answers:
#   res (Test::Nginx::Response), index, repeat, need_array.
sub check_response {
    my ( $block, %at ) = @_;
    check_error_code( $block, %at );
    check_raw_response_headers( $block, %at );
    check_response_headers( $block, %at );
    filter_response_body( $block, %at );
    check_response_body( $block, %at ) if !defined $block->ignore_response_body;
}

sub expected {
    my ( $block, $section, %at ) = @_;
    return indexed_value( $block->name, scalar $block->$section, $at{index},
        $at{need_array} );
}

sub with_port {
    my ($text) = @_;
    return $text if !defined $text || ref $text;
    $text =~ s/\$ServerPort\b/$ServerPort/g;
    $text =~ s/\$ServerPortForClient\b/$ServerPortForClient/g;
    return $text =~ /\$TEST_NGINX_RAND_PORT_/ ? expand_env($text) : $text;
}

sub check_error_code {
    my ( $block, %at ) = @_;
    my $label = $block->name . ' - status code ok';
    my $code  = $at{res}->code || '';
    if ( defined $block->error_code ) {
        Test::More::is( $code, expected( $block, 'error_code', %at ), $label );
    }
    elsif ( defined $block->error_code_like ) {
        my $pattern = expected( $block, 'error_code_like', %at );
        Test::More::like( $code, qr/$pattern/, $label );
    }
    else {
        Test::More::is( $code, 200, $label );
    }
}

sub check_raw_response_headers {
    my ( $block, %at ) = @_;
    my $name = $block->name;
    my $raw  = $at{res}->raw_headers;
    if ( defined $block->raw_response_headers ) {
        Test::More::is( $raw, expected( $block, 'raw_response_headers', %at ),
            "$name - raw resp headers ok" );
    }
    if ( defined $block->raw_response_headers_like ) {
        my $pattern = expected( $block, 'raw_response_headers_like', %at );
        Test::More::like( $raw, qr/$pattern/s, "$name - raw resp headers like" );
    }
    if ( defined $block->raw_response_headers_unlike ) {
        my $pattern = expected( $block, 'raw_response_headers_unlike', %at );
        Test::More::unlike( $raw, qr/$pattern/s, "$name - raw resp headers unlike" );
    }
}

# "Name: value" lines in order; the last one of a name counts.
sub parse_header_lines {
    my ($text) = @_;
    my ( @order, %value );
    for my $line ( split /\n+/, $text // '' ) {
        my ( $key, $value ) = split /\s*:\s*/, $line, 2;
        next if !defined $key || $key !~ /\S/;
        $key =~ s/^\s+|\s+$//g;
        push @order, $key if !exists $value{$key};
        $value{$key} = $value // '';
    }
    return map { [ $_, $value{$_} ] } @order;
}

sub check_response_headers {
    my ( $block, %at ) = @_;
    my $name = $block->name;
    my $res  = $at{res};
    if ( defined $block->response_headers ) {
        for my $pair ( parse_header_lines( expected( $block, 'response_headers', %at ) ) ) {
            my ( $key, $value ) = @$pair;
            if ( $key =~ s/^!\s*// ) {
                Test::More::is( $res->header($key), undef,
                    "$name - header $key not present in the raw headers" );
                next;
            }
            Test::More::is( $res->header($key) // '',
                with_port($value), "$name - header $key ok" );
        }
    }
    elsif ( defined $block->response_headers_like ) {
        for my $pair (
            parse_header_lines( expected( $block, 'response_headers_like', %at ) ) )
        {
            my ( $key, $value ) = @$pair;
            $value = with_port($value);
            Test::More::like( $res->header($key) // '',
                qr/^$value$/, "$name - header $key like ok" );
        }
    }
}

# `response_body_filters`: names of functions or code that change the body
# before it is compared.
sub filter_response_body {
    my ( $block, %at ) = @_;
    my $filters = $block->response_body_filters;
    return if !defined $filters;
    $filters = indexed_value( $block->name, $filters, $at{index}, $at{need_array} )
        if $at{need_array};
    for my $filter ( ref $filters eq 'ARRAY' ? @$filters : split ' ', $filters ) {
        my $code = ref $filter eq 'CODE' ? $filter : main->can($filter);
        bail_out( $block->name . " - no such response body filter: $filter" ) if !$code;
        $at{res}->set_content( $code->( $at{res}->content ) );
    }
}

sub compare_body {
    my ( $got, $expected, $label ) = @_;
    return Test::More::like( $got, $expected, $label ) if ref $expected eq 'Regexp';
    return Test::Base::is( $got, $expected, $label );
}

sub check_response_body {
    my ( $block, %at ) = @_;
    my $name    = $block->name;
    my $content = $at{res}->content;
    my $where   = "(repeated req $at{repeat}, req $at{index})";
    if ( defined $block->response_body ) {
        my $expected = with_port( expected( $block, 'response_body', %at ) );
        compare_body( $content, $expected,
            "$name - response_body - response is expected $where" );
    }
    elsif ( defined $block->response_body_like ) {
        my $pattern = with_port( expected( $block, 'response_body_like', %at ) );
        my $summary = trim($content) // '';
        Test::More::like( $content, qr/$pattern/s,
            "$name - response_body_like - response is expected ($summary)" );
    }
    elsif ( defined $block->response_body_unlike ) {
        my $pattern = with_port( expected( $block, 'response_body_unlike', %at ) );
        my $summary = trim($content) // '';
        Test::More::unlike( $content, qr/$pattern/s,
            "$name - response_body_unlike - response is expected ($summary)" );
    }
    for my $check (@ResponseBodyChecks) {
        $check->( $block, $content, $at{index}, $at{repeat}, 0 );
    }
}

1;
