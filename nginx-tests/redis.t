# A real Redis behind Debian's lua-nginx-redis: replies of every kind, a pipeline, a channel, pooled
# connections; its name comes from a name server. Then the location of examples/async.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use AsyncExample;
use NameServer;
use ProcessTest;
use Service;

if ( my $reason = Service::missing('redis') ) {
    plan skip_all => $reason;
}

my $port   = ProcessTest::port();
my $redis  = Service->start( 'redis', $port + 1 );
my $names  = NameServer->start( $port + 2, { 'redis.test' => '127.0.0.1' } );
my $server = ProcessTest->new;
my $conf   = $server->write_http(<<"_EOC_");
resolver 127.0.0.1:@{[ $port + 2 ]} ipv6=off;
server {
    listen 127.0.0.1:$port;
    set \$redis_port @{[ $port + 1 ]};
    location = /replies {
        content_by_lua_block {
            local red = require("nginx.redis"):new()
            red:set_timeout(5000)
            assert(red:connect("redis.test", ngx.var.redis_port))
            ngx.say("status: ", red:set("word", "a\\r\\nb\\0c"))
            ngx.say("bulk: ", red:get("word") == "a\\r\\nb\\0c")
            ngx.say("null: ", red:get("nothing") == ngx.null)
            ngx.say("integer: ", red:incrby("count", 40) + red:incr("count"))
            red:rpush("list", "one", "two", "")
            ngx.say("list: ", table.concat(red:lrange("list", 0, -1), ","))
            local ok, err = red:incr("word")
            ngx.say("error: ", ok, " ", err)
            ngx.say("empty: ", #red:lrange("nothing", 0, -1))
            ngx.say("script: ", red:eval("return {1, {KEYS[1], false}}", 1, "k")[2][1])
            local big = string.rep("0123456789", 100000)
            ngx.say("big: ", red:set("big", big), " ", red:get("big") == big)
            ngx.say("gone: ", red:flushall())
            ngx.say("kept: ", red:set_keepalive(10000, 10))
        }
    }
    location = /pipeline {
        content_by_lua_block {
            local red = require("nginx.redis"):new()
            assert(red:connect("redis.test", ngx.var.redis_port))
            red:init_pipeline()
            for i = 1, 1000 do
                red:set("key" .. i, i)
                red:get("key" .. i)
            end
            local sum = 0
            for i, reply in ipairs(assert(red:commit_pipeline())) do
                sum = sum + (tonumber(reply) or 0)
            end
            assert(red:multi())
            assert(red:incr("key1"))
            ngx.say(sum, " ", red:exec()[1])
            red:set_keepalive(10000, 10)
        }
    }
    # One thread waits for what another one publishes, each on a connection of its own.
    location = /channel {
        content_by_lua_block {
            local redis = require "nginx.redis"
            local subscriber, publisher = redis:new(), redis:new()
            assert(subscriber:connect("redis.test", ngx.var.redis_port))
            assert(publisher:connect("127.0.0.1", ngx.var.redis_port))
            assert(subscriber:subscribe("news"))
            local reader = ngx.thread.spawn(function()
                local words = {}
                for i = 1, 3 do
                    words[i] = assert(subscriber:read_reply())[3]
                end
                return table.concat(words, " ")
            end)
            for _, word in ipairs({ "first", "second", "third" }) do
                publisher:publish("news", word)
            end
            ngx.say(select(2, ngx.thread.wait(reader)))
            subscriber:set_timeout(10)
            ngx.say(subscriber:read_reply())
            ngx.say(subscriber:set_keepalive())
            subscriber:close()
            publisher:close()
        }
    }
    location = /reused {
        content_by_lua_block {
            local red = require("nginx.redis"):new()
            assert(red:connect("redis.test", ngx.var.redis_port))
            ngx.say(red:get_reused_times(), " ", red:ping())
            red:set_keepalive(10000, 10)
        }
    }
    location = /failures {
        content_by_lua_block {
            local red = require("nginx.redis"):new()
            ngx.say(red:connect("nowhere.test", ngx.var.redis_port))
            ngx.say(red:connect("127.0.0.1", 1))
            assert(red:connect("redis.test", ngx.var.redis_port))
            red:set_timeout(10)
            ngx.say(red:blpop("nothing", 5))
            ngx.say(red:ping())
        }
    }
}
_EOC_
$server->start($conf);

my $body = sub { ( ProcessTest::get( $port, $_[0] ) )[2] };

is $body->('/replies'), <<'_EOC_', 'every kind of reply';
status: OK
bulk: true
null: true
integer: 81
list: one,two,
error: false ERR value is not an integer or out of range
empty: 0
script: k
big: OK true
gone: OK
kept: 1
_EOC_
is $body->('/pipeline'), "500500 2\n",               'a pipeline, and a transaction';
is $body->('/reused'),   "2 PONG\n",                 'one connection served three requests';
is $body->('/channel'),  "first second third\nniltimeout\nnilsubscribed state\n", 'a channel';
is $body->('/failures'), <<'_EOC_', 'no such name, no server, no answer in time, and then no connection';
nilnowhere.test could not be resolved (3: Host not found)
nilconnection refused
niltimeout
nilclosed
_EOC_

# Its end is seen in the pool: the next request connects anew.
$redis->stop;
$redis->run;
is $body->('/reused'), "0 PONG\n", 'after a restart';
$server->stop;
unlike $server->log_text('error.log'), qr/\[(?:alert|emerg|crit)\]/, 'no alarm';

AsyncExample::database_job( $port, '/redis', 'Redis holds 42', 6379, $redis );

done_testing;
