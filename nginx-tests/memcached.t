# A real Memcached behind Debian's lua-nginx-memcached, over TCP, and over UDP by hand; its name comes
# from a name server. Then the location of examples/async.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use AsyncExample;
use NameServer;
use ProcessTest;
use Service;

if ( my $reason = Service::missing('memcached') ) {
    plan skip_all => $reason;
}

my $port   = ProcessTest::port();
my $cache  = Service->start( 'memcached', $port + 1 );
my $names  = NameServer->start( $port + 2, { 'cache.test' => '127.0.0.1' } );
my $server = ProcessTest->new;
my $conf   = $server->write_http(<<"_EOC_");
resolver 127.0.0.1:@{[ $port + 2 ]} ipv6=off;
server {
    listen 127.0.0.1:$port;
    set \$cache_port @{[ $port + 1 ]};
    location = /commands {
        content_by_lua_block {
            local memc = assert(require("nginx.memcached"):new())
            memc:set_timeout(5000)
            assert(memc:connect("cache.test", ngx.var.cache_port))
            ngx.say("flush: ", memc:flush_all())
            ngx.say("set: ", memc:set("a key", "a\\r\\nb\\0c", 60, 7))
            local value, flags = memc:get("a key")
            ngx.say("get: ", value == "a\\r\\nb\\0c", " ", flags)
            ngx.say("miss: ", memc:get("nothing"))
            ngx.say("add: ", memc:add("a key", 1))
            ngx.say("append: ", memc:append("a key", "d"))
            memc:set("n", 40)
            ngx.say("incr: ", memc:incr("n", 2))
            ngx.say("incr a word: ", memc:incr("a key", 2))
            local many = memc:get({ "a key", "n", "nothing" })
            ngx.say("many: ", #many["a key"][1], " ", many.n[1], " ", many.nothing)
            local _, _, unique = memc:gets("n")
            ngx.say("cas: ", memc:cas("n", 2, unique))
            ngx.say("cas again: ", memc:cas("n", 3, unique))
            local big = string.rep("x", 900000)
            ngx.say("big: ", memc:set("big", big), " ", memc:get("big") == big)
            ngx.say("too big: ", memc:set("huge", string.rep("x", 2000000)))
            ngx.say("delete: ", memc:delete("n"), " ", memc:get("n"))
            ngx.say("kept: ", memc:set_keepalive(10000, 10))
        }
    }
    location = /reused {
        content_by_lua_block {
            local memc = assert(require("nginx.memcached"):new())
            assert(memc:connect("cache.test", ngx.var.cache_port))
            ngx.say(memc:get_reused_times())
            memc:close()
        }
    }
    # A frame of eight bytes (number, sequence, datagrams, reserved) is around each datagram.
    location = /udp {
        content_by_lua_block {
            local sock = ngx.socket.udp()
            sock:settimeout(5000)
            assert(sock:setpeername("cache.test", ngx.var.cache_port))
            local function ask(n, command)
                assert(sock:send({ string.char(0, n, 0, 0, 0, 1, 0, 0), command, "\\r\\n" }))
                local answer = assert(sock:receive())
                return answer:byte(2), ": ", answer:sub(9)
            end
            ngx.print(ask(1, "set udp 0 60 5\\r\\nvalue"))
            ngx.print(ask(2, "get udp"))
            ngx.say(sock:close())
        }
    }
}
_EOC_
$server->start($conf);

my $body = sub { ( ProcessTest::get( $port, $_[0] ) )[2] };

my $commands = $body->('/commands');
is $commands, <<'_EOC_', 'every kind of answer';
flush: 1
set: 1
get: true 7
miss: nilnilnil
add: nilNOT_STORED
append: 1
incr: 42
incr a word: nilCLIENT_ERROR cannot increment or decrement non-numeric value
many: 7 42 nil
cas: 1
cas again: nilEXISTS
big: 1 true
too big: nilSERVER_ERROR object too large for cache
delete: 1 nilnilnil
kept: 1
_EOC_
is $body->('/reused'), "1\n",                                                  'the pool';
is $body->('/udp'),    "1: STORED\r\n2: VALUE udp 0 5\r\nvalue\r\nEND\r\n1\n", 'datagrams';
$server->stop;
unlike $server->log_text('error.log'), qr/\[(?:alert|emerg|crit)\]/, 'no alarm';

AsyncExample::database_job( $port, '/memcached', 'Memcached holds 42', 11211, $cache );

done_testing;
