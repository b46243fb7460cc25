# Requests that spawn, wait, kill and abort at random: light threads over sleeps, captures, sockets,
# their pools and TLS, semaphores, coroutines, timers and programs, in every phase that can wait; some clients
# leave; workers hear messages, and modules change. A request that hangs has failed. At the end the worker is the
# same, and has said nothing alarming. By the seed, the error log is JSON or not, and code that changes is loaded anew
# or not.
#
# STRESS_REQUESTS says how many requests (300), STRESS_SEED which ones (the time; it is printed), and
# STRESS_PATIENCE for how many seconds one of them may stay silent (30).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use JSON::PP;
use Test::More;
use Time::HiRes qw(time);
use HostilePeer;
use NameServer;
use ProcessTest;

my $requests = $ENV{STRESS_REQUESTS} || 300;
my $seed     = $ENV{STRESS_SEED}     || time;
my $patience = $ENV{STRESS_PATIENCE} || 30;
my $clients  = 16;

# By two bits of the seed.
my $format = $seed % 2          ? 'json' : 'line';
my $cache  = int( $seed / 2 ) % 2 ? 'stat' : 'on';

my $port   = ProcessTest::port();
my $server = ProcessTest->new;

# The reference needs a patched nginx for ngx.pipe.
plan skip_all => 'for this module only'
    if ( $ENV{TEST_NGINX_LOAD_MODULES} // '' ) =~ m{/nginx/modules/ngx_http_lua_module};

$server->write_file( 'stress.lua', <<'_EOC_');
-- A random tree of light threads, the same for the same seed.
local pipe = require "ngx.pipe"
local semaphore = require "ngx.semaphore"
local shared = semaphore.new(1)
local PORT = tonumber(os.getenv("STRESS_PORT"))
local events = ngx.worker.events
local _M = {}

local function random(seed)
    local state = seed % 2147483647 + 1
    return function(n)
        state = state * 48271 % 2147483647
        return state % n + 1
    end
end

local actions
local function act(r, depth)
    return actions[r(#actions)](r, depth)
end

local function program(r, args)
    local proc, err = pipe.spawn(args)
    if not proc then
        error(err)
    end
    proc:set_timeouts(r(50), r(50), r(50), r(50))
    return proc
end

-- A socket that has tried to connect, and what to ask its peer for: another page of this server, or, one
-- port above, a peer that breaks off.
local function cosocket(r)
    local page = "GET /job?n=" .. r(5) .. " HTTP/1.1\r\nHost: localhost\r\n\r\n"
    local peers = {
        { page, "127.0.0.1", PORT }, { page, "unix:" .. ngx.config.prefix() .. "socket" },
        { page, "127.0.0.1", PORT, { pool = "small", pool_size = 2, backlog = r(4) } },
        { page, "127.0.0.1", 1 }, { page, "localhost", PORT }, { page, "both.test", PORT },
        { page, "127.0.0.1", PORT + 3 }, { page, "127.0.0.1", PORT + 3, { pool = "tls" } },
        { "drip data=414243440a0d0a45 " .. (r(2) == 1 and "reset\n" or "hold\n"), "127.0.0.1", PORT + 1 },
    }
    local peer = peers[r(#peers)]
    local sock = ngx.socket.tcp()
    sock:settimeout(r(50))
    local ok = sock:connect(unpack(peer, 2))
    -- Now and then with a peer that does not speak TLS.
    if ok and (peer[3] == PORT + 3 or r(10) == 1) then
        local versions = { "TLSv1.2", "TLSv1.3" }
        local options = { alpn = { "http/1.1" }, max_version = versions[r(2)] }
        sock:sslhandshake(r(2) == 1, nil, r(3) == 1, false, r(2) == 1 and options or nil)
    end
    return sock, peer[1]
end

actions = {
    function(r) ngx.sleep((r(10) - 1) / 1000) end,
    function() ngx.sleep(0) end,
    function() coroutine.yield() end,
    function(r) table.sort({ 3, 1, 2, 1 }, function(a, b) ngx.sleep((r(3) - 1) / 1000) return a < b end) end,
    function(r) ("abc"):gsub("%w", function(c) ngx.sleep((r(3) - 1) / 1000) return r(2) == 1 and c end) end,
    -- A module that waits while it loads, or fails after it; and one that changes, now and then to a fault.
    function(r)
        local name = r(2) == 1 and "waiting" or "failing"
        package.loaded[name] = nil
        pcall(require, name)
        require "changing"
    end,
    function(r)
        local err = select(2, events.post("act", tostring(r(1000)), r(3) == 1 and 0 or nil))
        if r(10) == 1 then events.post("unheard", ("x"):rep(r(70000))) end
        assert(not err or err == "queue is full", err)
    end,
    function(r) ngx.location.capture("/job?n=" .. r(5)) end,
    function(r) ngx.location.capture_multi({ { "/job?n=" .. r(5) }, { "/fail" }, { "/job?n=0" } }) end,
    function(r)
        if shared:wait(r(20) / 1000) then
            ngx.sleep(r(3) / 1000)
            shared:post(1)
        end
    end,
    function(r)
        local own = semaphore.new()
        local thread = ngx.thread.spawn(function() own:wait(r(20) / 1000) end)
        if r(2) == 1 then own:post(1) end
        ngx.thread.wait(thread)
    end,
    function(r, depth)
        local co = coroutine.create(function() act(r, depth + 1) coroutine.yield(1) act(r, depth + 1) end)
        coroutine.resume(co)
        if r(2) == 1 then coroutine.resume(co) end
    end,
    function(r)
        local proc = program(r, { "cat" })
        proc:write(string.rep("x", r(200000)))
        proc:stdout_read_bytes(r(100000))
        if r(2) == 1 then proc:shutdown("stdin") proc:stdout_read_all() proc:wait() end
    end,
    function(r)
        local proc = program(r, { "sleep", "0.0" .. r(9) })
        local thread = ngx.thread.spawn(function() return proc:wait() end)
        proc:stderr_read_any(10)
        if r(2) == 1 then proc:kill(r(2) == 1 and 9 or 15) end
        if r(2) == 1 then ngx.thread.kill(thread) end
    end,
    -- Whatever these answer: a connect that failed leaves a socket that is closed.
    function(r)
        local sock, question = cosocket(r)
        sock:send(question)
        local line = sock:receive()
        if r(3) > 1 then
            local reader = sock:receiveuntil("\r\n\r\n", { inclusive = r(2) == 1 })
            if r(3) == 1 then reader(r(40)) else reader() end
            if line and r(2) == 1 then sock:receiveany(6) end
        end
        if r(4) > 1 then sock:setkeepalive(r(100), r(3)) elseif r(2) == 1 then sock:close() end
    end,
    -- One reads what another one has asked for, and may be killed at it.
    function(r)
        local sock, question = cosocket(r)
        local reader = ngx.thread.spawn(function()
            sock:receive(r(3) == 1 and "*a" or r(400))
            if r(2) == 1 then sock:setkeepalive() end
        end)
        local writer = ngx.thread.spawn(function()
            sock:send({ question, { "", string.rep("x", r(2) == 1 and 8000000 or 0) } })
        end)
        if r(2) == 1 then ngx.sleep((r(5) - 1) / 1000) end
        if r(2) == 1 then ngx.thread.kill(r(2) == 1 and reader or writer) end
        if r(3) == 1 then sock:close() end
        if r(2) == 1 then ngx.thread.wait(reader, writer) end
    end,
    function(r)
        local sock = ngx.socket.udp()
        sock:settimeout(r(20))
        if sock:setpeername("127.0.0.1", r(4) == 1 and 1 or PORT + 1) then
            local reader = ngx.thread.spawn(function() return sock:receive(r(100)) end)
            sock:send("size=" .. r(200))
            if r(2) == 1 then ngx.thread.kill(reader) end
            if r(3) == 1 then sock:close() end
        end
    end,
    function(r)
        local sock = ngx.req.socket(r(6) == 1)
        if sock then
            sock:settimeout(r(20))
            sock:receive(r(2) == 1 and "*l" or r(60))
            if r(3) == 1 then sock:receiveany(20) elseif r(2) == 1 then sock:receive("*a") end
        end
    end,
    function(r)
        local ok, sock = pcall(ngx.req.socket)
        if not ok or not sock then return end
        sock:settimeout(r(20))
        local reader = ngx.thread.spawn(function() sock:receiveuntil("e\nli", { inclusive = true })(r(9)) sock:receive("*a") end)
        ngx.sleep((r(5) - 1) / 1000)
        if r(2) == 1 then ngx.thread.kill(reader) else ngx.thread.wait(reader) end
    end,
    function(r)
        if r(2) == 1 then ngx.req.read_body() end
        pcall(ngx.req.get_post_args, r(9) - 1)
    end,
    function(r) ngx.timer.at(0, function() pcall(act, r, 3) end) end,
    function(r, depth)
        if depth > 3 then return end
        local threads = {}
        for i = 1, r(4) do
            threads[i] = ngx.thread.spawn(function() act(r, depth + 1) act(r, depth + 1) end)
        end
        local way = r(4)
        if way == 1 then
            for _, thread in ipairs(threads) do ngx.thread.wait(thread) end
        elseif way == 2 then
            ngx.thread.wait(unpack(threads))
            for _, thread in ipairs(threads) do ngx.thread.kill(thread) end
        elseif way == 3 then
            for _, thread in ipairs(threads) do
                if r(2) == 1 then ngx.thread.kill(thread) end
            end
        end
    end,
    function() error("on purpose") end,
    function(r)
        if r(3) == 1 then ngx.exit(r(2) == 1 and 403 or ngx.OK) end
    end,
}

-- Does `n` things for the seed that the request names.
function _M.run(n)
    local r = random(tonumber(ngx.var.arg_seed))
    for _ = 1, n do
        act(r, 0)
    end
end

-- The hooks of a worker: one thing for each message, and a few as it starts and ends.
function _M.begin()
    events.on("act", function(data) pcall(act, random(tonumber(data)), 3) end)
    for i = 1, 5 do pcall(act, random(i * 1000), 2) end
    ngx.sleep(0.01)
end

function _M.finish()
    for i = 1, 5 do
        ngx.thread.spawn(function() pcall(act, random(i * 2000), 2) end)
    end
    ngx.sleep(0.01)
    ngx.log(ngx.NOTICE, "the worker's end has waited")
end

-- The same in a filter, whatever is refused there.
function _M.filter(n, salt)
    local r = random(tonumber(ngx.var.arg_seed) + salt)
    for _ = 1, n do
        pcall(act, r, 1)
    end
    if r(20) == 1 then
        error("on purpose")
    end
end

return _M
_EOC_

$server->write_file( 'waiting.lua', 'ngx.sleep(0.002) return true' );
$server->write_file( 'failing.lua', 'ngx.sleep(0.001) error("on purpose")' );

# Replaces a module; one in four of its texts does not compile.
my $version = 0;
sub edit_module {
    my $text = ++$version % 4 ? "return $version" : 'return return';
    rename $server->write_file( 'changing.new', $text ), $server->prefix . '/changing.lua' or die "rename: $!";
}
edit_module();

# Memcheck keeps some descriptors for itself, and refuses this.
my $limit = $ENV{TEST_NGINX_USE_VALGRIND} ? '' : 'worker_rlimit_nofile 8192;';
$server->write_file( 'resolv.conf', "nameserver [127.0.0.1]:" . ( $port + 2 ) . "\nsearch test\n" );
$server->write_file( 'hosts', '' );
my $conf = $server->write_file( 'nginx.conf', <<"_EOC_");
pid        logs/nginx.pid;
error_log  logs/error.log notice;
worker_processes 1;
env STRESS_PORT=$port;
$limit
events {
    worker_connections 4096;
}
http {
    access_log off;
    lua_package_path "\$prefix/?.lua;;";
    lua_system_resolver resolv_conf=@{[ $server->prefix ]}/resolv.conf hosts=@{[ $server->prefix ]}/hosts;
    lua_error_log_format $format;
    lua_code_cache $cache;
    lua_ctx_inherit on;
    lua_log_level timeout=notice abort=notice;
    lua_worker_events 64k;
    init_worker_by_lua_block { require("stress").begin() }
    exit_worker_by_lua_block { require("stress").finish() }
    lua_socket_keepalive_timeout 200ms;
    client_body_timeout 100ms;
    lua_strict_globals warn;
    lua_max_memory 1000m;
    lua_warn_slice 10s;
    lua_max_slice 60s;
    lua_max_running_timers 4096;
    upstream chosen {
        balancer_by_lua_block {
            require("stress").run(2)
            require("ngx.balancer").set_current_peer("127.0.0.1", $port)
        }
    }
    lua_max_pending_timers 4096;
    ssl_session_fetch_by_lua_block { ngx.sleep(math.random(0, 20) / 1000) }
    server {
        listen 127.0.0.1:$port;
        listen unix:@{[ $server->prefix ]}/socket;
        listen 127.0.0.1:@{[ $port + 3 ]} ssl;
        ssl_certificate @{[ ProcessTest::certs() ]}/test.crt;
        ssl_certificate_key @{[ ProcessTest::certs() ]}/test.key;
        ssl_session_tickets off;
        client_header_timeout 30ms;
        ssl_client_hello_by_lua_block { ngx.sleep(math.random(0, 20) / 1000) }
        ssl_certificate_by_lua_block { ngx.sleep(math.random(0, 20) / 1000) }
        location = /status  { lua_status; }
        location = /threads { lua_threads; }
        location = /profile { set \$args "seconds=0.02&interval=1&format=svg"; lua_profile; }
        location = /waits   { set \$args "seconds=0.02&mode=wait"; lua_profile; }
        location = /memory  { set \$args memory; lua_profile; }
        location = /worker {
            content_by_lua_block { collectgarbage() collectgarbage() ngx.say(ngx.worker.pid()) }
        }
        location = /job {
            content_by_lua_block { ngx.sleep(tonumber(ngx.var.arg_n) / 1000) ngx.say("job") }
        }
        location = /fail {
            content_by_lua_block { error("on purpose") }
        }
        location = /content {
            content_by_lua_block {
                if ngx.var.arg_exec and ngx.ctx.seed ~= ngx.var.arg_seed then
                    ngx.log(ngx.ALERT, "the context is that of the seed ", ngx.ctx.seed)
                end
                require("stress").run(4)
                ngx.say("done")
            }
        }
        location = /abort {
            lua_check_client_abort on;
            content_by_lua_block {
                ngx.on_abort(function() ngx.sleep(0.001) ngx.exit(499) end)
                require("stress").run(6)
                ngx.say("done")
            }
        }
        location = /phases {
            rewrite_by_lua_block { require("stress").run(2) }
            access_by_lua_block { require("stress").run(2) }
            content_by_lua_block { ngx.say("done") }
        }
        location = /filters {
            header_filter_by_lua_block { require("stress").filter(3, 0) }
            body_filter_by_lua_block {
                ngx.ctx.parts = (ngx.ctx.parts or 0) + 1
                require("stress").filter(2, ngx.ctx.parts)
            }
            content_by_lua_block {
                for i = 1, 3 do ngx.say("part ", i) ngx.flush(i == 2) end
                require("stress").run(2)
            }
        }
        location = /passed {
            # Not for long, for those that do not come to their end.
            client_body_timeout 1s;
            proxy_pass http://127.0.0.1:$port/job?n=3;
            header_filter_by_lua_block { require("stress").filter(3, 0) }
            body_filter_by_lua_block { require("stress").filter(1, #ngx.arg[1]) }
        }
        # After the response, and before a server is known.
        location = /log {
            content_by_lua_block { ngx.say("done") }
            log_by_lua_block { require("stress").run(4) }
        }
        location = /balanced {
            proxy_connect_timeout 100ms;
            proxy_pass http://chosen/job?n=1;
            log_by_lua_block { require("stress").run(1) }
        }
        # The response is replaced after a wait, while what makes it goes on.
        location = /refused {
            error_page 403 /page;
            header_filter_by_lua_block {
                require("stress").filter(2, 0)
                if math.random(3) > 1 then return ngx.exit(403) end
            }
            content_by_lua_block {
                ngx.say("not in a page")
                ngx.flush(math.random(2) == 1)
                require("stress").run(3)
            }
        }
        location = /refused_passed {
            error_page 403 /page;
            proxy_pass http://127.0.0.1:$port/filters;
            header_filter_by_lua_block { require("stress").filter(1, 0) return ngx.exit(403) }
        }
        location = /refused_captured {
            content_by_lua_block {
                local args = { args = ngx.var.args }
                ngx.location.capture_multi({ { "/refused", args }, { "/filters", args }, { "/refused_passed", args } })
                ngx.say("done")
            }
        }
        location = /page {
            header_filter_by_lua_block { require("stress").filter(2, 0) }
            body_filter_by_lua_block { require("stress").filter(1, #ngx.arg[1]) }
            return 200 "page";
        }
        location = /sub_logged {
            log_subrequest on;
            content_by_lua_block { ngx.say("sub") }
            log_by_lua_block { require("stress").run(2) }
        }
        location = /sub_logs {
            content_by_lua_block {
                ngx.print(ngx.location.capture("/sub_logged").body, ngx.location.capture("/sub_logged").body)
                require("stress").run(1)
            }
            log_by_lua_block { require("stress").run(1) }
        }
        location = /exec {
            rewrite_by_lua_block { ngx.ctx.seed = ngx.var.arg_seed require("stress").run(2) }
            content_by_lua_block {
                ngx.thread.spawn(function() require("stress").run(2) end)
                ngx.exec("/content", ngx.var.args .. "&exec=1")
            }
        }
    }
}
_EOC_
diag "STRESS_SEED=$seed STRESS_REQUESTS=$requests: lua_error_log_format $format, lua_code_cache $cache";
srand $seed;
my $peer  = HostilePeer->start( $port + 1 );
my $names = NameServer->start( $port + 2, { 'localhost.test' => '127.0.0.1', 'both.test' => [ '127.0.0.1', '::1' ] } );
$server->start($conf);

my @paths = qw(/content /abort /phases /exec /filters /passed /refused /refused_passed /refused_captured /status /threads /profile /waits /memory /log /sub_logs /balanced);
# The worker's id, and its open descriptors, at rest.
sub holdings {
    chomp( my $worker = ( ProcessTest::get( $port, '/worker' ) )[2] );
    return ( $worker, ProcessTest::descriptors($worker) );
}
my ( $worker, $descriptors ) = holdings();

# A body with its length in the header, or in chunks.
sub body {
    my ($is_whole) = @_;
    return "Content-Length: 60\r\n\r\n" . "line\n" x ( $is_whole ? 12 : 5 ) if rand() < 0.5;
    my $chunks = join '', map { "5\r\nline\n\r\n" } 1 .. 12;
    return "Transfer-Encoding: chunked\r\n\r\n$chunks" . ( $is_whole ? "0\r\n\r\n" : rand() < 0.2 ? 'oops' : '' );
}

# Clients side by side: each sends a request, and the answer's end is the server's close.
my ( %open, @hung, %seen );
my $sent = 0;
my $select = IO::Select->new;

while ( $sent < $requests || %open ) {
    while ( $sent < $requests && keys %open < $clients ) {
        edit_module() if $sent++ % 40 == 0;
        my $path   = $paths[ rand @paths ] . '?seed=' . int rand 2**31;
        my $leaves = rand() < 0.2;
        my $socket = ProcessTest::connection($port);
        my $head   = "$path HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
        # Some have a body, a few of which do not come to their end.
        my $body = rand() < 0.4 ? body( rand() < 0.8 ) : undef;
        print {$socket} defined $body ? "POST $head$body" : "GET $head\r\n";
        $open{$socket} = {
            socket => $socket,
            path   => $path,
            answer => '',
            until  => $leaves ? time + rand 0.02 : undef,
            since  => time,
        };
        $select->add($socket);
    }
    for my $socket ( $select->can_read(0.005) ) {
        my $client = $open{$socket};
        my $read   = sysread $socket, $client->{answer}, 65536, length $client->{answer};
        $client->{over} = 1 if !$read;
    }
    for my $client ( values %open ) {
        my $leaves = defined $client->{until} && time > $client->{until};
        my $hangs  = time - $client->{since} > $patience;
        next if !$client->{over} && !$leaves && !$hangs;
        push @hung, $client->{path} if $hangs && !$client->{over};
        if ( $client->{over} ) {
            my ($status) = $client->{answer} =~ m{\AHTTP/1\.1 (\d+) };
            # None: an error while another thread's subrequest is pending ends in a close without a word.
            # A worker that dies does the same, but is another one afterwards.
            $seen{ $status // 'none' }++;
        }
        $select->remove( $client->{socket} );
        close $client->{socket};
        delete $open{ $client->{socket} };
    }
    last if @hung > 5;
}
diag 'answers: ' . join ', ', map {"$seen{$_} times $_"} sort keys %seen;
is "@hung", '', 'no request hangs';
ok $seen{200} && $seen{500}, 'some requests succeed, some fail';

# What the last requests left under way ends by itself.
my ( $last, $left );
ProcessTest::wait_until(
    sub {
        ( $last, $left ) = holdings();
        return $left <= $descriptors + 2 && !ProcessTest::children($last);
    }
);
is $last, $worker,      'the worker is the same';
# Beside the resolver's socket and that of the client that asks.
cmp_ok $left, '<=', $descriptors + 2, 'no descriptor is left open';
is scalar( ProcessTest::children($last) ), 0, 'no program is left';
ok $server->stop, 'nginx ends by itself';

# The level and the text of each line of the error log. A process's last one is never JSON.
sub said {
    my ($line) = @_;
    return "$1 $2" if $line =~ /\[(\w+)\] (\d+#\d+: exit)$/ || $format eq 'line' && $line =~ /\[(\w+)\] (.*)/;
    return $line if $format eq 'line';
    my $object = eval { JSON::PP->new->utf8->decode($line) } // return "emerg not JSON: $line";
    return "$object->{level} $object->{message}";
}
my @said = map { said($_) } split /\n/, $server->log_text('error.log');
# nginx that ends removes its own socket; what goes on may still try to connect to that.
my $removed = qr{connect\(\) to unix:\S+/socket failed \(2: };
is_deeply [ grep { /^(?:alert|emerg|crit) |exited on signal/ && !/$removed/ } @said ], [], 'no alarm';
my $told = sub { scalar grep { $_ =~ $_[0] } @said };
is $told->(qr/the worker's end has waited/), 1, 'its last code has waited';
cmp_ok $told->(qr/^notice .*lua tcp socket read timed out/), '>', 0, 'time-outs have their level';
is $told->(qr/^error .*lua (?:tcp|udp) socket .*timed out/), 0, 'and no other';
SKIP: {
    skip 'nothing is loaded anew', 2 if $cache eq 'on';
    cmp_ok $told->(qr/lua_code_cache stat: new code of changing/), '>', 0, 'a module has been loaded anew';
    cmp_ok $told->(qr/lua_code_cache stat: the old code stays/), '>', 0, 'the old one stays where the new one has a fault';
}

done_testing();
