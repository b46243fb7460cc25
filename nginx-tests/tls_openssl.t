# TLS with OpenSSL's own server, which asks for a certificate and tells of the client's: cosockets with
# configured certificates, and code in the handshakes with the servers that requests are passed to.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use Test::More;
use ProcessTest;

my $port   = ProcessTest::port();
my $peer   = $port + 1;
my $server = ProcessTest->new;
my $certs  = ProcessTest::certs();
plan skip_all => 'no openssl' if system('openssl version > /dev/null 2>&1') != 0;

my $conf = $server->write_file( 'nginx.conf', <<"_EOC_");
pid        logs/nginx.pid;
error_log  logs/error.log info;
events {
}
http {
    access_log off;
    lua_ssl_protocols TLSv1.2 TLSv1.3;
    proxy_ssl_protocols TLSv1.2 TLSv1.3;
    proxy_ssl_session_reuse off;
    server {
        listen 127.0.0.1:$port;
        location = /cosocket {
            lua_ssl_certificate $certs/client.crt;
            lua_ssl_certificate_key $certs/client.key;
            lua_ssl_trusted_certificate $certs/ca.crt;
            content_by_lua_block {
                local sock = ngx.socket.tcp()
                assert(sock:connect("127.0.0.1", $peer))
                assert(sock:sslhandshake(nil, "test.com", true))
                assert(sock:send("GET / HTTP/1.0\\r\\n\\r\\n"))
                ngx.print((assert(sock:receive("*a"))))
            }
        }
        location = /passed {
            proxy_pass https://127.0.0.1:$peer/;
            proxy_ssl_name test.com;
            proxy_ssl_verify on;
            proxy_ssl_trusted_certificate $certs/ca.crt;
            proxy_ssl_certificate_by_lua_block {
                local ffi, ssl = require "ffi", require "ngx.ssl"
                pcall(ffi.cdef, [[
                    int ngx_http_lua_ffi_proxy_ssl_set_cert(void *r, void *cdata, char **err);
                    int ngx_http_lua_ffi_proxy_ssl_set_priv_key(void *r, void *cdata, char **err);
                ]])
                local request, err = require "resty.core.base".get_request(), ffi.new("char *[1]")
                local chain = assert(ssl.parse_pem_cert(assert(io.open("$certs/client.crt")):read("*a")))
                local key = assert(ssl.parse_pem_priv_key(assert(io.open("$certs/client.key")):read("*a")))
                assert(ffi.C.ngx_http_lua_ffi_proxy_ssl_set_cert(request, chain, err) == 0)
                assert(ffi.C.ngx_http_lua_ffi_proxy_ssl_set_priv_key(request, key, err) == 0)
            }
        }
        location = /without {
            proxy_pass https://127.0.0.1:$peer/;
        }
        location = /refused {
            proxy_pass https://127.0.0.1:$peer/;
            proxy_ssl_verify_by_lua_block { return ngx.exit(ngx.ERROR) }
        }
    }
}
_EOC_
$server->start($conf);

# Runs openssl s_server with these arguments, until the code has run.
sub with_peer {
    my ( $code, @arguments ) = @_;
    my $pid = fork // die "fork: $!";
    if ( !$pid ) {
        open STDIN,  '<', '/dev/null' or die;
        open STDOUT, '>', $server->prefix . '/logs/s_server' or die;
        open STDERR, '>&', \*STDOUT or die;
        exec 'setpriv', '--pdeathsig=KILL', 'openssl', 's_server', '-accept', "127.0.0.1:$peer", '-www', '-cert', "$certs/test.crt", '-key',
            "$certs/test.key", '-CAfile', "$certs/ca.crt", @arguments or die;
    }
    my $listens = ProcessTest::wait_until( sub {
        my $socket = IO::Socket::INET->new( PeerAddr => '127.0.0.1', PeerPort => $peer ) or return;
        return 1;
    } );
    ok $listens, "openssl s_server @arguments";
    $code->();
    kill TERM => $pid;
    waitpid $pid, 0;
}

sub answer { my ( $status, undef, $body ) = ProcessTest::get( $port, $_[0] ); return ( $status, $body ) }

for my $version (qw(-tls1_2 -tls1_3)) {
    with_peer( sub {
        for my $path (qw(/cosocket /passed)) {
            my ( $status, $body ) = answer($path);
            is $status, 200, "$version, $path: an answer";
            like $body, qr/Subject: CN ?= ?client\b/, "$version, $path: with a certificate";
        }
        is +( answer('/without') )[0], 502, "$version: none without a certificate";
        is +( answer('/refused') )[0], 502, "$version: none where code refuses";
        is +( answer('/passed') )[0], 200, "$version: and it goes on";
    }, $version, '-Verify', 2, '-verify_return_error' );
}
unlike $server->log_text('error.log'), qr/\[alert\]/, 'no alert';
done_testing;
