# What may wait, each kind at a thousand requests at once, with clients that leave in the middle, with a reload and
# with a worker that is told to quit: callbacks, modules and files, names that the system's way looks up, TLS to a
# server whose connections are pooled, request bodies, ngx.ctx that is inherited, error pages of filters, and the log
# of subrequests. All waits go on for as long as there is a file named "gate".

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Test::More;
use Time::HiRes qw(time);
use Gate;
use NameServer;
use ProcessTest;

plan skip_all => 'in most of these places, the C module does not wait'
    if ( $ENV{TEST_NGINX_LOAD_MODULES} // '' ) =~ m{/nginx/modules/ngx_http_lua_module};

# Memcheck takes its time, and some of the descriptors.
my $memcheck = $ENV{TEST_NGINX_USE_VALGRIND};
my ( $MANY, $GONE, $SOME ) = $memcheck ? ( 60, 20, 10 ) : ( 1000, 200, 50 );
my $PATIENCE = 120;
my $limit    = $memcheck ? '' : 'worker_rlimit_nofile 8192;';

my $port   = ProcessTest::port();
my $tls    = $port + 1;
my $slow   = $port + 3;
my $certs  = ProcessTest::certs();
my $server = ProcessTest->new;
my $prefix = $server->prefix;
my $gate   = Gate->new($server);

# What each line answers to request $n, and whether its code ends with its client, or another code that it waits for
# goes on.
my @LINES = (
    { path => '/gsub',     answer => sub {"a<$_[0]>b"} },
    { path => '/sort',     answer => sub {"1 2 3 of $_[0]"} },
    { path => '/tostring', answer => sub {"text $_[0]"} },
    { path => '/meta',     answer => sub {"index call concat less $_[0]"} },
    { path => '/require',  answer => sub { 'module ' . $_[0] % 10 . " for $_[0]" } },
    { path => '/dofile',   answer => sub {"file of $_[0]"} },
    { path => '/name',     answer => sub {"localhost $_[0], looked up $_[0]"} },
    {   path   => '/tls',
        answer => sub { ( $_[0] % 2 ? 'http/1.1 TLSv1.2 odd.test' : 'nil TLSv1.3 even.test' ) . " $_[0]" }
    },
    { path => '/handshake', answer => sub {"http/1.1 TLSv1.2 $_[0]"}, goes_on => 1 },
    { path => '/body', answer => sub {"first $_[0] second $_[0]"}, slow_body => 1 },
    { path => '/ctx',  answer => sub {"first $_[0] page $_[0]"}, status => 503 },
    { path => '/exit', answer => sub {"page $_[0]"}, status => 403 },
    { path => '/log',  answer => sub {"main sub $_[0]"}, stays => 1 },
);

my %addresses;
for my $tag (qw(warm many gone after reload quit)) {
    $addresses{"name$_.$tag.test"} = '127.0.0.1' for 0 .. 49;
}
my $names = NameServer->start( $port + 2, \%addresses );
$server->write_file( 'resolv.conf', 'nameserver [127.0.0.1]:' . ( $port + 2 ) . "\n" );

# A peer that tells the line that it hears.
my $peer = IO::Socket::INET->new( Listen => 4096, LocalAddr => '127.0.0.1' ) or die "no port: $!";
my $test = $$;
my $echo = fork // die "fork: $!";
if ( !$echo ) {
    $SIG{PIPE} = 'IGNORE';
    while ( my $client = $peer->accept ) {
        print {$client} $client->getline // '';
    }
    POSIX::_exit(0);
}
END { kill KILL => $echo if $echo && $$ == $test }

$server->write_file( "module$_.lua", "wait() return 'module $_'\n" ) for 0 .. 9;
$server->write_file( 'file.lua',     "wait() return 'file of ' .. ngx.var.arg_n\n" );

my $conf = $server->write_file( 'nginx.conf', <<"_EOC_");
pid        logs/nginx.pid;
error_log  logs/error.log notice;
worker_processes 1;
$limit
events {
    worker_connections 8192;
}
http {
    access_log off;
    client_body_timeout ${PATIENCE}s;
    client_header_timeout ${PATIENCE}s;
    keepalive_requests 100000;
    keepalive_timeout ${PATIENCE}s;
    resolver_timeout ${PATIENCE}s;
    lua_check_client_abort on;
    lua_max_pending_logs 4000;
    lua_package_path "$prefix/?.lua;;";
    lua_shared_dict notes 100k;
    lua_socket_connect_timeout ${PATIENCE}s;
    lua_socket_read_timeout ${PATIENCE}s;
    lua_socket_log_errors off;
    lua_ssl_protocols TLSv1.2 TLSv1.3;
    lua_system_resolver resolv_conf=$prefix/resolv.conf;
    init_by_lua_block {
        function begin()
            ngx.shared.notes:incr("begun", 1, 0)
        end
        @{[ $gate->wait_function ]}
        function passed()
            ngx.shared.notes:incr("passed", 1, 0)
            return ngx.var.arg_n
        end
        -- What the peer answers, by one of its names.
        function echo(name)
            local sock = ngx.socket.tcp()
            assert(sock:connect(name, @{[ $peer->sockport ]}))
            assert(sock:send(ngx.var.arg_n .. "\\n"))
            local line = assert(sock:receive())
            sock:close()
            return line
        end
    }
    server {
        listen 127.0.0.1:$tls ssl backlog=4096;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate $certs/test.crt;
        ssl_certificate_key $certs/test.key;
        ssl_certificate_by_lua_block { ngx.sleep(0.001) }
        location / {
            content_by_lua_block {
                begin()
                wait()
                local answer = ngx.var.ssl_protocol .. " " .. ngx.var.ssl_server_name .. " " .. ngx.var.arg_n
                ngx.header["Content-Length"] = #answer
                ngx.print(answer)
            }
        }
    }
    # Handshakes wait.
    server {
        listen 127.0.0.1:$slow ssl backlog=4096;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate $certs/test.crt;
        ssl_certificate_key $certs/test.key;
        ssl_certificate_by_lua_block { wait() }
    }
    server {
        listen 127.0.0.1:$port backlog=4096;
        location = /threads { lua_threads; }
        location = /state {
            content_by_lua_block {
                local notes = ngx.shared.notes
                collectgarbage()
                collectgarbage()
                ngx.print(ngx.worker.pid(), " ", ngx.var.connections_active, " ", notes:get("begun") or 0, " ",
                    notes:get("passed") or 0, " ", notes:get("logged") or 0)
            }
        }
        location = /gsub {
            content_by_lua_block {
                local text = ("a" .. ngx.var.arg_n .. "b"):gsub("%d+", function(n)
                    begin()
                    wait()
                    return "<" .. n .. ">"
                end)
                passed()
                ngx.print(text)
            }
        }
        location = /sort {
            content_by_lua_block {
                local list = { 3, 1, 2 }
                begin()
                table.sort(list, function(a, b)
                    wait()
                    return a < b
                end)
                ngx.print(table.concat(list, " "), " of ", passed())
            }
        }
        location = /tostring {
            content_by_lua_block {
                local object = setmetatable({ n = ngx.var.arg_n }, { __tostring = function(self)
                    begin()
                    wait()
                    return "text " .. self.n
                end })
                local text = tostring(object)
                passed()
                ngx.print(text)
            }
        }
        location = /meta {
            content_by_lua_block {
                local function waits(text) return function() wait() return text end end
                local kinds = { __index = waits("index"), __call = waits("call"), __concat = waits("concat"), __lt = waits(true) }
                local object, other = setmetatable({}, kinds), setmetatable({}, kinds)
                begin()
                ngx.print(object.word, " ", object(), " ", object .. other, " ", object < other and "less ", passed())
            }
        }
        # One of the requests loads a module, and the others wait for that one.
        location = /require {
            content_by_lua_block {
                local name = "module" .. ngx.var.arg_n % 10
                package.loaded[name] = nil
                begin()
                local text = require(name)
                ngx.print(text, " for ", passed())
            }
        }
        location = /dofile {
            content_by_lua_block {
                begin()
                local text = dofile("$prefix/file.lua")
                passed()
                ngx.print(text)
            }
        }
        location = /name {
            content_by_lua_block {
                local near = echo("localhost")
                begin()
                local far = echo("name" .. ngx.var.arg_n % 50 .. "." .. ngx.var.arg_tag .. ".test")
                passed()
                ngx.print("localhost ", near, ", looked up ", far)
            }
        }
        # Connections of two kinds, which take each other's place in one pool.
        location = /tls {
            content_by_lua_block {
                local n, sock = ngx.var.arg_n, ngx.socket.tcp()
                local is_odd = n % 2 == 1
                assert(sock:connect("127.0.0.1", $tls, { pool = "tls" }))
                assert(sock:sslhandshake(false, is_odd and "odd.test" or "even.test", false, false,
                    is_odd and { alpn = { "http/1.1" }, max_version = "TLSv1.2" } or { min_version = "TLSv1.3" }))
                assert(sock:send("GET /?n=" .. n .. " HTTP/1.1\\r\\nHost: tls\\r\\n\\r\\n"))
                local header = assert(sock:receiveuntil("\\r\\n\\r\\n")())
                local length = assert(header:match("Content%-Length: (%d+)"), header)
                local answer = assert(sock:receive(tonumber(length)))
                local protocol = sock:getalpn()
                if sock:getreusedtimes() > 0 then ngx.shared.notes:incr("reused", 1, 0) end
                sock:setkeepalive(1000, 100)
                passed()
                ngx.print(tostring(protocol), " ", answer)
            }
        }
        location = /handshake {
            content_by_lua_block {
                local sock = ngx.socket.tcp()
                assert(sock:connect("127.0.0.1", $slow, { pool = "slow" }))
                begin()
                assert(sock:sslhandshake(false, "slow.test", false, false, { alpn = { "http/1.1" }, max_version = "TLSv1.2" }))
                ngx.print(sock:getalpn(), " TLSv1.2 ", passed())
                sock:close()
            }
        }
        location = /reused { content_by_lua_block { ngx.print(ngx.shared.notes:get("reused") or 0) } }
        location = /body {
            content_by_lua_block {
                local sock = assert(ngx.req.socket())
                local first = assert(sock:receive("*l"))
                begin()
                local second, err = sock:receive("*l")
                if not second then return assert(err == "client aborted", err) end
                assert(select(2, sock:receive(1)) == "closed")
                passed()
                ngx.print(first, " ", second)
            }
        }
        location = /ctx {
            lua_ctx_inherit on;
            error_page 503 /ctx_page?n=\$arg_n;
            access_by_lua_block {
                ngx.ctx.text = "first " .. ngx.var.arg_n
                begin()
                wait()
                ngx.exit(503)
            }
        }
        location = /ctx_page {
            internal;
            lua_ctx_inherit on;
            rewrite_by_lua_block {
                wait()
                ngx.ctx.text = ngx.ctx.text .. " page"
            }
            content_by_lua_block { ngx.print(ngx.ctx.text, " ", passed()) }
        }
        location = /exit {
            error_page 403 /exit_page?n=\$arg_n;
            header_filter_by_lua_block {
                begin()
                wait()
                return ngx.exit(403)
            }
            return 200 "must not be seen";
        }
        location = /exit_page {
            internal;
            header_filter_by_lua_block { wait() passed() }
            body_filter_by_lua_block { if ngx.arg[1] ~= "" then ngx.sleep(0.001) end }
            return 200 "page \$arg_n";
        }
        location = /log {
            content_by_lua_block {
                ngx.print("main ", ngx.location.capture("/sub?n=" .. ngx.var.arg_n).body)
            }
        }
        location = /sub {
            internal;
            log_subrequest on;
            content_by_lua_block {
                ngx.ctx.n = ngx.var.arg_n
                ngx.print("sub ", ngx.ctx.n)
            }
            log_by_lua_block {
                begin()
                wait()
                if passed() == ngx.ctx.n then ngx.shared.notes:incr("logged", 1, 0) end
            }
        }
    }
}
_EOC_
$server->start($conf);

sub body { return ( ProcessTest::get( $port, $_[0] ) )[2] }

sub now {
    my %state;
    @state{qw(worker active begun passed logged)} = split / /, body('/state');
    return \%state;
}

sub shut      { $gate->shut; $names->pause }
sub open_gate { $gate->open; $names->resume }

# Sends request $n of a line; `answer` reads the answer.
sub ask {
    my ( $line, $n, $tag ) = @_;
    my $socket = ProcessTest::connection($port);
    my ( $method, $first ) = ( 'GET', '' );
    if ( $line->{slow_body} ) {
        $method = "POST";
        $first  = sprintf "Transfer-Encoding: chunked\r\n\r\n%x\r\nfirst %d\n\r\n", length("first $n\n"), $n;
    }
    print {$socket} "$method $line->{path}?n=$n&tag=$tag HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", $first || "\r\n";
    return { line => $line, n => $n, socket => $socket };
}

# Lets clients send what they have held back.
sub go_on {
    for my $client ( grep { $_->{line}{slow_body} } @_ ) {
        my $rest = "second $client->{n}\n";
        print { $client->{socket} } sprintf "%x\r\n%s\r\n0\r\n\r\n", length $rest, $rest;
    }
}

sub is_right {
    my ( $client, $until ) = @_;
    $until //= time + $PATIENCE;
    my ( $text, $line, $socket ) = ( '', $client->{line}, $client->{socket} );
    while ( IO::Select->new($socket)->can_read( $until > time ? $until - time : 0 ) && sysread $socket, $text, 65536, length $text ) { }
    close $socket;
    my ( $status, undef, $body ) = ProcessTest::whole_answer($text);
    my $right = ( $status // 0 ) == ( $line->{status} // 200 ) && $body eq $line->{answer}->( $client->{n} );
    diag "$line->{path} $client->{n}: $text" if !$right;
    return $right;
}

sub right {
    my $until = time + $PATIENCE;
    return scalar grep { is_right( $_, $until ) } @_;
}

# Waits for $count requests to wait, beyond $before.
sub all_wait {
    my ( $before, $count ) = @_;
    return ProcessTest::wait_until( sub { now()->{begun} == $before->{begun} + $count } );
}

my ( $worker, $descriptors );

sub nothing_is_left {
    return ProcessTest::comes_to_rest( \&now, sub { body('/threads') }, $worker, $descriptors );
}

# What is opened once is open then.
is right( map { my $client = ask( $_, 1, 'warm' ); go_on($client); $client } @LINES ), @LINES, 'one request of each line';
$worker = now()->{worker};
ok nothing_is_left(), 'the worker is at rest';
$descriptors = ProcessTest::descriptors($worker);

for my $line (@LINES) {
    my $path = $line->{path};

    shut();
    my $before  = now();
    my @clients = map { ask( $line, $_, 'many' ) } 1 .. $MANY;
    ok all_wait( $before, $MANY ), "$path: $MANY requests wait at once";
    open_gate();
    go_on(@clients);
    is right(@clients), $MANY, "$path: all are answered";
    ok ProcessTest::wait_until( sub { now()->{passed} == $before->{passed} + $MANY } ), "$path: all have gone on";
    is now()->{logged}, $before->{logged} + ( $line->{stays} ? $MANY : 0 ), "$path: with their own data";

    shut();
    $before  = now();
    @clients = map { ask( $line, $_, 'gone' ) } 1 .. $GONE;
    ok all_wait( $before, $GONE ), "$path: clients wait";
    close $_->{socket} for @clients;
    if ( $line->{stays} ) {
        open_gate();
        ok ProcessTest::wait_until( sub { now()->{logged} == $before->{logged} + $GONE } ), "$path: the code goes on";
        ok nothing_is_left(), "$path: of clients that have left, nothing is left";
    }
    else {
        open_gate() if $line->{goes_on};
        ok nothing_is_left(), "$path: of clients that have left, nothing is left";
        is now()->{passed}, $before->{passed}, "$path: their code has not gone on";
        open_gate() if !$line->{goes_on};
    }
    @clients = map { ask( $line, $_, 'after' ) } 1 .. $SOME;
    go_on(@clients);
    is right(@clients), $SOME, "$path: others are answered then";
}
# One after the other, on a connection of the same kind and of the other kind.
my ($of_tls) = grep { $_->{path} eq '/tls' } @LINES;
my $wrong = 0;
ok ProcessTest::wait_until(
    sub {
        $wrong += !is_right( ask( $of_tls, $_, 'after' ) ) for 1, 3, 2, 4;
        return body('/reused') > 0;
    }
    ),
    '/tls: connections are reused';
is $wrong, 0, '/tls: and all answers are right';

# Requests of all lines wait.
sub wait_in_all_lines {
    my ($tag) = @_;
    shut();
    my $before  = now();
    my @clients = map { my $line = $_; map { ask( $line, $_, $tag ) } 1 .. $SOME } @LINES;
    ok all_wait( $before, $SOME * @LINES ), "$tag: requests of all lines wait";
    return @clients;
}

my $old     = $worker;
my @clients = wait_in_all_lines('reload');
kill HUP => $server->pid;
ok ProcessTest::wait_until( sub { now()->{worker} != $old } ), 'reload: another worker serves';
ok ProcessTest::is_running($old), '… and the old one stays';
open_gate();
go_on(@clients);
is right(@clients), $SOME * @LINES, '… which answers all';
ok ProcessTest::wait_until( sub { !ProcessTest::is_running($old) } ), '… and leaves then';

$worker  = now()->{worker};
@clients = wait_in_all_lines('quit');
my $master = $server->pid;
kill QUIT => $master;
ok $server->wait_for_line( 'error.log', qr/\b$worker#\d+: gracefully shutting down/ ), 'quit: the worker is told to';
open_gate();
go_on(@clients);
is right(@clients), $SOME * @LINES, '… and answers all';
ok ProcessTest::wait_until( sub { !ProcessTest::is_running($master) } ), '… and nginx ends';
is join( '', grep {/\[(?:alert|crit|emerg|error)\]|exited on signal|open socket/} split /^/m, $server->log_text('error.log') ),
    '', 'nothing went wrong';

done_testing;
