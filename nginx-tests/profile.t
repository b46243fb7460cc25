# lua_profile: what takes CPU time, as stacks and as a picture; how it ends, and who is refused.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use JSON::PP qw(decode_json);
use Test::More;
use Time::HiRes qw(sleep time);

use ProcessTest;

plan skip_all => 'the C module has no lua_profile'
    if ( $ENV{TEST_NGINX_LOAD_MODULES} // '' ) =~ m{/nginx/modules/ngx_http_lua_module};

my $port  = ProcessTest::port();
my $nginx = ProcessTest->new;
$nginx->write_file( 'worker.lua', <<'_EOC_');
local _M = {}
local function compute(n)
    local sum = 0
    for i = 1, n do
        sum = sum + i % 7
    end
    return sum
end
function _M.cheap() return (compute(1e5)) end
function _M.dear() return (compute(9e5)) end
function _M.nap(n) ngx.sleep(n) end
return _M
_EOC_
my $conf = $nginx->write_http(<<"_EOC_");
    lua_package_path "\$prefix/?.lua;;";
    server {
        listen 127.0.0.1:$port;
        location = /profile { lua_profile; }
        location = /status  { lua_status; }
        location = /work {
            content_by_lua_block {
                local worker = require "worker"
                for i = 1, 10 do worker.cheap() worker.dear() end
                ngx.say("worked")
            }
        }
        location = /nap {
            lua_check_client_abort on;
            content_by_lua_block { require("worker").nap(tonumber(ngx.var.arg_n)) ngx.say("worked") }
        }
        location = /two {
            content_by_lua_block {
                local function long() ngx.sleep(0.09) return 1 end
                local function short() ngx.sleep(0.01) return 1 end
                ngx.thread.spawn(function() return (short()) end)
                ngx.thread.wait(ngx.thread.spawn(function() return (long()) end))
                ngx.say("worked")
            }
        }
        location = /hold {
            content_by_lua_block {
                local cache, hidden = {}, ("h"):rep(500000)
                for i = 1, 1000 do cache[i] = ("x"):rep(1000) .. i end
                local kept = { {}, {} }
                local far = { { { kept } } }
                local weak = setmetatable({ kept }, { __mode = "v" })
                package.loaded.holder = { cache = cache, get = function() return hidden, far end, weak = weak }
                ngx.say("held")
            }
        }
        location = /grow {
            content_by_lua_block {
                local cache = package.loaded.holder.cache
                for i = 1, 300000 do cache["key" .. i] = { i } end
                ngx.say("grown")
            }
        }
        location = /rounds {
            content_by_lua_block {
                local list
                local cache, rounds = package.loaded.holder.cache, 0
                ngx.thread.spawn(function()
                    list = ngx.location.capture("/profile", { args = "memory=1&format=folded" }).body
                end)
                while not list do
                    ngx.sleep(0)
                    rounds = rounds + 1
                    for i = 1, 100 do cache["more" .. rounds .. "-" .. i], cache["key" .. rounds * 100 + i] = i, nil end
                end
                ngx.say(rounds)
                ngx.print(list)
            }
        }
        location = /thread {
            content_by_lua_block {
                local worker = require "worker"
                local function in_coroutine()
                    for i = 1, 50 do worker.dear() end
                    coroutine.yield()
                end
                ngx.thread.wait(ngx.thread.spawn(function() coroutine.resume(coroutine.create(in_coroutine)) end))
                ngx.say("worked")
            }
        }
        location = /timer {
            content_by_lua_block {
                ngx.timer.at(0, function() for i = 1, 50 do require("worker").dear() end end)
                ngx.sleep(0.001)
                ngx.say("worked")
            }
        }
        location = /filter {
            header_filter_by_lua_block { for i = 1, 50 do require("worker").dear() end }
            content_by_lua_block { ngx.say("worked") }
        }
        location = /print {
            lua_http10_buffering off;
            content_by_lua_block {
                local pieces = {}
                for i = 1, 200000 do pieces[i] = "piece" end
                for i = 1, 5 do ngx.print(pieces) end
            }
            body_filter_by_lua_block {
                ngx.arg[1] = ngx.arg[2] and "worked\\n" or nil
            }
        }
        location = /filter-in-c {
            content_by_lua_block { ngx.say("worked") }
            body_filter_by_lua_block { (("x"):rep(10000)):find(".-b") }
        }
        location = /jit {
            content_by_lua_block {
                local profile = require "jit.profile"
                if ngx.var.arg_start then profile.start("i10", function() end) else profile.stop() end
                ngx.say("done")
            }
        }
        location = /captured {
            content_by_lua_block {
                local answer = ngx.location.capture("/profile", { args = "seconds=0.05&format=folded" })
                ngx.say(answer.status)
            }
        }
        location = /hello { content_by_lua_block { ngx.say("hello") } }
    }
_EOC_
$nginx->start($conf);
my $worker;
ok ProcessTest::wait_until( sub { ($worker) = ProcessTest::children( $nginx->pid ); $worker } ), 'there is a worker';

sub body {
    my ($path) = @_;
    return ProcessTest::talk( $port, "GET $path HTTP/1.0\r\n\r\n" ) =~ s/.*?\n\n//sr;
}

# A request under way.
sub begin {
    my ($path) = @_;
    my $socket = ProcessTest::connection($port);
    print {$socket} "GET $path HTTP/1.0\r\n\r\n";
    # The profile is on once the next request has been answered.
    body('/hello');
    return $socket;
}

sub answer {
    my ($socket) = @_;
    my $data = '';
    while ( IO::Select->new($socket)->can_read(60) ) {
        last if !sysread $socket, $data, 65536, length $data;
    }
    return $data =~ s/.*?\r\n\r\n//sr;
}

# The stacks that are recorded while $path is asked for until the answer comes.
sub profile {
    my ( $path, $arguments ) = @_;
    my $socket = begin("/profile?$arguments");
    my $ready  = IO::Select->new($socket);
    my %answers;
    $answers{ body($path) }++ while !$ready->can_read(0);
    is join( '', keys %answers ), "worked\n", "$path works while it is profiled";
    return answer($socket);
}

# The sum of the numbers of the lines that match.
sub sum {
    my ( $folded, $pattern ) = @_;
    my $sum = 0;
    for my $line ( split /\n/, $folded ) {
        $sum += $1 if $line =~ $pattern && $line =~ / (\d+)$/;
    }
    return $sum;
}

# CPU time.
my $folded = profile( '/work', 'seconds=1.5&interval=2' );
like $folded, qr/\A(?:[^\n]+ \d+\n)+\z/, 'lines with numbers';
my ( $cheap, $dear ) = map { sum( $folded, qr/;$_ [^;]*worker\.lua:\d+/ ) } qw(cheap dear);
cmp_ok $dear, '>', 2 * $cheap, "the dear function takes more than the cheap one: $dear, $cheap";
cmp_ok sum( $folded, qr/^content_by_lua\(nginx\.conf:\d+\);dear [^;]*worker\.lua:\d+;compute [^;]*worker\.lua:2/ ),
    '>', 0, 'a stack begins with its block';
cmp_ok $dear, '>', sum( $folded, qr/./ ) / 2, 'most of the time is where it should be';

my $socket;
$folded = profile( '/thread', 'seconds=0.5' );
like $folded, qr/^content_by_lua\(nginx\.conf:\d+\);light thread;function content_by_lua\(nginx\.conf:\d+\):\d+;resume \[C\];[^;]*content_by_lua\(nginx\.conf:\d+\):\d+;dear /m,
    'the stack of a coroutine of a light thread';
$folded = profile( '/timer', 'seconds=0.5' );
like $folded, qr/^ngx\.timer;function content_by_lua\(nginx\.conf:\d+\):\d+;dear /m, 'a timer';
$folded = profile( '/filter', 'seconds=0.5' );
like $folded, qr/^header_filter_by_lua\(nginx\.conf:\d+\);dear /m, 'a filter, apart from the code that makes output';
unlike $folded, qr/content_by_lua[^\n]*dear/, 'which is not its own';
$folded = profile( '/print', 'seconds=1&interval=1' );
my ( $before, $within ) = map { sum( $folded, $_ ) } qr/^content_by_lua[^ ]*;print \[C\]/, qr/^body_filter/;
cmp_ok $before, '>', 4 * $within, "what a C function does before a filter runs within it is not the filter's: $before, $within";
$folded = profile( '/filter-in-c', 'seconds=0.5&interval=1' );
( $before, $within ) = map { sum( $folded, $_ ) } qr/^content_by_lua/, qr/^body_filter/;
cmp_ok $within, '>', 4 * $before, "what a C function that a filter calls does is the filter's: $within, $before";

# The picture.
my $svg = profile( '/work', 'seconds=0.5&format=svg' );
like $svg, qr/<title>dear [^<]*worker\.lua:\d+ \([\d,]+ samples, /, 'a picture has the function';
is well_formed($svg), 'yes', 'it is well-formed XML';
like ProcessTest::talk( $port, "HEAD /profile?seconds=0.01&format=svg HTTP/1.0\r\n\r\n" ), qr/^HTTP\S+ 200 /, 'HEAD';
is well_formed( body('/profile?seconds=0.01&format=svg') ), 'yes', 'an empty one';
SKIP: {
    my ($browser) = grep {-x} map {"$_/chromium"} split /:/, $ENV{PATH};
    skip 'chromium is not installed', 2 if !$browser;
    my $file = $nginx->write_file( 'picture.svg', $svg );
    my $home = $nginx->prefix . '/chromium';
    my $dom  = `timeout 120 $browser --headless --no-sandbox --disable-gpu --user-data-dir=$home --dump-dom file://$file 2>$home.log`;
    # Its script has run: it writes the text that fits into each frame.
    like $dom, qr/<svg[^>]*>.*<text[^>]*>dear /s, 'chromium draws it';
    unlike $dom, qr/parsererror/, 'and finds no error';
}

# Waiting.
my @waiting = map { begin($_) } ( '/nap?n=600', '/nap?n=0.2' );
$folded = profile( '/nap?n=0.01', 'seconds=0.6&mode=wait' );
@waiting = ();
my ($of_nap) = map {qr/^content_by_lua\(nginx\.conf:\d+\);nap [^;]*worker\.lua:11;sleep \[C\];\[waits for ngx\.sleep\]/} 1;
my $slept = sum( $folded, $of_nap );
cmp_ok $slept, '>', 0.75e6, 'a wait of the whole time, a part of another one, and short ones';
cmp_ok $slept, '<', 60e6, 'of what is before and after the time, nothing counts';
my ( $first, $second ) = map { sum( profile( '/two', 'seconds=0.6&mode=wait' ), $_ ) } qr/;long .*waits for ngx\.sleep/, qr/;short /;
cmp_ok $first, '>', $second, 'the long one waits longer than the short one';
like profile( '/two', 'seconds=0.3&mode=wait' ),
    qr/^content_by_lua\(nginx\.conf:\d+\);light thread;function [^;]+;long [^;]*:\d+;sleep \[C\];\[waits for ngx\.sleep\] \d+\n(?:.*\n)*.*;wait \[C\];\[waits for ngx\.thread\.wait\] /m,
    'what light threads wait for, and who waits for them';
like profile( '/two', 'seconds=0.3&mode=wait&format=svg' ), qr/<title>\[waits for ngx\.sleep\] \([\d,]+ microseconds, /, 'a picture';

# Memory.
is body('/hold'), "held\n", 'much is held';
my %bytes = map { /^(.*) (\d+)$/ ? ( $1 => $2 ) : () } split /\n/, body('/profile?memory&format=folded');
cmp_ok $bytes{'package.loaded;holder;cache;[string]'}, '>', 1000 * 1000, 'strings in a table of a module';
cmp_ok $bytes{'package.loaded;holder;cache;[string]'}, '<', 1200 * 1000, 'with their sizes';
cmp_ok $bytes{'package.loaded;holder;cache;[table]'}, '>', 8000, 'and the table itself';
cmp_ok $bytes{'package.loaded;holder;get;[code]'}, '>', 100, 'and code';
cmp_ok $bytes{'package.loaded;holder;get;[string]'}, '>', 500_000, 'in an upvalue';
is $bytes{'package.loaded;holder;weak;[table]'}, 72, 'what a weak table has';
is $bytes{'package.loaded;holder;weak;[n];[table]'}, undef, 'it does not hold';
my $text = body('/profile?memory');
like $text, qr/\Aworker $worker: \d+ bytes in use\n\ntype +objects +bytes\n(?:\w+ +\d+ +\d+\n)+\n +bytes  held by\n/, 'for people';
like $text, qr/^table +\d+ +\d+$/m, 'by type';
like $text, qr/^ +1\d{6}  package\.loaded;holder;cache;\[string\]$/m, 'by holders';
is well_formed( body('/profile?memory&format=svg') ), 'yes', 'a picture';
is body('/grow'), "grown\n", 'a table with many entries';
my ( $rounds, $list ) = body('/rounds') =~ /^(\d+)\n(.*)/s;
cmp_ok $rounds, '>', 10, "the event loop makes rounds meanwhile: $rounds";
like $list, qr/package\.loaded;holder;cache;/, 'while tables change';
$socket = begin('/profile?memory');
close $socket;
is body('/profile?seconds=0.01&memory') =~ /bytes in use/, 1, 'a client that leaves ends it';

# One at a time, and only what there is.
$socket = begin('/profile?seconds=60');
is body('/profile?seconds=1'), "this worker is being profiled already\n", 'a second one is refused';
like ProcessTest::talk( $port, "GET /profile HTTP/1.0\r\n\r\n" ), qr/^HTTP\S+ 409 /, 'with 409';
close $socket;
ok ProcessTest::wait_until( sub { body('/profile?seconds=0.01') !~ /already/ } ), 'a client that leaves ends it';
for my $bad ( 'seconds=0', 'seconds=601', 'seconds=1e3', 'seconds=.', 'mode=x', 'format=text', 'interval=0', 'interval=1001' ) {
    like ProcessTest::talk( $port, "GET /profile?$bad HTTP/1.0\r\n\r\n" ), qr/^HTTP\S+ 400 .*seconds \(0\.001 to 600\)/s, "$bad is refused";
}
like ProcessTest::talk( $port, "POST /profile HTTP/1.0\r\nContent-Length: 0\r\n\r\n" ), qr/^HTTP\S+ 405 /, 'so is POST';
is body('/captured'), "200\n", 'a subrequest';
is body('/jit?start=1'), "done\n", 'Lua code profiles by itself';
is body('/profile?seconds=1'), "this worker is being profiled already\n", 'which is left alone';
body('/jit');
$socket = begin('/profile?seconds=0.3');
body('/jit?start=1');
answer($socket);
body('/jit');
isnt body('/profile?seconds=0.01'), "this worker is being profiled already\n", 'Lua code takes over, and stops';

# Ends of the worker.
is( ( ProcessTest::children( $nginx->pid ) )[0], $worker, 'the worker is the same' );
$socket = begin('/profile?seconds=600');
my $start = time;
kill HUP => $nginx->pid;
is answer($socket), '', 'a reload ends it, with what there is';
cmp_ok time - $start, '<', 60, 'at once';
ok ProcessTest::wait_until( sub { !kill 0, $worker } ), 'the old worker leaves';
$socket = begin('/profile?seconds=600');
ok $nginx->stop, 'nginx stops';
is answer($socket), '', 'and that ends one, too';
unlike $nginx->log_text('error.log'), qr/\[(?:alert|emerg|error)\]/, 'nothing went wrong';
done_testing;

# 'yes', or where elements and quotes do not match.
sub well_formed {
    my ($xml) = @_;
    my @open;
    while ( $xml =~ /\G(?:<\?[^?]*\?>|<!DOCTYPE[^>]*>|<!--.*?-->|<!\[CDATA\[.*?\]\]>|(?:[^<&]|&(?:\w+|#\w+);)+|<(\/?)([\w:]+)((?:\s+[\w:-]+="[^"<]*")*)\s*(\/?)>)/gcs ) {
        next if !defined $2;
        if ($1) {
            return "</$2> at " . pos $xml if !@open || pop @open ne $2;
        }
        elsif ( !$4 ) {
            push @open, $2;
        }
    }
    return 'stops at ' . ( pos $xml // 0 ) if ( pos $xml // 0 ) < length $xml || @open;
    return 'yes';
}
