# Compiles a C module of nginx-tests/c_api/ against the sources of the nginx under test.
package CModule;

use strict;
use warnings;

use File::Basename qw(dirname);
use FindBin;
use Test::More;
use ProcessTest;

# The version of nginx in a header's or a program's words.
sub _version { return $_[0] =~ m{(?:NGINX_VERSION\s+"|nginx version: nginx/)([\d.]+)} ? $1 : '' }

# Whether $binary was made of the sources in $source, configured in $build.
sub _is_of {
    my ( $server, $source, $build ) = @_;
    return 0 if !-e "$build/ngx_auto_config.h";
    return 1 if dirname( $server->{binary} ) eq $build;
    my ( undef, $says ) = $server->run( '/dev/null', '-v' );
    return _version( ProcessTest::slurp("$source/src/core/nginx.h") ) eq _version($says);
}

# The path of the module $name, built below the server's prefix. Skips the whole test where the
# configured sources of this nginx are not at hand; dies when the module does not compile.
sub compile {
    my ( $server, $name ) = @_;
    my $source = $ENV{NGINX_SOURCE_DIR} || "$FindBin::Bin/../target/nginx-debian";
    my $build  = $ENV{NGINX_BUILD_DIR}  || "$source/objs";

    plan skip_all => "no configured sources of the nginx under test in $source"
        if !_is_of( $server, $source, $build );

    my $module = $server->prefix . "/$name.so";
    my @include
        = map {"-I$source/src/$_"} qw(core event event/modules event/quic os/unix http http/modules http/v2 http/v3);
    push @include, "-I$build", split ' ', `pkg-config --cflags luajit`;
    my @compile = ( $ENV{CC} || 'cc', qw(-shared -fPIC -Werror -o), $module, @include );
    system( @compile, "$FindBin::Bin/c_api/$name.c" ) == 0
        or die 'the C module does not compile';
    return $module;
}

1;
