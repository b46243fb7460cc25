# Code of TLS handshakes that waits, all of it in one handshake: a thousand handshakes at once, clients that
# leave in the middle, a client of OpenSSL's, a reload and a worker that exits meanwhile.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use Test::More;
use ProcessTest;

# Memcheck takes its time.
my $MANY = $ENV{TEST_NGINX_USE_VALGRIND} ? 60 : 1000;

my $port   = ProcessTest::port();
my $tls    = $port + 1;
my $certs  = ProcessTest::certs();
my $server = ProcessTest->new;
plan skip_all => 'no openssl' if system('openssl version > /dev/null 2>&1') != 0;
my $prefix = $server->prefix;

my $conf = $server->write_http( <<"_EOC_", "worker_connections 8192;\n" );
    lua_shared_dict sessions 10m;
    lua_shared_dict counts 1m;
    lua_socket_log_errors off;
    lua_ssl_protocols TLSv1.2 TLSv1.3;
    lua_max_running_timers 4096;
    init_by_lua_block {
        session = require "ngx.ssl.session"
        ssl = require "ngx.ssl"
        local function read(name)
            return assert(io.open("$certs/" .. name)):read("*a")
        end
        cert, key = assert(ssl.parse_pem_cert(read("test.crt"))), assert(ssl.parse_pem_priv_key(read("test.key")))
        -- Waits, long where the client says so by its name.
        function wait(name)
            ngx.shared.counts:incr("begun", 1, 0)
            ngx.sleep(name == "slow.test.com" and 3600 or name == "soon.test.com" and 0.3 or 0.01)
            ngx.shared.counts:incr("ended", 1, 0)
        end
        -- A handshake, and what the server says of it.
        function handshake(name, reused, version)
            local sock = ngx.socket.tcp()
            sock:settimeout(60000)
            assert(sock:connect("unix:$prefix/logs/tls.sock"))
            local options = version and { max_version = version }
            local session, err = sock:sslhandshake(reused, name, false, false, options)
            if not session then
                return err
            end
            assert(sock:send("GET / HTTP/1.0\\r\\n\\r\\n"))
            local answer = assert(sock:receive("*a"))
            sock:close()
            return answer:match("\\r\\n\\r\\n(.*)"), session
        end
    }
    ssl_session_fetch_by_lua_block {
        local id = session.get_session_id()
        wait()
        local found = ngx.shared.sessions:get(id)
        if found then
            assert(session.set_serialized_session(found))
        end
    }
    ssl_session_store_by_lua_block {
        ngx.shared.sessions:set(session.get_session_id(), session.get_serialized_session())
    }
    server {
        listen unix:$prefix/logs/tls.sock ssl backlog=4096;
        listen 127.0.0.1:$tls ssl;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate $certs/stranger.crt;
        ssl_certificate_key $certs/stranger.key;
        ssl_session_tickets off;
        client_header_timeout 60s;
        ssl_client_hello_by_lua_block {
            local name = require "ngx.ssl.clienthello".get_client_hello_server_name()
            wait(name)
            ngx.ctx.name = name
        }
        ssl_certificate_by_lua_block {
            wait()
            assert(ssl.clear_certs())
            assert(ssl.set_cert(cert))
            assert(ssl.set_priv_key(key))
        }
        location / {
            content_by_lua_block {
                ngx.print(ngx.ctx.name, " ", ngx.var.ssl_protocol, " ", ngx.var.ssl_session_reused)
            }
        }
    }
    server {
        listen 127.0.0.1:$port;
        location = /worker { content_by_lua_block { ngx.print(ngx.worker.pid()) } }
        location = /counts {
            content_by_lua_block {
                local counts = ngx.shared.counts
                ngx.print(counts:get("begun") or 0, " ", counts:get("ended") or 0)
            }
        }
        location = /all {
            content_by_lua_block {
                local first, session = handshake("test.com", nil, "TLSv1.2")
                ngx.say(first)
                ngx.say((handshake("test.com", session, "TLSv1.2")))
                ngx.say((handshake("test.com", false)))
            }
        }
        location = /many {
            content_by_lua_block {
                local _, session = handshake("test.com", nil, "TLSv1.2")
                local threads, good = {}, 0
                for i = 1, $MANY do
                    threads[i] = ngx.thread.spawn(function()
                        if i % 2 == 0 then
                            return handshake("test.com", session, "TLSv1.2") == "test.com TLSv1.2 r"
                        end
                        return handshake("test.com", false) == "test.com TLSv1.3 ."
                    end)
                end
                for i = 1, $MANY do
                    local ok, right = ngx.thread.wait(threads[i])
                    good = good + (ok and right and 1 or 0)
                end
                ngx.print(good)
            }
        }
        # Clients that leave while code waits for their handshakes.
        location = /leave {
            content_by_lua_block {
                for i = 1, 50 do
                    local sock = ngx.socket.tcp()
                    sock:settimeout(20)
                    assert(sock:connect("unix:$prefix/logs/tls.sock"))
                    ngx.thread.spawn(function() sock:sslhandshake(false, "soon.test.com", false) end)
                end
            }
        }
    }
_EOC_
$server->start($conf);

sub answer { return ( ProcessTest::get( $port, $_[0] ) )[2] }
sub begun  { return ( split / /, answer('/counts') )[0] }

is answer('/all'), "test.com TLSv1.2 .\ntest.com TLSv1.2 r\ntest.com TLSv1.3 .\n", 'all of the code waits';
is answer('/many'), $MANY, "$MANY at once";

my ($before) = begun();
answer('/leave');
ok ProcessTest::wait_until( sub { begun() >= $before + 50 } ), 'clients come';
ok ProcessTest::wait_until( sub { my ( $begun, $ended ) = split / /, answer('/counts'); $begun == $ended } ),
    'they leave, and the code goes on to its end';
is answer('/all'), "test.com TLSv1.2 .\ntest.com TLSv1.2 r\ntest.com TLSv1.3 .\n", 'others are served as before';

for my $version (qw(-tls1_2 -tls1_3)) {
    my $shown = `openssl s_client -connect 127.0.0.1:$tls -servername test.com $version < /dev/null 2>&1`;
    like $shown, qr/subject=.*test\.com/, "openssl s_client $version";
}

# One handshake waits all the time.
sub slow {
    my $count = begun();
    my $pid = fork // die "fork: $!";
    if ( !$pid ) {
        open STDIN,  '<', '/dev/null' or die;
        open STDOUT, '>', '/dev/null' or die;
        open STDERR, '>&', \*STDOUT   or die;
        exec 'setpriv', '--pdeathsig=KILL', 'openssl', 's_client', '-connect', "127.0.0.1:$tls", '-servername', $_[0] or die;
    }
    ok ProcessTest::wait_until( sub { begun() > $count } ), 'a handshake begins';
    return $pid;
}
my $client = slow('soon.test.com');
my $worker = answer('/worker');
kill HUP => $server->pid;
ok ProcessTest::wait_until( sub { !ProcessTest::is_running($worker) } ), 'a reload lets it end';
waitpid $client, 0;
is $?, 0, 'as it should';

$client = slow('slow.test.com');
$worker = answer('/worker');
kill TERM => $worker;
ok ProcessTest::wait_until( sub { !ProcessTest::is_running($worker) } ), 'a worker exits while code waits';
waitpid $client, 0;
isnt $?, 0, 'the client is told';
ok ProcessTest::wait_until( sub { ( eval { answer('/all') } // '' ) =~ /TLSv1.3/ } ), 'the next worker goes on';
$server->stop;
unlike $server->log_text('error.log'), qr/\[(?:alert|emerg|crit)\]|cannot yield/, 'nothing bad in the log';
done_testing;
