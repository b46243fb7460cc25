package Test::Nginx::ErrorLog;

# What a block expects of the error log. Only the lines of the present
# repetition are checked, unless check_accum_error_log() was called.

use strict;
use warnings;

use Exporter 'import';
use Test::More ();
use Time::HiRes qw(sleep);
use Test::Nginx::State;

our @EXPORT = qw(
    check_error_log check_shutdown_error_log mark_error_log pass_error_log
);

# Where the last look at the log ended.
my $ErrLogEnd;

# Forgets everything that the log holds so far.
sub mark_error_log {
    $ErrLogFilePos = -s $ErrLogFile || 0;
}

sub error_log_lines {
    sleep $TestNginxSleep * 3;    # lines of the log phase come after the response
    open my $in, '<', $ErrLogFile or return [];
    seek $in, $ErrLogFilePos, 0 if !$CheckAccumErrLog && $ErrLogFilePos > 0;
    my @lines = <$in>;
    $ErrLogEnd = tell $in;
    return \@lines;
}

# The next repetition sees only what is logged after the last look.
sub pass_error_log {
    $ErrLogFilePos = $ErrLogEnd if defined $ErrLogEnd;
    undef $ErrLogEnd;
}

# A section's patterns: lines of plain text, one regular expression, or a list.
sub patterns_of {
    my ($value) = @_;
    return @$value if ref $value eq 'ARRAY';
    return ($value) if ref $value;
    chomp $value;
    return split /\n+/, $value;
}

sub matches {
    my ( $line, $pattern ) = @_;
    return ref $pattern ? $line =~ /$pattern/ : index( $line, $pattern ) >= 0;
}

sub printable {
    my ($text) = @_;
    chomp $text;
    $text =~ s/([^[:print:]])/sprintf '\\x{%02x}', ord $1/ge;
    return $text;
}

sub check_patterns_present {
    my ( $name, $value, $lines, $when ) = @_;
    for my $pattern ( patterns_of($value) ) {
        next if !defined $pattern;
        my $shown = printable($pattern);
        if ( grep { matches( $_, $pattern ) } @$lines ) {
            Test::More::pass(
                "$name - pattern \"$shown\" matches a line in error.log ($when)");
        }
        else {
            Test::More::fail(
                "$name - pattern \"$shown\" should match a line in error.log ($when)");
        }
    }
}

# One pass for a pattern that no line has; one failure for each line that has it.
sub check_patterns_absent {
    my ( $name, $value, $lines, $when ) = @_;
    for my $pattern ( patterns_of($value) ) {
        next if !defined $pattern;
        my $shown = printable($pattern);
        my @found = grep { matches( $_, $pattern ) } @$lines;
        for my $line (@found) {
            my $shown_line = printable($line);
            Test::More::fail( "$name - pattern \"$shown\" should not match any line"
                    . " in error.log but matches line \"$shown_line\" ($when)" );
        }
        if ( !@found ) {
            Test::More::pass(
                "$name - pattern \"$shown\" does not match a line in error.log ($when)");
        }
    }
}

sub grep_lines {
    my ( $pattern, $lines ) = @_;
    my $found = '';
    for my $line (@$lines) {
        next if ref $pattern ? $line !~ /$pattern/ : $line !~ /\Q$pattern\E/;
        my $match = $&;
        $match .= "\n" if $match !~ /\n/;
        $found .= $match;
    }
    return $found;
}

sub check_grep_error_log {
    my ( $block, $lines, $repeat ) = @_;
    my $name     = $block->name;
    my $expected = $block->grep_error_log_out;
    return if !defined $expected;
    my $pattern = $block->grep_error_log;
    if ( !ref $pattern ) {
        chomp $pattern;
    }
    $expected = $expected->[$repeat] if ref $expected eq 'ARRAY';
    my $found = grep_lines( $pattern, $lines );
    my $label = "$name - grep_error_log_out (req $repeat)";
    if ( ref $expected eq 'Regexp' ) {
        Test::More::like( $found, qr/$expected/s, $label );
    }
    else {
        Test::Base::is( $found, $expected // '', $label );
    }
}

sub report_assertions {
    my ( $name, $lines ) = @_;
    for my $line ( grep {/\bAssertion .*? failed\.$/} @$lines ) {
        Test::More->builder->no_ending(1);
        Test::More::fail( "$name - " . printable($line) );
    }
}

# All checks of the error log after one response.
sub check_error_log {
    my ( $block, $repeat ) = @_;
    my $name  = $block->name;
    my $when  = "req $repeat";
    my $lines = error_log_lines();
    report_assertions( $name, $lines );
    check_grep_error_log( $block, $lines, $repeat ) if defined $block->grep_error_log;
    check_patterns_present( $name, $block->error_log, $lines, $when )
        if defined $block->error_log;
    check_patterns_absent( $name, $block->no_error_log, $lines, $when )
        if defined $block->no_error_log;
}


# All checks of what nginx logged up to its end, once per block.
sub check_shutdown_error_log {
    my ($block) = @_;
    my $name  = $block->name;
    my $lines = error_log_lines();
    check_patterns_present( $name, $block->shutdown_error_log, $lines, 'shutdown' )
        if defined $block->shutdown_error_log;
    check_patterns_absent( $name, $block->no_shutdown_error_log, $lines, 'shutdown' )
        if defined $block->no_shutdown_error_log;
}

1;
