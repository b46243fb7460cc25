package HttpVersions;

# Runs the tables of HttpCases and HttpDepartures with one version of HTTP: h1, h2 or h3.

use strict;
use warnings;

use FindBin;
use Test::More;
use HttpCases;
use HttpClient;
use HttpDepartures;
use ProcessTest;

# What a version needs of nginx.
my %NEEDS = ( h2 => 'http_v2_module', h3 => 'http_v3_module' );

my $is_reference = ( $ENV{TEST_NGINX_LOAD_MODULES} // '' ) =~ m{/nginx/modules/ngx_http_lua_module};
my $certs        = "$FindBin::Bin/../t/cert";
my $plain        = ProcessTest::port();

# The first of the ports with the version under test: the next ones are for code in handshakes.
my $versioned = $plain + 1;

# The version of nginx as a number, as nginx has it.
my $nginx_version;

# A server for tests of $version; skips the whole test where nginx lacks it.
sub server {
    my ($version) = @_;
    my $server = ProcessTest->new;
    my ( undef, $says ) = $server->run( '/dev/null', '-V' );
    my $needs = $NEEDS{$version} // '';
    plan skip_all => "this nginx has no $needs" if index( $says, $needs ) < 0;
    my @numbers = $says =~ m{nginx/(\d+)\.(\d+)\.(\d+)};
    $nginx_version = $numbers[0] * 1_000_000 + $numbers[1] * 1000 + $numbers[2];
    return $server;
}

# The lines by which a server listens on $port, with TLS if $tls says so.
sub listen_lines {
    my ( $version, $port, $tls ) = @_;
    my $certificate = "ssl_certificate $certs/stranger.crt; ssl_certificate_key $certs/stranger.key;";
    return "listen 127.0.0.1:$port quic; $certificate" if $version eq 'h3';
    my $ssl    = $tls ? ' ssl'       : '';
    my $suffix = $tls ? $certificate : '';
    # A buffer so small that a response waits for its client.
    return "listen 127.0.0.1:$port$ssl sndbuf=8k; $suffix" if $version eq 'h1';
    return $nginx_version < 1_025_001
        ? "listen 127.0.0.1:$port$ssl http2; $suffix"
        : "listen 127.0.0.1:$port$ssl; http2 on; $suffix";
}

# The configuration of nginx: a location for each row.
sub configuration {
    my ( $version, @rows ) = @_;
    my $listen    = listen_lines( $version, $versioned );
    my $locations = '';
    for my $number ( 0 .. $#rows ) {
        my $log = $rows[$number]{conf} =~ /log_by/ ? '' : 'log_by_lua_block { note("log " .. ngx.status) }';
        $locations .= "location = /$number { set \$plain_port $plain; $log $rows[$number]{conf} }\n";
    }
    return <<"_EOC_";
    lua_shared_dict notes 1m;
    init_by_lua_block {
        function note(text) ngx.shared.notes:rpush("notes", text) end
        function await(name)
            for i = 1, 500 do
                local value = ngx.shared.notes:get(name)
                if value then return value end
                ngx.sleep(0.01)
            end
            return "never"
        end
        function answered() return await("answered") == "client" and "answered" or "no answer before the end" end
    }
    upstream balanced {
        server 0.0.0.1;
        balancer_by_lua_block { assert(require("ngx.balancer").set_current_peer("127.0.0.1", $plain)) }
    }
    upstream chosen_late {
        balancer_by_lua_block {
            note("start")
            ngx.sleep(tonumber(ngx.var.chosen_after))
            note("chosen")
            assert(require("ngx.balancer").set_current_peer("127.0.0.1", $plain))
        }
    }
    client_max_body_size 1m;
    keepalive_requests 100000;
    server {
        listen 127.0.0.1:$plain;
        $listen
        server_name localhost;
        server_rewrite_by_lua_block { ngx.sleep(0.0001) }
        location = /inner { content_by_lua_block { ngx.print("inner ", ngx.req.http_version()) } }
        location = /echo { content_by_lua_block { ngx.req.read_body() ngx.print(ngx.req.get_body_data()) } }
        location = /passed { proxy_http_version 1.1; proxy_pass http://balanced/inner; }
        location = /filtered {
            header_filter_by_lua_block { ngx.exit(502) }
            content_by_lua_block { ngx.say("never sent") }
        }
        location = /late_page {
            header_filter_by_lua_block { ngx.sleep(0.01) }
            body_filter_by_lua_block { ngx.sleep(0.01) }
            return 200 "late page";
        }
        location = /sub_logged {
            log_subrequest on;
            content_by_lua_block { ngx.print("sub ") }
            log_by_lua_block { ngx.sleep(0.01) ngx.shared.notes:set("sub_logged", "waited") }
        }
        location = /raw_header {
            content_by_lua_block {
                local inner = not ngx.is_subrequest and ngx.location.capture("/raw_header")
                ngx.print(ngx.req.raw_header(), inner and "|" .. inner.body or "")
            }
        }
        location = /slow { content_by_lua_block { ngx.sleep(tonumber(ngx.var.arg_s) or 0.15) } }
        location = /slow_passed { proxy_pass http://balanced/slow?s=9; }
        location \@named { content_by_lua_block { ngx.print("named") } }
        location = /notes {
            content_by_lua_block {
                repeat
                    local note = ngx.shared.notes:lpop("notes")
                    ngx.print(note and note .. ";" or "")
                until not note
            }
        }
        location = /answered { content_by_lua_block { ngx.shared.notes:set("answered", ngx.var.arg_by) } }
        location = /waits { content_by_lua_block { ngx.sleep(0.01) ngx.print(ngx.var.arg_n) } }
        $locations
    }
    @{[ handshake_servers($version) ]}
_EOC_
}

# Servers with code in their handshakes.
sub handshake_servers {
    my ($version) = @_;
    my $port = $versioned;
    return join '', map { $port++; ( my $conf = $_->{conf} ) =~ s/CERTS/$certs/g; <<"_EOC_" } @HttpCases::HANDSHAKES;
    server {
        @{[ listen_lines( $version, $port, 1 ) ]}
        server_name test.com;
        $conf
        location / { content_by_lua_block { ngx.print(ngx.ctx.name, " ", ngx.var.ssl_protocol) } }
    }
_EOC_
}

# What came back for one request, in a word: the status and body, and "(broken)" where it broke off.
sub shown {
    my ($outcome) = @_;
    my $answer = $outcome->{answers}[0] || { error => $outcome->{error} };
    my $text   = defined $answer->{status} ? "$answer->{status} $answer->{body}" : '';
    return $text . ( defined $answer->{error} ? '(broken)' : '' );
}

# Checks a value, which may be long, against a text, a pattern, or a hash of them for each version.
sub matches {
    my ( $version, $got, $wanted, $name ) = @_;
    $wanted = $wanted->{$version} if ref $wanted eq 'HASH';
    my $ok = ref $wanted ? $got =~ $wanted : $got eq $wanted;
    ok $ok, $name or diag 'got ', substr( $got, 0, 500 ), "\nwanted ", substr( $wanted, 0, 500 );
}

# What the code has noted, $notes and what comes then, once it matches.
sub notes {
    my ( $pattern, $notes ) = @_;
    my $more = sub { ( $notes .= ( ProcessTest::get( $plain, '/notes' ) )[2] ) =~ $pattern };
    return $notes if $notes =~ $pattern || ProcessTest::wait_until($more);
    return "$notes and nothing more";
}

sub start {
    my ( $version, @script ) = @_;
    return HttpClient::start( protocol => $version, address => "127.0.0.1:$versioned", @script );
}

sub talk { return HttpClient::finish( start(@_) ) }

# Each row of HttpCases, each on a connection of its own; what the code notes is no part of it.
sub try_cases {
    my ( $version, @rows ) = @_;
    my $number = 0;
    for my $row (@rows) {
        my $path    = '/' . $number++ . ( $row->{args} ? "?$row->{args}" : '' );
        my %request = ( path => $path, %{ $row->{request} } );
        my $outcome = talk( $version, window => 5000, requests => [ \%request ] );
        matches $version, shown($outcome), $row->{answer}, $row->{name};
        my %lines = map { ( "$_->[0]: $_->[1]" => 1 ) } @{ $outcome->{answers}[0]{headers} || [] };
        ok $lines{$_}, "… with $_" for @{ $row->{headers} || [] };
    }
}

# Each row of HttpDepartures, where the client resets the stream, and where it closes the connection.
sub try_departures {
    my ( $version, $first, @rows ) = @_;
    ProcessTest::get( $plain, '/notes' );
    for my $leaves ( $version eq 'h1' ? 'closes' : ( 'resets', 'closes' ) ) {
        my $number = $first - 1;
        for my $row (@rows) {
            $number++;
            next if $leaves eq 'resets' && !$row->{request}{stop};
            my %request = ( path => "/$number", %{ $row->{request} } );
            ProcessTest::get( $plain, '/answered' );
            $request{leave} = \1 if $leaves eq 'closes';
            my $linger = $leaves eq 'resets' ? 300 : 0;
            my $client  = start( $version, window => 5000, linger => $linger, requests => [ \%request ] );
            my $notes   = ( $request{stop} // '' ) eq 'told' ? notes( $row->{until} || qr/start/, '' ) : '';
            my $outcome = HttpClient::finish($client);
            ProcessTest::get( $plain, '/answered?by=client' );
            $notes = notes( qr/log /, $notes );
            matches $version, $notes, $row->{notes}, "$row->{name}; the client $leaves";
            matches $version, shown($outcome), $row->{answer}, "$row->{name}: its answer" if defined $row->{answer};
        }
    }
}

# Thousands of requests on one connection, many of which wait at the same time.
sub try_many {
    my ($version) = @_;
    my ( $requests, $parallel ) = $version eq 'h1' ? ( 100, 1 ) : ( 10_000, 100 );
    my @paths   = map {"/waits?n=$_"} 1 .. $requests;
    my $answers = talk( $version, parallel => $parallel, requests => \@paths )->{answers};
    is scalar( grep { ( $answers->[ $_ - 1 ]{body} // '' ) eq $_ } 1 .. $requests ), $requests, 'many requests on one connection';
}

# Code in handshakes.
sub try_handshakes {
    my ( $version, $server ) = @_;
    my $port = $versioned;
    for my $row (@HttpCases::HANDSHAKES) {
        $port++;
        my $outcome = HttpClient::talk( protocol => $version, tls => \1, name => 'test.com', address => "127.0.0.1:$port", requests => ['/'] );
        my $certificate = $outcome->{certificate} // '';
        my ($name) = grep { $certificate eq digits("$certs/$_.crt") } qw(test stranger);
        matches $version, join( ' ', $name // 'none', shown($outcome) ), $row->{answer}, "handshake: $row->{name}";
        next if $row->{name} !~ /waits/;
        my $support  = $is_reference ? '' : " in nginx's HTTP/3";
        my $callback = $row->{name} =~ /name/ ? 'client hello cb' : 'cert cb';
        my $is_told  = $server->log_text('error.log')
            =~ /\[crit\].*lua: cannot yield in $callback: missing async $callback support$support/;
        is $is_told, !defined $name, '… or a line says that it cannot';
    }
}

# A certificate's DER in hexadecimal digits.
sub digits { return unpack 'H*', `openssl x509 -in $_[0] -outform DER` }

# The tests of $version.
sub run {
    my ($version) = @_;
    my $server = server($version);
    # What the C module can do as well, if it is under test.
    my $known      = sub { !$is_reference || ( $_[0]{beyond_reference} // '' ) !~ /$version/ };
    my @cases      = grep { $known->($_) } @HttpCases::CASES;
    my @departures = grep { $known->($_) } @HttpDepartures::ROWS;
    $server->start( $server->write_http( configuration( $version, @cases, @departures ) ) );
    try_cases( $version, @cases );
    try_departures( $version, scalar @cases, @departures );
    try_many($version);
    try_handshakes( $version, $server );
    $server->stop;
    unlike $server->log_text('error.log'), qr/\[alert\]|\[emerg\]|exited on signal/, 'no alert';
}

1;
