# HTTP/2: the tables of what holds in each version of HTTP; and with curl, responses and their subrequests, which the
# C module refuses.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use HttpVersions;
use ProcessTest;

plan skip_all => 'no curl with HTTP/2' if `curl --version 2>/dev/null` !~ /\bHTTP2\b/;

HttpVersions::run('h2');

my $port   = ProcessTest::port();
my $server = ProcessTest->new;
$server->start( $server->write_file( 'nginx.conf', <<"_EOC_") );
pid        logs/nginx.pid;
error_log  logs/error.log info;
events {
}
http {
    access_log  off;
    server {
        @{[ HttpVersions::listen_lines( 'h2', $port ) ]}
        location = /capture {
            content_by_lua_block {
                local one = ngx.location.capture("/inner", { method = ngx.HTTP_POST, body = "abc" })
                local two, three = ngx.location.capture_multi({ { "/inner" }, { "/missing" } })
                ngx.say(one.status, one.body, two.body, three.status)
            }
        }
        location = /inner {
            content_by_lua_block {
                ngx.sleep(0.001)
                ngx.req.read_body()
                ngx.print("<", ngx.req.http_version(), ngx.req.get_body_data() or "", ">")
            }
        }
        location = /error {
            content_by_lua_block {
                local res = ngx.location.capture("/fails")
                ngx.say("went on ", res.status)
            }
        }
        location = /fails { content_by_lua_block { ngx.sleep(0.001) error("fails") } }
        location = /sent {
            content_by_lua_block {
                local res = ngx.location.capture("/late")
                ngx.say("went on ", res.status, " ", tostring(res.truncated))
            }
        }
        location = /late { content_by_lua_block { ngx.print("some") ngx.flush() error("late") } }
        location = /missing { return 404; }
        location = /longer  { content_by_lua_block { ngx.header.content_length = 3 ngx.print("hello") } }
        location = /shorter { content_by_lua_block { ngx.header.content_length = 9 ngx.print("hello") } }
        location = /one_connection {
            content_by_lua_block {
                ngx.header.connection = "close"
                ngx.header["Transfer-Encoding"] = "chunked"
                ngx.header["Keep-Alive"] = "timeout=5"
                ngx.header.upgrade = "h2c"
                ngx.print("framed by HTTP/2, ", ngx.header.upgrade)
            }
        }
        location = /proxy_connection {
            content_by_lua_block {
                ngx.req.set_header("Proxy-Connection", "keep-alive")
                local res = ngx.location.capture("/seen")
                ngx.print(res.status, " ", res.body)
            }
        }
        location = /seen { content_by_lua_block { ngx.print(ngx.req.get_headers()["proxy-connection"]) } }
        location = /logged {
            content_by_lua_block { ngx.req.set_header("X-A", "new") ngx.print("logged") }
            log_by_lua_block {
                local before = ngx.req.raw_header()
                ngx.sleep(0.05)
                ngx.log(ngx.NOTICE, "the header ", ngx.req.raw_header() == before and not before:find("new") and "stays")
            }
        }
        location = /pieces {
            content_by_lua_block { ngx.header.content_length = 9 ngx.print("hello") ngx.flush(true) }
        }
        location = /many {
            content_by_lua_block {
                for i = 1, 20000 do
                    ngx.print(i, ",")
                    if i % 5000 == 0 then ngx.print(("x"):rep(40000), ",") ngx.flush(i == 10000) end
                end
            }
        }
    }
}
_EOC_

sub page {
    my ($path) = @_;
    return scalar `curl --silent --max-time 20 --http2-prior-knowledge http://127.0.0.1:$port$path`;
}

is page('/capture'), "200<2abc><2>404\n", 'captures';
is page('/error'),   "went on 500\n",     'a subrequest that fails';
like page('/sent'), qr/^went on \d+/, 'a subrequest that fails after its header';
is page('/error'), "went on 500\n", '… and the server goes on';

is page('/one_connection'), 'framed by HTTP/2, h2c', 'no header of another framing';
is page('/proxy_connection'), '200 keep-alive', 'a header that nginx refuses in HTTP/2, in a subrequest';
is page('/logged'), 'logged', 'log code that waits';
ok $server->wait_for_line( 'error.log', qr/\[notice\] .*the header stays/ ), '… has the header as it came';
is page('/longer'),    'hel', 'no more than the Content-Length says';
is $? >> 8, 0, '… and the stream ends well';
for my $path ( '/shorter', '/pieces' ) {
    page($path);
    isnt $? >> 8, 0, "a body that is too short breaks the stream off: $path";
}
is page('/error'), "went on 500\n", '… and the server goes on';
my $pieces = join '', map { "$_," . ( $_ % 5000 ? '' : ( 'x' x 40000 ) . ',' ) } 1 .. 20000;
ok page('/many') eq $pieces, 'many small pieces, and large ones between them';

$server->stop;
unlike $server->log_text('error.log'), qr/\[alert\]|\[emerg\]|exited on signal/, 'nothing else';
done_testing;
