# Connections of a balancer that rest between requests, by name, with TLS or without, from addresses of
# the code's choice: what lua-resty-core of newer releases offers in ngx.balancer. nginx's own servers
# are behind it, or the test itself.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use File::Path qw(make_path);
use IO::Select;
use IO::Socket::INET;
use Test::More;
use ProcessTest;

my $port   = ProcessTest::port();
my $server = ProcessTest->new;
my $certs  = ProcessTest::certs();
my ( $plain, $tls, $own ) = ( $port + 1, $port + 2, $port + 3 );
my $listener = IO::Socket::INET->new( Listen => 20, LocalAddr => '127.0.0.1', LocalPort => $own, ReuseAddr => 1, Timeout => 20 )
    or die "listen: $!";

sub conf {
    my ( $path, $further ) = @_;
    return $server->write_file( 'nginx.conf', <<"_EOC_");
pid        logs/nginx.pid;
error_log  logs/error.log info;
worker_processes 1;
events {
}
http {
    access_log off;
    lua_package_path "$path";
    init_by_lua_block {
        local ffi = require "ffi"
        local C, get_request = ffi.C, require("resty.core.base").get_request
        ffi.cdef[[
            int ngx_http_lua_ffi_balancer_set_current_peer(ngx_http_request_t *r, const char *addr,
                size_t addr_len, int port, const char *host, ssize_t host_len, char **err);
            int ngx_http_lua_ffi_balancer_enable_keepalive(ngx_http_request_t *r,
                unsigned long timeout, unsigned int max_requests, char **err);
            int ngx_http_lua_ffi_balancer_set_more_tries(ngx_http_request_t *r, int count, char **err);
            int ngx_http_lua_ffi_balancer_set_upstream_tls(ngx_http_request_t *r, int on, char **err);
            int ngx_http_lua_ffi_balancer_bind_to_local_addr(ngx_http_request_t *r, const char *addr,
                size_t addr_len, char *errbuf, size_t *errbuf_size);
        ]]
        local err, buffer, size = ffi.new("char *[1]"), ffi.new("char[100]"), ffi.new("size_t[1]")

        local function call(name, ...)
            if C["ngx_http_lua_ffi_balancer_" .. name](get_request(), ...) ~= 0 then
                return ffi.string(err[0])
            end
        end

        function bind(address)
            size[0] = 100
            if C.ngx_http_lua_ffi_balancer_bind_to_local_addr(get_request(), address, #address,
                                                              buffer, size) ~= 0
            then
                return ffi.string(buffer, size[0])
            end
        end

        function keep(idle, requests) return call("enable_keepalive", idle, requests, err) end
        function set_tls(on) return call("set_upstream_tls", on, err) end

        -- What the query string says.
        function balance()
            local arg = ngx.req.get_uri_args()
            local errors = {}
            errors[1] = arg.early and keep(1000, 10)
            local host = arg.host
            errors[#errors + 1] = call("set_current_peer", "127.0.0.1", 9, tonumber(arg.port), host, host and #host or 0, err)
            if arg.tls then errors[#errors + 1] = set_tls(arg.tls == "on" and 1 or 0) end
            if arg.bind then errors[#errors + 1] = bind(arg.bind) end
            if arg.keep then errors[#errors + 1] = keep(tonumber(arg.keep), tonumber(arg.requests) or 100) end
            if arg.tries and not ngx.ctx.tried then
                ngx.ctx.tried = true
                call("set_more_tries", tonumber(arg.tries), err)
            end
            for _, text in ipairs(errors) do ngx.log(ngx.NOTICE, "refused: ", text) end
        end
    }
    upstream kept {
        server 127.0.0.1:1;
        balancer_by_lua_block { balance() }
    }
    upstream two {
        balancer_keepalive 2;
        server 127.0.0.1:1;
        balancer_by_lua_block { balance() }
    }
    $further
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_ssl_server_name on;
    server {
        listen 127.0.0.1:$port;
        # A setting of its own: newer nginxes share one TLS context among the locations that have none.
        location = /plain { proxy_pass http://kept/; proxy_ssl_verify_depth 2; }
        location = /two   { proxy_pass http://two/; }
        location = /tls   { proxy_pass https://kept/; }
        location = /named {
            proxy_ssl_name \$arg_name;
            proxy_pass https://kept/;
        }
        location = /verified {
            proxy_ssl_verify on;
            proxy_ssl_trusted_certificate $certs/ca.crt;
            proxy_pass https://kept/;
        }
        location = /outside {
            content_by_lua_block { ngx.print(keep(0, 0), "; ", set_tls(0), "; ", bind("127.0.0.1")) }
        }
        location = /base { content_by_lua_block { ngx.print(package.searchpath("resty.core.base", package.path)) } }
        location = /pid { content_by_lua_block { ngx.print(ngx.worker.pid()) } }
    }
    server {
        listen 127.0.0.1:$plain;
        location / { return 200 "\$connection \$connection_requests \$remote_addr"; }
    }
    server {
        listen 127.0.0.1:$tls ssl;
        ssl_certificate $certs/test.crt;
        ssl_certificate_key $certs/test.key;
        location / { return 200 "\$connection \$connection_requests \$ssl_server_name"; }
    }
}
_EOC_
}

sub get { my ( $status, undef, $body ) = ProcessTest::get( $port, $_[0] ); return $status == 200 ? $body : $status }

# The words of what a server says: the number of its connection, that of the request on it, and more.
sub words { return split / /, get( $_[0] ) }

# The numbers of requests on their connections, of so many requests for $path.
sub numbers { my ( $path, $count ) = @_; return join ' ', map { ( words($path) )[1] } 1 .. $count }

$server->start( conf( ';;', '' ) );
my $base = get('/base');
$server->stop;
my $text = ProcessTest::slurp($base);
$text =~ s/\b10023\b/10027/g;
make_path( $server->prefix . '/lua/resty/core' );
$server->write_file( 'lua/resty/core/base.lua', $text );
my $path = $server->prefix . '/lua/?.lua;;';
$server->start( conf( $path, '' ) );

is numbers( "/plain?port=$plain", 2 ), '1 1', 'without keepalive: a connection each';
is numbers( "/plain?port=$plain&keep=0", 3 ), '1 2 3', 'with it: one for all';
is numbers( "/plain?port=$plain&keep=60000&host=a", 2 ), '1 2', 'another for another host';
is numbers( "/plain?port=$plain&keep=60000&host=A", 1 ), '3', '… in capital letters or small ones';
is numbers( "/plain?port=$plain&keep=60000&host=" . 'h' x 300, 2 ), '1 2', '… of any length';
is numbers( "/plain?port=$plain&keep=60000&host=" . 'h' x 299, 1 ), '1', '… every letter of which counts';
is numbers( "/plain?port=$plain&keep=60000&host=once&requests=2", 5 ), '1 2 1 2 1', 'a limit of requests';
is numbers( "/plain?port=$plain&keep=60000&host=ever&requests=0", 5 ), '1 2 3 4 5', '… and none';

# --- the other side is the test

# Sends a request to the module whose upstream is the test; returns the client's connection.
sub ask {
    my ($location) = @_;
    my $client = ProcessTest::connection($port);
    print {$client} "GET $location HTTP/1.0\r\n\r\n";
    return $client;
}

sub request {
    my ($peer) = @_;
    my $data = '';
    until ( $data =~ /\r\n\r\n/ ) {
        IO::Select->new($peer)->can_read(20) && sysread( $peer, $data, 4096, length $data ) or return '';
    }
    return $data;
}

sub respond {
    my ( $peer, $client, $body ) = @_;
    syswrite $peer, "HTTP/1.1 200 OK\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
    return answer($client);
}

sub answer { my ($client) = @_; local $/; return <$client> =~ /\r\n\r\n(.*)\z/s ? $1 : '' }

sub is_closed { return IO::Select->new( $_[0] )->can_read(20) && !sysread( $_[0], my $bytes, 1 ) }

{
    my $location = "/plain?port=$own&host=idle";
    my $client   = ask("$location&keep=50");
    my $peer     = $listener->accept;
    request($peer);
    is respond( $peer, $client, 'one' ), 'one', 'a server in the test';
    ok is_closed($peer), 'a connection that is idle too long is closed';

    $client = ask("$location&keep=0");
    $peer   = $listener->accept;
    request($peer);
    respond( $peer, $client, 'two' );
    ok !IO::Select->new($peer)->can_read(0.2), 'without a limit it is not';
    $client = ask("$location&keep=0");
    ok request($peer), 'it is used';
    is respond( $peer, $client, 'three' ), 'three', 'and answers';
    syswrite $peer, 'unasked';
    ok is_closed($peer), 'a server that speaks unasked is left';

    $client = ask("$location&keep=0");
    $peer   = $listener->accept;
    request($peer);
    respond( $peer, $client, 'four' );
    close $peer;
    $client = ask("$location&keep=0");
    $peer   = $listener->accept;
    ok request($peer), 'a server that closes is connected to anew';
    syswrite $peer, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    ok is_closed($peer), 'one that says that it will close is not kept';
}
{
    # Each try counts, also one on a connection that had rested.
    my $location = "/plain?port=$own&host=tries&keep=0&tries=2";
    my $client   = ask($location);
    my $peer     = $listener->accept;
    request($peer);
    respond( $peer, $client, 'kept' );
    $client = ask($location);
    request($peer);
    close $peer;
    for ( 1 .. 2 ) {
        $peer = $listener->accept;
        request($peer);
        close $peer;
    }
    ok !IO::Select->new($listener)->can_read(0.2), 'a try on a kept connection counts';
    like do { local $/; <$client> }, qr/\AHTTP\S+ 502/, 'and the last one was it';
}
{
    my $location = "/two?port=$own&keep=0";
    my ( @clients, @peers );
    for ( 1 .. 3 ) {
        push @clients, ask($location);
        push @peers,   scalar $listener->accept;
        request( $peers[-1] );
    }
    respond( $peers[$_], $clients[$_], "$_" ) for 0 .. 2;
    ok is_closed( $peers[0] ), 'balancer_keepalive: the one that rested longest is closed';
    @clients = map { ask($location) } 1 .. 2;
    ok request( $peers[$_] ), 'the others are used' for 1, 2;
    my $client = ask($location);
    push @peers, scalar $listener->accept;
    ok request( $peers[3] ), 'and a third is new';
    close $_ for @peers;
}

# --- TLS

my $to = "port=$tls&keep=60000";
is join( ' ', ( words("/tls?$to&host=one.test") )[ 1, 2 ] ), "1 one.test", 'the host is the name in the handshake';
is join( ' ', ( words("/tls?$to&host=one.test") )[ 1, 2 ] ), "2 one.test", 'its connection is used again';
is join( ' ', ( words("/tls?$to&host=two.test") )[ 1, 2 ] ), "1 two.test", 'by the same host only';
is join( ' ', ( words("/tls?$to") )[ 1, 2 ] ), '1 kept', "nginx's own name where there is no host";
is join( ' ', ( words("/named?$to&name=three.test") )[ 1, 2 ] ), '1 three.test', 'a name by proxy_ssl_name';
is join( ' ', ( words("/named?$to&name=four.test") )[ 1, 2 ] ),  '1 four.test',  '… and another';
is join( ' ', ( words("/named?$to&name=three.test") )[ 1, 2 ] ), '2 three.test', '… tell connections apart';
is get("/verified?$to&host=one.test"), 502, 'a connection that was not verified serves nobody who wants that';
is numbers( "/verified?$to&host=test.com", 2 ), '1 2', '… one that was does';
is get("/tls?$to&host=one.test&tls=off"), 400, 'one with TLS serves nobody who speaks without';
is numbers( "/tls?port=$plain&keep=60000&host=off&tls=off", 2 ), '1 2', 'set_upstream_tls: off';
is join( ' ', ( words("/tls?port=$tls&host=late.test&tls=on") )[ 1, 2 ] ), '1 late.test', '… on';
is numbers( "/plain?port=$plain&keep=60000&tls=off", 1 ), '4', '… off where it is off';
like get("/plain?port=$plain&tls=on"), qr/ 1 127\.0\.0\.1/, '… on where nothing says how';
like $server->log_text('error.log'), qr/refused: no TLS settings for this upstream/, '… is refused';

# --- the address that connections come from

# A port that is free, and none that another run asks for while the connection's end stays.
my $bound = do {
    my $free = IO::Socket::INET->new( LocalAddr => '127.0.0.3', LocalPort => 0, Listen => 1 ) or die "listen: $!";
    '127.0.0.3:' . $free->sockport;
};
for my $address ( '127.0.0.1', '127.0.0.2', $bound ) {
    my ($ip) = split /:/, $address;
    my $path = "/plain?port=$plain&keep=60000&host=bound&bind=$address";
    is join( ' ', ( words($path) )[ 1, 2 ] ), "1 $ip", "bound to $address";
    is join( ' ', ( words($path) )[ 1, 2 ] ), "2 $ip", '… as are those that rest';
}
my $worker = get('/pid');
is get("/plain?port=$plain&bind=192.0.2.1"), 500, 'an address that is not here';
like get("/plain?port=$plain&bind=nonsense"), qr/ 1 127\.0\.0\.1/, 'what is no address';
like get("/plain?port=$plain&bind="), qr/ 1 127\.0\.0\.1/, '… or empty';
my $log = $server->log_text('error.log');
like $log, qr/refused: invalid addr nonsense/, '… is refused';
like $log, qr/\[crit\] .*bind\(192\.0\.2\.1\) failed/, '… and nginx says what it could not';
is get('/pid'), $worker, 'the worker lives';

get("/plain?port=$plain&early=1");
like $server->log_text('error.log'), qr/refused: no current peer set/, 'keepalive before the server';
is get('/outside'), 'no upstream found; no upstream found; no upstream found', 'outside of a balancer';

# --- a worker that leaves

{
    my $client = ask("/plain?port=$own&host=leaving&keep=0");
    my $peer   = $listener->accept;
    request($peer);
    respond( $peer, $client, 'last' );
    # By a reload: a signal to the worker itself may come just before it waits for events, without a timer.
    kill HUP => $server->pid;
    ok is_closed($peer), 'a reload: idle connections are closed';
    ok ProcessTest::wait_until( sub { !ProcessTest::is_running($worker) } ), 'the worker leaves';
    ok ProcessTest::wait_until( sub { ( eval { get('/pid') } // $worker ) ne $worker } ), 'another begins';
    is numbers( "/plain?port=$plain&keep=0&host=again", 2 ), '1 2', 'and keeps its own';
    $server->stop;
}
$log = $server->log_text('error.log');
unlike $log, qr/\[(?:alert|emerg)\]|exited on signal|open socket/, 'in silence';

for my $value (qw(0 -1 +5 many)) {
    my ( $status, $output ) = $server->run( conf( $path, "upstream bad { balancer_keepalive $value; server 127.0.0.1; }" ), '-t' );
    like $output, qr/invalid value "\Q$value\E" in "balancer_keepalive" directive in /, "balancer_keepalive $value";
}
my ( undef, $output )
    = $server->run( conf( $path, 'upstream bad { balancer_keepalive 1; balancer_keepalive 1; server 127.0.0.1; }' ), '-t' );
like $output, qr/"balancer_keepalive" directive is duplicate/, 'balancer_keepalive twice';

done_testing();
