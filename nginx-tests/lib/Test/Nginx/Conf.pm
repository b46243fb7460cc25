package Test::Nginx::Conf;

# The server root of a block: its folders, nginx.conf and user files.
# Invariant: the lines before the block's own configuration never change in
# number, since expected error messages name lines of nginx.conf.

use strict;
use warnings;

use Exporter 'import';
use File::Path qw(make_path remove_tree);
use File::Basename qw(dirname);
use Test::Nginx::State;

our @EXPORT = qw(setup_server_root write_config_file write_user_files);

my $INDEX_PAGE
    = '<html><head><title>It works!</title></head><body>It works!</body></html>';

sub write_file {
    my ( $path, $content ) = @_;
    open my $out, '>', $path or bail_out("Can't open $path for writing: $!");
    binmode $out if !utf8::is_utf8($content);
    print {$out} $content;
    close $out or bail_out("Can't write $path: $!");
}

sub setup_server_root {
    if ( -d $ServRoot ) {
        # A process that is going down may still write there: try again.
        for ( 1 .. 20 ) {
            remove_tree( $ServRoot, { error => \my $errors } );
            last if !-e $ServRoot;
            select undef, undef, undef, 0.05;
        }
        bail_out("Can't remove the old $ServRoot") if -e $ServRoot;
    }
    make_path( $ConfDir, $LogDir, $HtmlDir );
    write_file( "$HtmlDir/index.html", $INDEX_PAGE );
}

sub env_directives {
    my @names = map { trim($_) } @EnvToNginx;
    return join '', map {"env $_;\n"} @names;
}

sub load_module_line {
    return '' if !$LoadModules;
    return join ' ', map {"load_module $_;"} grep {length} split /\s+/, $LoadModules;
}

# `worker_processes` … down to the line before `http {`: 17 lines when the
# block has no main_config of its own.
sub main_part {
    my ($block) = @_;
    my $log       = expand_env( $block->error_log_file ) || $ErrLogFile;
    my $log_level = $block->log_level      || $LogLevel;
    my $daemon    = $UseValgrind ? 'off' : 'on';
    my $env       = env_directives();
    my $modules   = load_module_line();
    my $main      = expand_env( $block->main_config // '' );
    # Workers of a super-user's nginx stay the super-user: blocks send signals
    # to the master and write into the server root.
    my $user = $> == 0 && $main !~ /^\s*user\s/m ? 'user root;' : '';
    return <<"_EOC_";
worker_processes  $Workers;
daemon $daemon;
master_process $MasterProcess; $user
error_log $log $log_level;
pid       $PidFile;
env MOCKEAGAIN_VERBOSE;
env MOCKEAGAIN_WRITE_TIMEOUT_PATTERN;
env LD_PRELOAD;
env LD_LIBRARY_PATH;
env DYLD_INSERT_LIBRARIES;
env DYLD_FORCE_FLAT_NAMESPACE;
$env
#env LUA_PATH;
#env LUA_CPATH;
$modules
$main

_EOC_
}

sub http_part {
    my ( $block, $config ) = @_;
    my $http = $block->http_config // '';
    $http = $HttpConfigFilter->($http) if $HttpConfigFilter;

    my $postpone = '';
    if ( defined $PostponeOutput && $http !~ /\bpostpone_output\b/ ) {
        bail_out("Bad TEST_NGINX_POSTPONE_OUTPUT value: $PostponeOutput")
            if $PostponeOutput !~ /^\d+$/;
        $postpone = "\n    postpone_output $PostponeOutput;\n";
    }
    $http = expand_env($http);

    my $server_name = $block->server_name || $ServerName;
    $server_name =~ s/([\\'])/\\$1/g;

    # Within the server root, unless the block has a place of its own.
    my $temp_path = "$http$config" =~ /\bclient_body_temp_path\b/
        ? '' : "client_body_temp_path $ServRoot/client_body_temp;";

    my $root_location = $NoRootLocation ? '' : <<"_EOC_";
        location / {
            root $HtmlDir;
            index index.html index.htm;
        }
_EOC_
    return <<"_EOC_";
http {
    access_log $AccLogFile;
    #access_log off;

    default_type text/plain;
    keepalive_timeout  68;
$postpone
$http

    server {
        listen          $ServerPort;
        server_name     '$server_name';

        client_max_body_size 30M;
        #client_body_buffer_size 4k;

        # Begin preamble config...
$ConfigPreamble
        # End preamble config...

        # Begin test case config...
$config
        # End test case config.

$root_location
    }

    $temp_path
}
_EOC_
}

sub events_part {
    my $use = $EventType ? "    use $EventType;\n" : '';
    return <<"_EOC_";

#timer_resolution 100ms;

events {
    accept_mutex off;

    worker_connections  $WorkerConnections;
$use}

_EOC_
}

sub write_config_file {
    my ($block) = @_;
    my $config = $block->config;
    bail_out( $block->name . " - No '--- config' section specified" )
        if !defined $config;
    write_file(
        $ConfFile,
        join '',
        main_part($block),
        http_part( $block, expand_env($config) ),
        expand_env( $block->post_main_config // '' ) . "\n",
        events_part()
    );
}

# The `>>> name [date]` form of a user_files section, as [name, body, date].
sub parse_user_files {
    my ($text) = @_;
    my @files;
    for my $line ( split /^/, $text ) {
        if ( $line =~ />>> (\S+)(?:\s+(.+))?/ ) {
            push @files, [ $1, '', $2 ];
        }
        elsif (@files) {
            $files[-1][1] .= $line;
        }
    }
    return @files;
}

sub write_user_files {
    my ($block) = @_;
    my $files = $block->user_files;
    return if !$files;
    for my $file ( ref $files eq 'ARRAY' ? @$files : parse_user_files($files) ) {
        my ( $name, $body, $date ) = @$file;
        my $path = $name =~ m{^/} ? $name : "$HtmlDir/$name";
        make_path( dirname($path) );
        write_file( $path, $body // '' );
        next if !defined $date;
        local $ENV{TZ} = 'GMT';
        system( 'touch', '-t', $date, $path ) == 0
            or bail_out("Can't set the time of $path to $date");
    }
}

1;
