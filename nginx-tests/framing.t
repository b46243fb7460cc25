# What a response is on the wire: output before the content phase ends the request, and the next
# response on a connection starts where the one before ends.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use ProcessTest;

my $port   = ProcessTest::port();
my $server = ProcessTest->new;

my %output = (
    say          => 'ngx.status = 403 ngx.say("denied")',
    print        => 'ngx.status = 403 ngx.print("deni", "ed\n")',
    pieces       => 'ngx.status = 403 ngx.print("deni") ngx.sleep(0.001) ngx.print("ed\n")',
    flush        => 'ngx.status = 403 ngx.print("denied\n") ngx.flush(true)',
    eof          => 'ngx.status = 403 ngx.print("denied\n") ngx.eof()',
    thread       => 'ngx.status = 403 ngx.thread.spawn(function() ngx.sleep(0.002) ngx.say("denied") end)',
    declined     => 'ngx.status = 403 ngx.say("denied") ngx.exit(ngx.DECLINED)',
    ok           => 'ngx.status = 403 ngx.say("denied") ngx.exit(ngx.OK)',
    jump         => 'ngx.status = 403 ngx.say("denied") ngx.req.set_uri("/backend", true)',
    send_headers => 'ngx.status = 403 ngx.send_headers()',
    only_eof     => 'ngx.status = 403 ngx.eof()',
    only_status  => 'ngx.status = 403',
);
my %without_body = map { $_ => 1 } qw(send_headers only_eof);

my $locations = '';
for my $phase (qw(rewrite access precontent)) {
    for my $name ( sort keys %output ) {
        next if $name eq 'jump' && $phase ne 'rewrite';
        $locations .= <<"_EOC_";
        location /$phase/$name {
            error_page 403 /backend;
            ${phase}_by_lua_block { $output{$name} }
            proxy_pass http://127.0.0.1:$port/backend;
        }
_EOC_
    }
}
my $server_rewrite = join ' else', map {
    qq{if ngx.var.uri == "/server_rewrite/$_" then $output{$_} }
} grep { $_ ne 'jump' } sort keys %output;

$server->start( $server->write_http(<<"_EOC_") );
    server {
        listen 127.0.0.1:$port;
        server_rewrite_by_lua_block { ${server_rewrite}end }
        location /server_rewrite {
            error_page 403 /backend;
            proxy_pass http://127.0.0.1:$port/backend?;
        }
        location = /backend { return 200 "backend\\n"; }
        location = /next { return 200 "next\\n"; }
        location = /capture {
            content_by_lua_block {
                local res = ngx.location.capture("/rewrite/say")
                ngx.print(res.status, ": ", res.body)
            }
        }
$locations
    }
_EOC_

sub talk { return ProcessTest::talk( $port, @_ ) }

# A request in a version of HTTP.
sub request {
    my ( $path, $version, $connection, $method ) = @_;
    return ( $method // 'GET' ) . " $path HTTP/$version\r\nHost: a\r\nConnection: $connection\r\n\r\n";
}

my $next_answer = "HTTP/1.1 200 OK\nContent-Length: 5\nConnection: close\n\nnext\n";

sub next_request { return request( '/next', '1.1', 'close' ) }

for my $phase (qw(server_rewrite rewrite access precontent)) {
    for my $name ( sort keys %output ) {
        next if $name eq 'jump' && $phase ne 'rewrite';
        my $path = "/$phase/$name";
        my $body = $without_body{$name} ? '' : "denied\n";
        if ( $name eq 'only_status' ) {
            like talk( request( $path, '1.0', 'close' ) ), qr/^HTTP\S+ 200 .*\n\nbackend\n$/s, "$path goes on";
            next;
        }
        like talk( request( $path, '1.0', 'close' ) ), qr/^HTTP\S+ 403 Forbidden\n.*\n\n\Q$body\E$/s,
            "$path in HTTP/1.0";
        like talk( request( $path, '1.1', 'close' ) ),
            qr/^HTTP\S+ 403 Forbidden\nTransfer-Encoding: chunked\n(?:(?!backend).)*\n0\n\n$/s, "$path in HTTP/1.1";
        like talk( request( $path, '1.0', 'close', 'HEAD' ) ), qr/^HTTP\S+ 403 Forbidden\n(?:[^\n]+\n)+\n$/,
            "$path for HEAD";
        next if $name eq 'send_headers';
        my $length = length $body;
        is talk( request( $path, '1.0', 'keep-alive' ) . next_request() ),
            "HTTP/1.1 403 Forbidden\nContent-Length: $length\nConnection: keep-alive\n\n$body$next_answer",
            "$path has its length";
    }
}
is talk( request( '/capture', '1.0', 'close' ) ),
    "HTTP/1.1 200 OK\nContent-Length: 12\nConnection: close\n\n403: denied\n", 'in a subrequest';

$server->stop;
unlike $server->log_text('error.log'), qr/\[alert\]|\[emerg\]|exited on signal/, 'nothing else';
done_testing;
