# Shared memory over the C API: zones of other modules, and dictionaries read from C.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use CModule;
use ProcessTest;

my $port   = ProcessTest::port();
my $server = ProcessTest->new;
my $module = CModule::compile( $server, 'ngx_http_zone_user_module' );

my $conf = $server->write_file( 'nginx.conf', <<"_EOC_");
load_module $module;
pid        logs/nginx.pid;
error_log  logs/error.log info;
events {
}
http {
    access_log off;
    lua_shared_dict dogs 100k;
    init_by_lua_block {
        ngx.shared.dogs:set("init saw", (require("zone.user").initialised()))
    }
    server {
        listen 127.0.0.1:$port;
        location = /zones {
            content_by_lua_block {
                ngx.say(ngx.shared.dogs:get("init saw"))
                ngx.say(require("zone.user").initialised())
            }
        }
        location = /dict {
            content_by_lua_block {
                local get, dogs = require("zone.user").get, ngx.shared.dogs
                dogs:set("text", "short")
                dogs:set("long", "longer than the buffer")
                dogs:set("empty", "")
                dogs:set("number", 3.5)
                dogs:set("true", true)
                dogs:set("false", false)
                dogs:set("over", 1, 0.001)
                dogs:rpush("list", 1)
                ngx.sleep(0.01)
                for _, key in ipairs{ "text", "long", "empty", "number", "true", "false", "over",
                                      "list", "none", string.rep("k", 65536) } do
                    ngx.say(get("dogs", key))
                end
                ngx.say(get("cats", "text"))
                ngx.say(get("user", "text"))
            }
        }
    }
}
_EOC_

$server->start($conf);
my ( undef, undef, $body ) = ProcessTest::get( $port, '/zones' );
is $body, "1\n10true\n", 'init_by_lua waits for the zone, which is added once';

( undef, undef, $body ) = ProcessTest::get( $port, '/dict' );
is $body, <<'_EOC_', 'a dictionary read from C';
04short
04longer t
04
033.5
01true
01false
-4
-1
-5
-1

-1
_EOC_

my ($old) = ProcessTest::children( $server->pid );
kill HUP => $server->pid;
ProcessTest::wait_until(
    sub {
        my @workers = ProcessTest::children( $server->pid );
        return @workers == 1 && $workers[0] != $old;
    }
) or die 'no new worker';
( undef, undef, $body ) = ProcessTest::get( $port, '/zones' );
is $body, "2\n21true\n", 'after a reload the zone is initialised with its old data';

$server->stop;
unlike $server->log_text('error.log'), qr/\[(?:crit|alert|emerg)\]/, 'nothing bad is logged';

done_testing();
