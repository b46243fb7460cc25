# Peers that mean harm, or are just broken: servers that send a byte at a time, end within an answer, at
# every byte of it, by a close, a reset or silence, send more than was asked for, or take nothing; datagrams
# that are empty, too long or late; clients that leave within a body. Each read tells what the C module's would,
# with the data that had come; nothing crashes, and no connection is left.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Socket qw(IPPROTO_TCP SOL_SOCKET SO_LINGER TCP_NODELAY);
use Test::More;
use Time::HiRes qw(sleep time);
use HostilePeer;
use ProcessTest;

# Milliseconds: one that is over soon, and one that is not to be over. Memcheck takes its time.
my $SOON  = $ENV{TEST_NGINX_USE_VALGRIND} ? 4000 : 400;
my $NEVER = 15_000;

my $port      = ProcessTest::port();
my $peer_port = $port + 1;
my $peer      = HostilePeer->start($peer_port);
my $server    = ProcessTest->new;

$server->write_file( 'hostile.lua', "local SOON, NEVER, PORT = $SOON, $NEVER, $peer_port\n" . <<'_EOC_' );
local _M = {}

local function shown(value)
    if type(value) ~= "string" then return tostring(value) end
    return '"' .. value:gsub("\r", "\\r"):gsub("\n", "\\n") .. '"'
end

local function row(...)
    local list = {}
    for i = 1, select("#", ...) do
        list[i] = shown((select(i, ...)))
    end
    return table.concat(list, " ")
end

local function hex(data)
    return (data:gsub(".", function(c) return string.format("%02x", c:byte()) end))
end

-- A connection whose peer has been told what to do.
local function connected(timeout, command)
    local sock = ngx.socket.tcp()
    sock:settimeout(NEVER)
    assert(sock:connect("127.0.0.1", PORT))
    assert(sock:send(command .. "\n"))
    sock:settimeout(timeout)
    return sock
end

-- A thread that calls a method.
local function spawned(sock, method, ...)
    return ngx.thread.spawn(function(...) return sock[method](sock, ...) end, ...)
end

local reads = {
    size = function(sock) return sock:receive(15) end,
    line = function(sock) return sock:receive("*l") end,
    all = function(sock) return sock:receive("*a") end,
    any = function(sock) return sock:receiveany(10) end,
    ["until"] = function(sock) return sock:receiveuntil("--end--")() end,
    inclusive = function(sock) return sock:receiveuntil("--end--", { inclusive = true })() end,
    -- By threes, up to the mark.
    chunks = function(sock, options)
        local reader = sock:receiveuntil("--end--", options or {})
        local chunks = {}
        while true do
            local data, err, partial = reader(3)
            if not data then return table.concat(chunks, ","), err, partial end
            chunks[#chunks + 1] = data
        end
    end,
}
function reads.inclusive_chunks(sock)
    return reads.chunks(sock, { inclusive = true })
end

-- One kind of read from as many peers as `text` has bytes, and one: each ends a byte later.
local function at_every_byte(text, ends, read, drip)
    local threads = {}
    for cut = 0, #text do
        threads[cut] = ngx.thread.spawn(function()
            local sock = connected(ends == "hold" and SOON or NEVER,
                table.concat({ "data=" .. hex(text), "cut=" .. cut, ends, drip and "drip" }, " "))
            local result = row(read(sock))
            sock:close()
            return result
        end)
    end
    for cut = 0, #text do
        local _, result = ngx.thread.wait(threads[cut])
        ngx.say(cut, ": ", result)
    end
end

-- Sets how long what is over soon waits for, in milliseconds.
function _M.soon()
    SOON = tonumber(ngx.var.arg_ms)
    ngx.print(SOON)
end

function _M.receive()
    local args = ngx.req.get_uri_args()
    at_every_byte(ngx.unescape_uri(ngx.var.arg_text), args.ends, reads[args.kind], args.drip)
end

-- What comes after a read of a part, and that such a connection is not kept.
function _M.more_than_asked()
    local text = ngx.unescape_uri(ngx.var.arg_text)
    local sock = connected(NEVER, "hold data=" .. hex(text))
    ngx.say(row(sock:receive(4)))
    ngx.say(row(sock:receive("*l")))
    ngx.say(row(sock:receiveuntil("--")()))
    ngx.say(row(sock:receive(0)))
    ngx.say(row(sock:setkeepalive()))
    ngx.say(row(sock:receiveany(100)))
    sock:settimeout(10)
    ngx.say(row(sock:receiveany(100)))
    ngx.say(row(sock:close()))
    ngx.say(row(sock:receive(1)))
end

-- Far more than the buffers of both sides hold.
local LOT = string.rep("x", 32 * 1024 * 1024)

local function sent(timeout, command)
    local sock = connected(timeout, command)
    local reader = spawned(sock, "receive", 1)
    local result = row(sock:send(LOT))
    local _, data, err, partial = ngx.thread.wait(reader)
    ngx.say(command, ": ", result, "; ", row(data, err, partial), "; ", row(sock:send("more")))
    sock:close()
end

function _M.send()
    sent(NEVER, "close take=100000")
    sent(NEVER, "reset take=100000")
    sent(NEVER, "reset")
    sent(NEVER, "reset take=1000000 drip data=" .. hex("ab"))
    sent(SOON, "deaf")
end

-- A thread is killed while it sends a lot, and one that waits for an answer that does not come.
function _M.killed()
    local sock = connected(NEVER, "deaf")
    local writer = spawned(sock, "send", LOT)
    local reader = spawned(sock, "receive", 1)
    ngx.say(row(sock:send("more")))
    ngx.say(row(sock:receive(1)))
    ngx.say(row(ngx.thread.kill(reader)))
    ngx.say(row(ngx.thread.kill(writer)))
    ngx.say(row(sock:close()))
end

-- The request ends before its peers do anything.
function _M.left_behind()
    for _ = 1, 20 do
        local sock = connected(NEVER, "hold")
        spawned(sock, "receive", 1)
        spawned(sock, "send", LOT)
    end
    ngx.say("left")
    ngx.exit(ngx.OK)
end

function _M.udp()
    local function asked(timeout, command)
        local sock = ngx.socket.udp()
        assert(sock:setpeername("127.0.0.1", PORT))
        assert(sock:send(command))
        sock:settimeout(timeout)
        return sock
    end
    local function received(sock, ...)
        local data, err = sock:receive(...)
        return row(data and #data, err)
    end
    local sock = asked(NEVER, "data= data=6162 size=65507 size=9000 size=10")
    ngx.say(row(sock:receive()))
    ngx.say(row(sock:receive()))
    ngx.say(received(sock, 65536))
    ngx.say(received(sock))
    ngx.say(received(sock, 3))
    sock:settimeout(10)
    ngx.say(row(sock:receive()))
    sock:send("data=6364")
    sock:settimeout(NEVER)
    ngx.say(row(sock:receive()))
    ngx.say(row(sock:close()))

    -- One that comes when nobody waits any more is the next one's.
    sock = asked(10, "late=300 data=6566")
    ngx.say(row(sock:receive()))
    sock:settimeout(NEVER)
    ngx.say(row(sock:receive()))

    -- Nobody is there.
    sock = ngx.socket.udp()
    assert(sock:setpeername("127.0.0.1", 1))
    sock:send("hello")
    ngx.say(row(sock:receive()))
    sock = ngx.socket.udp()
    sock:setpeername("127.0.0.1", PORT)
    local reader = spawned(sock, "receive")
    ngx.say(row(sock:receive()))
    ngx.thread.kill(reader)
    ngx.say(row(sock:close()))
end

-- A client's body. Its client may have left: what came of it is asked for later.
function _M.body()
    local sock, err = ngx.req.socket(ngx.var.arg_raw and true)
    local result = sock and row(reads[ngx.var.arg_kind](sock)) or err
    if ngx.var.arg_raw and sock then
        -- An answer that nobody takes.
        sock:send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    end
    ngx.shared.outcomes:set(ngx.var.arg_id, result)
end

function _M.outcome()
    ngx.print(ngx.shared.outcomes:get(ngx.var.arg_id))
end

return _M
_EOC_

my $conf = $server->write_file( 'nginx.conf', <<"_EOC_");
pid        logs/nginx.pid;
error_log  logs/error.log notice;
worker_processes 1;
events {
    # Fewer than this file makes: one that is left behind is missed.
    worker_connections 256;
}
http {
    access_log off;
    lua_package_path "\$prefix/?.lua;;";
    lua_socket_log_errors off;
    lua_shared_dict outcomes 1m;
    client_body_timeout 60s;
    server {
        listen 127.0.0.1:$port;
        location = /worker {
            content_by_lua_block { collectgarbage() collectgarbage() ngx.say(ngx.worker.pid()) }
        }
        location = /status {
            stub_status;
        }
        location /hostile/ {
            content_by_lua_block { require("hostile")[ngx.var.uri:match("[a-z_]+\$")]() }
        }
    }
}
_EOC_
$server->start($conf);

sub body { return ( ProcessTest::get( $port, $_[0] ) )[2] }

chomp( my $worker = body('/worker') );
# Not that of the client that has asked.
sleep 1;
my $fresh = ProcessTest::descriptors($worker);

my $text = "ab\rc\r\nde--en--end--f\n";
my $mark = '--end--';
my $escaped = join '', map { sprintf '%%%02x', ord } split //, $text;

# Peers that hold have sent all before a read gives up, on a slow machine too.
my $began = time;
body("/hostile/receive?kind=all&ends=close&text=$escaped&drip=1");
my $soon = $SOON + int( 4000 * ( time - $began ) );
is body("/hostile/soon?ms=$soon"), $soon, 'how long a read waits for';

# A value, or nil, as hostile.lua shows it.
sub shown {
    my ($value) = @_;
    return 'nil' if !defined $value;
    return '"' . $value =~ s/\r/\\r/gr =~ s/\n/\\n/gr . '"';
}

sub failure {
    my ( $error, $partial ) = @_;
    return join ' ', 'nil', shown($error), shown($partial);
}

# The bytes at the end of $data that may be the beginning of the mark: they are not told.
sub told {
    my ($data) = @_;
    for my $size ( reverse 1 .. length($mark) - 1 ) {
        my $start = substr $mark, 0, $size;
        return substr $data, 0, -$size if substr( $data, -$size ) eq $start && length $data >= $size;
    }
    return $data;
}

sub up_to_mark {
    my ( $data, $error, $behind ) = @_;
    my $at = index $data, $mark;
    return $at < 0 ? failure( $error, told($data) ) : shown( substr( $data, 0, $at ) . $behind );
}

# What each kind of read makes of $data and the $error after it.
my %outcome_of = (
    size => sub { length $_[0] >= 15 ? shown( substr $_[0], 0, 15 ) : failure( $_[1], $_[0] ) },
    line => sub {
        my ( $line, $ended ) = $_[0] =~ /^([^\n]*)(\n?)/;
        $line =~ tr/\r//d;
        return $ended ? shown($line) : failure( $_[1], $line );
    },
    all       => sub { $_[1] eq 'closed' ? shown( $_[0] ) : failure( $_[1], $_[0] ) },
    any       => sub { length $_[0] ? shown( substr $_[0], 0, 10 ) : failure( $_[1], '' ) },
    until     => sub { up_to_mark( @_, '' ) },
    inclusive => sub { up_to_mark( @_, $mark ) },
);

my %ends = ( close => 'closed', reset => 'connection reset by peer', hold => 'timeout' );
for my $kind ( sort keys %outcome_of ) {
    for my $ends ( sort keys %ends ) {
        my $expected = join '', map {
            "$_: " . $outcome_of{$kind}->( substr( $text, 0, $_ ), $ends{$ends} ) . "\n"
        } 0 .. length $text;
        is body("/hostile/receive?kind=$kind&ends=$ends&text=$escaped"), $expected, "$kind, $ends at every byte";
        # How much there is at first is told by the clock.
        next if $kind eq 'any';
        is body("/hostile/receive?kind=$kind&ends=$ends&text=$escaped&drip=1"), $expected,
            "$kind, $ends at every byte, which come one by one";
    }
}
# Reads by threes, up to the mark: what is told at once stays together.
for my $ends ( sort keys %ends ) {
    for my $inclusive ( 0, 1 ) {
        my $last = $inclusive ? $mark : '';
        my $expected = join '', map { "$_: " . chunks( $_, $ends{$ends}, $last ) . "\n" } 0 .. length $text;
        my $kind = $inclusive ? 'inclusive_chunks' : 'chunks';
        is body("/hostile/receive?kind=$kind&ends=$ends&text=$escaped$_"), $expected,
            "$kind, $ends at every byte" . ( $_ && ', which come one by one' )
            for '', '&drip=1';
    }
}

sub chunks {
    my ( $cut, $error, $last ) = @_;
    my @chunks = ( "ab\r", "c\r\n", 'de--en' );
    return shown( join ',', @chunks, $last ) . ' nil nil' if $cut >= index( $text, $mark ) + length $mark;
    my ( $rest, @whole ) = told( substr $text, 0, $cut );
    for my $chunk (@chunks) {
        last if $rest !~ s/^\Q$chunk\E//;
        push @whole, $chunk;
    }
    return join ' ', shown( join ',', @whole ), shown($error), shown($rest);
}

is body("/hostile/more_than_asked?text=$escaped"), <<'_EOC_', 'more than was asked for';
"ab\rc"
""
"de"
""
nil "unread data in buffer"
"en--end--f\n"
nil "timeout" ""
1
nil "closed"
_EOC_

# Who sees the reset first, the reader or the writer, is the kernel's to say.
my $gone = qr/"(?:closed|broken pipe|connection reset by peer)"/;
like body('/hostile/send'), qr/\A
    close[ ]take=100000:[ ]nil[ ]$gone;[ ]nil[ ]$gone[ ]"";[ ]nil[ ]"closed"\n
    reset[ ]take=100000:[ ]nil[ ]$gone;[ ]nil[ ]$gone[ ]"";[ ]nil[ ]"closed"\n
    reset:[ ]nil[ ]$gone;[ ]nil[ ]$gone[ ]"";[ ]nil[ ]"closed"\n
    reset[ ]take=1000000[ ]drip[ ]data=6162:[ ]nil[ ]$gone;[ ]"a"[ ]nil[ ]nil;[ ]nil[ ]"closed"\n
    deaf:[ ]nil[ ]"timeout";[ ]nil[ ]"timeout"[ ]"";[ ]nil[ ]"closed"\n\z/x, 'peers that take no more, or nothing';

is body('/hostile/killed'), <<'_EOC_', 'threads that are killed within a read and a write';
nil "socket busy writing"
nil "socket busy reading"
1
1
nil "closed"
_EOC_
is body('/hostile/left_behind'), "left\n", 'a request that ends before its peers';

is body('/hostile/udp'), <<'_EOC_', 'datagrams: empty, too long, late, and to nobody';
""
"ab"
65507 nil
9000 nil
3 nil
nil "timeout"
"cd"
1
nil "timeout"
"ef"
nil "connection refused"
nil "socket busy"
nil "closed"
_EOC_

# A client that sends its body byte by byte, and leaves at every one of them.
my $id = 0;
sub client_leaves {
    my ( $arguments, $ends, $cut ) = @_;
    $id++;
    my $client = ProcessTest::connection($port);
    setsockopt $client, IPPROTO_TCP, TCP_NODELAY, 1;
    print {$client} "POST /hostile/body?id=$id&$arguments HTTP/1.1\r\nHost: localhost\r\n",
        'Content-Length: ', length $text, "\r\n\r\n";
    for my $byte ( split //, substr $text, 0, $cut ) {
        print {$client} $byte;
        sleep 0.0005;
    }
    setsockopt $client, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0 if $ends eq 'reset';
    close $client;
    my $outcome;
    ProcessTest::wait_until( sub { ( $outcome = body("/hostile/outcome?id=$id") ) ne 'nil' } );
    return "$cut: $outcome\n";
}

# Only a body of a known length has an end of its own.
my %client_ends = ( close => 'client aborted', reset => 'connection reset by peer' );
for my $kind (qw(size line all inclusive)) {
    for my $ends ( sort keys %client_ends ) {
        for my $raw ( 0, 1 ) {
            my ( $expected, $seen ) = ( '', '' );
            for my $cut ( 0 .. length $text ) {
                my $whole = !$raw && $kind eq 'all' && $cut == length $text;
                my $error = $whole || $raw && $ends eq 'close' ? 'closed' : $client_ends{$ends};
                $expected .= "$cut: " . $outcome_of{$kind}->( substr( $text, 0, $cut ), $error ) . "\n";
                $seen     .= client_leaves( "kind=$kind" . ( $raw ? '&raw=1' : '' ), $ends, $cut );
            }
            is $seen, $expected, "$kind of a body" . ( $raw ? ', raw' : '' ) . ", $ends at every byte";
        }
    }
}

# Nothing is left.
ok ProcessTest::wait_until( sub { ProcessTest::descriptors($worker) == $fresh } ), 'no descriptor is left';
like body('/status'), qr/^Active connections: 1 \n(?s:.*)Reading: 0 Writing: 1 Waiting: 0/, 'no connection is left';
is body('/worker'), "$worker\n", 'the worker is the same';
$server->stop;
unlike $server->log_text('error.log'), qr/\[(?:alert|emerg|crit)\]|not enough/, 'no alarm';

done_testing;
