# A client that leaves while its handler waits for a subrequest to a backend, of every kind that
# nginx has: both end with it where lua_check_client_abort is on, or where the location behind the
# subrequest does not ignore it (*_ignore_client_abort off, nginx's default; memcached_pass has no
# such directive). Elsewhere both go on. The C module looks at lua_check_client_abort only.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use IO::Socket::INET;
use Test::More;
use ProcessTest;

my $port   = ProcessTest::port();
my $server = ProcessTest->new;

# The backend: takes connections and answers nothing, so that all kinds are alike.
my $backend = IO::Socket::INET->new( LocalAddr => '127.0.0.1', Listen => 16 ) or die $!;
my $to      = '127.0.0.1:' . $backend->sockport;

# Kinds of backend, with the location's directives for "on" and "off".
my %kinds = ( memcached => { off => 'set $memcached_key x;' } );
for my $kind (qw(proxy fastcgi uwsgi scgi)) {
    $kinds{$kind} = { map { $_ => "${kind}_ignore_client_abort $_;" } qw(on off) };
}

my $is_reference = ( $ENV{TEST_NGINX_LOAD_MODULES} // '' ) =~ m{/nginx/modules/ngx_http_lua_module};

# Whether the handler and its backend end with the client.
sub ends {
    my ( $check, $ignore ) = @_;
    return $check eq 'on' || ( $ignore eq 'off' && !$is_reference );
}

my @cases;
my $locations = '';
for my $kind ( sort keys %kinds ) {
    for my $ignore ( sort keys %{ $kinds{$kind} } ) {
        my $target = $kind eq 'proxy' ? "http://$to" : $to;
        $locations .= <<"_EOC_";
        location = /$kind-$ignore {
            $kinds{$kind}{$ignore}
            ${kind}_pass $target;
        }
_EOC_
        for my $check (qw(on off)) {
            my $path = "/$kind-ignore-$ignore-check-$check";
            push @cases, { path => $path, ends => ends( $check, $ignore ) };
            $locations .= <<"_EOC_";
        location = $path {
            lua_check_client_abort $check;
            content_by_lua_block {
                local res = ngx.location.capture("/$kind-$ignore")
                ngx.log(ngx.NOTICE, "$path works on: ", res.status)
                ngx.say(res.status)
            }
        }
_EOC_
        }
    }
}

# The other phases that can wait, on one kind of backend.
for my $phase (qw(rewrite access)) {
    for my $check (qw(on off)) {
        my $path = "/$phase-check-$check";
        push @cases, { path => $path, ends => ends( $check, 'off' ) };
        $locations .= <<"_EOC_";
        location = $path {
            lua_check_client_abort $check;
            ${phase}_by_lua_block {
                local res = ngx.location.capture("/proxy-off")
                ngx.log(ngx.NOTICE, "$path works on: ", res.status)
            }
            content_by_lua_block { ngx.say("content") }
        }
_EOC_
    }
}

$server->start( $server->write_file( 'nginx.conf', <<"_EOC_") );
pid        logs/nginx.pid;
error_log  logs/error.log info;
events {
}
http {
    log_format  short '\$status \$uri';
    access_log  logs/access.log short;
    proxy_buffering off;
    server {
        listen 127.0.0.1:$port;
$locations
    }
}
_EOC_

sub accept_one {
    IO::Select->new($backend)->can_read(20) or return;
    return scalar $backend->accept;
}

sub head_of_request {
    my ($connection) = @_;
    IO::Select->new($connection)->can_read(20) or return '';
    sysread $connection, my $data, 65536;
    return $data // '';
}

for my $case (@cases) {
    my $path   = $case->{path};
    my $client = ProcessTest::connection($port);
    print {$client} "GET $path HTTP/1.1\r\nHost: localhost\r\n\r\n";
    my $upstream = accept_one();
    ok defined $upstream && length head_of_request($upstream), "$path: the backend is asked";
    close $client;
    my $ended = IO::Select->new($upstream)->can_read( $case->{ends} ? 20 : 0.2 );
    if ( $case->{ends} ) {
        ok $ended && sysread( $upstream, my $rest, 1 ) == 0, "$path: nginx leaves the backend";
        ok $server->wait_for_line( 'access.log', qr/^499 \Q$path\E$/m ), "$path: logged with 499";
        like $server->log_text('error.log'),
            qr/\[info\] .*client (?:prematurely )?closed connection.* "GET \Q$path\E HTTP/,
            "$path: the log says why";
    }
    else {
        ok !$ended, "$path: nginx stays with the backend";
        close $upstream;
        ok $server->wait_for_line( 'error.log', qr/\Q$path\E works on: 502/ ),
            "$path: the handler works on";
        ok $server->wait_for_line( 'access.log', qr/^200 \Q$path\E$/m ), "$path: logged with 200";
    }
}

$server->stop;
my $log = $server->log_text('error.log');
unlike $log, qr/check-on works on/,           'no handler works on that is watched';
unlike $log, qr/\[crit\]|\[alert\]|signal 11/, 'nothing went wrong';

done_testing;
