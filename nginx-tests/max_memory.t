# lua_max_memory: what does not fit is an error of the request that wants it; the worker and its other
# requests go on, and garbage is not held against them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use ProcessTest;

plan skip_all => 'the C module has no lua_max_memory'
    if ( $ENV{TEST_NGINX_LOAD_MODULES} // '' ) =~ m{/nginx/modules/ngx_http_lua_module};

my $port  = ProcessTest::port();
my $nginx = ProcessTest->new;

sub http {
    my ( $limit, $init ) = @_;
    return <<"_EOC_";
    lua_max_memory $limit;
    lua_package_path "\$prefix/?.lua;;";
    lua_worker_thread_vm_pool_size 1;
    aio threads;
    init_by_lua_block { $init }
    server {
        listen 127.0.0.1:$port;
        location = /grow {
            content_by_lua_block {
                local t = {}
                for i = 1, 1e9 do t[i] = "entry " .. i end
            }
        }
        location = /caught {
            content_by_lua_block {
                local ok, err = pcall(function()
                    local t = {}
                    for i = 1, 1e9 do t[i] = { i } end
                end)
                ngx.say(err)
            }
        }
        location = /text {
            content_by_lua_block { ngx.say(select(2, pcall(string.rep, "x", 30 * 1024 * 1024))) }
        }
        # Five megabytes of garbage, and five that live.
        location = /garbage {
            content_by_lua_block {
                local kept = {}
                for i = 1, 50 do kept[i] = ("x"):rep(100000) .. i end
                for i = 1, 50 do kept[1] = ("y"):rep(100000) .. i end
                ngx.say(#kept)
            }
        }
        location = /keep {
            content_by_lua_block {
                package.loaded.kept = {}
                for i = 1, 100 do package.loaded.kept[i] = ("x"):rep(100000) .. i end
                ngx.say("kept")
            }
        }
        # A megabyte of garbage.
        location = /leave {
            content_by_lua_block {
                local text
                for _ = 1, 10 do text = ("y"):rep(100000) .. math.random() end
                ngx.say(#text > 100000)
            }
        }
        # Half a megabyte of garbage, beside more than half of the limit that lives.
        location = /thread {
            content_by_lua_block { ngx.say(ngx.run_worker_thread("default", "job", "leave")) }
        }
        location = /full/set {
            set_by_lua_block \$x { return require("fill")(1.234567890123) }
            return 200 "\$x\n";
        }
        location = /full/error {
            content_by_lua_block { error(require("fill")(1.234567890123), 0) }
        }
        location = /full/resume {
            content_by_lua_block {
                local threads, arguments = {}, {}
                for i = 1, 40 do arguments[i] = i end
                for i = 30, 40 do threads[i] = coroutine.create(function() end) end
                require("fill")()
                for i = 30, 40 do pcall(coroutine.resume, threads[i], unpack(arguments, 1, i)) end
                ngx.say(1.234567890123)
            }
        }
        location = /full/capture {
            content_by_lua_block {
                -- The options that are looked for: strings that are there take no memory.
                local options = {
                    args = "", vars = {}, headers = {}, share_all_vars = false, copy_all_vars = false,
                    always_forward_body = false, ctx = {}, method = ngx.HTTP_GET, body = "",
                }
                ngx.location.capture("/hello")
                require("fill")()
                pcall(ngx.location.capture, "/hello", options)
                -- What is left of the call must not end this.
                ngx.say(ngx.sleep(0.1) == nil and 1.234567890123 or "woken too early")
            }
        }
        location = /uncached {
            lua_code_cache off;
            content_by_lua_block {
                ngx.say(select(2, pcall(string.rep, "x", 30 * 1024 * 1024)))
            }
        }
        location = /filter {
            header_filter_by_lua_block {
                local t = {}
                for i = 1, 1e9 do t[i] = { i } end
            }
            return 200 "filtered";
        }
        location = /timer {
            content_by_lua_block {
                ngx.timer.at(0, function()
                    local t = {}
                    for i = 1, 1e9 do t[i] = { i } end
                end)
                ngx.say("set")
            }
        }
        location = /hello { content_by_lua_block { ngx.say("hello") } }
        # LuaJIT's table of strings stays large: it is halved in each cycle of the collector.
        location = /strings {
            content_by_lua_block {
                do
                    local strings = {}
                    for i = 1, 700000 do strings[i] = "abc" .. i end
                end
                collectgarbage()
                ngx.say("made")
            }
        }
        location = /tables {
            content_by_lua_block {
                local t = {}
                for i = 1, 1e8 do t[i] = {} end
            }
        }
    }
_EOC_
}

sub answer {
    my ($path) = @_;
    return ProcessTest::talk( $port, "GET $path HTTP/1.0\r\n\r\n" ) =~ s/.*?\n\n//sr;
}

$nginx->start( $nginx->write_http( http( '20m', '' ) ) );
my $worker;
ok ProcessTest::wait_until( sub { ($worker) = ProcessTest::children( $nginx->pid ) } ), 'a worker starts';

like ProcessTest::talk( $port, "GET /grow HTTP/1.0\r\n\r\n" ), qr/^HTTP\S+ 500 /, 'a table without end is a 500';
is $nginx->count_in_log('lua entry thread aborted: \[lua\] memory allocation error: not enough memory'), 1, 'with its error in the log';
is answer('/caught'), "not enough memory\n", 'code can catch it';
is answer('/text'),   "not enough memory\n", 'a string that is too large';
is_deeply [ map { answer('/garbage') } 1 .. 100 ], [ ("50\n") x 100 ], 'garbage makes room in time';
is answer('/uncached'), "not enough memory\n", 'each VM has its own limit';
is answer('/filter'), '', 'a filter';
is answer('/timer'),  "set\n", 'a timer';
ok $nginx->wait_for_line( 'error.log', qr/memory allocation error: not enough memory.*context: ngx\.timer/s ), 'which fails';
is_deeply [ map { answer('/hello') } 1 .. 20 ], [ ("hello\n") x 20 ], 'others are served';
is_deeply [ ProcessTest::children( $nginx->pid ) ], [$worker], 'by the same worker';
is $nginx->count_in_log('\[(?:alert|emerg)\](?!.*lua_code_cache is off)'), 0, 'nothing else went wrong';

# More than half of the limit lives: LuaJIT itself would collect once twice as much is in use.
$nginx->stop;
$nginx->start( $nginx->write_http( http( '20m', '' ) ) );
is answer('/keep'), "kept\n", 'ten megabytes live on';
is_deeply [ map { answer('/leave') } 1 .. 200 ], [ ("true\n") x 200 ], 'garbage beside them makes room in time, again and again';

# The VM of a thread has no event loop that collects its garbage.
$nginx->write_file( 'job.lua', <<'_EOC_' );
local kept = {}
for i = 1, 45 do kept[i] = ("x"):rep(100000) .. i end
return {
    leave = function()
        local text
        for _ = 1, 5 do text = ("y"):rep(100000) .. math.random() end
        return #text > 100000 and #kept
    end,
}
_EOC_
$nginx->stop;
$nginx->start( $nginx->write_http( http( '8m', '' ) ) );
is_deeply [ map { answer('/thread') } 1 .. 100 ], [ ("true45\n") x 100 ], "a thread's garbage makes room, too";

# A number's text takes memory, too, where the code has ended and none is left; so do a larger stack for the
# arguments of a coroutine, and a reference of an `ngx.ctx`.
$nginx->write_file( 'fill.lua', <<'_EOC_' );
local full = require("table.new")(1000000, 0)
package.loaded.full = full
local function make_tables() for i = #full + 1, 1e6 do full[i] = {} end end
local function make_strings() for i = #full + 1, 1e6 do full[i] = "s" .. i end end
return function(value)
    pcall(make_tables)
    pcall(make_strings)
    return value
end
_EOC_
for my $path ( '/full/set', '/full/error', '/full/resume', '/full/capture' ) {
    $nginx->stop;
    $nginx->start( $nginx->write_http( http( '20m', '' ) ) );
    ok ProcessTest::wait_until( sub { ($worker) = ProcessTest::children( $nginx->pid ) } ), 'a worker starts';
    # Or the collector happens to make room for it.
    like ProcessTest::talk( $port, "GET $path HTTP/1.0\r\n\r\n" ), qr/^HTTP\S+ (?:500 |200 .*\n1\.234567890123\n)/s,
        "$path is answered";
    is_deeply [ ProcessTest::children( $nginx->pid ) ], [$worker], 'by a worker that lives on';
}

# The collector wants memory for a smaller table of strings.
$nginx->stop;
$nginx->start( $nginx->write_http( http( '100m', '' ) ) );
is answer('/strings'), "made\n", 'many strings';
like ProcessTest::talk( $port, "GET /tables HTTP/1.0\r\n\r\n" ), qr/^HTTP\S+ 500 /, 'and then tables without end';
is_deeply [ map { answer('/hello') } 1 .. 20 ], [ ("hello\n") x 20 ], 'are collected all the same';

my ( $status, $output );
for my $case (
    [ '1000k', '', qr/invalid value "1000k" in "lua_max_memory" directive, it must be 1m at least in / ],
    [ 'much',  '', qr/"lua_max_memory" directive invalid value in / ],
    [ '1m 2m', '', qr/invalid number of arguments in "lua_max_memory" directive/ ],
    )
{
    my ( $limit, $init, $error ) = @$case;
    $nginx->write_http( http( $limit, $init ) );
    ( $status, $output ) = $nginx->run( $nginx->prefix . '/nginx.conf', '-t' );
    like $output, $error, "lua_max_memory $limit";
}
$nginx->stop;
$nginx->write_http( http( '2m', 'held = ("x"):rep(4e6)' ) );
( $status, $output ) = $nginx->run( $nginx->prefix . '/nginx.conf' );
isnt $status, 0, 'code of init that needs more ends the start';
like $output, qr/init_by_lua error: not enough memory/, 'and says so';
done_testing;
