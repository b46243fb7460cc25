# Another Lua in nginx's process: a second LuaJIT is refused, another Lua before this module's warned of.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use ProcessTest;

plan skip_all => 'valgrind preloads libraries itself' if $ENV{TEST_NGINX_USE_VALGRIND};

my $server = ProcessTest->new;
my $conf   = $server->write_http("init_by_lua_block { }\n");

# Checks nginx's configuration with a library loaded before it, which has this function.
sub with_library {
    my ($function) = @_;
    my $source  = $server->write_file( "$function.c", "int $function(void) { return 1; }\n" );
    my $library = $server->prefix . "/$function.so";
    system( $ENV{CC} || 'cc', qw(-shared -fPIC -o), $library, $source ) == 0 or die 'cc failed';
    local $ENV{LD_PRELOAD} = $library;
    return $server->run( $conf, '-t' );
}

my ( $status, $says ) = $server->run( $conf, '-t' );
is $status, 0, 'alone, this LuaJIT is fine';
unlike $says, qr/LuaJIT/, 'and there is no word of it';

( $status, $says ) = with_library('luaJIT_setmode');
isnt $status, 0, 'a second LuaJIT is refused';
like $says, qr/\[emerg\] .*uses the LuaJIT in ".+", and ".+" has another one/, 'with both their places';

( $status, $says ) = with_library('luaL_checkoption');
is $status, 0, 'another Lua is not refused';
like $says, qr{\[warn\] .*get the functions of "\S+/luaL_checkoption\.so", which was loaded before},
    'but its place is told';

done_testing;
