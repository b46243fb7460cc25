package PyPI;

# Python packages from PyPI, for parsers that the tests check responses with.
# Invariant: nothing is installed outside of a directory of the project's own.

use strict;
use warnings;

use FindBin;
use IPC::Open2;

my $REQUIREMENTS = "$FindBin::Bin/python.txt";
my $DIRECTORY    = "$FindBin::Bin/../target/python";

# Fetches the packages of python.txt, if that has not been done; returns why not where it fails.
sub missing {
    my $wanted = ProcessTest::slurp($REQUIREMENTS);
    my $stamp  = "$DIRECTORY/installed";
    return if -e $stamp && ProcessTest::slurp($stamp) eq $wanted;
    my $output = qx(python3 -m pip install --quiet --upgrade --no-deps --require-hashes \\
        --target '$DIRECTORY' --requirement '$REQUIREMENTS' 2>&1);
    return "python3 -m pip cannot install the packages of nginx-tests/python.txt: $output" if $? != 0;
    open my $out, '>', $stamp or die "$stamp: $!";
    print {$out} $wanted;
    close $out or die "$stamp: $!";
    return;
}

# Runs a program in Python with $input as its input; returns its output, and dies where it fails.
sub run {
    my ( $program, $input ) = @_;
    local $ENV{PYTHONPATH} = $DIRECTORY;
    my $pid = open2( my $out, my $in, 'python3', '-c', $program );
    print {$in} $input;
    close $in or die "python3: $!";
    my $output = do { local $/; <$out> };
    waitpid $pid, 0;
    die "python3 failed:\n$program" if $? != 0;
    return $output;
}

1;
