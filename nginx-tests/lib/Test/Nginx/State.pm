package Test::Nginx::State;

# The settings and the paths of one test file's run, shared by all parts of
# the harness. Invariant: only this module reads TEST_NGINX_* at load time;
# a test script changes a setting through the functions of Test::Nginx::Util.

use strict;
use warnings;

use Cwd ();
use Exporter 'import';

our @EXPORT = qw(
    $RepeatEach $Workers $WorkerConnections $LogLevel $MasterProcess
    $NoShuffle $NoLongString $NoRootLocation $NoNginxManager $CheckAccumErrLog
    $Timeout $TestNginxSleep $UseHup $UseValgrind $PostponeOutput
    $EventType $LoadModules @EnvToNginx $ConfigPreamble $HttpConfigFilter
    $ServerPort $ServerPortForClient $ServerAddr $ServerName
    $ServRoot $ConfDir $LogDir $HtmlDir $ConfFile $ErrLogFile $AccLogFile $PidFile
    $NginxBinary $NginxVersion $NginxRawVersion $OpenSSLVersion $PcreVersion
    $ErrLogFilePos $InSubprocess $Verbose
    @BlockPreprocessors @ResponseBodyChecks @CleanupHandlers
    set_server_root parse_time trim expand_env bail_out
);

# A variable as this process was given it. A test script's own change does not
# count: scripts of lua-nginx-module's suite that set TEST_NGINX_POSTPONE_OUTPUT for themselves
# expect what nginx does without it.
sub initial_env {
    my ($name) = @_;
    open my $in, '<', '/proc/self/environ' or return undef;
    local $/;
    my ($entry) = grep {/^\Q$name\E=/} split /\0/, <$in> // '';
    return defined $entry ? $entry =~ s/^[^=]*=//r : undef;
}

our $RepeatEach        = 1;
our $Workers           = 1;
our $WorkerConnections = 64;
our $LogLevel          = $ENV{TEST_NGINX_LOG_LEVEL} || 'debug';
our $MasterProcess     = 'off';

our $NoShuffle        = $ENV{TEST_NGINX_NO_SHUFFLE} || 0;
our $NoLongString     = 0;
our $NoRootLocation   = 0;
our $NoNginxManager   = $ENV{TEST_NGINX_NO_NGINX_MANAGER} || 0;
our $CheckAccumErrLog = 0;

our $Timeout        = $ENV{TEST_NGINX_TIMEOUT} || 3;
our $TestNginxSleep = $ENV{TEST_NGINX_SLEEP}   || 0.015;
our $UseHup         = $ENV{TEST_NGINX_USE_HUP};
our $UseValgrind    = $ENV{TEST_NGINX_USE_VALGRIND};
our $PostponeOutput = initial_env('TEST_NGINX_POSTPONE_OUTPUT');
our $EventType      = $ENV{TEST_NGINX_EVENT_TYPE};
our $LoadModules    = $ENV{TEST_NGINX_LOAD_MODULES};
our $Verbose        = $ENV{TEST_NGINX_VERBOSE} || 0;
our @EnvToNginx;
our $ConfigPreamble = '';
our $HttpConfigFilter;

our $ServerPort = $ENV{TEST_NGINX_SERVER_PORT} || $ENV{TEST_NGINX_PORT} || 1984;
our $ServerPortForClient = $ENV{TEST_NGINX_CLIENT_PORT} || $ServerPort;
our $ServerAddr          = '127.0.0.1';
our $ServerName          = $ENV{TEST_NGINX_SERVER_NAME} || 'localhost';

our $NginxBinary = $ENV{TEST_NGINX_BINARY} || 'nginx';
our ( $NginxVersion, $NginxRawVersion, $OpenSSLVersion );
our $PcreVersion = $ENV{TEST_NGINX_PCRE_VERSION};

# Where the error log of the current repetition begins.
our $ErrLogFilePos = 0;

# True in forked mock servers, which must not clean up after the parent.
our $InSubprocess = 0;

our ( @BlockPreprocessors, @ResponseBodyChecks, @CleanupHandlers );

our ( $ServRoot, $ConfDir, $LogDir, $HtmlDir );
our ( $ConfFile, $ErrLogFile, $AccLogFile, $PidFile );

# Moves every path of the run below the given directory.
sub set_server_root {
    ($ServRoot) = @_;
    $ConfDir    = "$ServRoot/conf";
    $LogDir     = "$ServRoot/logs";
    $HtmlDir    = "$ServRoot/html";
    $ConfFile   = "$ConfDir/nginx.conf";
    $ErrLogFile = "$LogDir/error.log";
    $AccLogFile = "$LogDir/access.log";
    $PidFile    = "$LogDir/nginx.pid";
}

set_server_root( $ENV{TEST_NGINX_SERVROOT} || Cwd::cwd() . '/t/servroot' );
$ENV{TEST_NGINX_SERVER_PORT} ||= $ServerPort;
$ENV{TEST_NGINX_SERVER_ROOT} ||= $ServRoot;

# A time as nginx writes it ("200ms", "1.5s", "3"), in seconds.
sub parse_time {
    my ($text) = @_;
    return undef if !defined $text || $text !~ /\S/;
    return $1 / 1000 if $text =~ /^\s*([.\d]+)\s*ms\s*$/;
    return $1        if $text =~ /^\s*([.\d]+)\s*s?\s*$/;
    bail_out("invalid time: $text");
}

sub trim {
    my ($text) = @_;
    return undef if !defined $text;
    $text =~ s/^\s+|\s+$//g;
    $text =~ s/\n/ /gs;
    $text =~ s/\s+/ /gs;
    return $text;
}

my %random_ports;

sub random_port {
    my ($name) = @_;
    while ( !defined $random_ports{$name} ) {
        my $port = 10000 + int rand 20000;
        $random_ports{$name} = $port if !grep { $_ == $port } values %random_ports;
    }
    return $random_ports{$name};
}

# Replaces $TEST_NGINX_* in a piece of configuration by the variable's value.
sub expand_env {
    my ($text) = @_;
    return $text if !defined $text;
    $text =~ s/\$(TEST_NGINX_[_A-Z0-9]+)/_env_value($1)/eg;
    return $text;
}

sub _env_value {
    my ($name) = @_;
    return random_port($name) if $name =~ /^TEST_NGINX_RAND_PORT_\d+$/;
    bail_out("No environment $name defined.") if !defined $ENV{$name};
    return $ENV{$name};
}

# Ends the whole file: something is wrong that no single check can report.
sub bail_out {
    Test::More::BAIL_OUT( join '', @_ );
}

1;
