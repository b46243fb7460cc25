# packaging/nginx-lua: Lua files that run in an nginx of their own.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Temp;
use IPC::Open3;
use POSIX 'WNOHANG';
use Symbol qw(gensym);
use Test::More;
use Time::HiRes qw(sleep);

use ProcessTest;

my $nginx     = ProcessTest->new;
my $command   = "$FindBin::Bin/../packaging/nginx-lua";
my @from_here = ( '-n', $nginx->binary, map { ( '-m', $_ ) } ProcessTest::modules() );
my $left      = File::Temp->newdir;

# A shell does not trap what its caller ignores.
$SIG{INT} = 'DEFAULT';

sub begin {
    my ( $input, @arguments ) = @_;
    local $ENV{TMPDIR} = "$left";
    my $pid = open3( my $in, my $out, my $errors = gensym, $command, @from_here, @arguments );
    print {$in} $input;
    close $in;
    return ( $pid, $out, $errors );
}

# Runs it; gives its exit status, standard output and standard error.
sub nginx_lua {
    my ( $input, @arguments ) = @_;
    my ( $pid, $out, $errors ) = begin( $input, @arguments );
    local $/;
    my @texts = ( scalar <$out>, scalar <$errors> );
    waitpid $pid, 0;
    return ( $? >> 8, map { $_ // '' } @texts );
}

my $file = $nginx->write_file( 'script.lua', <<'_EOC_' );
#!/usr/bin/env nginx-lua
print(arg[0]:match("[^/]+$"), #arg, ...)
ngx.say("say ", { 1, { true } }, " ", nil, " ", ngx.null)
ngx.print("one", "\n")
ngx.sleep(0.01)
print(ngx.thread.wait(ngx.thread.spawn(function() ngx.sleep(0.01) return "a thread" end)))
print(io.read("*a"))
print(ngx.shared.dict:set("key", "value"), ngx.shared.dict:get("key"), require("a_module"))
os.exit(7)
_EOC_
mkdir $nginx->prefix . '/modules' or die;
$nginx->write_file( 'modules/a_module.lua', 'return "a module"' );

my ( $status, $output, $errors ) =
    nginx_lua( "input", '-s', 'dict 1m', '-I', $nginx->prefix . '/modules', $file, 'first', "two\nlines", '' );
is $status, 7, 'the exit status is the one of os.exit';
is $output, <<'_EOC_', 'arguments, output, what waits, input, dictionaries and modules';
script.lua	3	first	two
lines	
say 1true nil null
one
true	a thread
input
true	value	a module
_EOC_
is $errors, '', 'nothing on standard error';

( $status, $output ) = nginx_lua( 'print("from standard input", ...)', '-', 'argument' );
is "$status $output", "0 from standard input\targument\n", 'code from standard input';

( $status, $output ) = nginx_lua( '', '-e', 'print(..., arg[0])', 'argument' );
is "$status $output", "0 argument\tnil\n", 'code on the command line';

( $status, $output, $errors ) = nginx_lua( '', '-e', 'print("before") error({})' );
is "$status $output", "1 before\n", 'what an error leaves';
like $errors, qr/^nginx-lua: table: 0x/, 'an error that is no string';
for my $code ( 'setmetatable({}, { __tostring = function() error("no") end })', 'setmetatable({}, { __tostring = print })' ) {
    ( $status, $output, $errors ) = nginx_lua( '', '-e', "error($code)" );
    is $status, 1, 'an error that cannot be shown';
    like $errors, qr/^nginx-lua: \(error object is a table value\)$/, 'is no reason to stay';
}
( $status, $output, $errors ) = nginx_lua( '', '-e', 'os.exit, tostring, io = nil error("oops")' );
is $status, 1, 'nor is code that takes away what ends it';
like $errors, qr/^nginx-lua: \(command line\):1: oops/, 'its error is shown';

( $status, $output, $errors ) = nginx_lua( '', '-e', "local t = {}\nlocal function f() return t.a.b end\nprint(f())" );
is $status, 1, 'an error';
like $errors, qr/^nginx-lua: \(command line\):2: attempt to index field 'a'.*stack traceback:.*in main chunk/s,
    'its place and its traceback';

( $status, undef, $errors ) = nginx_lua( '', '-e', 'print(' );
is $status, 1, 'a syntax error';
like $errors, qr/^nginx-lua: \(command line\):1: unexpected symbol/, 'its place';

( $status, undef, $errors ) = nginx_lua( '', '-e', 'ngx.log(ngx.WARN, "a warning") ngx.log(ngx.NOTICE, "a notice")' );
like $errors,   qr/a warning/, 'the log goes to standard error';
unlike $errors, qr/a notice/,  'from the level warn on';
( $status, undef, $errors ) = nginx_lua( '', '-l', 'notice', '-e', 'ngx.log(ngx.NOTICE, "a notice")' );
like $errors, qr/a notice/, 'or from the level that is asked for';

( $status, undef, $errors ) = nginx_lua( '', $nginx->prefix . '/absent.lua' );
is $status, 1, 'a file that is not there';
like $errors, qr/^nginx-lua: cannot read .*absent\.lua$/, 'which is named';

( $status, undef, $errors ) = nginx_lua( '', '-H', 'no_such_directive on;', '-e', '' );
is $status, 1, 'a directive that is not known';
like $errors, qr/unknown directive "no_such_directive"/, 'which is named';

( $status, undef, $errors ) = nginx_lua( '', '-Z' );
is $status, 2, 'an option that is not known';
like $errors, qr/usage: nginx-lua/, 'shows those there are';

for my $name (qw(TERM INT)) {
    my ( $pid, $out ) = begin( '', '-e', 'print("runs") io.stdout:flush() ngx.sleep(600)' );
    is scalar <$out>, "runs\n", "a script that waits";
    # A single process may look at its signals just before one comes, and then wait for events.
    ok ProcessTest::wait_until( sub { kill $name => $pid; waitpid( $pid, WNOHANG ) == $pid } ), "ends by SIG$name";
    is $? >> 8, $name eq 'TERM' ? 143 : 130, "with the exit status of SIG$name";
}

SKIP: {
    skip 'busted is not installed', 4 if !-x '/usr/bin/busted';
    my $suite = $nginx->write_file( 'suite_spec.lua', <<'_EOC_' );
describe("the module", function()
    it("waits", function()
        ngx.sleep(0.01)
        assert.equal("b", ngx.re.match("abc", "b", "jo")[0])
    end)
    it("has cosockets", function()
        local ok, err = ngx.socket.tcp():connect("127.0.0.1", 1)
        assert.is_nil(ok)
        assert.equal("connection refused", err)
    end)
    it("fails", function() assert.equal(1, FAILS or 1) end)
end)
_EOC_
    ( $status, $output ) = nginx_lua( '', '/usr/bin/busted', '-o', 'plainTerminal', $suite );
    like $output, qr/3 successes \/ 0 failures/, "a suite of busted passes";
    is $status, 0, 'with its exit status';
    $nginx->write_file( 'helper.lua', 'FAILS = 2' );
    ( $status, $output, $errors ) =
        nginx_lua( '', '/usr/bin/busted', '-o', 'plainTerminal', '--helper=' . $nginx->prefix . '/helper.lua', $suite );
    like $output, qr/2 successes \/ 1 failure/, 'and one that fails';
    is "$status $errors", '1 ', 'says so, and no more';
}

is_deeply [ glob "$left/*" ], [], 'nothing is left behind';

done_testing;
