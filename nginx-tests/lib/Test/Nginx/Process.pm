package Test::Nginx::Process;

# The nginx under test: start, stop, reload.
# Invariant: at most one nginx of ours runs, the one that the pid file names.

use strict;
use warnings;

use Exporter 'import';
use POSIX ();
use Time::HiRes qw(sleep time);
use Test::Nginx::State;

our @EXPORT = qw(
    query_nginx_version nginx_pid is_running start_nginx stop_nginx reload_nginx
);

my $valgrind_pid;

# Fills $NginxVersion (1.022001), $NginxRawVersion (1.22.1), $OpenSSLVersion and, unless it was
# given, $PcreVersion: whose texts a block expects.
sub query_nginx_version {
    my $out = `$NginxBinary -V 2>&1`;
    bail_out("Can't run $NginxBinary -V") if !defined $out || $? != 0;
    if ( $out =~ m{(?:nginx|openresty)[^/\s]*/(\d+)\.(\d+)\.(\d+)} ) {
        $NginxRawVersion = "$1.$2.$3";
        $NginxVersion    = sprintf '%d.%03d%03d', $1, $2, $3;
    }
    if ( $out =~ /(?:running with|built with) OpenSSL (\S+)/ ) {
        $OpenSSLVersion = $1;
    }
    $PcreVersion ||= ( $NginxVersion // 0 ) >= 1.025001 ? 2 : 1;
}

sub nginx_pid {
    open my $in, '<', $PidFile or return undef;
    my $pid = <$in>;
    return undef if !defined $pid || $pid !~ /^(\d+)/;
    return $1;
}

sub is_running {
    my ($pid) = @_;
    return kill( 0, $pid ) && !is_zombie($pid);
}

sub is_zombie {
    my ($pid) = @_;
    open my $in, '<', "/proc/$pid/stat" or return 0;
    my $stat = <$in> // '';
    return $stat =~ /\) Z /;
}

sub wait_until {
    my ( $seconds, $done ) = @_;
    my $deadline = time + $seconds;
    while (1) {
        return 1 if $done->();
        return 0 if time > $deadline;
        sleep 0.005;
    }
}

# Since 1.19.5 nginx can be told where to log before it has read its
# configuration; what is said until then would go to its compiled-in log.
sub nginx_command {
    my $early_log = $NginxVersion >= 1.019005 ? "-e $ErrLogFile " : '';
    return "$NginxBinary -p $ServRoot/ ${early_log}-c $ConfFile > /dev/null";
}

# Starts nginx and returns the exit status of the command: with `daemon on`
# it comes back once the ports are bound.
sub start_nginx {
    my ($quiet) = @_;
    return start_under_valgrind() if $UseValgrind;
    my $status = system nginx_command() . ( $quiet ? ' 2>&1' : '' );
    sleep $TestNginxSleep;
    return $status;
}

sub start_under_valgrind {
    my $options = '--num-callers=100 -q --tool=memcheck --leak-check=full';
    $options .= ' --gen-suppressions=all';
    $options .= ' --suppressions=valgrind.suppress' if -f 'valgrind.suppress';
    $options = $UseValgrind if $UseValgrind =~ /^-/;
    $valgrind_pid = fork // bail_out("fork failed: $!");
    if ( $valgrind_pid == 0 ) {
        $InSubprocess = 1;
        exec "exec valgrind $options " . nginx_command()
            or POSIX::_exit(127);
    }
    my $status;
    wait_until( 60, sub {
        if ( waitpid( $valgrind_pid, POSIX::WNOHANG() ) == $valgrind_pid ) {
            $status = $? || 256;
            undef $valgrind_pid;
            return 1;
        }
        return defined nginx_pid();
    } );
    sleep 1 if !defined $status;
    return $status // 0;
}

# Ends nginx gracefully, and by force when it does not go.
sub stop_nginx {
    my $pid = nginx_pid();
    return if !defined $pid;
    my @steps = ( [ QUIT => $UseValgrind ? 30 : 2 ], [ TERM => 2 ], [ KILL => 5 ] );
    for my $step (@steps) {
        last if !is_running($pid);
        kill $step->[0], $pid;
        wait_until( $step->[1], sub { !is_running($pid) } );
    }
    if ($valgrind_pid) {
        waitpid $valgrind_pid, 0;
        undef $valgrind_pid;
    }
    unlink $PidFile;
}

sub worker_pids {
    my ($master) = @_;
    my @pids;
    for my $stat ( glob '/proc/[0-9]*/stat' ) {
        open my $in, '<', $stat or next;
        my $line = <$in> // next;
        push @pids, $1 if $line =~ /^(\d+) \(.*\) \S (\d+)/s && $2 == $master;
    }
    return @pids;
}

# A worker that goes down has closed its listening sockets.
sub is_leaving {
    my ($pid) = @_;
    open my $in, '<', "/proc/$pid/cmdline" or return 1;
    my $title = <$in> // return 1;
    return $title =~ /shutting down/;
}

# Sends HUP and comes back once only new workers accept connections, or, when
# the new configuration must be refused, once the error log says so.
sub reload_nginx {
    my ( $pid, $must_fail ) = @_;
    my @old     = worker_pids($pid);
    my $log_end = -s $ErrLogFile || 0;
    kill HUP => $pid or bail_out("Can't send HUP to nginx: $!");
    if ($must_fail) {
        wait_until( 3, sub { log_tail($log_end) =~ /\[emerg\]|failed|error/ } );
        sleep $TestNginxSleep * 3;
        return;
    }
    my %old = map { $_ => 1 } @old;
    wait_until( 5, sub {
        my @new = grep { !$old{$_} } worker_pids($pid);
        return @new >= $Workers && !grep { !is_leaving($_) } @old;
    } ) or warn "nginx was not reloaded in time\n";
    sleep $TestNginxSleep;
}

sub log_tail {
    my ($from) = @_;
    open my $in, '<', $ErrLogFile or return '';
    seek $in, $from, 0;
    local $/;
    return <$in> // '';
}

1;
