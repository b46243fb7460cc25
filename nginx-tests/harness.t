# The harness itself: what it sends, how it reads responses, where configuration lands in
# nginx.conf, and above all that its checks can fail.

use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Test::Nginx::Request;
use Test::Nginx::Response;
use Test::Nginx::Skip;
use Test::Nginx::State;

# A block with the given sections, as far as the parts under test look at one.
package FakeBlock {
    our $AUTOLOAD;
    sub new { my ( $class, %sections ) = @_; return bless {%sections}, $class }
    sub AUTOLOAD { my $name = $AUTOLOAD =~ s/.*:://r; return $_[0]{$name} }
    sub DESTROY { }
}

sub block { return FakeBlock->new( name => 'TEST 1: fake', @_ ) }

# Everything that a block sends over its first connection.
sub wire {
    my ($packets) = requests_of( block(@_) );
    return join '', map { $_->{value} } @$packets;
}

subtest 'requests' => sub {
    is wire( request => "GET /t\n" ),
        "GET /t HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 'a plain GET';
    is wire( request => "POST /t HTTP/1.0\nhello\n" ),
        "POST /t HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n"
        . "Content-Length: 5\r\n\r\nhello", 'a body brings its length';
    like wire( request => 'GET /t', more_headers => "Host: a\nConnection: b" ),
        qr{^GET /t HTTP/1.1\r\nHost: a\r\nConnection: b\r\n\r\n$}, 'own headers win';
    like wire( request => "POST /t\nabc", more_headers => 'Transfer-Encoding: chunked' ),
        qr{chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n$}, 'a chunked body';
    like wire( pipelined_requests => [ 'GET /a', 'GET /b' ] ),
        qr{GET /a .*keep-alive\r\n\r\nGET /b .*close\r\n\r\n$}s, 'a pipeline keeps alive';
    is wire( raw_request => "GET /raw\r\n\r\n" ), "GET /raw\r\n\r\n", 'a raw request';
    my ($packets) = requests_of( block( raw_request => [ 'a', 'b' ] ) );
    is scalar @$packets, 2, 'a raw request in packets';
    my @requests = requests_of( block( request => [ 'GET /a', 'GET /b' ] ) );
    is scalar @requests, 2, 'several requests';
};

subtest 'responses' => sub {
    my $head = "HTTP/1.1 200 OK\r\nX-A: 1\r\nX-A: 2\r\n";
    my $res  = Test::Nginx::Response->parse("${head}Content-Length: 2\r\n\r\nhiHTTP");
    is $res->code, 200, 'the status';
    is $res->header('x-a'), '1, 2', 'headers of one name are joined';
    is $res->header('X-B'), undef, 'an absent header';
    is $res->content, 'hi', 'the body ends at its length';
    is $res->left, 'HTTP', 'what follows is left';

    my $chunked = "${head}Transfer-Encoding: chunked\r\n\r\n";
    $res = Test::Nginx::Response->parse("${chunked}2\r\nhi\r\n3\r\n \r\n\r\n0\r\n\r\nnext");
    is $res->content, "hi \r\n", 'chunks are joined';
    is $res->left, 'next', 'what follows the last chunk is left';
    ok !$res->failure, 'good chunks';
    for my $bad ( "2\r\nhi\r\n", "5\r\nhi\r\n0\r\n\r\n", "2\r\nhi0\r\n\r\n", "zz\r\n" ) {
        ok( Test::Nginx::Response->parse( $chunked . $bad )->failure,
            'badly chunked: ' . $bad =~ s/\r\n/|/gr );
    }
    is( Test::Nginx::Response->parse('')->code, undef, 'no response has no status' );
};

subtest 'conditions for skipping' => sub {
    $NginxRawVersion = '1.22.1';
    $OpenSSLVersion = '1.0.2e';
    my @cases = (
        [ skip_nginx => '3: < 1.22.1', 0 ],
        [ skip_nginx => '3: <= 1.22.1', 1 ],
        [ skip_nginx => '3: < 1.9.0', 0 ],
        [ skip_nginx => '3: >= 1.9.0 and < 1.23', 1 ],
        [ skip_nginx => '3: < 1.9.0 or > 1.22.0', 1 ],
        [ skip_openssl => '3: < 1.0.2f', 1 ],
        [ skip_openssl => '3: < 1.0.2d', 0 ],
        [ skip_eval => '3: 1 == 2', 0 ],
        [ skip_eval => '3: 1 == 1', 1 ],
    );
    for my $case (@cases) {
        my ( $section, $text, $skips ) = @$case;
        my ($count) = skip_reason( block( $section => $text ) );
        is $count, $skips ? 3 : undef, "$section $text";
    }
};

# Runs a test file of the given blocks by the harness; returns the outcome of
# each check, such as "ok" and "not ok", and whether the file gave up.
sub run_file {
    my ($text) = @_;
    my $dir = tempdir( CLEANUP => 1 );
    open my $out, '>', "$dir/file.t" or die $!;
    print {$out} $text;
    close $out or die $!;
    local $ENV{TEST_NGINX_SERVROOT}   = "$dir/servroot";
    local $ENV{TEST_NGINX_NO_SHUFFLE} = 1;
    # nginx alone, and the usual ways: the module is not what is tested here.
    delete local @ENV{qw(TEST_NGINX_LOAD_MODULES TEST_NGINX_GO_ON)};
    my $tap     = `$^X '-I$FindBin::Bin/lib' $dir/file.t 2>$dir/messages`;
    my @checks  = $tap =~ /^(ok|not ok)\b/mg;
    my $bailed  = $tap =~ /^Bail out!/m ? 1 : 0;
    return { checks => "@checks", bailed => $bailed, tap => $tap };
}

my $HEAD = <<'_EOC_';
use Test::Nginx::Socket;
plan 'no_plan';
run_tests();
__DATA__
=== TEST 1: a block
_EOC_

my $CONFIG = <<'_EOC_';
--- config
    location = /t { add_header X-A b; return 200 "hello\n"; }
    location = /missing { root html; }
_EOC_

# sections, the checks that they make, and the name of the case
my @cases = (
    [ "--- request\nGET /t\n--- response_body\nhello", 'ok ok', 'a body' ],
    [ "--- request\nGET /t\n--- response_body\nhullo", 'ok not ok', 'a wrong body' ],
    [ "--- request\nGET /t\n--- response_body_like: ^hell", 'ok ok', 'a pattern' ],
    [ "--- request\nGET /t\n--- response_body_like: ^ell", 'ok not ok', 'a wrong pattern' ],
    [ "--- request\nGET /t\n--- response_body_unlike: ell", 'ok not ok', 'a body to avoid' ],
    [ "--- request\nGET /t\n--- error_code: 201", 'not ok', 'a wrong status' ],
    [ "--- request\nGET /missing\n--- error_code: 404", 'ok', 'an expected status' ],
    [ "--- request\nGET /t\n--- response_headers\nX-A: b\n!X-B", 'ok ok ok', 'headers' ],
    [ "--- request\nGET /t\n--- response_headers\nX-A: c\n!X-A", 'ok not ok not ok',
        'wrong headers' ],
    [ "--- request\nGET /missing\n--- error_code: 404\n--- error_log\nopen()\nno such line",
        'ok ok not ok', 'the error log' ],
    [ "--- request\nGET /missing\n--- error_code: 404\n--- no_error_log\n[error]\n[alert]",
        'ok not ok ok', 'lines to avoid' ],
    [ "--- request\nGET /missing\n--- error_code: 404\n"
        . "--- grep_error_log eval: qr/open/\n--- grep_error_log_out\nclose", 'ok not ok',
        'grep_error_log' ],
    [ "--- must_die\n--- error_log\nunknown directive", 'not ok not ok',
        'a good configuration that should be refused' ],
    [ "--- request eval\n['GET /t', 'GET /missing']\n--- error_code eval\n[200, 200]\n"
        . '--- response_body_like eval: ["hello", "404"]', 'ok ok not ok ok',
        'several requests' ],
    [ "--- pipelined_requests eval\n['GET /t', 'GET /t']\n"
        . "--- response_body eval\n[\"hello\\n\", \"hallo\\n\"]", 'ok ok ok not ok',
        'a pipeline' ],
    [ "--- raw_request eval\n\"GET /t HTTP/1.1\\r\\n\"\n--- timeout: 0.2\n--- ignore_response",
        'not ok', 'a timeout' ],
    [ "--- raw_request eval\n\"GET /t HTTP/1.1\\r\\n\"\n--- timeout: 0.2\n--- ignore_response\n"
        . '--- abort', '', 'a wanted abort' ],
);
for my $case (@cases) {
    my ( $sections, $wanted, $name ) = @$case;
    my $result = run_file("$HEAD$CONFIG$sections\n");
    is $result->{checks}, $wanted, $name or diag $result->{tap};
}

my $broken = run_file("$HEAD--- config\n    no_such_thing;\n--- request\nGET /t\n");
is $broken->{bailed}, 1, 'an nginx that does not start ends the file';

$broken = run_file( "$HEAD--- config\n    no_such_thing;\n--- must_die\n"
        . "--- error_log\nunknown directive \"no_such_thing\" in\nnginx.conf:39\n" );
is $broken->{checks}, 'ok ok ok', 'the first line of a config section is line 39';

$broken = run_file( "$HEAD--- http_config\n    no_such_thing;\n--- config\n--- must_die\n"
        . "--- error_log\nnginx.conf:25\n" );
is $broken->{checks}, 'ok ok', 'the first line of http_config is line 25';

my $mocks = run_file( $HEAD . <<'_EOC_');
--- config
    location = /t {
        proxy_http_version 1.0;
        proxy_set_header Connection close;
        proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    }
--- user_files
>>> a/b.txt 200001020304.05
hello
--- tcp_listen eval: Test::Nginx::State::random_port('TEST_NGINX_RAND_PORT_1')
--- tcp_query_len: 61
--- tcp_query eval: qr{^GET /t HTTP/1.0}
--- tcp_reply eval: "HTTP/1.0 200 OK\r\n\r\nfrom the mock"
--- request
GET /t
--- response_body chomp
from the mock
--- no_error_log
[error]
_EOC_
like $mocks->{tap}, qr/^ok \d+ - TEST 1: a block - TCP query ok$/m, 'a mock server is asked';
like $mocks->{tap}, qr/^ok \d+ .*response_body/m, 'and its answer arrives';

done_testing;
