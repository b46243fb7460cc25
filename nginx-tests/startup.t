# What nginx says and does at start: a configuration it takes, those it refuses, and Lua libraries
# that are not there.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use File::Path qw(make_path);
use Test::More;
use ProcessTest;

my $port   = ProcessTest::port();
my $server = ProcessTest->new;
my $SAY    = 'content_by_lua_block { ngx.say("hello") }';

# A configuration: $http stands on line 7 of it, $location from line 10 on.
sub conf {
    my ( $http, $location ) = @_;
    return $server->write_file( 'nginx.conf', <<"_EOC_");
pid        logs/nginx.pid;
error_log  logs/error.log info;
events {
}
http {
    access_log off;
    $http
    server {
        listen 127.0.0.1:$port; location / {
            $location
        }
    }
}
_EOC_
}

# What nginx -t says of a configuration, less the paths.
sub check {
    my ($conf) = @_;
    my ( $status, $output ) = $server->run( $conf, '-t' );
    my $prefix = $server->prefix;
    $output =~ s/\Q$prefix\E\/+//g;
    return ( $status >> 8, $output );
}

sub refuses {
    my ( $name, $http, $location, $says ) = @_;
    my ( $status, $output ) = check( conf( $http, $location ) );
    is $status, 1, "$name: refused";
    like $output, qr/^(?:nginx: |.*?: )\Q$says\E$/m, "$name: says so";
}

# Accepted.
{
    my $conf = conf( '', $SAY );
    my ( $status, $output ) = check($conf);
    is $status, 0, 'nginx -t accepts a handler' or diag $output;
    $server->start($conf);
    my ( $code, undef, $body ) = ProcessTest::get( $port, '/' );
    is "$code $body", "200 hello\n", 'it runs';
    $server->stop;
    unlike $server->log_text('error.log'), qr/\[(?:warn|error|crit|alert|emerg)\]/, 'in silence';
}

# Refused.
refuses 'a misspelt directive', '', 'content_by_lua_blok { ngx.say("x") }',
    'unknown directive "content_by_lua_blok" in nginx.conf:10';
refuses 'a second handler', '', 'content_by_lua "a()"; content_by_lua "b()";',
    '"content_by_lua" directive is duplicate in nginx.conf:10';
refuses 'a handler of each form', '', 'content_by_lua_block { a() } content_by_lua "b()";',
    '"content_by_lua" directive is duplicate in nginx.conf:10';
refuses 'a second path', 'lua_package_path "a"; lua_package_path "b";', '',
    '"lua_package_path" directive is duplicate in nginx.conf:7';
refuses 'a flag that is neither', 'lua_code_cache maybe;', '',
    'invalid value "maybe" in "lua_code_cache" directive, it must be "on", "off" or "stat"'
    . ' in nginx.conf:7';
refuses 'a number with a sign', 'lua_malloc_trim +5;', '',
    '"lua_malloc_trim" directive invalid number in the 1st argument in nginx.conf:7';
refuses 'a handler outside of its contexts', 'content_by_lua_block { a() }', '',
    '"content_by_lua_block" directive is not allowed here in nginx.conf:7';
refuses 'no code', '', 'content_by_lua;',
    'invalid number of arguments in "content_by_lua" directive in nginx.conf:10';
refuses 'empty code', '', 'content_by_lua "";',
    'invalid location config: no runnable Lua code in nginx.conf:10';
refuses 'no file', '', 'content_by_lua_file "";',
    'invalid location config: no runnable Lua code in nginx.conf:10';
refuses 'two files', '', 'content_by_lua_file a b;',
    'invalid number of arguments in "content_by_lua_file" directive in nginx.conf:10';
refuses 'no block', '', 'content_by_lua_block ngx.say(1);',
    'directive "content_by_lua_block" has no opening "{" in nginx.conf:10';
refuses 'an open long bracket', '', 'content_by_lua_block { local s = [[ a }',
    'Lua code block missing the closing long bracket "]]",'
    . ' the inlined Lua code may be too long in nginx.conf:10';
refuses "a very long line after a block with an open quote ($_ bytes)", '',
    "content_by_lua_block { return 'x }" . ';' x $_, 'too long line after a lua code block in nginx.conf:10'
    for 5000, 9000;

{
    my ( $status, $output ) = check( conf( 'lua_capture_error_log 900000000m;', '' ) );
    is $status, 1, 'a buffer for the log that is too large: refused';
    like $output, qr/\[emerg\] .*malloc\(\d*\) failed/, 'a buffer for the log that is too large: says so';
}

# As if it were not there.
{
    my $paths = 'lua_package_path ""; lua_package_path ""; lua_package_cpath "";';
    my $conf  = conf( $paths, 'content_by_lua_block { ngx.say(package.path ~= "", package.cpath ~= "") }' );
    my ( $status, $output ) = check($conf);
    is $status, 0, 'empty paths: accepted' or diag $output;
    $server->start($conf);
    my ( undef, undef, $body ) = ProcessTest::get( $port, '/' );
    is $body, "truetrue\n", 'empty paths: the default ones stay';
    $server->stop;
}

# Warned about.
{
    my ( $status, $output ) = check( conf( 'lua_code_cache off;', $SAY ) );
    is $status, 0, 'lua_code_cache off: accepted';
    like $output,
        qr/\[alert\] .*: lua_code_cache is off; this will hurt performance in nginx\.conf:7$/m,
        'lua_code_cache off: with a warning';
}

# Lua that does not compile is found by nginx -t, or when it is to run: nginx starts, the request fails.
{
    my $conf = conf( '', 'content_by_lua_block { if then }' );
    $server->start($conf);
    my ($code) = ProcessTest::get( $port, '/' );
    is $code, 500, 'broken Lua: the request fails';
    ok $server->wait_for_line( 'error.log',
        qr/\[error\] .*failed to load inlined Lua code: content_by_lua\(nginx\.conf:10\):1: unexpected symbol near 'then'/
    ), 'broken Lua: the log says where';
    $server->stop;
}

# lua-resty-core, or what it needs, is not there.
my $NO_CORE
    = qr/\[alert\] .*failed to load the 'resty\.core' module \(https:\/\/github\.com\/openresty\/lua-resty-core\); install it and lua-resty-lrucache \(Debian's packages have these names\), or name their directory in "lua_package_path" \(reason: /;
{
    my $conf = conf( 'lua_package_path "/nonexistent/?.lua";', $SAY );
    my ( $tested, $said ) = check($conf);
    is $tested, 1, 'no resty.core: nginx -t fails';
    like $said, qr/${NO_CORE}module 'resty\.core' not found:\n/, 'no resty.core: nginx -t says so';
    my ( $status, $output ) = $server->run($conf);
    is $status >> 8, 1, 'no resty.core: nginx does not start';
    like $output, qr/${NO_CORE}module 'resty\.core' not found:\n/, 'no resty.core: says so';
    like $output, qr{^\tno file '/nonexistent/resty/core\.lua'$}m, '… and where it looked';
    like $output, qr/\) in .*nginx\.conf:\d+$/m, '… and for which file';
}
{
    my $lua = $server->prefix . '/lua';
    make_path("$lua/resty");
    $server->write_file( 'lua/resty/core.lua', "error('this core is broken')\n" );
    my $conf = conf( qq{lua_package_path "$lua/?.lua";}, '' );
    my ( $status, $output ) = $server->run($conf);
    is $status >> 8, 1, 'a broken resty.core: nginx does not start, with no handler either';
    # Lua shortens a long path.
    like $output, qr{$NO_CORE(?:\Q$lua\E|\.\.\.\S+/lua)/resty/core\.lua:1: this core is broken\) in },
        'a broken resty.core: the reason is its own';
}

# What init_by_lua* cannot load: nginx -t and the start fail alike. What it can load does not run in a test.
for (
    [ 'code', 'init_by_lua_block { if then }', qr/init_by_lua error: init_by_lua\(nginx\.conf:7\):1: unexpected symbol near 'then'/ ],
    [ 'a string', 'init_by_lua "x = = 1";', qr/init_by_lua error: init_by_lua\(nginx\.conf:7\):1: unexpected symbol near '='/ ],
    [ 'a file', 'init_by_lua_file missing.lua;', qr/init_by_lua_file error: cannot open \S*missing\.lua/ ],
) {
    my ( $name, $http, $says ) = @$_;
    my ( $tested, $said ) = check( conf( $http, $SAY ) );
    is $tested, 1, "init_by_lua with $name: nginx -t fails";
    like $said, qr/\[error\] .*$says/, "init_by_lua with $name: … and says why";
    my ( $status, $output ) = $server->run( conf( $http, $SAY ) );
    is $status >> 8, 1, "init_by_lua with $name: nginx does not start";
    like $output, qr/\[error\] .*$says/, "init_by_lua with $name: … and says why";
}
{
    my $trace = $server->prefix . '/ran';
    my $run = qq{init_by_lua_block { assert(io.open("$trace", "w")) error("not now") }};
    my ( $tested, $said ) = check( conf( $run, $SAY ) );
    is $tested, 0, 'init_by_lua: nginx -t loads it' or diag $said;
    ok !-e $trace, 'init_by_lua: … and does not run it';
}

done_testing;
