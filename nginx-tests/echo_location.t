# Subrequests of another module, echo, to locations of Lua code: their output comes in the order in
# which the parent asks for it, whichever is done first.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use ProcessTest;

my $module = '/usr/lib/nginx/modules/ngx_http_echo_module.so';
plan skip_all => "$module is not installed" unless -e $module;
$ENV{TEST_NGINX_LOAD_MODULES} = join " ", ProcessTest::modules(), $module;

my $port   = ProcessTest::port();
my $server = ProcessTest->new;
my ( undef, $said ) = $server->run( $server->write_http(''), '-t' );
plan skip_all => "$module is for another nginx" if ProcessTest::refuses_foreign($said);
my $locations = <<'_EOC_';
        location = /one_by_one {
            echo first;
            echo_location /lua name=a&wait=0.03;
            echo second;
            echo_location /rewrite;
            echo_location /lua name=b&wait=0;
            echo last;
        }
        location = /async {
            echo first;
            echo_location_async /lua name=a&wait=0.06&flush=1;
            echo_location_async /lua name=b&wait=0.03;
            echo second;
            echo_location_async /rewrite;
            echo_location_async /lua name=c&wait=0;
            echo last;
        }
        location = /nested {
            access_by_lua_block { ngx.sleep(0.01) }
            echo_location_async /async;
            echo_location /lua name=d&wait=0;
            echo_subrequest_async POST /lua -q name=e&wait=0.01 -b body;
            echo_location_async /async;
        }
        location = /allowed {
            auth_request /rewrite;
            echo_location_async /lua name=f&wait=0.02;
            echo between;
            echo_location /guarded;
        }
        location = /guarded {
            auth_request /rewrite;
            echo guarded;
        }
_EOC_

# The locations, named anew and with `filter` in each.
sub waiting {
    my ( $name, $filter ) = @_;
    my $copy = $locations;
    $copy =~ s|(location = )/(\w+ \{)|$1/$name/$2\n$filter|g;
    $copy =~ s{(echo_location\w*|auth_request) /(?!lua|rewrite)}{$1 /$name/}g;
    return $copy;
}

my $conf   = $server->write_http( <<"_EOC_");
    server {
        listen 127.0.0.1:$port;
        location = /lua {
            content_by_lua_block {
                ngx.print(ngx.var.arg_name, " ")
                if ngx.var.arg_flush then ngx.flush(true) end
                ngx.sleep(tonumber(ngx.var.arg_wait))
                ngx.say(ngx.req.get_method(), " done")
            }
        }
        location = /rewrite {
            rewrite_by_lua_block {
                ngx.sleep(0.02)
                ngx.exec("/lua", { name = "jumped", wait = 0 })
            }
        }
$locations
        # The same responses, whose filters wait: each in its own locations.
@{[ waiting( header => 'header_filter_by_lua_block { ngx.sleep(0.04) ngx.header["X-Slept"] = "yes" }' ) ]}
@{[ waiting( body => 'body_filter_by_lua_block { ngx.sleep(0.02) }' ) ]}
@{[ waiting( both => 'header_filter_by_lua_block { ngx.sleep(0.03) } body_filter_by_lua_block { ngx.sleep(0.01) }' ) ]}
        location = /no_content {
            header_filter_by_lua_block { ngx.sleep(0.03) ngx.status = 204 }
            echo first;
            echo_location_async /lua name=a&wait=0;
        }
        location = /refused {
            header_filter_by_lua_block { ngx.sleep(0.03) ngx.exit(403) }
            echo first;
            echo_location_async /lua name=a&wait=0;
        }
        location /capture/ {
            content_by_lua_block {
                ngx.print(ngx.location.capture(ngx.var.uri:sub(9)).body)
            }
        }
        location = /capture_all {
            content_by_lua_block {
                local responses = { ngx.location.capture_multi({
                    { "/nested" }, { "/capture/one_by_one" }, { "/allowed" }, { "/async" } }) }
                for _, response in ipairs(responses) do
                    ngx.print(response.status, response.truncated, " ", response.body)
                end
            }
        }
    }
_EOC_
$server->start($conf);

my $one_by_one = "first\na GET done\nsecond\njumped GET done\nb GET done\nlast\n";
my $async = "first\na GET done\nb GET done\nsecond\njumped GET done\nc GET done\nlast\n";
my $mixed = "${async}d GET done\ne POST done\n$async";

sub is_body {
    my ( $uri, $expected, $name ) = @_;
    my ( undef, undef, $body ) = ProcessTest::get( $port, $uri );
    return is $body, $expected, $name;
}

# More than once: what the first has left to be used again is used.
for my $round ( 1 .. 3 ) {
    is_body( '/one_by_one', $one_by_one, "one by one, round $round" );
    is_body( '/async',      $async,      "side by side, round $round" );
    is_body( '/nested',     $mixed,      "in each other, round $round" );
}

# The output of a captured location's subrequests is part of the captured body.
my $allowed = "f GET done\nbetween\nguarded\n";
for my $round ( 1 .. 2 ) {
    is_body( '/capture/one_by_one', $one_by_one, "captured, one by one, round $round" );
    is_body( '/capture/async',      $async,      "captured, side by side, round $round" );
    is_body( '/capture/nested',     $mixed,      "captured, in each other, round $round" );
    is_body( '/capture/allowed',    $allowed,    "captured, allowed by others, round $round" );
    is_body(
        '/capture_all',
        join( '', map {"200false $_"} $mixed, $one_by_one, $allowed, $async ),
        "captures side by side, round $round"
    );
    is_body( '/lua?name=plain&wait=0', "plain GET done\n", "the worker answers, round $round" );
}
# What comes while a filter's code waits keeps its place.
for my $filter (qw(header body both)) {
    for my $place ( '', '/capture' ) {
        is_body( "$place/$filter/one_by_one", $one_by_one, "$place/$filter waits, one by one" );
        is_body( "$place/$filter/async",      $async,      "$place/$filter waits, side by side" );
        is_body( "$place/$filter/nested",     $mixed,      "$place/$filter waits, in each other" );
        is_body( "$place/$filter/allowed",    $allowed,    "$place/$filter waits, allowed by others" );
    }
}
like( ( ProcessTest::get( $port, '/header/async' ) )[1], qr/X-Slept: yes/, 'the header has what was set after the wait' );
for my $uri (qw(/no_content /refused)) {
    my $socket = ProcessTest::connection($port);
    print {$socket} "GET $uri HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    my $answer = '';
    1 while sysread $socket, $answer, 65536, length $answer;
    unlike $answer, qr/first|GET done/, "$uri: neither the output nor that of subrequests";
    like $answer, qr/^HTTP\S+ (?:204|403) /, "$uri: the header";
}

unlike $server->log_text('error.log'), qr/\[(?:error|crit|alert|emerg)\]/, 'no errors';
$server->stop;
done_testing;
