package Test::Nginx::Util;

# The settings that a test script may change before run_tests(): each function
# sets its value when called with one and always returns the present value.
# Variables of Test::Nginx::State are visible here by their usual names, such
# as $Test::Nginx::Util::NginxVersion and $Test::Nginx::Util::ErrLogFile.

use strict;
use warnings;

use Exporter 'import';
use IO::Socket::INET;
use Test::Nginx::Runner;
use Test::Nginx::State;

our @EXPORT = qw(
    repeat_each workers worker_connections master_on master_off
    master_process_enabled log_level no_shuffle no_long_string no_root_location
    no_nginx_manager check_accum_error_log timeout env_to_nginx server_port
    server_port_for_client server_addr server_name html_dir server_root
    config_preamble add_block_preprocessor add_response_body_check
    add_cleanup_handler set_http_config_filter bail_out run_tests
    $ServerPort $ServerPortForClient $ServerAddr $ServerName $NginxBinary
    $NginxVersion $PcreVersion $ServRoot $HtmlDir $ConfFile $ErrLogFile $AccLogFile $PidFile
    $TestNginxSleep
);
# Not exported by default: a function `trim` in main would shadow the filter.
our @EXPORT_OK = qw(trim parse_time is_tcp_port_used);

sub accessor {
    my ( $name, $variable ) = @_;
    no strict 'refs';
    *$name = sub {
        ($$variable) = @_ if @_;
        return $$variable;
    };
}

BEGIN {
    accessor( repeat_each            => \$RepeatEach );
    accessor( workers                => \$Workers );
    accessor( worker_connections     => \$WorkerConnections );
    accessor( log_level              => \$LogLevel );
    accessor( timeout                => \$Timeout );
    accessor( server_port            => \$ServerPort );
    accessor( server_port_for_client => \$ServerPortForClient );
    accessor( server_addr            => \$ServerAddr );
    accessor( server_name            => \$ServerName );
    accessor( config_preamble        => \$ConfigPreamble );
    accessor( set_http_config_filter => \$HttpConfigFilter );
}

sub master_on  { $MasterProcess = 'on' }
sub master_off { $MasterProcess = 'off' }

sub master_process_enabled {
    $MasterProcess = $_[0] ? 'on' : 'off' if @_;
    return $MasterProcess eq 'on';
}

sub no_shuffle            { $NoShuffle        = 1 }
sub no_long_string        { $NoLongString     = 1 }
sub no_root_location      { $NoRootLocation   = 1 }
sub no_nginx_manager      { $NoNginxManager   = 1 }
sub check_accum_error_log { $CheckAccumErrLog = 1 }

sub env_to_nginx            { push @EnvToNginx,         @_ }
sub add_block_preprocessor  { push @BlockPreprocessors, @_ }
sub add_response_body_check { push @ResponseBodyChecks, @_ }
sub add_cleanup_handler     { push @CleanupHandlers,    @_ }

sub html_dir { return $HtmlDir }

# Whether a server has the port.
sub is_tcp_port_used {
    my ($port) = @_;
    my $listener = IO::Socket::INET->new(
        LocalAddr => $ServerAddr,
        LocalPort => $port,
        Listen    => 1,
        ReuseAddr => 1,
    );
    return !$listener;
}

sub server_root {
    set_server_root(@_) if @_;
    return $ServRoot;
}

# A reload needs the master process; memcheck follows a single one.
if    ($UseHup)      { master_on() }
elsif ($UseValgrind) { master_off() }

1;
