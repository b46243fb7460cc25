# What nginx does in locations without Lua code does not change: the same requests get the same
# bytes, but for dates, from nginx alone, with the module loaded, and with Lua code
# in other locations of the server.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use ProcessTest;

my $port    = ProcessTest::port();
my $backend = $port + 1;
my $prefix;

# Lua code in other locations, of every phase whose handler or filter nginx runs for all requests.
my $lua_http = <<'_EOC_';
    lua_shared_dict other 100k;
    lua_capture_error_log 64k;
    init_by_lua_block { loaded = true }
    init_worker_by_lua_block { assert(loaded) }
_EOC_
my $lua_server = <<'_EOC_';
        location /lua {
            set_by_lua_block $answer { return "from Lua" }
            rewrite_by_lua_block { ngx.ctx.rewritten = true }
            access_by_lua_block { ngx.sleep(0) }
            content_by_lua_block {
                local other = ngx.location.capture("/plain/small.txt")
                ngx.print(ngx.var.answer, " ", #other.body)
            }
            header_filter_by_lua_block { ngx.header["X-Lua"] = "filtered" }
            body_filter_by_lua_block { ngx.arg[1] = ngx.arg[1]:upper() }
            log_by_lua_block { ngx.shared.other:incr("logged", 1, 0) }
        }
_EOC_

sub configuration {
    my ( $http, $server ) = @_;
    return <<"_EOC_";
worker_processes  1;
pid        logs/nginx.pid;
error_log  logs/error.log info;
events {
}
http {
    access_log off;
    types {
        text/html   html;
        text/plain  txt;
    }
    default_type application/octet-stream;
    lingering_timeout 1s;
    client_body_temp_path $prefix/body;
    proxy_temp_path $prefix/proxy;
    proxy_cache_path $prefix/cache keys_zone=cached:1m;
    limit_req_zone \$uri zone=few:100k rate=1r/m;
$http
    server {
        listen 127.0.0.1:$port;
        server_name localhost;
        root $prefix/html;
        error_page 404 /missing.html;
        error_page 403 =200 /plain/small.txt;
        location /plain/ { }
        location /types/ { types { } default_type text/x-other; }
        location /list/ { autoindex on; }
        location /gzip/ {
            alias $prefix/html/plain/;
            gzip on;
            gzip_vary on;
            gzip_http_version 1.0;
            gzip_types text/plain;
            gzip_min_length 10;
        }
        location /ssi/ { ssi on; ssi_types text/plain; }
        location /sub/ { alias $prefix/html/plain/; sub_filter_types *; sub_filter line LINE; sub_filter_once off; }
        location /added/ {
            alias $prefix/html/plain/;
            add_before_body /plain/small.txt;
            add_after_body /plain/small.txt;
            addition_types *;
        }
        location /headers/ {
            alias $prefix/html/plain/;
            expires 1h;
            add_header X-Added "\$request_method" always;
        }
        location /return { return 200 "returned \$request_uri\\n"; }
        location /moved { return 301 /plain/; }
        location /teapot { return 418; }
        location /gone { return 410 "gone\\n"; }
        location /if { if (\$arg_a) { return 200 "a is \$arg_a\\n"; } }
        location /rewritten { rewrite ^/rewritten/(.*)\$ /plain/\$1 last; }
        location /try { try_files /plain\$uri /plain/small.txt =404; }
        location /denied { deny all; }
        location /secret { auth_basic "a realm"; auth_basic_user_file $prefix/users; alias $prefix/html/plain/small.txt; }
        location /limited { limit_req zone=few; alias $prefix/html/plain/small.txt; }
        location /asked { auth_request /allow; alias $prefix/html/plain/small.txt; }
        location = /allow { internal; return 204; }
        location = /internal { internal; }
        location /proxy/ { proxy_pass http://127.0.0.1:$backend/; }
        location /unbuffered/ { proxy_pass http://127.0.0.1:$backend/; proxy_buffering off; }
        location /proxy11/ {
            proxy_pass http://127.0.0.1:$backend/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
        location /cached/ {
            proxy_pass http://127.0.0.1:$backend/;
            proxy_cache cached;
            proxy_cache_valid 1m;
            add_header X-Cache \$upstream_cache_status;
        }
        location /intercepted/ { proxy_pass http://127.0.0.1:$backend/; proxy_intercept_errors on; }
        location /refused/ { proxy_pass http://127.0.0.1:1/; }
$server
    }
    server {
        listen 127.0.0.1:$backend;
        root $prefix/html/plain;
        location /echo {
            add_header X-Asked "\$request_method \$request_uri \$http_host \$content_length \$http_connection";
            return 200 "echo\\n";
        }
        location /teapot { return 418 "a teapot\\n"; }
        location /closes { return 444; }
    }
}
_EOC_
}

# The requests: a name, and the bytes that are sent; each on a connection of its own.
sub plain_get {
    my ( $path, @headers ) = @_;
    return join( "\r\n", "GET $path HTTP/1.1", 'Host: localhost', 'Connection: close', @headers )
        . "\r\n\r\n";
}

my $since = 'If-Modified-Since: Sat, 01 Jan 2022 00:00:00 GMT';
my @requests = (
    map( { [ $_ => plain_get($_) ] }
        qw(/ /plain/ /plain/small.txt /plain/large.txt /plain/empty.txt /plain /none /plain/none.txt),
        qw(/types/a.unknown /list/ /list/?C=M&O=D /gzip/large.txt /ssi/page.txt /sub/large.txt),
        qw(/added/small.txt /headers/small.txt /headers/none /return?a=b /moved /teapot /gone /if?a=1 /if),
        qw(/rewritten/small.txt /try/small.txt /try/none /denied /secret /limited /limited /asked /internal),
        qw(/proxy/small.txt /proxy/large.txt /proxy/echo?x=y /proxy/none /proxy/teapot /proxy/closes),
        qw(/unbuffered/large.txt /proxy11/large.txt /proxy11/echo /cached/large.txt /cached/large.txt),
        qw(/intercepted/none /refused/ /plain/..%2f..%2f..%2fetc/passwd /plain/a%00b) ),
    map( { [ "HEAD $_" => plain_get($_) =~ s/^GET/HEAD/r ] }
        qw(/plain/small.txt /none /list/ /gzip/large.txt /proxy/large.txt /cached/large.txt /return) ),
    map( { [ "HTTP/1.0 $_" => "GET $_ HTTP/1.0\r\n\r\n" ] }
        qw(/plain/small.txt /gzip/large.txt /proxy/large.txt /none /return) ),
    map( { [ "HTTP/0.9 $_" => "GET $_\r\n" ] } qw(/plain/small.txt /none) ),
    map( { [ "gzip $_" => plain_get( $_, 'Accept-Encoding: gzip' ) ] }
        qw(/gzip/large.txt /gzip/small.txt /plain/large.txt /gzip/none) ),
    map( { [ "range $_" => plain_get( '/plain/large.txt', "Range: bytes=$_" ) ] }
        split / /, '0-9 100-199 -10 5- 0-0,5-9 99999999- x 9-0 0-,1-,2-,3-' ),
    [ 'a range of gzip'    => plain_get( '/gzip/large.txt', 'Accept-Encoding: gzip', 'Range: bytes=0-9' ) ],
    [ 'a range of a proxy' => plain_get( '/proxy/large.txt',  'Range: bytes=10-19' ) ],
    [ 'a range of a cache' => plain_get( '/cached/large.txt', 'Range: bytes=10-19' ) ],
    [ 'If-Range'           => plain_get( '/plain/large.txt', 'Range: bytes=0-9', 'If-Range: "other"' ) ],
    [ 'not modified'       => plain_get( '/plain/small.txt', $since ) ],
    [ 'not modified, HEAD' => plain_get( '/plain/small.txt', $since ) =~ s/^GET/HEAD/r ],
    [ 'If-None-Match: *'   => plain_get( '/plain/small.txt', 'If-None-Match: *' ) ],
    [ 'If-Match'           => plain_get( '/plain/small.txt', 'If-Match: "other"' ) ],
    [ 'If-Unmodified-Since' =>
            plain_get( '/plain/small.txt', 'If-Unmodified-Since: Fri, 01 Jan 2021 00:00:00 GMT' ) ],
    [ 'not modified by a proxy' => plain_get( '/proxy/small.txt', $since ) ],
    [ 'authorised' => plain_get( '/secret', 'Authorization: Basic dXNlcjpwYXNz' ) ],
    [ 'POST of a file'    => body_of( 'POST', '/plain/small.txt', 'a=b' ) ],
    [ 'POST to a proxy'   => body_of( 'POST', '/proxy/echo',      'x' x 20000 ) ],
    [ 'POST to a return'  => body_of( 'POST', '/return',          'x' x 20000 ) ],
    [ 'a chunked POST'    => chunked('/proxy/echo') ],
    [ 'an unread chunked POST' => chunked('/return') ],
    [ 'too long a body' => "POST /proxy/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n" ],
    [ 'OPTIONS'           => plain_get('/plain/') =~ s/^GET/OPTIONS/r ],
    [ 'a method unknown'  => plain_get('/plain/') =~ s/^GET/WHAT/r ],
    [ 'no host'           => "GET / HTTP/1.1\r\n\r\n" ],
    [ 'a bad request'     => "GET\r\n\r\n" ],
    [ 'a bad header'      => plain_get( '/', 'Content-Length: much' ) ],
    [ 'too long a line'   => plain_get( '/' . 'x' x 9000 ) ],
    [ 'too large a header' => plain_get( '/', 'X-Large: ' . 'x' x 9000 ) ],
    [ 'absolute form'     => plain_get('http://localhost/plain/small.txt') ],
    [ 'Expect'            => body_of( 'POST', '/proxy/echo', 'a=b', 'Expect: 100-continue' ) ],
    [ 'one connection, five requests' => kept_alive(
            qw(/plain/small.txt /none /proxy/large.txt /gzip/large.txt /return) ) ],
);

sub body_of {
    my ( $method, $path, $body, @headers ) = @_;
    my $length = length $body;
    return plain_get( $path, "Content-Length: $length", @headers ) =~ s/^GET/$method/r . $body;
}

sub chunked {
    my ($path) = @_;
    return plain_get( $path, 'Transfer-Encoding: chunked' ) =~ s/^GET/POST/r . "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
}

sub kept_alive {
    my @paths = @_;
    my $last  = pop @paths;
    return join( '', map {"GET $_ HTTP/1.1\r\nHost: localhost\r\n\r\n"} @paths ) . plain_get($last);
}

sub write_content {
    my ($server) = @_;
    mkdir "$prefix/$_" or die "$_: $!"
        for 'html', map {"html/$_"} qw(plain types list list/folder ssi);
    my %files = (
        'plain/index.html' => "<html>the index</html>\n",
        'plain/small.txt'  => "a small file of one line\n",
        'plain/empty.txt'  => '',
        'plain/large.txt'  => join( '', map {"line $_ of a large file\n"} 1 .. 20000 ),
        'types/a.unknown'  => "of some type\n",
        'list/a.txt'       => "a\n",
        'list/b & c.txt'   => "b\n",
        'ssi/page.txt'     => qq{<!--#include virtual="/plain/small.txt" --><!--#echo var="request_uri" -->\n},
        'missing.html'     => "<html>nothing is here</html>\n",
    );
    for my $name ( sort keys %files ) {
        my $path = $server->write_file( "html/$name", $files{$name} );
        utime 1640995200, 1640995200, $path or die "$path: $!";
    }
    utime 1640995200, 1640995200, "$prefix/html/list/folder" or die "folder: $!";
    $server->write_file( 'users', "user:{PLAIN}pass\n" );
}

# Sends, reads until nginx closes.
sub answer {
    my ($bytes) = @_;
    my $socket = ProcessTest::connection($port);
    local $SIG{PIPE} = 'IGNORE';
    syswrite $socket, $bytes;
    my $data = '';
    my $read;
    do {
        local $SIG{ALRM} = sub { die "nginx does not close after: $bytes" };
        alarm 20;
        $read = sysread $socket, $data, 65536, length $data;
        alarm 0;
    } while ($read);
    $data =~ s/^(Date|Expires): .*?\r$/$1: then\r/mg;
    return $data;
}

# The answers, and what is in the error log, of a fresh nginx with a configuration.
sub answers {
    my ( $modules, $http, $lua ) = @_;
    local $ENV{TEST_NGINX_LOAD_MODULES} = $modules;
    my $server = ProcessTest->new;
    $prefix = $server->prefix;
    write_content($server);
    $server->start( $server->write_file( 'nginx.conf', configuration( $http, $lua ) ) );
    if ($lua) {
        like answer( plain_get('/lua') ), qr/^X-Lua: filtered.*FROM LUA 25/ms, 'Lua code runs beside';
    }
    my @answers = map { answer( $_->[1] ) } @requests;
    $server->stop;
    return ( \@answers, logged( $server->log_text('error.log') ) );
}

# The lines about requests, without what differs between two runs.
sub logged {
    my ($text) = @_;
    my @lines = grep {/\[(?:info|warn|error|crit|alert|emerg)\]/} split /\n/, $text;
    s/^\S+ \S+ (\[\w+\]) \d+#\d+: (?:\*\d+ )?/$1 /, s/connection \d+|\*\d+/connection N/g for @lines;
    # nginx cuts long lines; where, depends on the numbers that have been taken out.
    $_ = substr $_, 0, 1900 for @lines;
    return [ grep { !/kevent|epoll|epoll_wait/ } @lines ];
}

my $modules = $ENV{TEST_NGINX_LOAD_MODULES} || '';
isnt $modules, '', 'there is a module to load';
my ( $alone, $log ) = answers( '', '', '' );
my @without_answer = grep { $alone->[$_] eq '' } 0 .. $#requests;
note "$requests[$_][0]: ", $alone->[$_] =~ /\A([^\r\n]*)/ for 0 .. $#requests;
is_deeply [ map { $requests[$_][0] } @without_answer ], [], 'nginx alone answers every request';

for my $case (
    [ 'loaded',                  '',        '' ],
    [ 'with Lua code elsewhere', $lua_http, $lua_server ],
    )
{
    my ( $name, $http, $lua ) = @$case;
    my ( $answers, $lines ) = answers( $modules, $http, $lua );
    for my $i ( 0 .. $#requests ) {
        ok $answers->[$i] eq $alone->[$i], "$requests[$i][0]: $name"
            or diag "alone:\n", shown( $alone->[$i] ), "\n$name:\n", shown( $answers->[$i] );
    }
    is_deeply $lines, $log, "the error log says the same: $name";
}

sub shown { return substr( $_[0], 0, 600 ) . ' (' . length( $_[0] ) . ' bytes)' }

done_testing;
