# From the C module to this one and back: by a restart, and by an upgrade of the binary while requests
# come in. A reload cannot do it, because the old configuration holds the old module: it is refused
# before anything of the second module runs, and the site stays up.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use File::Copy qw(copy);
use Test::More;
use ProcessTest;

my $DIR   = '/usr/lib/nginx/modules';
my @C     = map {"$DIR/$_.so"} qw(ndk_http_module ngx_http_lua_module);
my ($own) = my @under_test = ProcessTest::modules();

plan skip_all => 'for this module alone' if @under_test != 1;
plan skip_all => 'the C module is not installed' if grep { !-e } @C;

# What a configuration loads is in its file.
$ENV{TEST_NGINX_LOAD_MODULES} = '';
my $port   = ProcessTest::port();
my $server = ProcessTest->new;
my $prefix = $server->prefix;
my ( undef, $tried ) = $server->run( write_conf( 'c', @C ), '-t' );
plan skip_all => 'the C module is for another nginx' if ProcessTest::refuses_foreign($tried);

sub write_conf {
    my ( $generation, @modules ) = @_;
    my $load = join "\n", map {"load_module $_;"} @modules;
    return $server->write_file( 'nginx.conf', <<"_EOC_");
$load
worker_processes 2;
pid        logs/nginx.pid;
error_log  logs/error.log notice;
events {
}
http {
    access_log off;
    init_by_lua_block {
        local version = ngx.config.ngx_rust_version or ""
        module = version:find([[^%d+%.%d+%.%d+\$]]) and "Rust" or "C"
    }
    server {
        listen 127.0.0.1:$port;
        location = /module {
            content_by_lua_block {
                ngx.sleep(0.001)
                ngx.print("$generation ", module, ngx.re.match("...", [[\\.+]], "jo")[0])
            }
        }
    }
}
_EOC_
}

sub answer {
    my ($response) = @_;
    return $response =~ /\A\QHTTP\E\S+ 200 .*?\n\n(\w+ (?:C|Rust))\.\.\.\z/s ? $1 : undef;
}

sub running { return answer( eval { ProcessTest::talk( $port, "GET /module HTTP/1.0\r\n\r\n" ) } // '' ) // '' }

# A master acts on signals once it has started its workers.
sub start {
    $server->start( write_conf(@_) );
    return ProcessTest::wait_until( sub { running() ne '' } );
}

sub lines {
    my ($pattern) = @_;
    return scalar grep {$_ =~ $pattern} split /^/m, $server->log_text('error.log');
}

# A process that makes a connection for each request, one after the other; it ends with the pipe.
sub start_requests {
    pipe my $until,  my $stop   or die "pipe: $!";
    pipe my $report, my $result or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if ( $pid == 0 ) {
        close $stop;
        my ( %answers, @failures );
        until ( IO::Select->new($until)->can_read(0) ) {
            my $response = eval { ProcessTest::talk( $port, "GET /module HTTP/1.0\r\n\r\n" ) } // $@;
            my $answer   = answer($response);
            defined $answer ? $answers{$answer}++ : push @failures, $response || 'no answer';
        }
        print {$result} join '; ', map( {"$_ $answers{$_}"} sort keys %answers ), map {"failed: $_"} @failures;
        close $result;
        require POSIX;
        POSIX::_exit(0);
    }
    close $result;
    return { pid => $pid, stop => $stop, report => $report };
}

sub end_requests {
    my ($requests) = @_;
    close $requests->{stop};
    my $report = do { local $/; readline $requests->{report} };
    waitpid $requests->{pid}, 0;
    return $report;
}

# Exchanges the running nginx for one with the current configuration.
sub upgrade {
    my $old = $server->pid;
    kill USR2 => $old;
    ProcessTest::wait_until( sub { ( $server->pid // $old ) != $old && ProcessTest::children( $server->pid ) >= 2 } )
        or return 0;
    kill QUIT => $old;
    return ProcessTest::wait_until( sub { !ProcessTest::is_running($old) } );
}

sub reload { kill HUP => $server->pid }

# A reload that must be refused: the answers stay $stays.
sub refused {
    my ( $name, $stays, $own, $other ) = @_;
    my $refusal = qr/\[emerg\] .*: the module "\Q$own\E" cannot work beside "\Q$other\E", which is in this process too: restart nginx, or upgrade its binary; a reload keeps the module that is loaded$/;
    my $before = lines($refusal);
    reload();
    ok ProcessTest::wait_until( sub { lines($refusal) > $before } ), "$name: refused"
        or diag $server->log_text('error.log');
    is running(), $stays, "$name: the site stays up";
}

sub in_silence {
    my ($name) = @_;
    is lines(qr/\[(?:error|crit|alert)\]|exited on signal|exited with code [1-9]/), 0, "$name: nothing else went wrong"
        or diag $server->log_text('error.log');
    is $server->stop, 1, "$name: it ends";
    unlink "$prefix/logs/error.log";
}

sub copy_of_own {
    my ($name) = @_;
    copy( $own, "$prefix/$name.new" ) or die "$name: $!";
    rename "$prefix/$name.new", "$prefix/$name" or die "$name: $!";
    return "$prefix/$name";
}

# By restarts.
{
    for my $step ( [ c => 'C', @C ], [ own => 'Rust', $own ], [ back => 'C', @C ] ) {
        my ( $generation, $module, @modules ) = @$step;
        start( $generation, @modules );
        is running(), "$generation $module", "restart: $generation";
        in_silence("restart: $generation");
    }
}

# By upgrades of the binary.
{
    start( 'c', @C );
    my $requests = start_requests();
    write_conf( 'own', $own );
    ok upgrade(), 'upgrade: to this module';
    is running(), 'own Rust', 'upgrade: it runs';
    write_conf( 'back', @C );
    ok upgrade(), 'upgrade: back to the C module';
    is running(), 'back C', 'upgrade: it runs';
    ProcessTest::sleep(0.1);
    like end_requests($requests), qr/\Aback C \d+; c C \d+; own Rust \d+\z/,
        'upgrade: requests came to each, and none has failed';
    in_silence('upgrade');
}

# By reloads: from the C module to this one. Its refusal leaves nothing behind.
{
    start( 'c', @C );
    write_conf( 'own', $own );
    refused( 'reload from the C module', 'c C', $own, $C[1] ) for 1 .. 2;
    write_conf( 'second', @C );
    reload();
    ok ProcessTest::wait_until( sub { running() eq 'second C' } ), 'reload from the C module: others work';
    in_silence('reload from the C module');
}

# From this module to the C module, and to this one in another file.
{
    my $other = copy_of_own('other.so');
    start( 'own', $own );
    write_conf( 'c', @C );
    refused( 'reload to the C module', 'own Rust', $own, $C[1] ) for 1 .. 2;
    write_conf( 'other', $other );
    refused( 'reload to another file', 'own Rust', $other, $own ) for 1 .. 2;
    for my $generation (qw(second third)) {
        write_conf( $generation, $own );
        reload();
        ok ProcessTest::wait_until( sub { running() eq "$generation Rust" } ), "after refusals: $generation reload works";
    }
    in_silence('reloads from this module');
}

# The file is exchanged, the path is the same: the loader gives nginx the module that it has.
{
    my $path = copy_of_own('module.so');
    start( 'own', $path );
    write_conf( 'reloaded', $path );
    my $warning = qr/\[warn\] .*: the file "\Q$path\E" is not the one that was loaded any more: this process keeps the module that it has; to change it, restart nginx, or upgrade its binary$/;
    reload();
    ok ProcessTest::wait_until( sub { running() eq 'reloaded Rust' } ), 'same path: a reload';
    is lines($warning), 0, 'same path: no warning for the same file';
    copy_of_own('module.so');
    write_conf( 'exchanged', $path );
    reload();
    ok ProcessTest::wait_until( sub { running() eq 'exchanged Rust' } ), 'same path: another file, and the site goes on';
    is lines($warning), 1, 'same path: the log says which module runs';
    is lines(qr/\[notice\] .*: ngx_http_lua_module \d+\.\d+\.\d+ in Rust, built for nginx\/[\d.]+$/), 3,
        'same path: each configuration names the module';
    ok upgrade(), 'same path: an upgrade of the binary';
    is running(), 'exchanged Rust', 'same path: runs the new file';
    reload();
    ok ProcessTest::wait_until( sub { lines(qr/in Rust, built for/) == 5 } ), 'same path: a reload after it';
    is lines($warning), 1, 'same path: without a warning';
    in_silence('same path');
}

done_testing;
