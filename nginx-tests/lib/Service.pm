package Service;

# A Redis, Memcached, MariaDB or PostgreSQL of the test's own: its port, its data in a directory of
# its own below /tmp, no privileges.
# Invariant: the program ends with its object, and with the test whatever becomes of that.

use strict;
use warnings;

use File::Temp ();
use IO::Socket::INET;
use POSIX ();

use ProcessTest;

# For root: services that refuse to be run as the super-user run as this one.
my $USER = 'nobody';

# How each is prepared and run in a directory `$dir` on the port `$port`, the signal that ends it, and, of one that
# takes connections before it serves them, what it writes once it does.
my %KINDS = (
    redis => {
        program => 'redis-server',
        run     => sub {
            my ( $dir, $port ) = @_;
            return ( 'redis-server', '--bind', '127.0.0.1', '--port', $port, '--dir', $dir, '--save', '' );
        },
    },
    memcached => {
        program => 'memcached',
        run     => sub {
            my ( $dir, $port ) = @_;
            return ( 'memcached', '-l', '127.0.0.1', '-p', $port, '-U', $port );
        },
    },
    mariadb => {
        program => 'mariadbd',
        prepare => sub {
            my ($dir) = @_;
            return [ 'mariadb-install-db', '--no-defaults', "--datadir=$dir/data", '--skip-test-db',
                '--skip-name-resolve', '--auth-root-authentication-method=normal' ];
        },
        files => sub {
            return ( 'init.sql' => "CREATE DATABASE async;\n"
                    . "CREATE USER async\@localhost IDENTIFIED BY 'async';\n"
                    . "GRANT ALL ON async.* TO async\@localhost;\n" );
        },
        run => sub {
            my ( $dir, $port ) = @_;
            return ( 'mariadbd', '--no-defaults', "--datadir=$dir/data", "--socket=$dir/socket",
                '--bind-address=127.0.0.1', "--port=$port", "--init-file=$dir/init.sql",
                '--innodb-flush-method=fsync', '--innodb-buffer-pool-size=8M' );
        },
    },
    postgresql => {
        program => 'postgres',
        prepare => sub {
            my ($dir) = @_;
            return [ 'initdb', '-D', "$dir/data", '-U', 'async', "--pwfile=$dir/password", '--no-sync',
                '--auth-local=trust', '--auth-host=scram-sha-256', '--no-locale', '-E', 'UTF8' ],
                [ 'sh', '-c', "echo 'CREATE DATABASE async' | postgres --single -D '$dir/data' postgres" ];
        },
        files => sub { return ( password => "async\n" ) },
        run   => sub {
            my ( $dir, $port ) = @_;
            return ( 'postgres', '-D', "$dir/data", '-k', $dir, '-p', $port,
                '-c', 'listen_addresses=127.0.0.1', '-c', 'fsync=off' );
        },
        stop  => 'INT',
        ready => qr/database system is ready to accept connections/,
    },
);

# Debian keeps programs where PATH does not look.
sub search_path { return join ':', $ENV{PATH}, '/usr/sbin', sort glob '/usr/lib/postgresql/*/bin' }

# Why the service cannot be run here, for a test to skip itself; nothing where it can.
sub missing {
    my ($kind) = @_;
    my $program = $KINDS{$kind}{program};
    return if grep { -x "$_/$program" } split /:/, search_path();
    return "no $program here";
}

# Starts a service on a port and returns once it serves connections; dies where it does not.
sub start {
    my ( $class, $kind, $port ) = @_;
    my $dir = File::Temp->newdir( "$kind-XXXXXX", TMPDIR => 1 );
    my $self = bless { kind => $kind, port => $port, dir => $dir, owner => $$ }, $class;
    my %files = $KINDS{$kind}{files} ? $KINDS{$kind}{files}->() : ();
    while ( my ( $name, $content ) = each %files ) {
        open my $out, '>', "$dir/$name" or die "$dir/$name: $!";
        print {$out} $content;
        close $out or die "$dir/$name: $!";
    }
    if ( $> == 0 ) {
        my ( $uid, $gid ) = ( getpwnam $USER )[ 2, 3 ];
        chown $uid, $gid, $dir, map {"$dir/$_"} keys %files or die "chown $dir: $!";
    }
    for my $command ( $KINDS{$kind}{prepare} ? $KINDS{$kind}{prepare}->($dir) : () ) {
        waitpid $self->spawn(@$command), 0;
        die "$command->[0] has failed:\n" . $self->output if $? != 0;
    }
    $self->run;
    return $self;
}

# Runs the program again that `stop` or `kill` ended, on the same data.
sub run {
    my ($self) = @_;
    my $kind   = $KINDS{ $self->{kind} };
    my $before = length $self->output;
    $self->{pid} = $self->spawn( $kind->{run}->( $self->{dir}, $self->{port} ) );
    my $listens = sub { IO::Socket::INET->new( PeerAddr => '127.0.0.1', PeerPort => $self->{port} ) };
    my $serves  = sub { !$kind->{ready} || substr( $self->output, $before ) =~ $kind->{ready} };
    ProcessTest::wait_until( sub { $listens->() && $serves->() } )
        or die "$self->{kind} does not serve connections on $self->{port}:\n" . $self->output;
}

# What its programs have written.
sub output { return ProcessTest::slurp("$_[0]{dir}/output") }

# Starts a command in the service's directory, its output in a file there; returns its process id.
sub spawn {
    my ( $self, @command ) = @_;
    my @wrapper = ( 'setpriv', '--pdeathsig=KILL' );
    push @wrapper, "--reuid=$USER", '--regid=nogroup', '--clear-groups' if $> == 0;
    my $pid = fork // die "fork: $!";
    return $pid if $pid;
    local $ENV{PATH} = search_path();
    open STDIN,  '<',  '/dev/null'           or die "stdin: $!";
    open STDOUT, '>>', "$self->{dir}/output" or die "stdout: $!";
    open STDERR, '>&', \*STDOUT              or die "stderr: $!";
    chdir $self->{dir} or die "chdir: $!";
    exec @wrapper, @command or POSIX::_exit(127);
}

# Ends the program, by KILL or in its own way.
sub kill { return $_[0]->end('KILL') }
sub stop { return $_[0]->end( $KINDS{ $_[0]{kind} }{stop} // 'TERM' ) }

sub end {
    my ( $self, $signal ) = @_;
    my $pid = delete $self->{pid} // return;
    CORE::kill( $signal => $pid );
    my $ended = ProcessTest::wait_until( sub { waitpid( $pid, POSIX::WNOHANG() ) != 0 } );
    return if $ended;
    CORE::kill( KILL => $pid );
    waitpid $pid, 0;
}

sub DESTROY {
    my ($self) = @_;
    local ( $?, $@ );
    $self->stop if $self->{owner} == $$;
}

1;
