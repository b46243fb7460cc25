# Code of balancer_by_lua* that waits: clients that leave meanwhile, many at once, a reload, and workers
# that quit.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use ProcessTest;

plan skip_all => 'with the C module, balancer_by_lua* cannot wait'
    if ( $ENV{TEST_NGINX_LOAD_MODULES} // '' ) =~ m{/nginx/modules/ngx_http_lua_module};

my $port  = ProcessTest::port();
my $nginx = ProcessTest->new;

my $conf = $nginx->write_http( <<"_EOC_", "worker_connections 8192;\n" );
    keepalive_requests 100000;
    upstream waiting {
        balancer_by_lua_block {
            ngx.sleep(tonumber(ngx.var.arg_for) or 0.01)
            ngx.log(ngx.NOTICE, "chosen: ", ngx.var.arg_n, ".")
            assert(require("ngx.balancer").set_current_peer("127.0.0.1", $port))
        }
    }
    server {
        listen 127.0.0.1:$port;
        location = /echo { content_by_lua_block { ngx.print("echo ", ngx.var.arg_n) } }
        location = /balanced { proxy_pass http://waiting/echo?n=\$arg_n; }
        location = /stays {
            proxy_ignore_client_abort on;
            proxy_pass http://waiting/echo?n=\$arg_n;
        }
    }
_EOC_
$nginx->start($conf);

sub get {
    my ($path) = @_;
    return ProcessTest::talk( $port, "GET $path HTTP/1.0\r\n\r\n" ) =~ s/.*\n\n//sr;
}

is get('/balanced?n=1'), 'echo 1', 'a request';

# A client that leaves: nginx ends the request, and the code with it.
my $client = ProcessTest::connection($port);
print {$client} "GET /balanced?n=left&for=0.5 HTTP/1.1\r\nHost: a\r\n\r\n";
select undef, undef, undef, 0.1;
close $client;
$client = ProcessTest::connection($port);
print {$client} "GET /stays?n=stays&for=0.5 HTTP/1.1\r\nHost: a\r\n\r\n";
select undef, undef, undef, 0.1;
close $client;
ok $nginx->wait_for_line( 'error.log', qr/chosen: stays\./ ), 'the code goes on without its client where nginx does';
is $nginx->count_in_log(qr/chosen: left\./), 0, '… and ends with the request where not';

# A thousand at once, each with three connections.
my @clients = map { ProcessTest::connection($port) } 1 .. 1000;
for my $number ( 0 .. $#clients ) {
    print { $clients[$number] } "GET /balanced?n=m$number&for=0.3 HTTP/1.0\r\n\r\n";
}
my $answered = 0;
for my $number ( 0 .. $#clients ) {
    my $answer = join '', readline $clients[$number];
    $answered++ if $answer =~ /\n\r?\necho m$number\z/;
}
is $answered, 1000, 'a thousand at once';
@clients = ();
is get('/balanced?n=2'), 'echo 2', '… and one after them';

# A reload in the middle: the old worker answers.
$client = ProcessTest::connection($port);
print {$client} "GET /balanced?n=reload&for=0.5 HTTP/1.0\r\n\r\n";
select undef, undef, undef, 0.1;
kill HUP => $nginx->pid;
like join( '', <$client> ), qr/echo reload\z/, 'a reload';
ok ProcessTest::wait_until( sub { $nginx->count_in_log(qr/worker process \d+ exited with code 0/) == 1 } ), '… the old worker leaves';

# A worker that quits passes nothing on to itself any more: where it listens, nobody does.
$client = ProcessTest::connection($port);
print {$client} "GET /balanced?n=quit&for=0.3 HTTP/1.0\r\n\r\n";
select undef, undef, undef, 0.1;
kill QUIT => $nginx->pid;
like join( '', <$client> ), qr/502 Bad Gateway/, 'a worker that quits waits for the code';
ok ProcessTest::wait_until( sub { $nginx->count_in_log(qr/chosen: quit\./) == 1 } ), '… which ends';
ok $nginx->stop // 1, '… and then for nothing more';
is join( '', grep {/\[(?:alert|crit|emerg)\]|signal 11/} split /^/m, $nginx->log_text('error.log') ), '', 'nothing went wrong';

done_testing();
