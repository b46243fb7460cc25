# lua-resty-core of other releases than the installed one: a copy of that is made to ask for another
# release, or for none. TEST_NGINX_RESTY_CORE may name directories, parted by colons,
# with true ones of other releases (lib of a checkout): each must load, to the last file and symbol.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use File::Path qw(make_path);
use Test::More;
use ProcessTest;
use RestyCore;

my $port   = ProcessTest::port();
my $server = ProcessTest->new;
my $lua    = $server->prefix . '/lua';
my $cert   = ProcessTest::certs();
my $tls_port = $port + 1;

make_path($lua);
$server->write_file( 'lua/waits.lua', <<'_EOC_');
return {
    wait = function()
        while not ngx.shared.d:get("go") do
            os.execute("sleep 0.01")
        end
        return true
    end,
}
_EOC_

my $LOCATIONS = <<'_EOC_' =~ s/\@LUA\@/$lua/r;
    location = /release { content_by_lua_block { ngx.print(ngx.config.ngx_lua_version) } }
    location = /init { content_by_lua_block { ngx.print(release_in_init) } }
    location = /base {
        content_by_lua_block { ngx.print(package.searchpath("resty.core.base", package.path)) }
    }
    location = /pids {
        content_by_lua_block {
            -- More numbers fit than the length says.
            local ffi = require "ffi"
            local pids, room = ffi.new("int[1024]", -7), ffi.new("size_t[1]", 1)
            local rc = ffi.C.ngx_http_lua_ffi_worker_pids(pids, room)
            ngx.print(rc, " ", tonumber(room[0]), " ", pids[0] > 0, " ", pids[1] > 0)
        }
    }
    location = /mime {
        content_by_lua_block {
            local ffi = require "ffi"
            pcall(ffi.cdef, [[int ngx_http_lua_ffi_decode_base64mime(const unsigned char *src,
                size_t len, unsigned char *dst, size_t *dlen);]])
            local dst, len = ffi.new("char[32]"), ffi.new("size_t[1]")
            local source = "aGVs\r\n*bG8="
            local ok = ffi.C.ngx_http_lua_ffi_decode_base64mime(source, #source, dst, len)
            ngx.print(ok, " ", ffi.string(dst, len[0]))
        }
    }
    # What `ngx.re` says where it fails; option bits of which each counts; a limit on the work.
    location = /re {
        content_by_lua_block {
            local function err(...)
                local _, err = ngx.re.match(...)
                return err
            end
            ngx.say(err("a", "(abc"))
            ngx.say(err("a", [[a\Lb]]))
            ngx.say(err("a", "(?1)(a|(?1)b)"))
            ngx.say(err("\xffa", "a", "u"))
            local m = ngx.re.match("B\na\tc\nB", [[(?<n> ^ A . C $ )]], "imxDjs")
            ngx.say(m and m.n[1])
            ngx.say(ngx.re.match("a\nb", "a.b") and "." or "no newline", " ",
                ngx.re.match("\u{e9}", "^.$", "u") and "one" or "two", " ",
                ngx.re.match("ba", "a", "a") and "found" or "anchored", " ",
                ngx.re.match("a", "[]a", "J") and "found" or "empty", " ",
                ngx.re.find("aab", "a+?", "d"))
            ngx.say(err(("a"):rep(30) .. "!", [[(a+)+\z]], "o"))
        }
    }
    # TLS with this server's own port for it: the version that both sides agree on.
    location = /tls { content_by_lua_block { handshake() } }
    location = /tls12 {
        lua_ssl_conf_command MaxProtocol TLSv1.2;
        content_by_lua_block { handshake() }
    }
    location = /tls_named {
        lua_ssl_protocols TLSv1.1 TLSv1.2;
        content_by_lua_block { handshake() }
    }
    # How many calls in threads there may be at once.
    location = /threads {
        content_by_lua_block {
            ngx.shared.d:delete("go")
            local function run() return ngx.run_worker_thread("pool", "waits", "wait") end
            local threads, refused = {}, 0
            for i = 1, 12 do threads[i] = ngx.thread.spawn(run) end
            ngx.shared.d:set("go", true)
            for i = 1, 12 do
                local _, ok = ngx.thread.wait(threads[i])
                refused = refused + (ok and 0 or 1)
            end
            ngx.print(refused)
        }
    }
    # Puts compiled code in the place of a copy's source.
    location = /compile {
        content_by_lua_block {
            local path = "@LUA@/" .. ngx.var.args .. "/resty/core/base.lua"
            local code = string.dump(assert(loadfile(path)), true)
            assert(assert(io.open(path, "w")):write(code)):close()
        }
    }
    # Loads every file of lua-resty-core's, and looks up every symbol of this module's that one calls.
    location = /modules {
        content_by_lua_block {
            local ffi = require "ffi"
            local root = package.searchpath("resty.core.base", package.path):match("^(.*)/resty/core/base.lua$")
            local found = io.popen("cd " .. root .. " && find resty/core.lua resty/core ngx -name '*.lua'")
            local files, symbols, seen, faults = 0, 0, {}, {}
            for name in found:lines() do
                files = files + 1
                local ok, err = pcall(require, (name:gsub("%.lua$", ""):gsub("/", ".")))
                if not ok then faults[#faults + 1] = name .. ": " .. err end
                local file = assert(io.open(root .. "/" .. name))
                for symbol in file:read("*a"):gmatch("C%.(ngx_http_lua_[%w_]+)") do
                    if not seen[symbol] and not symbol:find("_macos$") then
                        seen[symbol], symbols = true, symbols + 1
                        local ok, err = pcall(function() return ffi.C[symbol] end)
                        if not ok then faults[#faults + 1] = name .. ": " .. err end
                    end
                end
                file:close()
            end
            found:close()
            ngx.say(files, " files, ", symbols, " symbols")
            for _, fault in ipairs(faults) do ngx.say(fault) end
        }
    }
    # Reads in vain from a server that waits for a request.
    location = /silent {
        content_by_lua_block {
            local sock = ngx.socket.tcp()
            sock:settimeout(20)
            assert(sock:connect("127.0.0.1", ngx.var.server_port))
            ngx.print((select(2, sock:receive())))
        }
    }
    # Texts that releases have changed.
    location = /texts {
        content_by_lua_block {
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", ngx.var.server_port))
            local line = sock:receiveuntil("\n")
            for _, call in ipairs{
                { sock.settimeout, sock }, { sock.settimeouts, sock, 1 }, { sock.receive, sock, -1 },
                { sock.receive, sock, {} }, { sock.receive, sock, "*x" }, { line, 1, 2 }, { ngx.req.socket, 1, 2 },
            } do
                local _, err = pcall(unpack(call))
                ngx.say((err:gsub("^bad argument #2 to '.-' ", "")))
            end
        }
    }
    # What the methods of TCP sockets that a release has answer for one that is connected without TLS.
    location = /methods {
        content_by_lua_block {
            for _, name in ipairs{ "getfd", "getsslctx", "getsslpointer", "getsslsession", "settrustedstore" } do
                local sock = ngx.socket.tcp()
                assert(sock:connect("127.0.0.1", ngx.var.server_port))
                if sock[name] then
                    local result, err = sock[name](sock)
                    ngx.print(name, "=", tonumber(result) and "number" or err or tostring(result), " ")
                end
            end
        }
    }
    location = /worker_pids { content_by_lua_block { ngx.print(#ngx.worker.pids()) } }
    location = /fresh {
        lua_code_cache off;
        content_by_lua_block { ngx.print(ngx.config.ngx_lua_version) }
    }
    location = /api {
        content_by_lua_block {
            ngx.header["X-Escaped"] = ngx.escape_uri("a b")
            local m = ngx.re.match("Straße 42", [[(?<n>\d+)]], "ijou")
            local s = ngx.re.gsub("abab", "A.", "<$0>", "ijo")
            ngx.ctx.seen = ngx.now() > 0 and ngx.get_phase()
            ngx.print(m.n, " ", s, " ", ngx.md5("x"), " ", ngx.ctx.seen, " ",
                ngx.shared.d:set("a", 1), " ", ngx.shared.d:get("a"), " ",
                ngx.req.get_headers()["Host"], " ", ngx.decode_base64(ngx.encode_base64("z")))
        }
    }
_EOC_

sub conf {
    my ($path) = @_;
    return $server->write_file( 'nginx.conf', <<"_EOC_");
pid        logs/nginx.pid;
error_log  logs/error.log debug;
worker_processes 2;
thread_pool pool threads=1;
events {
}
http {
    access_log off;
    lua_package_path "$lua/?.lua;$path";
    lua_shared_dict d 100k;
    lua_regex_match_limit 1000;
    init_by_lua_block {
        release_in_init = ngx.config.ngx_lua_version
        function handshake()
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", $tls_port))
            assert(sock:sslhandshake())
            assert(sock:send("GET /version HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n"))
            ngx.print((assert(sock:receive("*a")):match("TLSv[%d.]+")))
        end
    }
    server {
        listen 127.0.0.1:$tls_port ssl;
        ssl_certificate $cert/test.crt;
        ssl_certificate_key $cert/test.key;
        ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;
        ssl_client_hello_by_lua_block { ngx.log(ngx.WARN, "a client speaks") }
        location = /version { return 200 \$ssl_protocol; }
    }
    server {
        listen 127.0.0.1:$port;
$LOCATIONS
        location = /ocsp {
            content_by_lua_block {
                local function read(name) return assert(io.open("$cert/" .. name)):read("*a") end
                local chain = require("ngx.ssl").cert_pem_to_der(read("stapled.crt"))
                local ok, again = require("ngx.ocsp").validate_ocsp_response(read("stapled_good.der"), chain)
                ngx.print(ok, " ", again)
            }
        }
    }
}
_EOC_
}

sub body { my ( undef, undef, $body ) = ProcessTest::get( $port, $_[0] ); return $body }

# What differs between releases beside expressions: TLS, calls in threads, places in the log.
sub tls { return join ' ', map { body("/$_") } qw(tls tls12 tls_named) }

sub client_hello_lines {
    my $text = $server->log_text('error.log');
    my ($place) = $text =~ /(ssl_client_hello_by_lua\S*) a client speaks/;
    my ($line)  = $text =~ /(\w+): handler return value: 0, client hello cb/;
    $place =~ s/:\d+\)/:N)/;
    return "$place $line";
}

# How the line about that read goes on after its text.
sub silent_line {
    my $answer = body('/silent');
    my ($line) = $server->log_text('error.log') =~ /lua tcp socket read timed out(.*?), client:/;
    return "$answer$line";
}

sub notices {
    my @lines = $server->log_text('error.log') =~ /\[notice\].*(lua-resty-core at .*)/g;
    return @lines;
}

# The release of the installed one first; it tells where the installed files are.
$server->start( conf(';;') );
my $base = body('/base');
RestyCore::needs_first_release( $server, $base );
is body('/release'), 10023, 'the release that the installed one asks for';
is body('/pids'), '0 2 true true', 'worker ids: the room is 1,024, whatever the length says';
is body('/worker_pids'), 2, '… and ngx.worker.pids';
my $api = body('/api');
like $api, qr/^42 <ab><ab> .* content true 1 localhost z$/, 'the API';
is_deeply [notices()], [], 'no notice';
my $all = qr/\A[1-9]\d* files, [1-9]\d* symbols\n\z/;
like body('/modules'), $all, 'every file loads, every symbol is there';
is body('/methods'), '', 'sockets have no newer methods';
is body('/ocsp'), 'true nil', 'an OCSP response is valid';
is body('/texts'), <<'_EOC_', 'texts';
ngx.socket settimeout: expecting 2 arguments (including the object) but seen 1
ngx.socket settimeout: expecting 4 arguments (including the object) but seen 2
(bad pattern argument)
(bad pattern argument)
(bad pattern argument)
expecting 0 or 1 arguments, but seen 2
expecting zero arguments, but got 2
_EOC_

# The errors of the two PCREs, and what is the same in both.
my $matches = "a\tc\nno newline one anchored empty 12\n";
my $pcre1 = <<'_EOC_' . $matches . "pcre_exec() failed: -8\n";
pcre_compile() failed: missing ) in "(abc"
pcre_compile() failed: PCRE does not support \L, \l, \N{name}, \U, or \u in "a\Lb" at "Lb"
pcre_compile() failed: recursive call could loop indefinitely in "(?1)(a|(?1)b)" at ")b)"
pcre_exec() failed: -10
_EOC_
my $pcre2 = <<'_EOC_' . $matches . "pcre_exec() failed: -47\n";
pcre2_compile() failed: missing closing parenthesis in "(abc"
pcre2_compile() failed: PCRE2 does not support \F, \L, \l, \N{name}, \U, or \u in "a\Lb" at "b"
nil
pcre_exec() failed: -23
_EOC_
is body('/re'), $pcre1, 'expressions: the first PCRE';
is tls(), 'TLSv1.2 TLSv1.2 TLSv1.2', 'TLS: 1.2 unless named';
is client_hello_lines(), 'ssl_client_hello_by_lua:1: lua_client_hello_by_lua', '… and its lines in the log';
is body('/threads'), 0, 'calls in threads: a hundred';
is silent_line(), 'timeout', 'a line about a time-out does not name the server';
$server->stop;

my $copies = 0;
sub copy { return RestyCore::copy( $server, ++$copies, $base, $_[0] ) }

sub starts_anew {
    unlink $server->prefix . '/logs/error.log';
    $server->start( conf( $_[0] ) );
}

# A newer release.
{
    starts_anew( copy( RestyCore::asking_with_pcre2( 10028, '0.10.28' ) ) );
    is body('/release'), 10028, '10028: presented';
    is body('/init'), 10028, '10028: to init_by_lua';
    is body('/fresh'), 10028, '10028: to the VM of one request';
    is body('/api'), $api, '10028: the API is the same';
    is body('/re'), $pcre2, '10028: expressions: PCRE2';
    is tls(), 'TLSv1.3 TLSv1.2 TLSv1.2', '10028: TLS: 1.3 unless named';
    is client_hello_lines(), 'ssl_client_hello_by_lua(nginx.conf:N):1: lua_client_hello_by_lua',
        '10028: … and its lines in the log';
    is body('/threads'), 2, '10028: calls in threads: ten';
    is body('/pids'), '0 1 true false', '10028: worker ids: the length says the room';
    is body('/mime'), '1 hello', '10028: base64 of MIME';
    is body('/texts'), <<'_EOC_', '10028: texts';
ngx.socket settimeout: expecting 2 arguments (including the object) but seen 1
ngx.socket settimeouts: expecting 4 arguments (including the object) but seen 2
(bad number argument)
(bad argument)
(bad pattern argument)
expecting 0 or 1 argument, but seen 2
expecting 0 or 1 argument, but got 2
_EOC_
    is_deeply [notices()], [], '10028: no notice';
    $server->stop;
}

# One newer than all that this module follows.
{
    starts_anew( copy( RestyCore::asking_with_pcre2( 10033, '0.10.33' ) ) );
    is body('/release'), 10033, '10033: presented';
    is_deeply [notices()],
        [ qq{lua-resty-core at "$lua/$copies/resty/core/base.lua" requires ngx_http_lua_module 0.10.33: }
        . 'presenting that release, though this module follows the releases up to 0.10.32' ],
        '10033: one notice, which names file and release';
    $server->stop;
}

# One that asks for none: its version counts. One without a version has the newest release.
sub asking_for_none { $_[1] =~ s/\bngx_lua_version ~= 10023/ngx_lua_version == nil/g; $_[1] =~ s/\b0\.10\.23\b/another/g }
{
    starts_anew( copy( \&asking_for_none ) );
    is body('/release'), 10023, 'no check: the release of its version';
    is body('/api'), $api, 'no check: the API is the same';
    is body('/re'), $pcre1, 'no check: expressions: the first PCRE';
    is body('/pids'), '0 2 true true', 'no check: worker ids: the room is 1,024';
    $server->stop;

    starts_anew( copy( sub { asking_for_none(@_); $_[1] =~ s/"0\.1\.25"/"of today"/g } ) );
    is body('/release'), 10032, 'neither check nor version: the newest release';
    is body('/pids'), '0 1 true false', 'neither check nor version: symbols act by it';
    is_deeply [notices()], [], 'neither check nor version: no notice';
    $server->stop;
}

# Compiled, with and without its check.
for my $edit ( sub { }, \&asking_for_none ) {
    my $path = copy($edit);
    starts_anew(';;');
    body("/compile?$copies");
    $server->stop;
    starts_anew($path);
    like ProcessTest::slurp("$lua/$copies/resty/core/base.lua"), qr/\A\eLJ/, 'compiled';
    is body('/release'), 10023, '… and the release is found';
    is body('/api'), $api, '… and the API is the same';
    $server->stop;
}

# The last one that speaks the first PCRE.
{
    starts_anew( copy( RestyCore::asking( 10025, '0.10.25' ) ) );
    is body('/re'), $pcre1, '10025: expressions: the first PCRE';
    is tls(), 'TLSv1.3 TLSv1.2 TLSv1.2', '10025: TLS: 1.3 unless named';
    is body('/threads'), 0, '10025: calls in threads: a hundred';
    $server->stop;
}

# The first one whose debug lines name the directive.
{
    starts_anew( copy( RestyCore::asking_with_pcre2( 10029, '0.10.29' ) ) );
    body('/tls');
    is client_hello_lines(), 'ssl_client_hello_by_lua(nginx.conf:N):1: ssl_client_hello_by_lua',
        '10029: a debug line names the directive';
    $server->stop;
}

# The first one whose lines about time-outs name the server.
{
    starts_anew( copy( RestyCore::asking_with_pcre2( 10030, '0.10.30' ) ) );
    is silent_line(), "timeout, upstream: 127.0.0.1:$port(127.0.0.1)",
        '10030: a line about a time-out names the server';
    $server->stop;
}

# A release with a symbol that nobody has.
my $unknown = copy( sub {
    my ( $name, $text ) = @_;
    RestyCore::asking( 10099, '0.10.99' )->( $name, $_[1] );
    return if $name !~ /time\.lua$/;
    $_[1] = "local ffi = require 'ffi'\nffi.cdef 'int ngx_http_lua_ffi_of_tomorrow(void);'\n"
        . "local f = ffi.C.ngx_http_lua_ffi_of_tomorrow\n$_[1]";
} );

# A worker that begins after a reload has failed acts by the release that is still in force.
{
    starts_anew(';;');
    # A master that has workers waits for signals.
    ProcessTest::wait_until( sub { 2 == ProcessTest::children( $server->pid ) } );
    my %before = map { $_ => 1 } ProcessTest::children( $server->pid );
    conf($unknown);
    kill HUP => $server->pid;
    ok $server->wait_for_line( 'error.log', qr/\[alert\].*ngx_http_lua_ffi_of_tomorrow/ ),
        'a reload fails';
    kill KILL => keys %before;
    ok ProcessTest::wait_until( sub {
        my @now = ProcessTest::children( $server->pid );
        return @now == 2 && !grep { $before{$_} } @now;
    } ), '… and workers begin anew';
    is body('/release'), 10023, '… with the release from before';
    is body('/pids'), '0 2 true true', '… by which symbols act';
    $server->stop;
}

# What does not start, and what it says.
sub refuses {
    my ( $name, $path, @says ) = @_;
    my ( $status, $output ) = $server->run( conf($path) );
    is $status >> 8, 1, "$name: nginx does not start";
    like $output, $_, "$name: says so" for @says;
    $server->stop;
}

refuses 'an older release', copy( RestyCore::asking( 10022, '0.10.22' ) ),
    qr/ngx_http_lua_module 0\.10\.22 required\) in /;

refuses 'a release with a symbol unknown here', $unknown,
    qr/failed to load the 'resty\.core' module .*undefined symbol: ngx_http_lua_ffi_of_tomorrow/s,
    qr/requires ngx_http_lua_module 0\.10\.99: presenting that release, .* up to 0\.10\.32\) in /;

# True releases, where there are any.
for my $directory ( split /:/, $ENV{TEST_NGINX_RESTY_CORE} || '' ) {
    my ($wanted) = ProcessTest::slurp("$directory/resty/core/base.lua") =~ /ngx_lua_version ~= (10\d{3})/;
    if ( $wanted > 10032 ) {
      SKIP: { skip "$directory is for release $wanted, newer than this module follows", 1 }
        next;
    }
    starts_anew("$directory/?.lua;;");
    my $release = body('/release');
    is body('/base'), "$directory/resty/core/base.lua", "$directory: loads";
    is $release, $wanted, "$directory: release $wanted";
    is body('/api'), $api, "$directory: the API is the same";
    is body('/worker_pids'), 2, "$directory: worker ids";
    is body('/mime'), '1 hello', "$directory: base64 of MIME";
    is scalar( () = notices() ), 0, "$directory: no notice";
    like body('/modules'), $all, "$directory: every file loads, every symbol is there";
    is body('/ocsp'), $release < 10027 ? 'true nil' : 'true 4891968000', "$directory: until when an OCSP response is valid";
    # In the order in which releases brought them.
    my @methods = grep { $_ ne '' } (
        $release >= 10029 ? 'getfd=number' : '',
        $release >= 10030 ? ( 'getsslctx=no ssl context', 'getsslpointer=no ssl connection', 'getsslsession=no session' ) : '',
    );
    my $methods = body('/methods');
    like $methods, qr/\Q$_\E /, "$directory: $_" for @methods;
    unlike $server->log_text('error.log'), qr/\[(?:error|crit|alert|emerg)\]/, "$directory: no error";
    $server->stop;
}

done_testing;
