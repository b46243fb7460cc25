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
