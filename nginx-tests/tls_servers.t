# Servers of different ssl_protocols on one address. What a client gets is the same with code of TLS handshakes as
# without, whether nginx chooses the server when the ClientHello has been read or later; what code chooses counts.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use ProcessTest;

plan skip_all => 'the C module does not wait here'
    if ( $ENV{TEST_NGINX_LOAD_MODULES} // '' ) =~ m{/nginx/modules/ngx_http_lua_module};
plan skip_all => 'no openssl' if system('openssl version > /dev/null 2>&1') != 0;

my $port   = ProcessTest::port();
my $plain  = $port + 1;
my $server = ProcessTest->new;
my $prefix = $server->prefix;
my $certs  = ProcessTest::certs();

# Whether this nginx has its own callback at the ClientHello.
my $early = ProcessTest::slurp( $server->binary ) =~ /\0ngx_ssl_client_hello_callback\0/;
note $early ? 'nginx chooses the server early' : 'nginx chooses the server late';

my %PROTOCOLS = (
    'default.test'  => 'TLSv1.2',
    'new.test'      => 'TLSv1.3',
    'both.test'     => 'TLSv1.2 TLSv1.3',
    'old.test'      => 'TLSv1.2',
    'own.test'      => 'TLSv1.2 TLSv1.3',
    'refusing.test' => 'TLSv1.2',
);

# The servers, with the code that %code has for them; the first is the default one.
sub servers {
    my (%code) = @_;
    my $text = '';
    for my $name (qw(default.test new.test both.test old.test own.test refusing.test)) {
        my $refuses = $name eq 'refusing.test' ? 'ssl_reject_handshake on;' : '';
        my $code    = $code{$name} // '';
        $text .= <<"_EOC_";
    server {
        listen 127.0.0.1:$port ssl;
        server_name $name;
        ssl_protocols $PROTOCOLS{$name};
        ssl_session_tickets off;
        ssl_ecdh_curve prime256v1;
        $refuses
        $code
        location / {
            content_by_lua_block {
                ngx.say("$name ", ngx.var.ssl_protocol, " ", ngx.var.ssl_session_reused, " ", ngx.ctx.by or "nobody")
            }
        }
    }
_EOC_
    }
    return $text;
}

sub start {
    my ( $http, %code ) = @_;
    $server->start( $server->write_http( <<"_EOC_" . servers(%code) ) );
    ssl_certificate $certs/test.crt;
    ssl_certificate_key $certs/test.key;
    lua_shared_dict sessions 1m;
    $http
    init_by_lua_block {
        hello = require "ngx.ssl.clienthello"
        session = require "ngx.ssl.session"
        -- Code that waits, or does not, and says that it has run.
        function code(by, seconds)
            if seconds then ngx.sleep(seconds) end
            ngx.ctx.by = by
            local name = hello.get_client_hello_server_name()
            if name == "denied.test" or name == "old.test" and by == "denying" then
                return ngx.exit(ngx.ERROR)
            end
        end
    }
    server { listen 127.0.0.1:$plain; location / { return 200 fine; } }
_EOC_
    return;
}

# What a client of OpenSSL's gets: the server, the version, whether the session was resumed and whose code ran; or
# "refused".
sub client {
    my ( $name, $options ) = @_;
    my $names = $name ? "-servername $name" : '-noservername';
    my $text  = `printf 'GET / HTTP/1.0\\r\\nHost: @{[ $name || 'localhost' ]}\\r\\n\\r\\n' | openssl s_client -connect 127.0.0.1:$port $names $options -ign_eof 2>&1`;
    return $1 if $text =~ /^(\S+\.test TLSv1\.\d \S+ \w+)\r?$/m;
    return $text =~ /alert|unsupported protocol|handshake failure|errno=104/ ? 'refused' : "nothing: $text";
}

my @VERSIONS = ( '-tls1_2', '-tls1_3', '' );

# What all clients get, but for whose code ran.
sub outcomes {
    my %outcomes;
    for my $name ( '', qw(default.test new.test both.test refusing.test unknown.test) ) {
        $outcomes{"$name $_"} = client( $name, $_ ) =~ s/ \w+$//r for @VERSIONS;
    }
    return \%outcomes;
}

my $FETCH = <<'_EOC_';
    ssl_session_fetch_by_lua_block {
        local id = session.get_session_id()
        ngx.sleep(0.01)
        local found = ngx.shared.sessions:get(id)
        if found then
            assert(session.set_serialized_session(found))
        end
    }
    ssl_session_store_by_lua_block {
        ngx.shared.sessions:set(session.get_session_id(), session.get_serialized_session())
    }
_EOC_

sub hello { return "ssl_client_hello_by_lua_block { code(" . join( ', ', @_ ) . ") }" }
my $CERTIFICATE = 'ssl_certificate_by_lua_block { ngx.sleep(0.01) }';

start('');
my $without = outcomes();
$server->stop;
is $without->{'default.test -tls1_2'}, 'default.test TLSv1.2 .', 'a client of the default server';
is $without->{'default.test -tls1_3'}, 'refused',                '… in another version';
is $without->{'new.test -tls1_2'}, $early ? 'refused' : 'new.test TLSv1.2 .', 'without code: a server that takes TLS 1.3 only';
is $without->{'new.test -tls1_3'}, $early ? 'new.test TLSv1.3 .' : 'refused', '… and a client that offers that';
is $without->{'both.test '}, $early ? 'both.test TLSv1.3 .' : 'both.test TLSv1.2 .', 'a server that takes both';
is $without->{'refusing.test -tls1_2'}, 'refused', 'a server that refuses';

my @kinds = (
    [ 'code at the hello',                           hello('"http"'),         {} ],
    [ 'code at the hello that waits',                hello( '"http"', 0.01 ), {} ],
    [ 'code that fetches a session',                 $FETCH,                  {} ],
    [ 'all of it',                                   $FETCH . hello( '"http"', 0.01 ) . $CERTIFICATE, {} ],
    [ 'code at the hello of the default server',     '', { 'default.test' => hello( '"default"', 0.01 ) } ],
    [ 'code at the hello of another server',         '', { 'new.test'     => hello( '"new"',     0.01 ) } ],
    [ 'code that fetches, and at the hello of another', $FETCH, { 'new.test' => hello( '"new"', 0.01 ) } ],
);
for my $kind (@kinds) {
    my ( $name, $http, $code ) = @$kind;
    start( $http, %$code );
    is_deeply outcomes(), $without, "$name: all clients get the same";
    $server->stop;
}

# Whose code runs, and what it decides: by servers of any kind, after a wait or without.
for my $seconds ( 'nil', 0.05 ) {
    my $how = $seconds eq 'nil' ? 'at once' : 'after a wait';
    start(
        $FETCH,
        'default.test' => "ssl_client_hello_by_lua_block {
            local name = hello.get_client_hello_server_name()
            code(name == 'old.test' and ngx.shared.sessions:get('denies') and 'denying' or 'default', $seconds)
            if name == 'new.test' then
                assert(hello.set_protocols({ 'TLSv1.2' }))
            elseif name == 'default.test' then
                assert(hello.set_protocols({ 'TLSv1.3' }))
            elseif name == 'both.test' then
                ngx.shared.sessions:set('denies', true)
            end
        }",
        'own.test' => hello( '"own"', $seconds ),
    );
    is client( 'old.test',     '-tls1_2' ), 'old.test TLSv1.2 . default', "$how: the code of the default server runs for one without";
    is client( 'own.test',     '-tls1_2' ), 'own.test TLSv1.2 . ' . ( $early ? 'own' : 'default' ), "$how: for one with code, its own, if nginx knows it";
    is client( 'new.test',     '-tls1_2' ), 'new.test TLSv1.2 . default', "$how: what the code allows counts";
    is client( 'new.test',     '-tls1_3' ), 'refused',                    '… and what it does not';
    is client( 'default.test', '-tls1_3' ), 'default.test TLSv1.3 . default', '… by the default server too';
    is client( 'default.test', '-tls1_2' ), 'refused', '… and what it does not, either';
    is client( 'denied.test',  '-tls1_2' ), 'refused', "$how: it refuses a name that no server has";
    is client( 'old.test', "-tls1_2 -sess_out $prefix/session" ), 'old.test TLSv1.2 . default', "$how: a session";
    is client( 'old.test', "-tls1_2 -sess_in $prefix/session" ), 'old.test TLSv1.2 r default', '… is resumed';
    client( 'both.test', '-tls1_2' );
    is client( 'old.test', '-tls1_2' ), 'refused', "$how: it refuses the name of a server without code";
    is client( 'old.test', "-tls1_2 -sess_in $prefix/session" ), 'refused', '… and the session';
    $server->stop;
}

# A client that has to say hello twice, because it guessed the wrong group: the code runs once, or never.
my $twice = '-tls1_3 -groups X25519:P-256';
$PROTOCOLS{$_} = 'TLSv1.3' for qw(default.test own.test);
for my $seconds ( 'nil', 0.05 ) {
    start( '', 'own.test' => hello( '"own"', $seconds ) );
    is client( 'own.test', $_ ), 'own.test TLSv1.3 . nobody', 'without code of the default server, none runs' for '-tls1_3 -groups P-256', $twice;
    $server->stop;
    start( hello( '"http"', $seconds ) );
    is client( 'own.test', $_ ), 'own.test TLSv1.3 . http', 'code of all servers runs' for '-tls1_3 -groups P-256', $twice;
    $server->stop;
}

unlike $server->log_text('error.log'), qr/\[(?:alert|emerg)\]|exited on signal|cannot yield|no ssl_\w+ defined/, 'nothing bad in the log';
done_testing;
