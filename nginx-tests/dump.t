# nginx -T prints what is in the configuration, the bodies of *_by_lua_block with it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use ProcessTest;

my $server = ProcessTest->new;
my $code   = <<'_EOC_';
-- a comment with a brace }
                ngx.say("a }", 'b {', [[ } ]])
_EOC_
my $conf   = <<"_EOC_";
pid  logs/nginx.pid;
events {
}
http {
    init_by_lua_block { own = { 1, 2 } }
    server {
        location = /t {
            content_by_lua_block {
                $code            }
        }
    }
}
_EOC_
my ( $status, $output ) = $server->run( $server->write_file( 'nginx.conf', $conf ), '-T' );
is $status, 0, 'the configuration is accepted';
like $output, qr/\Q$conf\E/, 'and printed as it is, the Lua code with it';

done_testing;
