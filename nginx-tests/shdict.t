# Shared dictionaries beyond one worker's life: reload, workers that share one, and workers that
# are killed in the middle of a change.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(sleep);
use ProcessTest;

# Each kill meets a change with a fair chance; so many without one do not happen.
my $MOST_KILLS = 60;

my $port   = ProcessTest::port();
my $server = ProcessTest->new;

# A configuration with $workers workers and dictionaries as $dicts says.
sub conf {
    my ( $workers, $dicts ) = @_;
    return $server->write_file( 'nginx.conf', <<"_EOC_");
worker_processes  $workers;
pid        logs/nginx.pid;
error_log  logs/error.log notice;
events {
}
http {
    access_log off;
    $dicts
    init_by_lua_block {
        ngx.shared.dogs:incr("configurations", 1, 0)
    }
    server {
        listen 127.0.0.1:$port reuseport;
        location = /set {
            content_by_lua_block {
                ngx.say(ngx.shared.dogs:set("Tom", "here since " .. ngx.worker.pid()))
                ngx.shared.dogs:rpush("list", "first")
                ngx.shared.dogs:rpush("list", 2)
            }
        }
        location = /get {
            content_by_lua_block {
                local dogs = ngx.shared.dogs
                ngx.say(dogs:get("configurations"), " ", dogs:get("Tom"), " ", dogs:llen("list"))
            }
        }
        location = /count {
            content_by_lua_block {
                for i = 1, 20000 do
                    ngx.shared.dogs:incr("count", 1, 0)
                end
                ngx.say(ngx.worker.pid())
            }
        }
        location = /counted {
            content_by_lua_block { ngx.say(ngx.shared.dogs:get("count")) }
        }
        location = /busy {
            content_by_lua_block {
                local values = { string.rep("a", 3000), string.rep("b", 20), 7, true }
                local i = 0
                while true do
                    i = i + 1
                    local key = "key" .. i % 97
                    ngx.shared.dogs:set(key, values[i % 4 + 1], i % 3)
                    ngx.shared.dogs:rpush("list" .. i % 5, "item")
                    ngx.shared.dogs:lpop("list" .. i % 7)
                    ngx.shared.dogs:get(key)
                    if i % 40 == 0 then
                        ngx.shared.dogs:get_keys(0)
                        ngx.shared.dogs:flush_expired()
                    end
                    if i % 400 == 0 then ngx.shared.dogs:flush_all() end
                end
            }
        }
        location = /check {
            content_by_lua_block {
                local dogs = ngx.shared.dogs
                for i = 1, 200 do
                    assert(dogs:set("check" .. i, string.rep("x", i)))
                    assert(dogs:get("check" .. i) == string.rep("x", i))
                end
                for _, key in ipairs(dogs:get_keys(0)) do dogs:get_stale(key) end
                dogs:flush_all()
                dogs:flush_expired()
                ngx.say(#dogs:get_keys(0))
            }
        }
    }
}
_EOC_
}

sub body {
    my ($path) = @_;
    my ( undef, undef, $body ) = ProcessTest::get( $port, $path );
    chomp $body;
    return $body;
}

# The only worker, once it is the only one and not $other.
sub worker {
    my ($other) = @_;
    my @workers;
    ProcessTest::wait_until(
        sub {
            @workers = ProcessTest::children( $server->pid );
            return @workers == 1 && $workers[0] != $other;
        }
    ) or die 'no worker';
    return $workers[0];
}

# Entries outlive a reload.
{
    $server->start( conf( 1, 'lua_shared_dict dogs 1m;' ) );
    my $old = worker(0);
    is body('/set'), 'truenilfalse', 'a value is stored';
    is body('/get'), "1 here since $old 2", 'and read, with what init_by_lua stored before';

    kill HUP => $server->pid;
    my $new = worker($old);
    is body('/get'), "2 here since $old 2", 'all is there after a reload';

    conf( 1, 'lua_shared_dict dogs 2m;' );
    kill HUP => $server->pid;
    worker($new);
    is body('/get'), '1 nil 0', 'a dictionary of another size is another one';
    $server->stop;
    unlike $server->log_text('error.log'), qr/\[(?:warn|error|crit|alert|emerg)\]/, 'in silence';
}

# No change of one worker is lost in another's.
{
    $server = ProcessTest->new;
    $server->start( conf( 4, 'lua_shared_dict dogs 1m;' ) );
    my @sockets = map { ProcessTest::connection($port) } 1 .. 16;
    print {$_} "GET /count HTTP/1.0\r\n\r\n" for @sockets;
    my %workers;
    for my $socket (@sockets) {
        my $answer = join '', <$socket>;
        $workers{$1}++ if $answer =~ /^(\d+)$/m;
    }
    cmp_ok scalar keys %workers, '>', 1, 'several workers count';
    is body('/counted'), 16 * 20000, 'together they count right';
    $server->stop;
}

# A walk over all keys meets those that stay, and none twice, whatever others do meanwhile.
{
    $server = ProcessTest->new;
    $server->start( conf( 4, <<'_EOC_') );
    lua_shared_dict dogs 8m;
    init_worker_by_lua_block {
        local dogs = ngx.shared.dogs
        -- Keys come, go, and are used.
        local function change()
            local i = 0
            dogs:incr("changing", 1, 0)
            while not dogs:get("walked") do
                i = i + 1
                dogs:set("guest" .. i % 2000, ("x"):rep(i % 100), i % 3 / 1000)
                dogs:delete("guest" .. (i + 1000) % 2000)
                dogs:get("stays" .. i * 7919 % 10000)
                dogs:set("stays" .. i * 30011 % 10000, i)
                if i % 1000 == 0 then ngx.update_time() end
            end
        end
        local function walk()
            for i = 0, 9999 do dogs:set("stays" .. i, i) end
            repeat ngx.sleep(0.001) until dogs:get("changing") == ngx.worker.count() - 1
            local twice, missing = 0, 0
            for _ = 1, 30 do
                local seen, stay = {}, 0
                for _, key in ipairs(dogs:get_keys(0)) do
                    if seen[key] then twice = twice + 1 end
                    seen[key] = true
                    if key:find("^stays") then stay = stay + 1 end
                end
                missing = missing + 10000 - stay
                dogs:flush_expired()
                ngx.update_time()
            end
            dogs:set("walked", true)
            ngx.log(ngx.NOTICE, "walked: ", twice, " twice, ", missing, " missing")
        end
        ngx.timer.at(0, ngx.worker.id() == 0 and walk or change)
    }
_EOC_
    ok ProcessTest::wait_until( sub { $server->log_text('error.log') =~ /walked: / } ), 'a walk ends';
    like $server->log_text('error.log'), qr/walked: 0 twice, 0 missing/, 'it has met each key that stayed, once';
    $server->stop;
    unlike $server->log_text('error.log'), qr/\[(?:error|crit|alert|emerg)\]/, 'in silence';
}

# A worker dies while it changes something.
{
    $server = ProcessTest->new;
    $server->start( conf( 1, 'lua_shared_dict dogs 64k;' ) );
    my $worker = worker(0);
    my $usable = 0;
    my $kills  = 0;
    my $rebuilt = qr/\[alert\].*lua_shared_dict "dogs" was being changed by a process that died/;
    while ( $kills < $MOST_KILLS && $server->log_text('error.log') !~ $rebuilt ) {
        my $socket = ProcessTest::connection($port);
        print {$socket} "GET /busy HTTP/1.1\r\nHost: localhost\r\n\r\n";
        sleep 0.03 + rand 0.01;
        kill KILL => $worker;
        $kills++;
        $worker = worker($worker);
        $usable++ if body('/check') eq '0';
    }
    is $usable, $kills, 'the dictionary is usable after every kill';
    like $server->log_text('error.log'), $rebuilt, 'a change that was half done is noticed';
    is body('/set'), 'truenilfalse', 'and it goes on';
    $server->stop;
}

done_testing();
