# A worker whose memory is limited: whatever is asked of the API that does not fit fails as an error that
# Lua code can catch, or as an answer, and the same worker serves the next request.
#
# Each case runs in a request of its own, and a simple request follows it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);
use ProcessTest;

plan skip_all => 'memcheck needs the memory itself' if $ENV{TEST_NGINX_USE_VALGRIND};

# What the worker may take beside what it has at its start, and how long a case may last.
my $ROOM     = 300 * 1024 * 1024;
my $PATIENCE = 120;

my $port   = ProcessTest::port();
my $server = ProcessTest->new;
my $FULL   = qr/not enough memory|no memory/;

# Name, code (`big(n)` is a string of n million bytes), and what it must report; the protocol, and whether
# the memory is free later only.
my @cases = (

    # Output and logs.
    [ 'print of many strings',  'local s = big(50) return ngx.print(s, s, s, s, s, s, s, s, s, s, s, s)', $FULL ],
    [ 'say of many strings',    'local s = big(50) return ngx.say(s, s, s, s, s, s, s, s, s, s, s, s)',   $FULL ],
    [ 'print of a table',       'local s = big(50) return ngx.print({ s, s, s, s, s, { s, s, s, s, s } })', $FULL ],
    [ 'log of many strings',    'local s = big(50) return ngx.log(ngx.ERR, s, s, s, s, s, s, s, s, s)',   qr/^$/ ],
    [ 'print to the log',       'local s = big(50) return print(s, s, s, s, s, s, s, s, s)',              qr/^$/ ],
    [ 'log of a big __tostring', 'local s = big(50) s = setmetatable({}, { __tostring = function() return s end })
                                 return ngx.log(ngx.ERR, s, s, s, s, s, s, s, s, s, s)', qr/^$/ ],
    [ 'body in pieces', 'local s = big(10) for _ = 1, 100 do
                           local ok, err = ngx.print(s) if not ok then return ok, err end
                         end', $FULL, 'HTTP/1.0' ],
    [ 'log of a big text', 'local s = big(70, "\\1") return ngx.log(ngx.ERR, s)', qr/^$/ ],
    [ 'a big error', 'error(big(100), 0)', qr/x{100}|$FULL/ ],

    # Encoding.
    [ 'quote_sql_str',   "return #ngx.quote_sql_str(big(120, [[']]))",         $FULL ],
    [ 'escape_uri',      'return #ngx.escape_uri(big(100, "&"))',              $FULL ],
    [ 'unescape_uri',    'return #ngx.unescape_uri(big(200, "%41"))',          $FULL ],
    [ 'encode_base64',   'return #ngx.encode_base64(big(140))',                $FULL ],
    [ 'decode_base64',   'return #ngx.decode_base64(big(140, "QUJD"))',        $FULL ],
    [ 'encode_args of a big value', 'return #ngx.encode_args({ a = big(70, "&") })', $FULL ],
    [ 'encode_args of many',
        'local s = big(50) return #ngx.encode_args({ a = { s, s, s, s, s, s, s } })', $FULL ],
    [ 'decode_args',         'return ngx.decode_args(big(200, "&"), 0) ~= nil',    $FULL ],
    [ 'decode_args of many', 'return ngx.decode_args(big(20, "&a"), 0) ~= nil', qr/$FULL|true/ ],
    [ 'md5 and sha1', 'local s = big(20) return #ngx.md5(s) + #ngx.md5_bin(s) + #ngx.sha1_bin(s)', qr/^68$/ ],
    [ 'hmac and crc',
        'local s = big(20) return #ngx.hmac_sha1(s, s) + #tostring(ngx.crc32_long(s)) + #tostring(ngx.crc32_short(s))',
        qr/^\d+$/ ],
    [ "to_hex", q{return #(big(120):gsub(".", function(c) return ("%02x"):format(c:byte()) end))}, $FULL ],
    [ 'parse_http_time', 'return ngx.parse_http_time(big(10))', qr/^$/ ],

    # Expressions.
    [ 're.match', 'return #ngx.re.match(big(160), "(x+)")[0]', $FULL ],
    [ 're.find',  'return ngx.re.find(big(100), "y")', qr/^$|error/ ],
    [ 're.gsub',  'return #ngx.re.gsub(big(20), "x", "yyyyyyyyyyyyyyyyyyyy", "jo")', $FULL ],
    [ 're.gsub with a function', 'return #ngx.re.gsub(big(1), "x", function() return ("y"):rep(1000) end, "jo")', $FULL ],
    [ 're.sub',   'return #ngx.re.sub(big(100), "x", "$0$0$0$0", "jo")', $FULL ],
    [ 're.sub with a big replacement', 'return #ngx.re.sub("x", "x", big(140), "jo")', $FULL ],
    [ 're.gsub with a big template', 'return #ngx.re.gsub("xxxx", "x", big(50) .. "$0", "jo")', $FULL ],
    [ 'a big expression',  'return ngx.re.find("x", big(60), "jo")', qr/too (large|long)|$FULL|error/ ],
    [ 'many expressions', 'for i = 1, 300 do ngx.re.find("x", i .. big(1) .. "(a)(b)", "") end', qr/too (large|long)|$FULL|error|^$/ ],

    # Shared dictionaries.
    [ 'shdict set',   'return ngx.shared.dict:set("k", big(20))',   $FULL ],
    [ 'shdict safe_set', 'return ngx.shared.dict:safe_set("k", big(20))',   $FULL ],
    [ 'shdict lpush', 'return ngx.shared.dict:lpush("l", big(20))', $FULL ],
    [ 'shdict get',   'ngx.shared.dict:set("k", big(9)) local all = {}
                       for i = 1, 100 do all[i] = i .. ngx.shared.dict:get("k") end', $FULL ],
    [ 'shdict lpop',  'ngx.shared.dict:flush_all() ngx.shared.dict:flush_expired() local all = {}
                       for i = 1, 100 do
                          assert(ngx.shared.dict:lpush("l", big(4)))
                          all[i] = i .. assert(ngx.shared.dict:lpop("l"))
                       end', $FULL ],

    # The request and its response.
    [ 'set_uri_args of a string', 'return ngx.req.set_uri_args(big(200, "&"))',       $FULL ],
    [ 'set_uri_args of a table',  'return ngx.req.set_uri_args({ a = big(70, "&") })', $FULL ],
    [ 'set_uri',        'return ngx.req.set_uri("/" .. big(100))', $FULL ],
    [ 'get_uri_args',   'ngx.req.set_uri_args(big(60, "&a")) local all = {}
                         for i = 1, 20 do all[i] = ngx.req.get_uri_args(0) end', $FULL ],
    [ 'a response header', 'local s = big(40) for i = 1, 20 do ngx.header["X-" .. i] = s end', $FULL ],
    [ 'a response header of many values', 'local s = big(40) ngx.header.x = { s, s, s, s, s, s, s, s, s }', $FULL ],
    [ 'a look-up of a response header', 'return ngx.resp.get_headers()[big(100)]', qr/$FULL|^$/ ],
    [ 'the request header Host', 'return ngx.req.set_header("Host", big(100))', qr/$FULL|^$/ ],
    [ 'set_body_file', 'ngx.req.read_body() return ngx.req.set_body_file(big(100))', qr/$FULL|stat\(\)/ ],
    [ 'a request header',  'local s = big(40) for i = 1, 20 do ngx.req.set_header("X-" .. i, s) end', $FULL ],
    [ 'a variable',        'local s = big(40) for i = 1, 20 do ngx.var.x = i .. s end',  $FULL ],
    [ 'set_body_data',     'ngx.req.read_body() ngx.req.set_body_data(big(200))',     $FULL ],
    [ 'init_body',         'ngx.req.read_body() ngx.req.init_body(2000000000)', $FULL ],
    [ 'append_body',       'ngx.req.read_body() ngx.req.init_body(100000000) local s = big(40)
                            for _ = 1, 20 do ngx.req.append_body(s) end ngx.req.finish_body()', qr/^$|$FULL/ ],
    [ 'ngx.ctx',           'local s = big(20) for i = 1, 100 do ngx.ctx[i] = i .. s end', $FULL ],
    [ 'exec',              'return ngx.exec("/plain", big(200))', $FULL ],
    [ 'exec with a table', 'local s = big(60, "&") return ngx.exec("/plain", { a = s, b = s })', $FULL ],
    [ 'redirect',          'return ngx.redirect("/" .. big(100))', qr/$FULL|500/ ],

    # Subrequests.
    [ 'capture with args', 'return ngx.location.capture("/plain?" .. big(100), { args = big(100, "y") }).status', $FULL ],
    [ 'capture with a table of args', 'return ngx.location.capture("/plain", { args = { a = big(70, "&") } }).status', $FULL ],
    [ 'capture with a body', 'local s = big(100) return ngx.location.capture("/plain", { method = ngx.HTTP_POST, body = s .. s }).status', $FULL ],
    [ 'capture with variables', 'local s = big(70) return ngx.location.capture("/plain", { vars = { x = s, y = s, z = s } }).status', $FULL ],
    [ 'capture of a big response', 'local res, err = ngx.location.capture("/big") return res and #res.body, err', qr/$FULL|^\d+ ?$/ ],
    [ 'capture_multi of many', 'local all = {} for i = 1, 5000 do all[i] = { "/plain" } end
                                return select("#", ngx.location.capture_multi(all))', qr/^5000$/ ],

    # Cosockets, whose peer says what it is asked to.
    [ 'tcp send',         'local s = big(50) return peer(""):send({ s, s, s, s, s, s, s, s, s })', $FULL ],
    [ 'tcp receive all',  'return peer("600\n"):receive("*a")',                      $FULL ],
    [ 'tcp receive line', 'return peer("600\n"):receive("*l")',                      $FULL ],
    [ 'tcp receive of a size', 'return peer("600\n"):receive(500000000)',                 $FULL ],
    [ 'tcp receiveuntil', 'return peer("600\n"):receiveuntil("y")()',                $FULL ],
    [ 'tcp receiveuntil of a big pattern', 'return peer("1\n"):receiveuntil(big(100))',      $FULL ],
    [ 'tcp connect to a big name', 'return ngx.socket.tcp():connect(big(100), 80)', qr/$FULL|parse host|resolve/ ],
    [ 'tcp connect with a big pool name',
        'return ngx.socket.tcp():connect("127.0.0.1", PEER, { pool = big(120) })', qr/$FULL/ ],
    [ 'udp send',         'local s, sock = big(50), ngx.socket.udp() sock:setpeername("127.0.0.1", PEER)
                           return sock:send({ s, s, s, s, s, s, s, s, s })', $FULL ],
    [ 'udp setpeername of a big name', 'return ngx.socket.udp():setpeername(big(140), 80)', qr/$FULL|parse host|resolve/ ],

    # Programs.
    [ 'pipe write', 'local cat = assert(require("ngx.pipe").spawn({ "sleep", "5" })) cat:set_timeouts(100)
                     local ok, err = cat:write(big(200)) cat:kill(9) return ok, err', $FULL ],
    [ 'pipe read',  'local proc = assert(require("ngx.pipe").spawn({ "head", "-c", "600000000", "/dev/zero" }))
                     proc:set_timeouts(nil, 60000)
                     local ok, err = proc:stdout_read_all() proc:kill(9) return ok, err', $FULL ],
    [ 'pipe spawn', 'local s = big(50) return require("ngx.pipe").spawn({ "true", s, s, s, s, s, s })', qr/$FULL|too long|cdata/ ],

    # Worker threads.
    [ 'worker thread arguments', 'local s = big(60) local t = {} for i = 1, 20 do t[i] = i .. s s = s end
                                  return ngx.run_worker_thread("pool", "job", "len", t)', $FULL ],
    [ 'worker thread arguments, copied', 'local t = { big(30) } for i = 1, 20 do t[i] = i .. t[1] end for i = 1, 20 do t[i + 1] = t[1] end
                                  return ngx.run_worker_thread("pool", "job", "len", t)', $FULL ],
    [ 'worker thread results', 'return ngx.run_worker_thread("pool", "job", "make", 50)', $FULL ],
    [ 'worker thread result, copied', 'local keep = big(100) return ngx.run_worker_thread("pool", "job", "one", 90), #keep', qr/$FULL|true/ ],

    # Without end.
    [ 'coroutines', 'local all = {} for i = 1, 1e8 do all[i] = coroutine.create(function() end) end', $FULL ],
    [ 'coroutines that wait', 'local all = {} for i = 1, 1e8 do
            all[i] = coroutine.create(function() coroutine.yield(i) end) coroutine.resume(all[i]) end', $FULL ],
    [ 'threads',    'for i = 1, 1e8 do ngx.thread.spawn(function() ngx.sleep(100) end) end',    $FULL ],
    [ 'threads that are over', 'local all = {} for i = 1, 1e8 do all[i] = ngx.thread.spawn(function() end) end', $FULL ],
    [ 'semaphores', 'local new = require("ngx.semaphore").new
                     local all = {} for i = 1, 1e8 do all[i] = assert(new()) end', $FULL ],
    [ 'semaphores without references', 'local new = require("ngx.semaphore").new
                     collectgarbage("stop") local ok, err = pcall(function() for i = 1, 1e8 do assert(new()) end end)
                     collectgarbage("restart") return ok, err', $FULL ],
    [ 'timers',     'for i = 1, 1e8 do
                        local timer, err = ngx.timer.at(0.2, function() end) if not timer then return timer, err end
                    end', $FULL, undef, 'later' ],
    [ 'tcp sockets', 'local all = {} for i = 1, 1e8 do all[i] = assert(ngx.socket.tcp()) end', $FULL ],
    [ 'udp sockets', 'local all = {} for i = 1, 1e8 do all[i] = assert(ngx.socket.udp()) end', $FULL ],
    [ 'tcp readers', 'local all, sock = {}, peer("1\n") for i = 1, 1e8 do all[i] = assert(sock:receiveuntil("abc" .. i)) end', $FULL ],
    [ 'expressions in use', 'local all = {} for i = 1, 1e8 do ngx.re.match("x", "(a)(b)" .. i, "") all[i] = i .. big(0.01) end', $FULL ],
    [ 'tables',      'local all = {} for i = 1, 1e8 do all[i] = {} end', $FULL ],
    [ 'tables after many strings', 'do local all = {} for i = 1, 2000000 do all[i] = "abc" .. i end end collectgarbage()
                     local all = {} for i = 1, 1e8 do all[i] = {} end', $FULL ],

    # Tables with holes.
    ( map { [ "print of {[$_] = 1}", "return ngx.print({ [$_] = 'x' })", qr/too sparse|sparse array/ ] }
        qw(2^31-1 2^31 2^32+1 1e10 1e12 2^53 1e300) ),
    [ 'say of a sparse table',      'return ngx.say("a", { { [2^31] = "x" } })', qr/sparse/ ],
    [ 'send of a sparse table',     'return peer(""):send({ "a", [2^31] = "x" })', qr/sparse/ ],
    [ 'udp send of a sparse table', 'local sock = ngx.socket.udp() sock:setpeername("127.0.0.1", PEER)
                                     return sock:send({ "a", [1e10] = "x" })', qr/sparse/ ],
    [ 'args of a sparse table',     'return #ngx.encode_args({ a = { "x", [1e10] = "y" } })', qr/^\d+$/ ],
    [ 'a header of a sparse table', 'ngx.header.x = { "x", [2^31] = "y" }', qr/^$/ ],

    # Messages between workers that are too long.
    [ 'post of a big message', 'return ngx.worker.events.post("news", big(20))', qr/too long|$FULL/ ],
    [ 'post with a big name',  'return ngx.worker.events.post(big(20), "")',     qr/too long|$FULL/ ],

    # Messages that are heard.
    [ 'messages that are heard',
        'local heard ngx.worker.events.on("news", function(data) heard = #data end)
         local s = big(4) for _ = 1, 100 do
             local ok, err = ngx.worker.events.post("news", s)
             while err == "queue is full" do ngx.sleep(0.001) ok, err = ngx.worker.events.post("news", s) end
             if not ok then return err end
         end
         while not heard do ngx.sleep(0.001) end
         return heard', qr/^4000000$|$FULL/ ],

    # The walk allocates, too: on a full heap its answer is an error, or there is nobody to tell.
    ( map { [ "profile of the memory, with $_ tables",
              "local all = {} for i = 1, $_ do all[i] = { {} } end return ngx.location.capture('/profile?memory').status", qr/^\d+$|$FULL/ ] }
        600000, 650000, 700000, 750000 ),

    # What string.gsub makes of the function's answers is not in Lua's memory.
    [ 'gsub with a function', 'return #big(10):gsub("x", function() return ("y"):rep(100) end)', $FULL ],
    [ 'gsub with a function that waits',
        'return #big(0.01):gsub("x", function() ngx.sleep(0) return ("y"):rep(100000) end)', $FULL ],
    [ 'gsub of a big subject', 'return #big(100):gsub("x*", function(all) ngx.sleep(0) return all end)', $FULL ],
    [ 'gsub with a big answer', 'local s = big(50) return #("aaaaaa"):gsub("a", function() ngx.sleep(0) return s end)', $FULL ],
);

sub case_lua {
    my $functions = join '', map {"cases[#cases + 1] = function() $_->[1] end\n"} @cases;
    $functions =~ s/PEER/$port + 1/ge;
    return <<"_EOC_";
local cases = {}
local function big(millions, unit)
    unit = unit or "x"
    return unit:rep(math.floor(millions * 1000000 / #unit))
end
local function peer(line)
    local sock = ngx.socket.tcp()
    sock:settimeout(20000)
    assert(sock:connect("127.0.0.1", $port + 1))
    assert(sock:send(line))
    return sock
end
$functions
return cases
_EOC_
}

# A peer that sends as many million bytes as the line it reads says.
my $peer = do {
    my $listener = IO::Socket::INET->new(
        LocalAddr => '127.0.0.1', LocalPort => $port + 1, Listen => 100, ReuseAddr => 1
    ) or die "peer: $@";
    my $pid = fork // die "fork: $!";
    if ( $pid == 0 ) {
        $SIG{CHLD} = 'IGNORE';
        $SIG{PIPE} = 'IGNORE';
        while ( my $client = $listener->accept ) {
            next if fork;
            my $line = <$client> // '0';
            my $data = 'x' x 1_000_000;
            for ( 1 .. int $line ) { print {$client} $data or last }
            close $client;
            POSIX::_exit(0);
        }
        POSIX::_exit(0);
    }
    $pid;
};
# Where the test dies, too: the peer holds its standard output.
END { kill KILL => $peer if $peer }

$server->write_file( 'cases.lua', case_lua() );
$server->write_file( 'job.lua',   <<'_EOC_');
return {
    len = function(t) return #t end,
    make = function(n) local all = {} for i = 1, n do all[i] = i .. ("x"):rep(50000000) end return all end,
    one = function(n) return ("x"):rep(n * 1000000) end,
}
_EOC_
sub start {
    my ($format) = @_;
    $server->start( $server->write_file( 'nginx.conf', <<"_EOC_") );
pid        logs/nginx.pid;
error_log  logs/error.log notice;
worker_processes 1;
thread_pool pool threads=1;
events {
}
http {
    access_log off;
    lua_package_path "\$prefix/?.lua;;";
    lua_shared_dict dict 10m;
    lua_worker_events 10m;
    lua_error_log_format $format;
    lua_max_pending_timers 100000000;
    lua_regex_cache_max_entries 100;
    client_max_body_size 0;
    init_by_lua_block { require "resty.core" require "cases" }
    server {
        listen 127.0.0.1:$port;
        set \$x '';
        set \$y '';
        set \$z '';
        location = /case {
            content_by_lua_block {
                local function report(...)
                    local texts = {}
                    for i = 1, select("#", ...) do
                        texts[i] = tostring((select(i, ...))):sub(1, 200)
                    end
                    return table.concat(texts, " ")
                end
                local n = ngx.var.arg_n
                local case = require("cases")[tonumber(n)]
                local ok, first, second = pcall(case)
                -- What has a finalizer goes the second time only.
                collectgarbage()
                collectgarbage()
                ngx.log(ngx.NOTICE, "case ", n, " reports: ", report(first, second):gsub(" nil\$", ""):gsub("^nil\$", ""), ";")
                ngx.exit(444)
            }
        }
        location = /limit {
            content_by_lua_block {
                local ffi = require "ffi"
                ffi.cdef [[
                    struct test_limit { unsigned long current, maximum; };
                    int setrlimit(int resource, const struct test_limit *limit);
                    char *strerror(int number);
                ]]
                local file = assert(io.open("/proc/self/status"))
                local size = tonumber(file:read("*a"):match("VmSize:%s+(%d+) kB")) * 1024
                file:close()
                local ADDRESS_SPACE = 9
                local limit = ffi.new("struct test_limit", size + $ROOM, size + $ROOM)
                local failed = ffi.C.setrlimit(ADDRESS_SPACE, limit) ~= 0
                ngx.say(failed and ffi.string(ffi.C.strerror(ffi.errno())) or "limited")
            }
        }
        location = /profile { lua_profile; }
        location = /plain {
            content_by_lua_block { ngx.say("plain") }
        }
        location = /worker {
            content_by_lua_block { collectgarbage() collectgarbage() ngx.say(ngx.worker.pid()) }
        }
        location = /endless {
            content_by_lua_block { local all = {} for i = 1, 1e8 do all[i] = {} end }
        }
        location = /not_loaded_before {
            content_by_lua_block { ngx.say("loaded") }
        }
        location = /big {
            content_by_lua_block {
                local mega = ("x"):rep(1000000)
                for _ = 1, 100 do
                    if not pcall(ngx.print, mega) then break end
                end
            }
        }
    }
}
_EOC_
}

sub worker { return ( ProcessTest::children( $server->pid ) )[0] // 0 }

# Has the worker limit itself; what it says of it. A limit that the test would set, by a process id, could
# meet another process.
sub limit { return eval { ( ProcessTest::get( $port, '/limit' ) )[2] } // $@ }

# What the worker's memory consists of: its sizes, and its largest mappings.
sub held {
    no warnings 'portable';
    my ($worker) = @_;
    my $sizes = join ', ', ProcessTest::slurp("/proc/$worker/status") =~ /^(Vm(?:Size|RSS|Data):\s+\d+)/mg;
    my %size_of;
    for ( split /\n/, ProcessTest::slurp("/proc/$worker/maps") ) {
        $size_of{$_} = hex($2) - hex($1) if /^(\w+)-(\w+)/;
    }
    my @largest = grep { defined } ( sort { $size_of{$b} <=> $size_of{$a} } keys %size_of )[ 0 .. 9 ];
    return join "\n", "\nmemory: $sizes", map { sprintf '%9d kB %s', $size_of{$_} / 1024, $_ } @largest;
}

# Sends the request of a case, and waits for the server's close; whether it came.
sub request {
    my ( $n, $protocol ) = @_;
    my $socket   = ProcessTest::connection($port);
    my $deadline = time + $PATIENCE;
    print {$socket} "GET /case?n=$n $protocol\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    while ( time < $deadline ) {
        next if !IO::Select->new($socket)->can_read(0.2);
        return 1 if !sysread $socket, my $data, 1_000_000;
    }
    return 0;
}

# The cases whose name matches, or all, with the error log in a format.
sub test_cases {
    my ( $format, $only ) = @_;
    start($format);
    ProcessTest::get( $port, '/plain' );
    my $worker = worker();
    is limit(), "limited\n", 'the worker has a limit';
    for my $n ( 1 .. @cases ) {
        my ( $name, undef, $expected, $protocol, $later ) = @{ $cases[ $n - 1 ] };
        next if defined $only && $name !~ /$only/;
        my $from  = length $server->log_text('error.log');
        my $began = time;
        my $ended = request( $n, $protocol // 'HTTP/1.1' );
        my $log   = substr $server->log_text('error.log'), $from;
        my ($reported) = $log =~ /(?:\] |"message":").*?case $n reports: (.*?);/s;
        # Where what the code has left is not garbage, there may be no memory to report.
        ($reported) = $log =~ /(lua entry thread aborted: .*memory$|no memory for the body of a captured response)/m
            if !defined $reported;
        my $plain = sub { eval { ( ProcessTest::get( $port, '/plain' ) )[2] } // $@ };
        if ($later) {
            ProcessTest::wait_until( sub { $plain->() eq "plain\n" } );
            ProcessTest::get( $port, '/worker' );
        }
        my $answer = $plain->();
        my $now = worker();
        diag sprintf '%5.1f s  %s: %s', time - $began, $name, substr( $reported // 'nothing', 0, 160 ) if $ENV{MEMORY_LIMIT_SHOW};
        my $right = $ended && defined $reported && $reported =~ $expected && $answer eq "plain\n" && $now == $worker;
        ok $right, $name
            or diag "ended: $ended, reported: ", $reported // 'nothing', ", then: $answer", substr( $log, 0, 2000 ), held($now);
        if ( $now != $worker ) {
            diag "the worker died: $log";
            $worker = $now;
            limit();
        }
    }
    # Nobody has collected what an error left that the code did not catch.
    is eval { ( ProcessTest::get( $port, '/endless' ) )[0] } // $@, 500, 'the request that runs out of memory fails';
    is eval { ( ProcessTest::get( $port, '/not_loaded_before' ) )[2] } // $@, "loaded\n", 'code loads after it';
    is worker(), $worker, 'the worker is the same';

    my $log = $server->log_text('error.log');
    unlike $log, qr/exited on signal/, 'the worker has not died';
    # nginx's own word on an allocation of its that failed.
    my $level = sub { $format eq 'json' ? qr/"level":"(?:$_[0])"/ : qr/\[(?:$_[0])\]/ };
    my ( $emerg, $alert, $alarm ) = map { $level->($_) } 'emerg', 'alert', 'alert|emerg';
    $log =~ s/^.*$emerg.*\(12: Cannot allocate memory\).*\n//mg;
    $log =~ s/^.*$alert.*lua failed to run timer .*: (?:no memory|could not create .*)\n//mg;
    unlike $log, $alarm, 'no alarm';
    $server->stop;
}
test_cases( 'line', $ENV{MEMORY_LIMIT_CASES} );
unlink $server->prefix . '/logs/error.log';
test_cases( 'json', qr/\blog\b|error/ );

done_testing();
