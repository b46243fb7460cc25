# The LuaJIT in use: errors of older ones that end the process or give garbage, and a library in C.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use ProcessTest;

my $port   = ProcessTest::port();
my $server = ProcessTest->new;
my $conf   = $server->write_http(<<"_EOC_");
server {
    listen 127.0.0.1:$port;
    location = /version { content_by_lua_block { ngx.print(jit.version) } }
    location = /metatable {
        content_by_lua_block {
            for i = 1, 200 do
                local x = setmetatable({}, nil)
                if i > 150 then getmetatable(x) end
            end
            ngx.print("went on")
        }
    }
    location = /number { content_by_lua_block { ngx.print((("%7g"):format(0x1.144399609d407p+401))) } }
    location = /cjson {
        content_by_lua_block {
            local ok, cjson = pcall(require, "cjson")
            ngx.print(ok and cjson.encode(cjson.decode('{"a":[1,"b",null]}')) or cjson)
        }
    }
}
_EOC_
$server->start($conf);

my $version = ( ProcessTest::get( $port, '/version' ) )[2];
like $version, qr/^LuaJIT 2\.1\./, "$version answers";

SKIP: {
    skip 'not installed', 1 if ( my $json = ( ProcessTest::get( $port, '/cjson' ) )[2] ) =~ /not found/;
    is $json, '{"a":[1,"b",null]}', 'cjson finds it';
}

SKIP: {
    skip "$version has these errors", 2 if $version eq 'LuaJIT 2.1.0-beta3';
    is( ( ProcessTest::get( $port, '/metatable' ) )[2], 'went on', 'getmetatable in a trace' );
    is( ( ProcessTest::get( $port, '/number' ) )[2], '5.5733e+120', 'a long number' );
}

done_testing;
