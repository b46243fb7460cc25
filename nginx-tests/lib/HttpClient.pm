package HttpClient;

# The client of nginx-tests/client, for HTTP/1.1, HTTP/2 and HTTP/3; its src/script.rs says what it can be told.

use strict;
use warnings;

use FindBin;
use IO::Handle;
use IPC::Open2;
use JSON::PP;
use ProcessTest;

my $program;

# The path of the program, which cargo builds first.
sub program {
    return $program if $program;
    # The package that cargo itself runs is no reason to build a dependency again that looks at these.
    delete local @ENV{ grep {/^CARGO_(?:PKG|MANIFEST)_/} keys %ENV };
    my @build = qw(build --quiet --package http-client --message-format json-render-diagnostics);
    open my $cargo, '-|', $ENV{CARGO} || 'cargo', @build, '--manifest-path', "$FindBin::Bin/../Cargo.toml"
        or die "cargo: $!";
    while (<$cargo>) {
        my $message = decode_json($_);
        $program = $message->{executable} if ( $message->{target}{name} // '' ) eq 'http-client';
    }
    close $cargo and $program or die 'the HTTP client does not compile';
    return $program;
}

# Starts a conversation on one connection, to be passed to `finish`. A request is a hash, or the path of a GET.
sub start {
    my (%script) = @_;
    for my $request ( @{ $script{requests} } ) {
        $request = { path => $request } if !ref $request;
    }
    my $pid = open2( my $out, my $in, program() );
    $in->autoflush(1);
    print {$in} encode_json( \%script ), "\n";
    return { pid => $pid, out => $out, in => $in };
}

# Tells the client to stop where a request says so, and returns the program's outcome: the server's `certificate`, the `answers`, or an `error` of the connection.
sub finish {
    my ($conversation) = @_;
    my $out  = $conversation->{out};
    close $conversation->{in};
    my $text = do { local $/; <$out> };
    waitpid $conversation->{pid}, 0;
    return decode_json( $text || '{"error": "the client has failed"}' );
}

sub talk { return finish( start(@_) ) }

1;
