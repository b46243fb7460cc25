# nginx -t: compiles all code that the configuration names, and tells of every fault; what lua_check_code,
# lua_check_files and lua_check_init change, and that a start is as it was.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use File::Path qw(make_path);
use Test::More;
use ProcessTest;

plan skip_all => 'the C module compiles no code in nginx -t'
    if ( $ENV{TEST_NGINX_LOAD_MODULES} // '' ) =~ m{/nginx/modules/ngx_http_lua_module};

my $port   = ProcessTest::port();
my $server = ProcessTest->new;
my $prefix = $server->prefix;
my $certs  = ProcessTest::certs();
my $has_tls = `@{[ $server->binary ]} -V 2>&1` =~ /with-http_ssl_module/;

make_path("$prefix/lua/more");
$server->write_file( 'lua/good.lua',        "#!/usr/bin/env lua\nreturn 1\n" );
$server->write_file( 'lua/bad.lua',         "#!/usr/bin/env lua\nlocal x = = 1\n" );
$server->write_file( 'lua/more/bad.lua',    "return\nreturn 2\n" );
$server->write_file( 'lua/more/a_good.lua', "return 1LL\n" );

# What nginx -t says of an http block.
sub check {
    my ($http) = @_;
    my ( $status, $output ) = $server->run( $server->write_http($http), '-t' );
    return ( $status >> 8, $output );
}

# The faults that nginx -t named: where, and of which code.
sub faults {
    my ($output) = @_;
    return [ $output =~ /^(?:nginx: \[emerg\]|\S+ \S+ \[emerg\] \S+:) failed to load (?:inlined Lua code: |external Lua file ")(.*? in \S*?:\d+)$/mg ];
}

sub server {
    my ($directives) = @_;
    return "server { listen 127.0.0.1:$port; $directives }\n";
}

# Every directive whose code runs later, each with a fault of its own, on a line of its own.
my @locations = map {"${_}_by_lua_block { if $_ then }"}
    qw(rewrite access precontent content header_filter body_filter log);
my @places = (
    'init_worker_by_lua_block { if init_worker then }',
    'exit_worker_by_lua_block { if exit_worker then }',
    'upstream u { server 127.0.0.1:1;',
    'balancer_by_lua_block { if balancer then } }',
    'server {',
    "listen 127.0.0.1:$port;",
    'set $x "";',
    'server_rewrite_by_lua_block { if server_rewrite then }',
    'set_by_lua_block $x { if set then }',
    'location / {',
    @locations,
    'if ($x) {',
    'content_by_lua "if in_if then then"; } } }',
);
my @names = qw(init_worker exit_worker balancer server_rewrite set rewrite access precontent content header_filter
    body_filter log content);
if ($has_tls) {
    my @tls = map {"${_}_by_lua_block { if $_ then }"}
        qw(ssl_session_store ssl_session_fetch ssl_client_hello ssl_certificate proxy_ssl_certificate proxy_ssl_verify);
    push @places, @tls[ 0, 1 ], 'server {', "listen 127.0.0.2:$port ssl; ssl_certificate $certs/test.crt;",
        "ssl_certificate_key $certs/test.key;", @tls[ 2, 3 ],
        'location /u { proxy_pass https://127.0.0.1;', @tls[ 4, 5 ], '} }';
    push @names, qw(ssl_session_store ssl_session_fetch ssl_client_hello ssl_certificate proxy_ssl_certificate proxy_ssl_verify);
}
my $all = join "\n", @places, '';
{
    my ( $status, $output ) = check($all);
    is $status, 1, 'code that is not Lua: nginx -t fails';
    my @expected;
    my @lines = split /\n/, ProcessTest::slurp("$prefix/nginx.conf");
    for my $number ( 1 .. @lines ) {
        my ($name) = $lines[ $number - 1 ] =~ /^(?:[^{]*\s)?(\w+)_by_lua(?:_block)? .*(?: then|then";)/ or next;
        my ( $near, $why ) = $lines[ $number - 1 ] =~ /"/ ? ( 'then', 'unexpected symbol near' ) : ( '<eof>', q{'end' expected near} );
        push @expected, "${name}_by_lua(nginx.conf:$number):1: $why '$near' in $prefix/nginx.conf:$number";
    }
    is_deeply faults($output), \@expected, '… and names each place' or diag $output;
    is scalar @expected, scalar @names, '… which is of each directive';
    like $output, qr/configuration file \S+ test failed$/m, '… as nginx says';
}
{
    my ( $status, $output ) = check("lua_check_code off;\n$all");
    is $status, 0, 'lua_check_code off: they are not compiled' or diag $output;
    ( $status, $output ) = check("${all}lua_check_code off;\n");
    is $status, 0, '… wherever it stands' or diag $output;
}
{
    my ( $status, $output ) = check( server('location / { content_by_lua_block { if x then } }') );
    is $status, 1, 'a location that cannot work';
    $server->start("$prefix/nginx.conf");
    is( ( ProcessTest::get( $port, '/' ) )[0], 500, '… fails its requests, and not the start' );
    $server->stop;
}

# Files.
my $files = server( <<'_EOC_');
location /good     { content_by_lua_file lua/good.lua; }
    location /bad      { content_by_lua_file lua/bad.lua; }
    location /missing  { access_by_lua_file lua/missing.lua; content_by_lua_file lua/good.lua; }
    location /variable { set $file missing; content_by_lua_file lua/$file.lua; }
    location /set      { set_by_lua_file $x lua/bad.lua; return 200; }
_EOC_
{
    my ( $status, $output ) = check($files);
    is $status, 1, 'files: nginx -t fails';
    my $bad = "$prefix/lua/bad.lua\": ";
    my @faults = map { s/(": )\S*bad\.lua:/$1bad.lua:/r } @{ faults($output) };
    is_deeply \@faults, [
        "${bad}bad.lua:2: unexpected symbol near '=' in $prefix/nginx.conf:9",
        "$prefix/lua/missing.lua\": cannot open $prefix/lua/missing.lua: No such file or directory in $prefix/nginx.conf:10",
        "${bad}bad.lua:2: unexpected symbol near '=' in $prefix/nginx.conf:12",
    ], '… and names those that it can know' or diag $output;
}
{
    my $ok = server('location / { content_by_lua_file lua/good.lua; }');
    my ( $status, $output ) = check("lua_check_files lua/good.lua $prefix/lua/more/a*.lua lua/none*.lua;\n$ok");
    is $status, 0, 'lua_check_files with files that compile, and a pattern of none' or diag $output;
    ( $status, $output ) = check("lua_check_files lua/*.lua; lua_check_files lua/more/[a-z]*.lua lua/none.lua;\n$ok");
    is $status, 1, 'lua_check_files with others';
    is_deeply [ map { s/".*//r } @{ faults($output) } ],
        [ map {"$prefix/lua/$_"} 'bad.lua', 'more/bad.lua', 'none.lua' ], '… names those' or diag $output;
    ( $status, $output ) = check("lua_check_code off; lua_check_files lua/bad.lua;\n$ok");
    is $status, 1, '… even with lua_check_code off';
    $server->start("$prefix/nginx.conf");
    is( ( ProcessTest::get( $port, '/' ) )[0], 200, '… and a start does not look at them' );
    $server->stop;
}

# init_by_lua*: compiled, and run where that is asked for.
{
    my $ran  = "$prefix/ran";
    my $init = qq{lua_shared_dict d 100k; init_by_lua_block { assert(io.open("$ran", "w")):close() ngx.shared.d:set("a", 1) %s }\n};
    my ( $status, $output ) = check( sprintf $init, '' );
    is $status, 0, 'init_by_lua: accepted' or diag $output;
    ok !-e $ran, '… and not run';
    ( $status, $output ) = check( 'lua_check_init on;' . sprintf $init, '' );
    is $status, 0, 'lua_check_init on: accepted' or diag $output;
    ok -e $ran, '… and run';
    unlink $ran;
    ( $status, $output ) = check( 'lua_check_init on;' . sprintf $init, 'error("not today")' );
    is $status, 1, 'code that fails: refused';
    like $output, qr/\[error\] .*init_by_lua error: init_by_lua\(nginx\.conf:\d+\):1: not today$/m, '… with its error';
    unlink $ran;
    ( $status, $output ) = check( 'lua_check_init on;' . sprintf( $init, '' ) . server('location / { content_by_lua "x x"; }') );
    is $status, 1, 'another fault: refused';
    is scalar @{ faults($output) }, 1, '… with its error';
    ok !-e $ran, '… before anything is run';
    ( $status, $output ) = check( 'init_by_lua_block { x x }' . server('location / { content_by_lua "x x"; }') );
    is $status, 1, 'faults in both: refused';
    like $output, qr/\[error\] .*init_by_lua error: init_by_lua\(nginx\.conf:\d+\):1: '=' expected near 'x'$/m, '… with the first';
    is scalar @{ faults($output) }, 1, '… and the second';
}

done_testing;
