package Test::Nginx::Socket::Lua;

# Test::Nginx::Socket with TEST_NGINX_INIT_BY_LUA: Lua code that goes in front
# of every block's own init_by_lua.

use Test::Nginx::Socket -Base;

our $VERSION = '0.30';

my $code = $ENV{TEST_NGINX_INIT_BY_LUA};

if ($code) {
    $code =~ s/\\/\\\\/g;
    $code =~ s/(['"])/\\$1/g;
    Test::Nginx::Util::set_http_config_filter( sub {
        my $config = $_[0];
        return $config if $config =~ /init_by_lua_(?:file|block)/;
        $config .= "init_by_lua '$code';"
            if $config !~ s/^(\s*init_by_lua\s*)(['"])/$1$2$code /m;
        return $config;
    } );
}

1;
