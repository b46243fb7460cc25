package Test::Nginx::Mock;

# The servers that blocks ask for with tcp_listen and udp_listen: each runs in
# a forked process for one repetition and records what it was sent.

use strict;
use warnings;

use Exporter 'import';
use File::Temp ();
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX ();
use Socket qw(SOCK_DGRAM SOCK_STREAM SO_REUSEADDR SOL_SOCKET);
use Time::HiRes qw(sleep);
use Test::Nginx::State;

our @EXPORT = qw(start_mocks stop_mocks check_mocks);

# `kind` is tcp or udp; a target is a port, or the path of a unix socket.
sub listen_on {
    my ( $name, $kind, $target ) = @_;
    my $type = $kind eq 'tcp' ? SOCK_STREAM : SOCK_DGRAM;
    my $socket;
    if ( $target =~ m{/|\.sock$} ) {
        unlink $target if -S $target;
        $socket = IO::Socket::UNIX->new(
            Local => $target, Type => $type, ( $kind eq 'tcp' ? ( Listen => 5 ) : () ),
        );
    }
    else {
        $socket = IO::Socket::INET->new(
            LocalAddr => '127.0.0.1',
            LocalPort => $target,
            Proto     => $kind,
            ( $kind eq 'tcp' ? ( Listen => 5 ) : () ),
            ReuseAddr => 1,
        );
    }
    return $socket if $socket;
    bail_out("$name - Can't create $kind listening socket on $target: $@ $!");
}

# Starts the mock servers of a block and returns handles for stop and check.
sub start_mocks {
    my ($block) = @_;
    my @mocks;
    for my $kind ( 'tcp', 'udp' ) {
        my $listen  = "${kind}_listen";
        my $targets = $block->$listen;
        next if !defined $targets;
        my @targets = ref $targets eq 'ARRAY' ? @$targets : ($targets);
        for my $i ( 0 .. $#targets ) {
            push @mocks, start_mock( $block, $kind, expand_env( $targets[$i] ),
                @targets > 1 ? $i : undef );
        }
    }
    return @mocks;
}

# A `tcp_…` or `udp_…` section; with several targets, one value for each.
sub section {
    my ( $block, $kind, $what, $index ) = @_;
    my $method = "${kind}_$what";
    my $value  = $block->$method;
    return $value->[$index] if defined $index && ref $value eq 'ARRAY';
    return $value;
}

sub start_mock {
    my ( $block, $kind, $target, $index ) = @_;
    my $name = $block->name;
    my %plan = map { $_ => scalar section( $block, $kind, $_, $index ) }
        qw(reply query query_len reply_delay no_close shutdown shutdown_delay);
    bail_out("$name - no --- ${kind}_reply specified but --- ${kind}_listen is specified")
        if !defined $plan{reply} && !defined $plan{shutdown};

    my $server = listen_on( $name, $kind, $target );
    my $record = File::Temp->new;
    my $pid    = fork // bail_out("$name - fork failed: $!");
    if ( $pid == 0 ) {
        $InSubprocess = 1;
        $SIG{PIPE} = 'IGNORE';
        eval { $kind eq 'tcp' ? serve_tcp( $server, $record, \%plan )
                              : serve_udp( $server, $record, \%plan ); };
        warn "$name - $kind mock: $@" if $@;
        POSIX::_exit(0);
    }
    close $server;
    return { pid => $pid, kind => $kind, target => $target, record => $record, plan => \%plan };
}

sub record_query {
    my ( $record, $data ) = @_;
    open my $out, '>', $record->filename or die "can't record the query: $!";
    print {$out} $data;
    close $out;
}

sub replies {
    my ( $reply, $query ) = @_;
    $reply = $reply->($query) if ref $reply eq 'CODE';
    return ref $reply eq 'ARRAY' ? @$reply : ($reply);
}

sub serve_tcp {
    my ( $server, $record, $plan ) = @_;
    my $client = $server->accept or die "accept failed: $!";
    my ( $no_read, $no_write );
    if ( defined $plan->{shutdown} ) {
        my $how = $plan->{shutdown} || 0;
        sleep parse_time( $plan->{shutdown_delay} ) if $plan->{shutdown_delay};
        shutdown $client, $how;
        $no_read  = $how == 0 || $how == 2;
        $no_write = $how == 1 || $how == 2;
    }
    my $query = $no_read ? '' : read_query( $client, $record, $plan );
    sleep parse_time( $plan->{reply_delay} ) if $plan->{reply_delay};
    if ( !$no_write && defined $plan->{reply} ) {
        for my $part ( replies( $plan->{reply}, $query ) ) {
            syswrite $client, $part if defined $part;
            sleep 0.01;
        }
    }
    while ( defined $plan->{no_close} ) { sleep 1 }
    close $client;
}

sub read_query {
    my ( $client, $record, $plan ) = @_;
    my $wanted = $plan->{query_len};
    $wanted = length $plan->{query} if !defined $wanted && defined $plan->{query};
    my $query = '';
    while (1) {
        my $got = sysread $client, my $data, 65536;
        last if !$got;
        $query .= $data;
        record_query( $record, $query );
        last if !defined $wanted || length $query >= $wanted;
    }
    return $query;
}

sub serve_udp {
    my ( $server, $record, $plan ) = @_;
    while (1) {
        my $peer = recv $server, my $query, 65536, 0;
        die "recv failed: $!" if !defined $peer;
        record_query( $record, $query );
        sleep parse_time( $plan->{reply_delay} ) if $plan->{reply_delay};
        for my $part ( replies( $plan->{reply}, $query ) ) {
            next if !defined $part;
            send $server, $part, 0, $peer or warn "udp reply not sent: $!\n";
        }
    }
}

sub stop_mocks {
    for my $mock (@_) {
        kill KILL => $mock->{pid};
        waitpid $mock->{pid}, 0;
        unlink $mock->{target} if -S $mock->{target};
    }
}

sub recorded {
    my ($mock) = @_;
    open my $in, '<', $mock->{record}->filename or return '';
    local $/;
    return <$in> // '';
}

# One check for each of tcp_query, tcp_query_len and udp_query that is given.
sub check_mocks {
    my ( $block, @mocks ) = @_;
    my $name = $block->name;
    for my $mock (@mocks) {
        my ( $kind, $plan ) = @$mock{qw(kind plan)};
        my $data  = recorded($mock);
        my $label = uc $kind;
        if ( defined $plan->{query_len} ) {
            Test::More::is( length $data, $plan->{query_len},
                "$name - $label query length ok" );
        }
        next if !defined $plan->{query};
        if ( ref $plan->{query} eq 'Regexp' ) {
            Test::More::like( $data, $plan->{query}, "$name - $label query ok" );
        }
        else {
            Test::More::is( $data, $plan->{query}, "$name - $label query ok" );
        }
    }
}

1;
