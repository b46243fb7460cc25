package SqlTest;

# A real database behind a small client over raw cosockets, that of examples/async: passwords, rows,
# errors, pooled connections; its name comes from a name server. Then the location of examples/async.

use strict;
use warnings;

use Test::More;
use AsyncExample;
use NameServer;
use ProcessTest;
use Service;

# Tests the client $name, which is also the service's name and the location's.
#
# %words: `product`, its name for people; `port`, its own port; `key`, the SQL of a key column that counts up;
# `inserted`, Lua code for what the client tells of an INSERT (`done`), and `insert`, what that is for two
# rows; `sleep` and `connection`, SQL for a sleep of five seconds and for the connection's id; and what
# its errors are: `password`, `database`, `syntax`, `twice` (a key), `timeout`.
sub run {
    my ( $name, %words ) = @_;
    if ( my $reason = Service::missing($name) ) {
        plan skip_all => $reason;
    }

    my $port     = ProcessTest::port();
    my $database = Service->start( $name, $port + 1 );
    my $names    = NameServer->start( $port + 2, { 'db.test' => '127.0.0.1' } );
    my $server   = ProcessTest->new;
    my $conf     = $server->write_http(<<"_EOC_");
resolver 127.0.0.1:@{[ $port + 2 ]} ipv6=off;
lua_package_path "@{[ AsyncExample::directory() ]}/lua/?.lua;;";
init_by_lua_block {
    function connect(changes)
        local options = {
            host = "db.test", port = @{[ $port + 1 ]}, timeout = 10000,
            user = "async", password = "async", database = "async",
        }
        for name, value in pairs(changes or {}) do
            options[name] = value
        end
        return require("$name").connect(options)
    end
}
server {
    listen 127.0.0.1:$port;
    location = /rows {
        content_by_lua_block {
            local db = assert(connect())
            local function query(sql) return assert(db:query(sql)) end
            query("CREATE TABLE word (id $words{key} PRIMARY KEY, word VARCHAR(100))")
            local done = query("INSERT INTO word (word) VALUES ('one'), (NULL)")
            ngx.say("inserted: ", $words{inserted})
            for _, row in ipairs(query("SELECT id, word FROM word ORDER BY id")) do
                ngx.say("row: ", row.id, " ", row.word)
            end
            ngx.say("none: ", #query("SELECT id FROM word WHERE id > 100"))
            ngx.say("big: ", query("SELECT REPEAT('x', 3000000) AS big")[1].big == string.rep("x", 3000000))
            local sql = "SELECT '" .. string.rep("y", 300000) .. "' AS long"
            ngx.say("long: ", #query((sql:gsub("long\$", "a")))[1].a)
            query("BEGIN")
            query("DELETE FROM word")
            query("ROLLBACK")
            ngx.say("left: ", query("SELECT COUNT(*) AS n FROM word")[1].n)
            ngx.say("kept: ", db:set_keepalive(10000, 10))
        }
    }
    location = /errors {
        content_by_lua_block {
            ngx.say("password: ", connect({ password = "wrong" }))
            ngx.say("database: ", connect({ database = "nowhere" }))
            ngx.say("port: ", connect({ port = 1 }))
            ngx.say("name: ", connect({ host = "nowhere.test" }))
            local db = assert(connect())
            ngx.say("syntax: ", db:query("SELEC 1"))
            ngx.say("twice: ", db:query("INSERT INTO word (id, word) VALUES (1, 'again')"))
            ngx.say("and on: ", db:query("SELECT 1 AS one")[1].one)
            ngx.say("kept: ", db:set_keepalive(10000, 10))
        }
    }
    location = /slow {
        content_by_lua_block {
            local db = assert(connect({ timeout = 100 }))
            ngx.say("slow: ", db:query("SELECT $words{sleep}"))
            ngx.say("then: ", db:query("SELECT 1 AS one"))
        }
    }
    # A thread for each of five connections, side by side.
    location = /threads {
        content_by_lua_block {
            local threads, seen, count = {}, {}, 0
            for i = 1, 5 do
                threads[i] = ngx.thread.spawn(function()
                    local db = assert(connect())
                    local id = assert(db:query("SELECT $words{connection} AS id"))[1].id
                    ngx.sleep(0.05)
                    assert(db:set_keepalive(10000, 10))
                    return id
                end)
            end
            for _, thread in ipairs(threads) do
                local _, id = ngx.thread.wait(thread)
                if not seen[id] then count = count + 1 end
                seen[id] = true
            end
            ngx.say(count)
        }
    }
    location = /connection {
        content_by_lua_block {
            local db = assert(connect())
            ngx.say(assert(db:query("SELECT $words{connection} AS id"))[1].id)
            db:set_keepalive(10000, 10)
        }
    }
}
_EOC_
    $server->start($conf);

    my $body = sub { ( ProcessTest::get( $port, $_[0] ) )[2] };

    is $body->('/rows'), <<"_EOC_", 'statements and rows';
inserted: $words{insert}
row: 1 one
row: 2 nil
none: 0
big: true
long: 300000
left: 2
kept: 1
_EOC_
    is $body->('/errors'), <<"_EOC_", 'errors of the server and of the connection';
password: nil$words{password}
database: nil$words{database}
port: nilconnection refused
name: nilnowhere.test could not be resolved (3: Host not found)
syntax: nil$words{syntax}
twice: nil$words{twice}
and on: 1
kept: 1
_EOC_
    is $body->('/slow'), "slow: nil$words{timeout}\nthen: nilclosed\n",
        'a query that takes too long, and the connection after it';
    is $body->('/threads'), "5\n", 'five connections side by side';

    my %connections = map { $body->('/connection') => 1 } 1 .. 5;
    is scalar( keys %connections ), 1, 'one of them serves the requests after that';
    $server->stop;
    unlike $server->log_text('error.log'), qr/\[(?:alert|emerg|crit)\]/, 'no alarm';

    AsyncExample::database_job( $port, "/$name", "$words{product} holds 42", $words{port}, $database );

    done_testing();
    return;
}

1;
