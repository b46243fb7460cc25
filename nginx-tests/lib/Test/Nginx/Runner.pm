package Test::Nginx::Runner;

# Runs the blocks of a file one after the other: nginx for the block, then
# each repetition with its mock servers, requests and checks.

use strict;
use warnings;

use Exporter 'import';
use List::Util qw(shuffle);
use Test::More ();
use Time::HiRes qw(sleep);
use Test::Nginx::Checks;
use Test::Nginx::Client;
use Test::Nginx::Conf;
use Test::Nginx::ErrorLog;
use Test::Nginx::Mock;
use Test::Nginx::Process;
use Test::Nginx::Request;
use Test::Nginx::Response;
use Test::Nginx::Skip;
use Test::Nginx::State;

our @EXPORT = qw(run_tests);

# Sections and switches of the format that this harness has no machinery for.
# (stap sections need systemtap; without TEST_NGINX_USE_STAP they mean nothing.)
my @UNSUPPORTED          = qw(http2 http3 curl);
my @UNSUPPORTED_SWITCHES = map {"TEST_NGINX_$_"}
    qw(USE_HTTP2 USE_HTTP3 USE_STAP CHECK_LEAK BENCHMARK);

# Whether this process has started an nginx, which a reload can then change.
my $is_up = 0;

sub run_tests {
    query_nginx_version();
    my @blocks = Test::Base::blocks();
    @blocks = shuffle(@blocks) if !$NoShuffle;
    for my $block (@blocks) {
        $_->($block) for @BlockPreprocessors;
        run_block($block);
    }
    cleanup();
}

sub cleanup {
    return if $InSubprocess;
    $_->() for @CleanupHandlers;
    @CleanupHandlers = ();
    return if $NoNginxManager || $ENV{TEST_NGINX_NO_CLEAN};
    stop_nginx();
}

END {
    local $?;
    cleanup();
}

sub refuse_unsupported {
    my ($block) = @_;
    for my $section (@UNSUPPORTED) {
        bail_out( $block->name . " - section --- $section is not supported" )
            if defined $block->$section;
    }
    for my $switch (@UNSUPPORTED_SWITCHES) {
        bail_out("$switch is not supported") if $ENV{$switch};
    }
}

sub run_block {
    my ($block) = @_;
    my $name = $block->name;
    refuse_unsupported($block);
    if ( my ( $count, $reason ) = skip_reason($block) ) {
        for ( 1 .. $RepeatEach ) {
        SKIP: { Test::More::skip( "$name - $reason", $count ) }
        }
        return;
    }
    run_init($block);

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $todo = $block->todo;
    Test::More->builder->todo_start( $todo =~ s/^\s*\d+\s*:\s*//r ) if defined $todo;
    run_repeats($block);
    Test::More->builder->todo_end if defined $todo;
}

sub run_repeats {
    my ($block) = @_;
    if ( defined $block->must_die ) {
        expect_death( $block, $_ - 1 ) for 1 .. $RepeatEach;
        return;
    }
    bring_up($block) or return if !$NoNginxManager;
    for my $repeat ( 0 .. $RepeatEach - 1 ) {
        write_user_files($block) if $repeat > 0;
        run_repeat( $block, $repeat );
    }
    if ( defined $block->shutdown_error_log || defined $block->no_shutdown_error_log ) {
        stop_nginx();
        check_shutdown_error_log($block);
    }
}

sub run_init {
    my ($block) = @_;
    return if !defined $block->init;
    eval 'package main; ' . $block->init;
    bail_out( $block->name . " - init failed: $@" ) if $@;
}

# A fresh server root with this block's configuration and files.
sub lay_out {
    my ($block) = @_;
    stop_nginx();
    setup_server_root();
    write_user_files($block);
    write_config_file($block);
    $ErrLogFilePos = 0;
}

# Makes nginx serve this block. When it cannot, the file ends there, unless
# TEST_NGINX_GO_ON is set: then the block fails and the next one follows.
sub bring_up {
    my ($block) = @_;
    my $pid = nginx_pid();
    if ( $UseHup && $is_up && defined $pid && is_running($pid) ) {
        write_user_files($block);
        write_config_file($block);
        mark_error_log();
        reload_nginx( $pid, defined $block->reload_fails );
        return 1;
    }
    lay_out($block);
    $is_up = start_nginx( defined $block->suppress_stderr ) == 0;
    return 1 if $is_up;
    my $failure = $block->name . ' - Cannot start nginx';
    bail_out($failure) if !$ENV{TEST_NGINX_GO_ON};
    Test::More::fail($failure);
    return 0;
}

sub expect_death {
    my ( $block, $repeat ) = @_;
    my $name = $block->name;
    lay_out($block);
    my $status = start_nginx( defined $block->suppress_stderr );
    if ( $status == -1 ) {
        bail_out("$name - failed to execute $NginxBinary: $!");
    }
    elsif ( $status & 127 ) {
        Test::More::fail(
            sprintf '%s - nginx died with signal %d', $name, $status & 127 );
    }
    else {
        Test::More::isnt( $status >> 8, 0, "$name - nginx refuses to start" );
    }
    check_error_log( $block, $repeat );
    pass_error_log();
    stop_nginx();
}

sub run_repeat {
    my ( $block, $repeat ) = @_;
    my @mocks = start_mocks($block);
    run_requests( $block, $repeat );
    pass_error_log();
    stop_mocks(@mocks);
    check_mocks( $block, @mocks );
}

sub run_requests {
    my ( $block, $repeat ) = @_;
    my $name     = $block->name;
    my @requests = requests_of($block);
    for my $index ( 0 .. $#requests ) {
        my ( $raw, $head_request, $timed_out ) = send_request(
            $requests[$index],
            name         => $name,
            timeout      => parse_time( $block->timeout ) // $Timeout,
            middle_delay => parse_time( $block->raw_request_middle_delay ),
            shutdown     => scalar $block->shutdown,
        );
        if ( $timed_out && !defined $block->abort ) {
            Test::More::fail("ERROR: client socket timed out - $name");
        }
        check_all_responses(
            $block, $raw // '',
            head_request => $head_request,
            index        => $index,
            repeat       => $repeat,
            need_array   => @requests > 1,
        );
        if ( $index < $#requests && defined $block->wait_each_request ) {
            sleep parse_time( $block->wait_each_request ) || 0;
        }
    }
}

# Splits what came over one connection into the responses that are due; the
# error log is checked once for each.
sub check_all_responses {
    my ( $block, $raw, %at ) = @_;
    my $count = 1;
    if ( $block->pipelined_requests ) {
        $count = @{ $block->pipelined_requests };
        $at{need_array} = 1;
    }
    for my $n ( 1 .. $count ) {
        if ( !defined $block->ignore_response ) {
            $raw = check_next_response( $block, $raw, $n == $count, %at );
        }
        my $wait = parse_time( $block->wait );
        sleep $wait if $wait && $n == 1;
        check_error_log( $block, $at{repeat} );
        $at{index}++;
    }
}

# Checks the first response of the bytes and returns what follows it.
sub check_next_response {
    my ( $block, $raw, $is_last, %at ) = @_;
    my $name = $block->name;
    my $res  = Test::Nginx::Response->parse(
        $raw,
        name         => $name,
        head_request => $at{head_request},
        http09       => defined $block->http09,
    );
    if ( $res->failure ) {
        Test::More->builder->no_ending(1);
        Test::More::fail( "$name - " . $res->failure );
        $res = Test::Nginx::Response->parse( '', name => $name );
    }
    my $left = $res->left // '';
    if ( $is_last && $left ne '' ) {
        my $shown = $left =~ s/([\0-\037\200-\377])/sprintf '\x{%02x}', ord $1/egr;
        warn "WARNING: $name - unexpected extra bytes after last chunk in",
            " response: \"$shown\"\n";
    }
    check_response( $block, %at, res => $res );
    return $left;
}

1;
