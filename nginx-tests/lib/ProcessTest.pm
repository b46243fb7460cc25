package ProcessTest;

# One nginx for tests of whole processes: its own prefix, configuration, start
# and stop, and HTTP over plain sockets.
# Invariant: the nginx of an object ends with the object, whatever the test did.

use strict;
use warnings;

use File::Path qw(make_path remove_tree);
use FindBin;
use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw(sleep time);

# Seconds to wait for what must happen; what is awaited is expected far sooner.
my $PATIENCE = 60;

# The port that the file under test may listen on.
sub port { return $ENV{TEST_NGINX_SERVER_PORT} || $ENV{TEST_NGINX_PORT} || 1984 }

# The directory of the certificates and keys of t/.
sub certs { return $ENV{TEST_NGINX_CERT_DIR} || "$FindBin::Bin/../t/cert" }

sub new {
    my ($class) = @_;
    my $prefix = $ENV{TEST_NGINX_SERVROOT} || '/tmp/nginx-process-test';
    remove_tree($prefix);
    make_path("$prefix/logs");
    return bless { prefix => $prefix, binary => $ENV{TEST_NGINX_BINARY} || 'nginx' }, $class;
}

sub prefix { return $_[0]{prefix} }
sub binary { return $_[0]{binary} }
sub modules { return grep {length} split /\s+/, $ENV{TEST_NGINX_LOAD_MODULES} || '' }

sub write_file {
    my ( $self, $name, $content ) = @_;
    my $path = "$self->{prefix}/$name";
    open my $out, '>', $path or die "$path: $!";
    print {$out} $content;
    close $out or die "$path: $!";
    return $path;
}

# Writes a configuration of one worker whose http block has the lines $http, and whose events block has the
# lines $events; returns its path.
sub write_http {
    my ( $self, $http, $events ) = @_;
    $events //= '';
    return $self->write_file( 'nginx.conf', <<"_EOC_");
pid        logs/nginx.pid;
error_log  logs/error.log notice;
worker_processes 1;
events {
$events}
http {
access_log off;
$http}
_EOC_
}

# nginx's command line for a configuration file and further arguments.
sub command {
    my ( $self, $conf, @further ) = @_;
    my $globals = join '', map {"load_module $_;"} modules();
    # Workers of root's nginx are nobody's by default, who may not reach the prefix.
    $globals .= 'user ' . getpwuid(0) . ';' if $> == 0;
    my $memcheck = $ENV{TEST_NGINX_USE_VALGRIND} || '';
    my @wrapper = $memcheck =~ /^-/ ? ( 'valgrind', split ' ', $memcheck ) : ();
    return ( @wrapper, $self->{binary}, '-p', "$self->{prefix}/", '-c', $conf, '-g', $globals, @further );
}

# Runs nginx in the foreground of its start-up: returns the exit status and
# everything that it wrote to its standard streams.
sub run {
    my ( $self, $conf, @further ) = @_;
    my $out = "$self->{prefix}/output";
    my $pid = fork // die "fork: $!";
    if ( $pid == 0 ) {
        open STDIN,  '<', '/dev/null' or die;
        open STDOUT, '>', $out        or die;
        open STDERR, '>&', \*STDOUT   or die;
        exec $self->command( $conf, @further ) or die "$self->{binary}: $!";
    }
    waitpid $pid, 0;
    my $status = $?;
    return ( $status, slurp($out) );
}

# Whether nginx's words $said refuse a module that was built for another nginx.
sub refuses_foreign {
    my ($said) = @_;
    return $said =~ / version \d+ instead of | is not binary compatible | is built not for /;
}

# Starts nginx as a daemon with pid logs/nginx.pid; dies where it refuses.
sub start {
    my ( $self, $conf ) = @_;
    my ( $status, $output ) = $self->run($conf);
    die "nginx did not start:\n$output" if $status != 0;
    wait_until( sub { defined $self->pid } ) or die 'no pid file';
}

sub pid {
    my ($self) = @_;
    return slurp("$self->{prefix}/logs/nginx.pid") =~ /^(\d+)$/m ? $1 : undef;
}

# Ends it; returns whether it ended by itself.
sub stop {
    my ($self) = @_;
    my $pid = $self->pid // return;
    kill QUIT => $pid;
    return 1 if wait_until( sub { !is_running($pid) } );
    kill KILL => $pid, children($pid);
    return 0;
}

# A zombie has ended: in a container there may be nobody to reap a daemon.
sub is_running {
    my ($pid) = @_;
    return kill( 0, $pid ) && slurp("/proc/$pid/stat") !~ /\) Z /;
}

sub DESTROY {
    my ($self) = @_;
    local ( $?, $@ );
    $self->stop;
}

sub log_text {
    my ( $self, $name ) = @_;
    return slurp("$self->{prefix}/logs/$name");
}

# How often a pattern matches in the error log.
sub count_in_log {
    my ( $self, $pattern ) = @_;
    return scalar( () = $self->log_text('error.log') =~ /$pattern/g );
}

# Waits for a line that matches in a log file; returns whether it came.
sub wait_for_line {
    my ( $self, $name, $pattern ) = @_;
    return wait_until( sub { $self->log_text($name) =~ $pattern } );
}

sub connection {
    my ($port) = @_;
    return IO::Socket::INET->new( PeerAddr => '127.0.0.1', PeerPort => $port )
        || die "connect to port $port: $!";
}

# Sends requests on one connection, the last of which asks for its end, and gives all that comes back
# until then: without what is the same in every response of nginx, and without carriage returns.
sub talk {
    my ( $port, @requests ) = @_;
    my $socket = connection($port);
    print {$socket} @requests;
    my $data     = '';
    my $deadline = time + $PATIENCE;
    while ( IO::Select->new($socket)->can_read( $deadline - time ) ) {
        if ( !sysread $socket, $data, 65536, length $data ) {
            $data =~ s/^(?:Date|Server|Content-Type): [^\n]*\n//mg;
            $data =~ s/\r//g;
            return $data;
        }
    }
    die "the server leaves the connection open after $data";
}

# Sends GET and reads one whole answer, told by its framing alone and not by
# the server's close; then the client closes. Returns status, head and body.
sub get {
    my ( $port, $path ) = @_;
    my $socket = connection($port);
    print {$socket} "GET $path HTTP/1.1\r\nHost: localhost\r\n\r\n";
    my $data     = '';
    my $deadline = time + $PATIENCE;
    while ( time < $deadline ) {
        my ($ready) = IO::Select->new($socket)->can_read(1);
        next if !$ready;
        my $read = sysread $socket, $data, 65536, length $data;
        die "the server closed before the end of its answer to $path: $data" if !$read;
        my ( $status, $head, $body ) = whole_answer($data);
        next if !defined $status;
        close $socket;
        return ( $status, $head, $body );
    }
    die "no whole answer to $path: $data";
}

sub whole_answer {
    my ($data) = @_;
    my ( $head, $rest ) = $data =~ /\A(.*?\r\n)\r\n(.*)\z/s or return;
    my ($status) = $head =~ m{\AHTTP/1\.\d (\d+)};
    if ( $head =~ /^content-length: (\d+)/mi ) {
        return length $rest >= $1 ? ( $status, $head, substr $rest, 0, $1 ) : ();
    }
    my $body = '';
    while ( $rest =~ s/\A([0-9a-f]+)\r\n//i ) {
        my $size = hex $1;
        return if length $rest < $size + 2;
        return ( $status, $head, $body ) if $size == 0;
        $body .= substr $rest, 0, $size;
        $rest = substr $rest, $size + 2;
    }
    return;
}

sub wait_until {
    my ($done) = @_;
    my $deadline = time + $PATIENCE;
    until ( $done->() ) {
        return 0 if time > $deadline;
        sleep 0.02;
    }
    return 1;
}

# The processes whose parent is $pid: none where there is no $pid, as of a server whose pid file is gone. The
# system's first process is a child of 0, and must never be taken for a worker.
sub children {
    my ($pid) = @_;
    return if !$pid;
    my %parent = map { slurp($_) =~ /^(\d+) \(.*\) \S (\d+)/s ? ( $1 => $2 ) : () } glob '/proc/[0-9]*/stat';
    return grep { $parent{$_} == $pid } keys %parent;
}

# How many descriptors the process $pid has open.
sub descriptors {
    my ($pid) = @_;
    return scalar( () = glob "/proc/$pid/fd/*" );
}

# Waits until a worker has no thread, no connection but that which asks, and as many descriptors as $descriptors, where
# that is given: by its state, which $now gets (`worker` and `active`, that is, connections), and what $threads gets from
# `lua_threads`. False if that takes too long.
sub comes_to_rest {
    my ( $now, $threads, $worker, $descriptors ) = @_;
    return wait_until(
        sub {
            my $state = $now->();
            return
                   $state->{worker} == $worker
                && $state->{active} == 1
                && $threads->() =~ /^worker $worker: 0 threads/
                && ( $descriptors // descriptors($worker) ) == descriptors($worker);
        }
    );
}

# The content of a file, empty where there is none.
sub slurp {
    my ($path) = @_;
    open my $in, '<', $path or return '';
    local $/;
    return <$in> // '';
}

1;
