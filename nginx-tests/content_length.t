# A response's body has the length that its header says, wherever code sets the one or makes the
# other: what is too much is not sent, and after too little the connection ends.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use ProcessTest;

my $port   = ProcessTest::port();
my $server = ProcessTest->new;
$server->write_file( 'hello.html', 'hello' );
$server->write_file( 'includes.html', '<1<!--# include virtual="/hello" -->2<!--# include virtual="/emptied" -->3>' );

# What makes a response with five bytes of body, and a Content-Length of its own: %s.
my %makers = (
    content => 'content_by_lua_block { ngx.header["Content-Length"] = %s ngx.print("hello") }',
    pieces  => 'content_by_lua_block { ngx.header.content_length = %s
        for word in ("hello"):gmatch(".") do ngx.print(word) ngx.flush(true) end }',
    threads => 'content_by_lua_block { ngx.header.content_length = %s
        for word in ("hello"):gmatch(".") do
            ngx.thread.spawn(function() ngx.sleep(0.001) ngx.print(word) end)
        end }',
    eof     => 'content_by_lua_block { ngx.header["Content-Length"] = %s ngx.print("hello") ngx.eof() }',
    exit    => 'content_by_lua_block { ngx.header.content_length = %s ngx.print("hello") ngx.exit(200) }',
    access  => 'access_by_lua_block { ngx.header.content_length = %s ngx.print("hello") }',
    rewrite => 'rewrite_by_lua_block { ngx.header.content_length = %s ngx.print("hello") }',
    static  => 'header_filter_by_lua_block { ngx.header.content_length = %s } return 200 "hello";',
    file    => 'header_filter_by_lua_block { ngx.header.content_length = %s } try_files /hello.html =404;',
    proxied => 'header_filter_by_lua_block { ngx.header.content_length = %s } proxy_pass http://127.0.0.1:PORT/hello;',
    chunked => 'header_filter_by_lua_block { ngx.header.content_length = %s } proxy_pass http://127.0.0.1:PORT/chunked;',
    unbuffered => 'header_filter_by_lua_block { ngx.header.content_length = %s }
        proxy_buffering off; proxy_pass http://127.0.0.1:PORT/chunked;',
    earlier => 'access_by_lua_block { ngx.header.content_length = %s } try_files /hello.html =404;',
    earlier_proxied => 'access_by_lua_block { ngx.header.content_length = %s } proxy_pass http://127.0.0.1:PORT/chunked;',
    redirected => 'rewrite_by_lua_block { ngx.header.content_length = %s ngx.exec("/hello.html") }',
    error_page => 'rewrite_by_lua_block { ngx.header.content_length = %s } error_page 404 =200 /hello.html;
        try_files /missing =404;',
);
my $locations = '';
for my $maker ( sort keys %makers ) {
    for my $length ( 0, 3, 5, 9 ) {
        my $code = sprintf $makers{$maker}, $length;
        $code =~ s/PORT/$port/;
        $locations .= "location = /$maker/$length { $code }\n";
    }
}

$server->start( $server->write_http(<<"_EOC_") );
    server {
        listen 127.0.0.1:$port;
        root .;
        location = /hello { return 200 "hello"; }
        location = /chunked { content_by_lua_block { ngx.print("hel") ngx.flush(true) ngx.print("lo") } }
        proxy_http_version 1.1;
        location = /next { return 200 "next\\n"; }
        location = /grows {
            body_filter_by_lua_block { ngx.arg[1] = ngx.arg[1] .. "++" }
            return 200 "hello";
        }
        location = /shrinks {
            body_filter_by_lua_block { ngx.arg[1] = ngx.arg[1]:sub(1, 3) }
            return 200 "hello";
        }
        location = /ends_early {
            body_filter_by_lua_block { ngx.arg[1] = "he" ngx.arg[2] = true }
            proxy_buffering off;
            proxy_pass http://127.0.0.1:$port/hello;
        }
        location = /both {
            header_filter_by_lua_block { ngx.header.content_length = 6 }
            body_filter_by_lua_block { ngx.arg[1] = ngx.arg[1] .. "++" }
            return 200 "hello";
        }
        location = /same {
            header_filter_by_lua_block { ngx.header.content_length = 7 }
            body_filter_by_lua_block { ngx.arg[1] = ngx.arg[1] .. "++" }
            return 200 "hello";
        }
        location = /cleared {
            header_filter_by_lua_block { ngx.header.content_length = nil }
            body_filter_by_lua_block { ngx.arg[1] = ngx.arg[1] .. "++" }
            return 200 "hello";
        }
        location = /cleared_earlier {
            access_by_lua_block { ngx.header.content_length = nil }
            try_files /hello.html =404;
        }
        location = /range {
            header_filter_by_lua_block { ngx.header.content_length = ngx.var.arg_length }
            try_files /hello.html =404;
        }
        location = /gzip {
            gzip on;
            gzip_min_length 1;
            gzip_types *;
            header_filter_by_lua_block { ngx.header.content_length = 3 }
            return 200 "hello";
        }
        location = /capture {
            content_by_lua_block {
                local res = ngx.location.capture("/content/" .. ngx.var.arg_length)
                ngx.print(res.header["Content-Length"], " ", res.body, " ", tostring(res.truncated))
            }
        }
        location = /late {
            content_by_lua_block {
                ngx.print("hello")
                ngx.header.content_length = 3
            }
        }
        location = /nobody {
            body_filter_by_lua_block { ngx.arg[1] = "body" }
            proxy_pass http://127.0.0.1:$port/status?status=\$arg_status;
        }
        location = /status {
            content_by_lua_block { ngx.exit(tonumber(ngx.var.arg_status) or 204) }
        }
        location = /includes {
            ssi on;
            header_filter_by_lua_block { ngx.header.content_length = 3 }
            try_files /includes.html =404;
        }
        location = /emptied {
            body_filter_by_lua_block { ngx.arg[1] = "" }
            proxy_pass http://127.0.0.1:$port/hello;
        }
        location = /slices {
            slice 2;
            proxy_set_header Range \$slice_range;
            proxy_pass http://127.0.0.1:$port/hello.html;
            body_filter_by_lua_block { ngx.arg[1] = ngx.arg[1]:upper() }
        }
$locations
    }
_EOC_

sub request {
    my ( $path, %options ) = @_;
    my ( $method, $version ) = ( $options{method} // 'GET', $options{version} // '1.1' );
    my $further = join '', map {"$_\r\n"} @{ $options{headers} // [] };
    return "$method $path HTTP/$version\r\nHost: a\r\nConnection: keep-alive\r\n$further\r\n";
}

my $next = "GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
my $next_answer = "HTTP/1.1 200 OK\nContent-Length: 5\nConnection: close\n\nnext\n";
my $too_long    = qr/response body longer than its header says, the rest is not sent/;
my $too_short   = qr/response body ends (\d+) bytes before its Content-Length/;

# The whole answer to a request and to the one behind it, without what belongs to static files only.
sub talk {
    my $answer = ProcessTest::talk( $port, request(@_), $next );
    $answer =~ s{^content-length:}{Content-Length:}mg;
    $answer =~ s/^(?:Last-Modified|ETag|Accept-Ranges): [^\n]*\n//mg;
    return $answer;
}

# How often a line has come since this was called last.
my %seen;

sub new_lines {
    my ($pattern) = @_;
    my $count = () = $server->log_text('error.log') =~ /$pattern/g;
    my $new = $count - ( $seen{$pattern} // 0 );
    $seen{$pattern} = $count;
    return $new;
}

# One answer whose header says $length where $body follows.
sub answer {
    my ( $length, $body ) = @_;
    my $follows = length $body == $length ? $next_answer : '';
    return qr/^HTTP\/1\.1\ 200\ OK\n(?:Content-Length:\ $length\n|Connection:\ keep-alive\n){2}\n
        \Q$body$follows\E$/x;
}

for my $maker ( sort keys %makers ) {
    for my $version ( '1.0', '1.1' ) {
        for my $length ( 0, 3, 5, 9 ) {
            my $answer = talk( "/$maker/$length", version => $version );
            like $answer, answer( $length, substr 'hello', 0, $length ), "$maker, $length, HTTP/$version";
            is new_lines($too_long), ( $length < 5 ? 1 : 0 ), '… a line for what is too much';
            is new_lines($too_short), ( $length > 5 ? 1 : 0 ), '… a line for what is missing';
        }
    }
    next if $maker =~ /proxied|chunked|unbuffered/;
    like talk( "/$maker/9", method => 'HEAD' ),
        qr/^HTTP\S+ 200 OK\n(?:Content-Length: 9\n|Connection: keep-alive\n){2}\n\Q$next_answer\E$/,
        "$maker, HEAD keeps the length";
    is new_lines($too_short), 0, '… and nothing is missing';
}

like talk('/grows'),   answer( 5, 'hello' ), 'a body filter that adds';
like talk('/shrinks'), answer( 5, 'hel' ),   'a body filter that takes away';
like talk('/ends_early'), answer( 5, 'he' ), 'a body filter that ends the body';
like talk('/both'), answer( 6, 'hello+' ),   'both filters, that do not agree';
like talk('/same'), answer( 7, 'hello++' ),  'both filters, that agree';
is new_lines($too_long), 2, '… and the lines for it';
is new_lines($too_short), 2, '… and for what is missing';
for my $path ( '/cleared', '/cleared_earlier' ) {
    my $body = $path eq '/cleared' ? 'hello++' : 'hello';
    my $length = length $body;
    is talk($path), "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nConnection: keep-alive\n\n"
        . "$length\n$body\n0\n\n$next_answer", "$path: nginx frames it";
    is talk( $path, version => '1.0' ), "HTTP/1.1 200 OK\nConnection: close\n\n$body", '… by its end in HTTP/1.0';
}

for my $case ( [ 3, '0-1', 'he', 2 ], [ 3, '1-', 'el', 2 ], [ 9, '0-1', 'he', 2 ], [ 9, '1-', 'ello', 8 ] ) {
    my ( $length, $range, $body, $promised ) = @$case;
    my $answer = talk( "/range?length=$length", headers => ["Range: bytes=$range"] );
    $answer =~ s/^Content-Range: .*\n//m;
    my $follows = length $body == $promised ? $next_answer : '';
    is $answer, "HTTP/1.1 206 Partial Content\nContent-Length: $promised\nConnection: keep-alive\n\n$body$follows",
        "bytes $range of $length";
}
like talk( '/gzip', headers => ['Accept-Encoding: gzip'] ),
    qr/^HTTP\S+ 200 OK\n(?!.*Content-Length.*Content-Length).*Encoding: gzip\n.*\n0\n\n\Q$next_answer\E$/s,
    'gzip clears the length';
like talk('/gzip'), answer( 3, 'hel' ), '… and without gzip it counts';
new_lines($_) for $too_long, $too_short;
for my $length ( 3, 5, 9 ) {
    is talk("/capture?length=$length"),
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nConnection: keep-alive\n\nd\n$length hello false\n0\n\n$next_answer",
        "what is captured stays whole, $length";
}
is new_lines($_), 0, '… without a line' for $too_long, $too_short;
like talk('/slices'), answer( 5, 'HELLO' ), 'a response of parts, each with an end';
is new_lines($too_short), 0, '… misses nothing';
like talk( '/includes', version => '1.0' ), qr/\nConnection: close\n\n<1hello23>$/,
    'what clears the length later is not held to it';
like talk( '/late', version => '1.0' ), answer( 3, 'hel' ), 'set after the output that HTTP/1.0 holds back';
for my $status ( 204, 304 ) {
    like talk("/nobody?status=$status"), qr/^HTTP\S+ $status .*\n(?:[^\n]+\n)*\n\Q$next_answer\E$/,
        "a body filter adds nothing to a $status";
}

$server->stop;
unlike $server->log_text('error.log'), qr/\[alert\]|\[emerg\]|exited on signal/, 'nothing else';
done_testing;
