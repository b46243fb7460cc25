# The system's certificate authorities, in a folder as OpenSSL's `rehash` makes it: cosockets that verify a
# server find what was there when nginx was started or reloaded.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use ProcessTest;

my $port   = ProcessTest::port();
my $certs  = ProcessTest::certs();
my $server = ProcessTest->new;
my $prefix = $server->prefix;
my $folder = "$prefix/authorities";
mkdir $folder or die "$folder: $!";
chomp( my $hash = `openssl x509 -noout -hash -in $certs/ca.crt 2>/dev/null` // '' );
plan skip_all => 'no openssl' if !$hash;
$ENV{SSL_CERT_DIR}  = $folder;
$ENV{SSL_CERT_FILE} = "$folder/none";

my $conf = $server->write_http( <<"_EOC_");
    lua_ssl_protocols TLSv1.2 TLSv1.3;
    lua_socket_log_errors off;
    server {
        listen unix:$prefix/logs/tls.sock ssl;
        ssl_certificate $certs/test.crt;
        ssl_certificate_key $certs/test.key;
    }
    server {
        listen 127.0.0.1:$port;
        location = /verified {
            content_by_lua_block {
                local sock = assert(ngx.socket.connect("unix:$prefix/logs/tls.sock"))
                ngx.print(select(-1, sock:sslhandshake(false, "test.com", true)))
            }
        }
        location = /worker { content_by_lua_block { ngx.print(ngx.worker.pid()) } }
    }
_EOC_
$server->start($conf);

sub answer { return ( ProcessTest::get( $port, $_[0] ) )[2] }

my $refusal = '20: unable to get local issuer certificate';
is answer('/verified'), $refusal, 'an authority that is not there';
my $worker = answer('/worker');
symlink "$certs/ca.crt", "$folder/$hash.0" or die "symlink: $!";
kill HUP => $server->pid;
ok ProcessTest::wait_until( sub { !ProcessTest::is_running($worker) } ), 'reloaded';
is answer('/verified'), 'true', 'it is there after a reload';
is answer('/verified'), 'true', 'and stays so';
unlike $server->log_text('error.log'), qr/\[(?:alert|emerg|crit)\]/, 'nothing bad in the log';
done_testing;
