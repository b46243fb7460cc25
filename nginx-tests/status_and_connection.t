# Statuses that have no body, whatever code prints, and the headers that nginx writes by itself:
# Connection and Transfer-Encoding.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use ProcessTest;

my $port   = ProcessTest::port();
my $server = ProcessTest->new;
my $reason = 'local function reason(status)
        local ffi = require "ffi"
        pcall(ffi.cdef, [[int ngx_http_lua_ffi_set_resp_status_and_reason(ngx_http_request_t *r, int status,
            const char *reason, size_t reason_len);]])
        local r = require("resty.core.base").get_request()
        ffi.C.ngx_http_lua_ffi_set_resp_status_and_reason(r, status, "Why", 3)
    end';
my $status = 'local status = tonumber(ngx.var.arg_status)';

# What answers with the status in the request's arguments, and would send a body.
my %makers = (
    status  => "content_by_lua_block { $status ngx.status = status ngx.say('body') }",
    reason  => "content_by_lua_block { $reason $status reason(status) ngx.say('body') }",
    length  => "content_by_lua_block { $status ngx.status = status ngx.header.content_length = 5 ngx.say('body') }",
    flush   => "content_by_lua_block { $status ngx.status = status ngx.say('body') ngx.flush(true) ngx.say('body') }",
    access  => "access_by_lua_block { $status ngx.status = status ngx.say('body') }",
    exit    => "content_by_lua_block { $status ngx.exit(status) }",
    access_exit => "access_by_lua_block { $status ngx.exit(status) }",
    filter  => "header_filter_by_lua_block { $status ngx.status = status } return 200 'body';",
    filter_reason  => "header_filter_by_lua_block { $reason $status reason(status) } return 200 'body';",
    filter_proxied => "header_filter_by_lua_block { $reason $status reason(status) }
        proxy_pass http://127.0.0.1:$port/next;",
    filter_content => "header_filter_by_lua_block { $reason $status reason(status) }
        content_by_lua_block { ngx.say('body') }",
);
my $locations = join "\n", map {"location = /$_ { $makers{$_} }"} sort keys %makers;

my %headers = (
    close       => 'ngx.header.connection = "close"',
    close_too   => 'ngx.header["Connection"] = "Keep-Alive, Close"',
    closed_once => 'ngx.header.Connection = { "x", "close" }',
    keep        => 'ngx.header.connection = "keep-alive"',
    upgrade     => 'ngx.header.connection = "upgrade"',
    cleared     => 'ngx.header.connection = nil ngx.header.transfer_encoding = nil',
    chunked     => 'ngx.header.transfer_encoding = "chunked"',
    gzip        => 'ngx.header["Transfer-Encoding"] = { "gzip", "chunked" }',
);
for my $name ( sort keys %headers ) {
    $locations .= <<"_EOC_";
    location = /content/$name { content_by_lua_block { $headers{$name} ngx.say("body") } }
    location = /length/$name { content_by_lua_block { $headers{$name} ngx.header["Content-Length"] = 5 ngx.say("body") } }
    location = /filter/$name { header_filter_by_lua_block { $headers{$name} } proxy_pass http://127.0.0.1:$port/chunked; }
    location = /access/$name { access_by_lua_block { $headers{$name} } proxy_pass http://127.0.0.1:$port/chunked; }
_EOC_
}

$server->start( $server->write_http(<<"_EOC_") );
    server {
        listen 127.0.0.1:$port;
        proxy_http_version 1.1;
        location = /next { return 200 "next\\n"; }
        location = /chunked { content_by_lua_block { ngx.print("bo") ngx.flush(true) ngx.print("dy\\n") } }
        location = /view {
            content_by_lua_block {
                local header, out = ngx.header, {}
                header.connection = "keep-alive"
                header["Transfer-Encoding"] = { "gzip", "chunked" }
                out[1] = header.Connection .. " " .. table.concat(header.transfer_encoding, "+")
                header.connection = { "x", "y" }
                header.transfer_encoding = nil
                out[2] = table.concat(header["connection"], "+") .. " " .. tostring(header["transfer-encoding"])
                require("ngx.resp").add_header("Connection", "z")
                out[3] = table.concat(header.connection, "+")
                ngx.say(table.concat(out, ", "))
            }
        }
        location = /capture {
            content_by_lua_block {
                local res = ngx.location.capture("/length/close")
                ngx.say(res.header.connection, " ", res.body)
            }
        }
        location = /modified {
            content_by_lua_block {
                ngx.header["Last-Modified"] = "Thu, 18 Nov 2010 11:27:35 GMT"
                ngx.say("body")
            }
        }
        location = /modified_early {
            access_by_lua_block {
                ngx.header["Last-Modified"] = "Thu, 18 Nov 2010 11:27:35 GMT"
                ngx.say("body")
            }
        }
        location = /refused {
            content_by_lua_block {
                local code = { ["status"] = function(s) ngx.status = s end, exit = ngx.exit }
                ngx.status = 418
                local ok, err = pcall(code[ngx.var.arg_by], tonumber(ngx.var.arg_status))
                ngx.say(ngx.status, " ", err or "no error")
            }
        }
$locations
    }
_EOC_

my $next        = "GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
my $next_answer = "HTTP/1.1 200 OK\nContent-Length: 5\nConnection: close\n\nnext\n";

sub talk {
    my ( $path, $version, $connection ) = @_;
    $connection //= 'keep-alive';
    return ProcessTest::talk( $port, "GET $path HTTP/$version\r\nHost: a\r\nConnection: $connection\r\n\r\n",
        $next );
}

for my $maker ( sort keys %makers ) {
    for my $version ( '1.0', '1.1' ) {
        for my $status ( 100, 102, 199, 204, 304 ) {
            my $answer  = talk( "/$maker?status=$status", $version );
            my $follows = $status < 200 ? '' : $next_answer;
            like $answer, qr/^HTTP\/1\.1 $status [^\n]*\n(?:[^\n]+\n)*\n\Q$follows\E$/,
                "$maker, $status, HTTP/$version: the header alone";
            unlike $answer, qr/Transfer-Encoding|body/, '… with no trace of a body';
            unlike $answer, qr/^(?:(?!\n\n).)*Content-Length/si, '… nor a length of one' if $status < 304;
        }
    }
}
for my $path ( '/modified', '/modified_early' ) {
    for my $version ( '1.0', '1.1' ) {
        my $head = "HTTP/$version\r\nHost: a\r\nConnection: keep-alive";
        my $answer = ProcessTest::talk( $port,
            "GET $path $head\r\nIf-Modified-Since: Thu, 18 Nov 2010 11:27:35 GMT\r\n\r\n", $next );
        like $answer, qr/^HTTP\S+ 304 Not Modified\n(?:[^\n]+\n)+\n\Q$next_answer\E$/,
            "$path, not modified, HTTP/$version";
        $answer = ProcessTest::talk( $port, "GET $path $head\r\nIf-Match: x\r\n\r\n", $next );
        like $answer, qr/^HTTP\S+ 412 Precondition Failed\n(?:[^\n]+\n)+\n(?:(?!body\n).)*<\/html>\n(?:\Q$next_answer\E)?$/s,
            '… nor as it should be';
    }
}
like talk( '/status?status=101', '1.1' ), qr/^HTTP\/1\.1 101 Switching Protocols\nConnection: upgrade\n\nbody\n$/,
    'what follows 101 is no HTTP';

for my $by ( 'status', 'exit' ) {
    my $error = $by eq 'exit' ? "bad argument to 'ngx.exit': invalid HTTP status code" : 'no error';
    my @refused = ( -6, 1, 99, 1000, 65536 + 200 );
    push @refused, -1, 0, if $by eq 'status';
    for my $status (@refused) {
        my $answer = talk( "/refused?by=$by&status=$status", '1.1' );
        like $answer, qr/^HTTP\/1\.1 418 .*\n418 \Q$error\E\n\n0\n\n\Q$next_answer\E$/s, "ngx.$by refuses $status";
        next if $by eq 'exit';
        like $server->log_text('error.log'), qr/\[error\].* invalid HTTP status code $status\D/, '… with a line';
    }
}
like talk( '/refused?by=status&status=999', '1.1' ), qr/^HTTP\/1\.1 999 \n/, '999 is a status';
like talk( '/refused?by=exit&status=599', '1.1' ), qr/^HTTP\/1\.1 599 /, 'and for ngx.exit';

my $closes = qr/close/;
for my $name ( sort keys %headers ) {
    my $connection = $name =~ $closes ? 'close' : 'keep-alive';
    my $follows    = $name =~ $closes ? ''      : $next_answer;
    is talk( "/length/$name", '1.1' ), "HTTP/1.1 200 OK\nConnection: $connection\nContent-Length: 5\n\nbody\n$follows",
        "$name, with a length";
    is talk( "/content/$name", '1.1' ),
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nConnection: $connection\n\n5\nbody\n\n0\n\n$follows", '… in chunks';
    is talk( "/content/$name", '1.0' ),
        "HTTP/1.1 200 OK\nContent-Length: 5\nConnection: $connection\n\nbody\n$follows", '… in HTTP/1.0';
    is talk( "/content/$name", '1.0', 'close' ), "HTTP/1.1 200 OK\nContent-Length: 5\nConnection: close\n\nbody\n",
        '… which ends anyway';
    for my $phase (qw(filter access)) {
        like talk( "/$phase/$name", '1.1' ),
            qr/^HTTP\S+ 200 OK\nTransfer-Encoding: chunked\nConnection: $connection\n\n(?:\d\n[body\n]+\n)+0\n\n\Q$follows\E$/,
            "… proxied, by the $phase";
    }
}
like talk( '/view', '1.1' ),
    qr/\nConnection: keep-alive\n\n[0-9a-f]+\nkeep-alive gzip\+chunked, x\+y nil, x\+y\+z\n\n0\n\n\Q$next_answer\E$/,
    'scripts see what they set';
like talk( '/capture', '1.1' ), qr/\n\n[0-9a-f]+\nclose body\n/, 'and so do those who captured it';

$server->stop;
unlike $server->log_text('error.log'), qr/\[alert\]|\[emerg\]|exited on signal/, 'nothing else';
done_testing;
