# The C API that other nginx modules call: one is compiled here and loaded behind the module.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use ProcessTest;

my $port   = ProcessTest::port();
my $server = ProcessTest->new;
my $source = $ENV{NGINX_SOURCE_DIR} || "$FindBin::Bin/../target/nginx-debian";
my $build  = $ENV{NGINX_BUILD_DIR}  || "$source/objs";

# The version of nginx in a header's or a program's words.
sub version { return $_[0] =~ m{(?:NGINX_VERSION\s+"|nginx version: nginx/)([\d.]+)} ? $1 : '' }

my ( undef, $says ) = $server->run( '/dev/null', '-v' );
my $built_for = version( ProcessTest::slurp("$source/src/core/nginx.h") );
plan skip_all => "no configured sources of the nginx under test in $source"
    if !-e "$build/ngx_auto_config.h" || $built_for ne version($says);

my $module = $server->prefix . '/ngx_http_caller_module.so';
my @include = map {"-I$source/src/$_"} qw(core event event/modules os/unix http http/modules http/v2);
push @include, "-I$build", split ' ', `pkg-config --cflags luajit`;
my @compile = ( $ENV{CC} || 'cc', qw(-shared -fPIC -Werror -o), $module, @include );
system( @compile, "$FindBin::Bin/c_api/ngx_http_caller_module.c" ) == 0
    or die 'the C module does not compile';

for my $code_cache (qw(on off)) {
    my $conf = $server->write_file( 'nginx.conf', <<"_EOC_");
load_module $module;
pid        logs/nginx.pid;
error_log  logs/error.log info;
events {
}
http {
    access_log off;
    lua_code_cache $code_cache;
    server {
        listen 127.0.0.1:$port;
        location / {
            content_by_lua_block {
                ngx.say(require("caller.early").uri())
                local in_coroutine = coroutine.wrap(function()
                    return require("caller.early").uri()
                end)
                ngx.say(in_coroutine())
                ngx.say(require("caller.late").states())
            }
        }
    }
}
_EOC_
    $server->start($conf);
    my ( $status, undef, $body ) = ProcessTest::get( $port, '/some/uri' );
    is $status, 200, "code cache $code_cache: the packages are found";
    my ( $uri, $uri_in_coroutine, $states ) = split /\n/, $body;
    is $uri,              '/some/uri', "code cache $code_cache: the running request";
    is $uri_in_coroutine, '/some/uri', "code cache $code_cache: the running request in a coroutine";
    my $same = $code_cache eq 'on' ? 'true' : 'false';
    is $states, "truetrue$same", "code cache $code_cache: no VM, then the configuration's";
    $server->stop;
    unlike $server->log_text('error.log'), qr/\[(?:error|crit|emerg)\]/, "code cache $code_cache: in silence";
}

done_testing();
