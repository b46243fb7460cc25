# `lua_code_cache stat`: files and modules that change on disk while requests are under way, one at a time and
# several at once, with errors in them, in all workers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep);

use ProcessTest;

my $port  = ProcessTest::port();
my $nginx = ProcessTest->new;

# Replaces a file at once, as an editor does.
sub edit {
    my ( $name, $text ) = @_;
    my $new = $nginx->write_file( "$name.new", $text );
    rename $new, $nginx->prefix . "/$name" or die "$name: $!";
}

sub body {
    my ($path) = @_;
    return ProcessTest::talk( $port, "GET $path HTTP/1.0\r\n\r\n" ) =~ s/.*?\n\n//sr;
}

sub comes {
    my ( $path, $text, $name ) = @_;
    my $got = '';
    return ok( ProcessTest::wait_until( sub { ( $got = body($path) ) eq $text } ), $name ) || diag $got;
}

# A module that says which version it is, and which one of another module it has.
sub module_text {
    my ( $version, $needs ) = @_;
    my $needed = $needs ? "local needed = require '$needs'" : 'local needed';
    return "$needed\nreturn { version = '$version', needed = needed, count = 0 }\n";
}

edit( 'content.lua', 'ngx.say("content 1, access ", ngx.ctx.access)' );
edit( 'access.lua',  'ngx.ctx.access = 1 if ngx.var.arg_wait then ngx.sleep(0.6) end' );
edit( 'base.lua',    module_text('base 1') );
edit( 'middle.lua',  module_text( 'middle 1', 'base' ) );
edit( 'top.lua',     module_text( 'top 1',    'middle' ) );
edit( 'apart.lua',   module_text('apart 1') );
edit( 'early.lua',   module_text('early 1') );
edit( 'structs.lua', "require('ffi').cdef[[ struct stat_point { int x; }; ]]\nreturn { version = 'structs 1' }" );

my $conf = $nginx->write_http(<<"_EOC_");
    lua_package_path "\$prefix/?.lua;;";
    lua_code_cache stat;
    init_by_lua_block {
        require "early"
        semaphore = require "ngx.semaphore"
    }
    server {
        listen 127.0.0.1:$port;
        location = /file {
            access_by_lua_file access.lua;
            content_by_lua_file content.lua;
        }
        location = /version {
            content_by_lua_block { ngx.say(require(ngx.var.arg_of).version) }
        }
        location = /worker {
            content_by_lua_block { ngx.say(ngx.worker.id(), " ", require("early").version) }
        }
        location = /chain {
            content_by_lua_block {
                local top, middle, base = require "top", require "middle", require "base"
                local is_one = top.needed == middle and middle.needed == base
                if ngx.var.arg_wait then
                    ngx.sleep(tonumber(ngx.var.arg_wait))
                    is_one = is_one and top == require "top" and middle == require "middle" and base == require "base"
                end
                ngx.say(is_one, " ", top.version, ", ", middle.version, ", ", base.version)
            }
        }
        location = /count {
            content_by_lua_block {
                local apart = require "apart"
                apart.count = apart.count + 1
                ngx.say(apart.count, " ", require "ngx.semaphore" == semaphore)
            }
        }
        location = /alive {
            content_by_lua_block {
                versions = versions or setmetatable({}, { __mode = "k" })
                versions[require "base"] = true
                collectgarbage() collectgarbage()
                local n = 0
                for _ in pairs(versions) do n = n + 1 end
                ngx.say(n)
            }
        }
        location = /unknown {
            content_by_lua_block {
                local function used()
                    collectgarbage() collectgarbage()
                    return collectgarbage("count")
                end
                local before = used()
                for i = 1, 50 do pcall(require, ("x"):rep(100000) .. i) end
                ngx.say(used() - before < 2500)
            }
        }
        location = /try { content_by_lua_block { ngx.say(pcall(require, "later")) } }
    }
_EOC_
$nginx->start($conf);

is body('/file'), "content 1, access 1\n", 'files as they are at first';
edit( 'content.lua', 'ngx.say("content 2, access ", ngx.ctx.access)' );
comes( '/file', "content 2, access 1\n", 'a file that has changed' );
$nginx->write_file( 'content.lua', 'ngx.say("content 3, access ", ngx.ctx.access)' );
comes( '/file', "content 3, access 1\n", 'one that was written in place' );

my $waiting = ProcessTest::connection($port);
print {$waiting} "GET /file?wait=1 HTTP/1.0\r\n\r\n";
sleep 0.2;
edit( 'content.lua', 'ngx.say("content 4, access ", ngx.ctx.access)' );
edit( 'access.lua',  'ngx.ctx.access = 4' );
comes( '/file', "content 4, access 4\n", 'two files' );
like join( '', <$waiting> ), qr/\ncontent 3, access 1\n\z/, 'a request under way has the old ones in its later phases';

is body('/version?of=apart'), "apart 1\n", 'a module';
is body('/count'), "$_ true\n", 'its state stays while it does not change' for 1 .. 2;
edit( 'apart.lua', module_text('apart 2') );
comes( '/version?of=apart', "apart 2\n", 'a module that has changed' );
is body('/count'), "1 true\n", 'its state is new, and modules of lua-resty-core are as they were';

is body('/chain'), "true top 1, middle 1, base 1\n", 'modules that need each other';
edit( 'base.lua', module_text('base 2') );
comes( '/chain', "true top 1, middle 1, base 2\n", 'those that need a changed one are loaded anew with it' );
edit( 'base.lua',   module_text('base 3') );
edit( 'middle.lua', module_text( 'middle 3', 'base' ) );
comes( '/chain', "true top 1, middle 3, base 3\n", 'two changed ones' );
edit( 'top.lua', module_text( 'top 4', 'apart' ) );
comes( '/version?of=top', "top 4\n", 'a module comes to need another one' );
edit( 'top.lua', module_text( 'top 5', 'middle' ) );
comes( '/chain', "true top 5, middle 3, base 3\n", 'and back' );

# Under load: all requests see modules that fit together, also those that wait while others are loaded.
my $client = sub {
    my ($path) = @_;
    my $socket = ProcessTest::connection($port);
    print {$socket} "GET $path HTTP/1.0\r\n\r\n";
    return $socket;
};
my ( $asked, %answers ) = (0);
for my $round ( 10 .. 39 ) {
    my @clients = map { $client->("/chain?wait=0.$_") } 1 .. 4;
    edit( 'base.lua', module_text("base $round") );
    sleep 0.03;
    push @clients, $client->('/chain') for 1 .. 4;
    edit( 'middle.lua', module_text( "middle $round", 'base' ) ) if $round % 3 == 0;
    sleep 0.06;
    for (@clients) { $asked++; $answers{ ( join '', <$_> ) =~ /\n(true|.*)[^\n]*\n\z/ ? $1 : '' }++ }
}
is_deeply \%answers, { true => $asked }, 'under load, each request sees modules that fit together, while it lasts';
comes( '/chain', "true top 5, middle 39, base 39\n", 'the last version' );
cmp_ok body('/alive'), '<=', 2, 'no old version is kept';
is $nginx->count_in_log(qr/\[(?:error|alert|emerg|crit)\]/), 0, 'nothing has been logged as an error';

# Errors.
edit( 'base.lua',   "local x\nx = = 1\n" );
edit( 'middle.lua', module_text( 'middle 50', 'base' ) );
my $says = sub {
    my ($pattern) = @_;
    return ProcessTest::wait_until( sub { body('/chain'); $nginx->count_in_log($pattern) } );
};
ok $says->(qr{the old code stays, because the new one does not load: .*/base\.lua:2: unexpected symbol near '='}),
    'a syntax error is logged, with its place';
is body('/chain'), "true top 5, middle 39, base 39\n", 'the old modules stay, all of them';
sleep 0.3;
body('/chain') for 1 .. 5;
is $nginx->count_in_log(qr/base\.lua:2: unexpected symbol/), 1, 'it is logged once';
edit( 'base.lua', "error('no base today')\n" );
ok $says->(qr{does not load: .*/base\.lua:1: no base today}), 'an error when a module runs';
is body('/chain'), "true top 5, middle 39, base 39\n", 'changes nothing either';
edit( 'base.lua', "ngx.sleep(0.1)\nreturn {}\n" );
ok $says->(qr{does not load: .*/base\.lua:1: no request found}), 'a module that waits';
is body('/chain'), "true top 5, middle 39, base 39\n", 'nor does that';
edit( 'base.lua', module_text('base 51') );
comes( '/chain', "true top 5, middle 50, base 51\n", 'once they load, all changed ones are there' );

edit( 'content.lua', "ngx.say(\n" );
ok ProcessTest::wait_until( sub { body('/file'); $nginx->count_in_log(qr{does not load: .*/content\.lua:\d+: }) } ),
    'a syntax error in a file';
is body('/file'), "content 4, access 4\n", 'the old one stays';
unlink $nginx->prefix . '/content.lua';
sleep 0.3;
is body('/file'), "content 4, access 4\n", 'also if there is none any more';
POSIX::mkfifo( $nginx->prefix . '/content.lua', 0600 ) or die $!;
sleep 0.3;
is body('/file'), "content 4, access 4\n", 'or something that is no file, and never ends';
edit( 'content.lua', 'ngx.say("content 5")' );
comes( '/file', "content 5\n", 'until there is another one' );

edit( 'middle.lua', module_text( 'middle 60', 'later' ) );
ok $says->(qr/does not load: .*module 'later' not found/), 'a module needs one that is not there';
edit( 'later.lua', module_text('later 60') );
comes( '/version?of=middle', "middle 60\n", 'once that is there, both are loaded' );
edit( 'middle.lua', module_text( 'middle 61', 'base' ) );
comes( '/chain', "true top 5, middle 61, base 51\n", 'and without it' );

edit( 'new.lua',    "local x\nx = = 1\n" );
edit( 'middle.lua', module_text( 'middle 62', 'new' ) );
ok $says->(qr{does not load: .*/new\.lua:2: unexpected symbol}), 'a module needs a new one that does not compile';
edit( 'new.lua', "error('not yet')\n" );
ok $says->(qr{does not load: .*/new\.lua:1: not yet}), 'or whose code fails';
sleep 0.3;
body('/chain') for 1 .. 5;
is $nginx->count_in_log(qr{does not load: .*/new\.lua:1: not yet}), 1, 'which is logged once';
edit( 'new.lua', module_text('new 62') );
comes( '/version?of=middle', "middle 62\n", 'once the new one is corrected, both are loaded' );
edit( 'middle.lua', module_text( 'middle 63', 'base' ) );
comes( '/chain', "true top 5, middle 63, base 51\n", 'and without it' );
is body('/unknown'), "true\n", 'names of modules that are not there are not kept';

is body('/version?of=structs'), "structs 1\n", 'a module with C declarations';
edit( 'structs.lua', "require('ffi').cdef[[ struct stat_point { int x; }; ]]\nreturn { version = 'structs 2' }" );
comes( '/version?of=structs', "structs 2\n", 'is loaded anew' );

# All workers.
$nginx->write_file( 'nginx.conf', ProcessTest::slurp($conf) =~ s/worker_processes 1/worker_processes 3/r );
kill HUP => $nginx->pid;
my %seen;
my $all_say = sub {
    my ($version) = @_;
    %seen = ();
    return ProcessTest::wait_until(
        sub {
            my ( $id, $what ) = body('/worker') =~ /(\d) (.*)/;
            $seen{$id} = $what;
            return keys %seen == 3 && !grep { $_ ne $version } values %seen;
        }
    );
};
ok $all_say->('early 1'), 'three workers have a module of init_by_lua' or diag explain \%seen;
edit( 'early.lua', module_text('early 2') );
ok $all_say->('early 2'), 'each loads it anew' or diag explain \%seen;

ok $nginx->stop, 'nginx ends';
unlike $nginx->log_text('error.log'), qr/\[(?:alert|emerg|crit)\]/, 'nothing went wrong';

my ( $status, $said ) = $nginx->run( $nginx->write_http('lua_code_cache maybe;'), '-t' );
like $said, qr/invalid value "maybe" in "lua_code_cache" directive, it must be "on", "off" or "stat"/, 'another value is refused';
isnt $status, 0, 'with an error';

done_testing;
