# What must not take the worker along: panics in Lua functions and in nginx's callbacks, pool
# allocations that fail, errors in Lua callbacks. The request ends with a 500, or its connection
# closes where the header was out; the log says why; the same worker serves the next request.
#
# It needs the module built with the cargo feature fault-injection: TEST_NGINX_FAULT_MODULE names it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use Test::More;
use Time::HiRes qw(sleep time);
use ProcessTest;

my $module = $ENV{TEST_NGINX_FAULT_MODULE};
plan skip_all => 'no module with fault-injection' if !$module;
$ENV{TEST_NGINX_LOAD_MODULES} = $module;

my $port   = ProcessTest::port();
my $cert   = ProcessTest::certs();
my $waits  = `@{[ $ENV{TEST_NGINX_BINARY} || 'nginx' ]} -v 2>&1` =~ m{/1\.22\.1$}m;
my $server = ProcessTest->new;
my $prefix = $server->prefix;
my $arm    = q{ngx.__fault("callback", };

# Name, directives of the location, the statuses that are right ("closed" for a connection that
# closes before a whole answer), what the log must say, and the pieces of a chunked body that the request has.
my $PANIC = qr/\[alert\] .*lua module panicked: .*an injected fault in/;
my @cases = (
    [   'panic in a Lua function', 'content_by_lua_block { ngx.__fault("panic") }',
        500, qr/$PANIC a lua function.*\n.*internal error in the lua module/s
    ],
    [   'panic in a Lua function that is caught',
        'content_by_lua_block { local ok, err = pcall(ngx.__fault, "panic") ngx.say(tostring(ok), err) }',
        200, $PANIC
    ],
    [   'panic in a coroutine in a light thread',
        'content_by_lua_block {
            local ok = ngx.thread.wait(ngx.thread.spawn(function()
                ngx.sleep(0) coroutine.wrap(function() ngx.__fault("panic") end)()
            end))
            ngx.status = ok and 500 or 200 ngx.say("went on")
        }', 200, $PANIC
    ],
    [   'panic in a Lua function after the header',
        'content_by_lua_block { ngx.say("a") ngx.flush(true) ngx.__fault("panic") }',
        'closed', $PANIC
    ],
    map( {  my $phase = $_;
            [   "panic in a Lua function in $phase",
                "keepalive_timeout 0; ${phase}_by_lua_block { ngx.__fault('panic') } content_by_lua_block { ngx.say(1) }",
                qr/500|closed/, $PANIC
            ]
    } qw(rewrite access header_filter body_filter) ),
    [   'panic in a Lua function in log',
        'content_by_lua_block { ngx.say(1) } log_by_lua_block { ngx.__fault("panic") }',
        200, $PANIC
    ],
    [   'panic in a Lua function in log that has waited',
        'content_by_lua_block { ngx.say(1) } log_by_lua_block { ngx.sleep(0.001) ngx.__fault("panic") }',
        200, $PANIC
    ],
    [   'panic when log code is woken',
        "content_by_lua_block { ngx.say(1) } log_by_lua_block { $arm 'Waking') ngx.sleep(0.001) }",
        200, $PANIC
    ],
    [   'panic in a Lua function in a balancer', 'set $do panic; set $wait ""; proxy_pass http://balanced/worker;',
        500, $PANIC
    ],
    [   'panic in a Lua function in a balancer that has waited', 'set $do panic; set $wait 1; proxy_pass http://balanced/worker;',
        500, $PANIC
    ],
    [   'panic when a balancer is woken', 'set $do waking; set $wait 1; proxy_pass http://balanced/worker;',
        500, $PANIC
    ],
    [   'panic in a Lua function in a timer',
        'content_by_lua_block { ngx.timer.at(0, function() ngx.__fault("panic") end) ngx.say(1) }',
        200, $PANIC
    ],

    # nginx's callbacks.
    [   'panic in the access handler',
        "rewrite_by_lua_block { $arm 'access::enter') } access_by_lua_block { ngx.exit(200) }",
        500, $PANIC
    ],
    [   'panic in the content handler',
        "access_by_lua_block { $arm 'content::enter') } content_by_lua_block { ngx.say(1) }",
        500, $PANIC
    ],
    [   'panic in the header filter',
        "keepalive_timeout 0; header_filter_by_lua_block { } content_by_lua_block { $arm 'header_filter::enter') ngx.say(1) }",
        qr/500|closed/, $PANIC
    ],
    [   'panic in the body filter',
        "body_filter_by_lua_block { } content_by_lua_block { $arm 'body_filter::enter') ngx.say(1) }",
        'closed', $PANIC
    ],
    [   'panic in the log handler',
        "log_by_lua_block { } content_by_lua_block { $arm 'log::enter') ngx.say(1) }",
        200, $PANIC
    ],
    [   'panic in a timer event', "content_by_lua_block { $arm 'task::Task') ngx.sleep(0.001) }",
        500, $PANIC
    ],
    [   'panic in a timer event of the access phase',
        "access_by_lua_block { $arm 'task::Task') ngx.sleep(0.001) }",
        500, $PANIC
    ],
    [   'panic in a timer event after the header',
        "content_by_lua_block { ngx.say(1) ngx.flush(true) $arm 'task::Task') ngx.sleep(0.001) }",
        'closed', $PANIC
    ],
    [   'panic while a task is woken',
        "content_by_lua_block {
            ngx.thread.spawn(function() ngx.sleep(60) end) $arm 'Waking') ngx.sleep(0.001)
        }", 500, $PANIC
    ],
    [   'panic while a task is woken that reads the body',
        "content_by_lua_block { local socket = assert(ngx.req.socket()) $arm 'Waking') socket:receive(6) }",
        qr/500|closed/, $PANIC, [ "3\r\nabc\r\n", "3\r\ndef\r\n0\r\n\r\n" ]
    ],
    [   'panic in a Lua function that has read a part of the body',
        'content_by_lua_block { local socket = assert(ngx.req.socket()) socket:receive(3) ngx.__fault("panic") }',
        500, $PANIC, [ "3\r\nabc\r\n", "3\r\ndef\r\n0\r\n\r\n" ]
    ],
    [   'panic in a subrequest',
        "content_by_lua_block { $arm 'Waking') ngx.say(ngx.location.capture('/sleep').status) }",
        200, $PANIC
    ],
    [   'panic in a timer of ngx.timer',
        "content_by_lua_block { ngx.timer.at(0.001, function() end) $arm 'timer::TimerKey') ngx.say(1) }",
        200, $PANIC
    ],
    [   'panic in a timer of ngx.timer that waits',
        "content_by_lua_block {
            ngx.timer.at(0, function() $arm 'Waking') ngx.sleep(0.001) end) ngx.say(1)
        }", 200, $PANIC
    ],

    # Filters that wait.
    map( {  my ( $name, $armed, $log ) = @$_;
            (   [   "$name in the header filter",
                    "header_filter_by_lua_block { ngx.sleep(0) $armed ngx.sleep(0.001) error('after it') } return 200 hello;",
                    'closed', $log
                ],
                [   "$name in the body filter",
                    "body_filter_by_lua_block { ngx.sleep(0) $armed ngx.sleep(0.001) error('after it') } return 200 hello;",
                    'closed', $log
                ],
            )
        } [ 'panic in a timer event', "$arm 'task::Task')", $PANIC ],
        [ 'panic while a task is woken', "$arm 'Waking')", $PANIC ] ),
    map( {  [   "panic while what waited for the $_ filter goes on",
                "${_}_filter_by_lua_block { $arm 'GoingOn') ngx.sleep(0.001) } return 200 hello;",
                'closed', $PANIC
            ]
    } qw(header body) ),
    map( {  [   "panic in a Lua function in the $_ filter after a wait",
                "${_}_filter_by_lua_block { ngx.sleep(0.001) ngx.__fault('panic') } return 200 hello;",
                'closed', $PANIC
            ]
    } qw(header body) ),

    # A client's TLS handshake: 200 where it comes about, 403 where it does not.
    map( {  my ( $what, $when, $status ) = @$_;
            [   "panic in $what",
                "content_by_lua_block {
                    local session = handshake() $when
                    ngx.status = handshake(session) and 200 or 403 ngx.say(1)
                }", $status, $PANIC
            ]
        } [ 'a client hello', "$arm 'client_hello::enter')", 403 ],
        [ 'the choice of a certificate',     "$arm 'certificate::enter')",   403 ],
        [ 'the storing of a session',        "session = nil $arm 'session_store::enter')", 200 ],
        [ 'the look-up of a session',        "$arm 'session_fetch::enter')", 200 ],
        [ 'a Lua function in a handshake',   'session, panic = nil, true',   403 ],
        # Where nginx waits for the code of a handshake at all.
        ( [ 'a timer event of a handshake',  'session, fault = nil, true',   403 ] ) x !!$waits ),

    # Lua errors in callbacks.
    [   'error in a timer', 'content_by_lua_block { ngx.timer.at(0, error, "in a timer") ngx.say(1) }',
        qr/200|500/, qr/\[error\] /
    ],
    [   'no memory for the URI of a subrequest',
        'content_by_lua_block {
            ngx.__fault("alloc", 0, 1)
            ngx.log(ngx.ERR, "capturing: ", select(2, pcall(ngx.location.capture, "/sleep")))
            ngx.say(1)
        }', 200, qr/capturing: no memory/
    ],
    [   'no memory for the URI of a redirect',
        'content_by_lua_block {
            ngx.__fault("alloc", 0, 1)
            ngx.log(ngx.ERR, "going: ", select(2, pcall(ngx.exec, "/sleep")))
            ngx.say(1)
        }', 200, qr/going: no memory/
    ],
    [   'error in log', 'content_by_lua_block { ngx.say(1) } log_by_lua_block { error("in log") }',
        200, qr/\[error\] .*failed to run log_by_lua\*: .*in log/
    ],
    [   'error in the header filter',
        'keepalive_timeout 0; content_by_lua_block { ngx.say(1) } header_filter_by_lua_block { error("in header") }',
        qr/500|closed/, qr/\[error\] .*failed to run header_filter_by_lua\*: .*in header/
    ],
    [   'error in the body filter',
        'content_by_lua_block { ngx.say(1) } body_filter_by_lua_block { error("in body") }',
        'closed', qr/\[error\] .*failed to run body_filter_by_lua\*: .*in body/
    ],
);

# Pool allocations: the first ones of each phase of a request that uses much of the API.
my $BUSY = <<'_EOC_';
    ngx.req.read_body()
    ngx.req.set_header("X-Own", { "a", "b" })
    ngx.req.set_uri_args("a=b")
    ngx.header["X-List"] = { "a", "b" }
    ngx.header.content_type = "text/plain"
    ngx.ctx.a = ngx.var.uri
    local res = ngx.location.capture("/sleep", { args = "c=d" })
    ngx.sleep(0)
    ngx.say("body ", res.status)
    ngx.flush(true)
    ngx.print("end")
_EOC_
my $locations = '';
my $ALLOCATIONS = 30;
for my $skip ( 0 .. $ALLOCATIONS - 1 ) {
    $locations .= <<"_EOC_";
        location = /alloc-$skip {
            keepalive_timeout 0;
            header_filter_by_lua_block { ngx.header["X-Filter"] = "a" }
            body_filter_by_lua_block { if ngx.arg[2] then ngx.arg[1] = ngx.arg[1] .. "!" end }
            content_by_lua_block {
                ngx.__fault("alloc", $skip, 1)
                $BUSY
            }
        }
        location = /filters-$skip {
            keepalive_timeout 0;
            header_filter_by_lua_block {
                ngx.__fault("alloc", $skip, 1)
                ngx.header["X-Filter"] = ngx.location.capture("/sleep").body:sub(1, 5)
                ngx.sleep(0)
            }
            body_filter_by_lua_block { ngx.sleep(0) ngx.arg[1] = ngx.arg[1]:upper() }
            return 200 hello;
        }
        location = /exit-$skip {
            keepalive_timeout 0;
            error_page 403 /page;
            header_filter_by_lua_block { ngx.__fault("alloc", $skip, 1) ngx.sleep(0) return ngx.exit(403) }
            content_by_lua_block { ngx.say("not in the page") ngx.flush(true) ngx.sleep(0.05) }
        }
        location = /sub_log-$skip {
            keepalive_timeout 0;
            content_by_lua_block {
                ngx.__fault("alloc", $skip, 1)
                ngx.say(ngx.location.capture("/sub_logged").status)
            }
        }
        location = /log-$skip {
            keepalive_timeout 0;
            content_by_lua_block { ngx.ctx.name = "a" ngx.say(ngx.req.get_headers().host) }
            log_by_lua_block {
                ngx.__fault("alloc", $skip, 1)
                ngx.ctx.thread = ngx.thread.spawn(function() ngx.sleep(0.002) return ngx.var.uri end)
                ngx.sleep(0.001)
                assert(ngx.thread.wait(ngx.ctx.thread))
            }
        }
        location = /balancer-$skip {
            set \$do alloc-$skip;
            set \$wait 1;
            # Where nothing else can fail.
            proxy_pass http://balanced/plain;
        }
        location = /tls-$skip {
            content_by_lua_block {
                ngx.__fault("alloc", $skip, 1)
                local ok, session, err = pcall(handshake)
                ngx.say(ok and session and "done" or "refused")
            }
        }
        location = /body-$skip {
            keepalive_timeout 0;
            client_body_buffer_size 1k;
            content_by_lua_block {
                ngx.__fault("alloc", $skip, 1)
                local socket, err = ngx.req.socket()
                ngx.say(socket and socket:receive("*a") or err)
            }
        }
        location = /pcall-$skip {
            content_by_lua_block {
                ngx.__fault("alloc", $skip, 3)
                pcall(function() $BUSY end)
                ngx.say("went on")
            }
        }
_EOC_
}

# What a request of /own does once an allocation is to fail, and what /next and the first request for a page of this
# module's own do after /armed.
my $OWN = <<'_EOC_';
    local events = ngx.worker.events
    events.on("news", function(data) ngx.sleep(0) return data:upper() end)
    local text, count = ("abc"):gsub("%w", function(letter) ngx.sleep(0) return letter:rep(20) end)
    assert(events.post("news", text))
    assert(events.post("news", text, 0))
    ngx.log(ngx.NOTICE, "to the log: ", text, '"\n', count)
    ngx.sleep(0.001)
    ngx.say(text)
_EOC_
my @OWN = ( '/own', map {"/armed $_"} '/next', '/status', '/status?format=prometheus', '/threads', '/profile?seconds=0.01',
    '/profile?seconds=0.01&format=svg', '/profile?seconds=0.01&mode=wait', '/profile?memory' );
$locations .= <<"_EOC_";
        location = /own {
            keepalive_timeout 0;
            content_by_lua_block {
                ngx.__fault(ngx.var.arg_kind, tonumber(ngx.var.arg_skip), 1)
                $OWN
            }
        }
        location = /armed {
            keepalive_timeout 0;
            content_by_lua_block { ngx.say("armed") }
            log_by_lua_block { ngx.__fault(ngx.var.arg_kind, tonumber(ngx.var.arg_skip), 1) }
        }
        location = /list {
            content_by_lua_block {
                ngx.__fault("heap", tonumber(ngx.var.arg_skip), 1)
                local ok, err = pcall(function() ngx.header["X-List"] = { "a", "b" } end)
                ngx.say(ok and "set" or err)
            }
        }
        location = /spawn {
            content_by_lua_block {
                ngx.__fault("heap", tonumber(ngx.var.arg_skip), 1)
                local proc, err = require("ngx.pipe").spawn({ "sleep", "600" })
                ngx.say(proc and "spawned" or err)
            }
        }
        location = /hooks {
            content_by_lua_block {
                ngx.shared.faults:set("kind", ngx.var.arg_kind)
                ngx.shared.faults:set("skip", tonumber(ngx.var.arg_skip))
            }
        }
        location = /next    { content_by_lua_block { ngx.say(require("changing")) } }
        location = /status  { lua_status; }
        location = /threads { lua_threads; }
        location = /profile { lua_profile; }
_EOC_
my $OWN_HOOK = $OWN =~ s/ngx\.say\(text\)//r;

# Replaces a module that /next loads.
my $version = 0;
sub edit_module {
    $version++;
    rename $server->write_file( 'changing.new', "return $version" ), "$prefix/changing.lua" or die "rename: $!";
}
my $n = 0;
for my $case (@cases) {
    my ( $name, $directives ) = @$case;
    $locations .= "        location = /case-@{[ $n++ ]} { $directives }\n";
}

# The configuration with the error log in a format.
sub configure {
    my ($format) = @_;
    return $server->write_file( 'nginx.conf', <<"_EOC_");
worker_processes  1;
pid        logs/nginx.pid;
error_log  logs/error.log info;
thread_pool jobs threads=1;
events {
}
http {
    access_log  off;
    lua_package_path "$prefix/?.lua;;";
    lua_error_log_format $format;
    lua_code_cache stat;
    lua_worker_events 64k;
    lua_shared_dict faults 64k;
    init_worker_by_lua_block {
        local kind = ngx.shared.faults:get("kind")
        if kind then ngx.__fault(kind, ngx.shared.faults:get("skip"), 1) end
        ngx.sleep(0.001)
        $OWN_HOOK
    }
    exit_worker_by_lua_block {
        local kind = ngx.shared.faults:get("kind")
        if kind then ngx.__fault(kind, ngx.shared.faults:get("skip"), 1) end
        ngx.sleep(0.001)
        $OWN_HOOK
    }
    init_by_lua_block {
        local path = "unix:" .. ngx.config.prefix() .. "tls.sock"
        rawset(_G, "fault", false)
        rawset(_G, "panic", false)
        function handshake(session)
            local sock = ngx.socket.tcp()
            sock:settimeout(10000)
            assert(sock:connect(path))
            local options = { alpn = { "http/1.1" }, max_version = "TLSv1.2" }
            local session, err = sock:sslhandshake(session, nil, false, false, options)
            sock:close()
            return session, err
        end
    }
    ssl_session_fetch_by_lua_block {
        ngx.sleep(0.001)
        ngx.ctx.fetched = true
    }
    upstream balanced {
        balancer_by_lua_block {
            local what, skip = ngx.var["do"]:match("(%w+)-?(%d*)")
            if what == "alloc" then
                ngx.__fault("alloc", tonumber(skip), 1)
            elseif what == "waking" then
                $arm 'Waking')
            end
            if ngx.var.wait ~= "" then
                ngx.sleep(0.001)
            end
            if what == "panic" then
                ngx.__fault("panic")
            end
            assert(require("ngx.balancer").set_current_peer("127.0.0.1", $port))
        }
    }
    ssl_session_store_by_lua_block { ngx.ctx.stored = true }
    server {
        listen unix:@{[ $server->prefix ]}/tls.sock ssl;
        ssl_certificate     $cert/test.crt;
        ssl_certificate_key $cert/test.key;
        ssl_session_tickets off;
        ssl_client_hello_by_lua_block {
            ngx.sleep(0.001)
            ngx.ctx.greeted = true
        }
        ssl_certificate_by_lua_block {
            if panic then
                panic = false
                ngx.__fault("panic")
            elseif fault then
                fault = false
                $arm 'task::Task')
                ngx.sleep(0.001)
            end
        }
    }
    server {
        listen 127.0.0.1:$port;
        location = /worker { content_by_lua_block { ngx.say(ngx.worker.pid()) } }
        location = /plain { return 200; }
        location = /none { content_by_lua_block { ngx.say(tostring(ngx.__fault("none"))) } }
        location = /job { content_by_lua_block { ngx.say(select(2, assert(ngx.run_worker_thread("jobs", "job", "nap")))) } }
        location = /many {
            content_by_lua_block {
                local queries = {}
                for i = 1, 250 do queries[i] = { "/plain" } end
                local ok, err = pcall(ngx.location.capture_multi, queries)
                ngx.say(ok or err)
                ngx.say(select("#", ngx.location.capture_multi({ unpack(queries, 1, 150) })), " responses")
            }
        }
        location = /sleep { content_by_lua_block { ngx.sleep(0.001) ngx.say("slept") } }
        location = /page {
            header_filter_by_lua_block { ngx.sleep(0) }
            body_filter_by_lua_block { ngx.sleep(0) }
            return 200 page;
        }
        location = /sub_logged {
            log_subrequest on;
            content_by_lua_block { ngx.say("sub") }
            log_by_lua_block { ngx.sleep(0) assert(ngx.var.uri == "/sub_logged") }
        }
$locations
    }
}
_EOC_
}
edit_module();
$server->write_file( 'job.lua', 'return { nap = function() os.execute("sleep 1.2") return "slept" end }' );
$server->start( configure('line') );

# The status of the answer, or "closed" where the server closes before its end.
sub status_of {
    my ( $path, $body ) = @_;
    my $socket   = ProcessTest::connection($port);
    my $data     = '';
    my $deadline = time + 20;
    my ( $method, $header ) = $body ? ( 'POST', "Transfer-Encoding: chunked\r\n" ) : ( 'GET', '' );
    print {$socket} "$method $path HTTP/1.1\r\nHost: localhost\r\n$header\r\n";
    for my $piece ( $body ? @$body : () ) {
        sleep 0.05;
        print {$socket} $piece;
    }
    while ( time < $deadline ) {
        IO::Select->new($socket)->can_read(1) or next;
        return 'closed' if !sysread $socket, $data, 65536, length $data;
        my ($status) = ProcessTest::whole_answer($data);
        return $status if defined $status;
    }
    return 'nothing';
}

my ( undef, undef, $worker ) = ProcessTest::get( $port, '/worker' );

sub is_same_worker {
    my ($name) = @_;
    my ( undef, undef, $now ) = ProcessTest::get( $port, '/worker' );
    is $now, $worker, "$name: the same worker serves the next request";
}

# Takes back what is still armed; returns whether something was. The request for that may itself be
# what fails.
sub disarm {
    for ( 1 .. 10 ) {
        my ( $status, undef, $armed ) = ProcessTest::get( $port, '/none' );
        return $armed eq "true\n" if $status == 200;
    }
    die 'a fault stays armed';
}

for my $index ( 0 .. $#cases ) {
    my ( $name, undef, $status, $log, $body ) = @{ $cases[$index] };
    my $before = length $server->log_text('error.log');
    my $got    = status_of( "/case-$index", $body );
    ref $status ? like( $got, $status, "$name: $got" ) : is( $got, $status, "$name: $status" );
    my $said = sub { substr $server->log_text('error.log'), $before };
    ok ProcessTest::wait_until( sub { $said->() =~ $log } ), "$name: the log says so" or diag $said->();
    is_same_worker($name);
    ok !disarm(), "$name: it has happened";
}

# In this build, work of a thread has a timer of half a second.
is( ( ProcessTest::get( $port, '/job' ) )[2], "slept\n", "a thread's work outlasts its timer, which is set again" );
is_same_worker("a thread's work");

# In this build, a request has 200 references at most.
is( ( ProcessTest::get( $port, '/many' ) )[2], "failed to issue subrequest: -1\n150 responses\n",
    'too many subrequests are refused, and none of their batch runs' );
like $server->log_text('error.log'), qr{\[crit\] .*request reference counter overflow while processing "/plain"},
    'too many subrequests: the log says so';
is_same_worker('too many subrequests');

my $failed = 0;
for my $skip ( 0 .. $ALLOCATIONS - 1 ) {
    my $before = length $server->log_text('error.log');
    my $got    = status_of("/alloc-$skip");
    last if disarm();
    like $got, qr/^(?:500|closed|200)$/, "allocation $skip fails: $got";
    if ( $got ne '200' ) {
        like substr( $server->log_text('error.log'), $before ), qr/\[(?:error|alert|crit)\]/,
            "allocation $skip fails: the log says so";
    }
    $got = status_of("/pcall-$skip");
    like $got, qr/^(?:500|closed|200)$/, "allocation $skip and the next fail, caught: $got";
    disarm();
    $got = status_of( "/body-$skip", [ "5\r\nhello\r\n" x 500, "0\r\n\r\n" ] );
    like $got, qr/^(?:500|closed|200)$/, "allocation $skip of a body's reader fails: $got";
    disarm();
    $got = status_of("/filters-$skip");
    like $got, qr/^(?:500|closed|200)$/, "allocation $skip of filters that wait fails: $got";
    disarm();
    $got = status_of("/exit-$skip");
    like $got, qr/^(?:500|closed|403)$/, "allocation $skip of a page after a filter that waits fails: $got";
    disarm();
    $got = status_of("/sub_log-$skip");
    like $got, qr/^(?:500|closed|200)$/, "allocation $skip of a subrequest whose log waits fails: $got";
    disarm();
    $got = status_of("/log-$skip");
    like $got, qr/^(?:closed|200)$/, "allocation $skip of log code that waits fails: $got";
    disarm();
    $got = status_of("/balancer-$skip");
    like $got, qr/^(?:500|200)$/, "allocation $skip of a balancer that waits fails: $got";
    disarm();
    $got = status_of("/tls-$skip");
    like $got, qr/^(?:500|closed|200)$/, "allocation $skip of a handshake fails: $got";
    disarm();
    is_same_worker("allocation $skip");
    $failed++;
}
cmp_ok $failed, '>', 5, 'a busy request allocates from its pool';

# What only this module has, with lines of either format: allocations from pools, and those for what it makes itself.
sub fail_own {
    my ( $kind, $path ) = @_;
    my ( $arming, $asked ) = split / /, $path;
    $asked //= $path;
    # Each of the first ones, and some of those that come after many.
    for ( my $skip = 0; $skip < 100_000; $skip += 1 + int $skip / 15 ) {
        my $query = "?kind=$kind&skip=$skip";
        my $before = length $server->log_text('error.log');
        my $got = status_of("$arming$query");
        # Long enough for the worker to look for changes.
        edit_module(), sleep 0.11 if $asked eq '/next';
        $got = status_of($asked) if $asked ne $path;
        my $name = "$kind allocation $skip of $asked fails: $got";
        $got =~ /^(?:500|closed|200)$/ or return fail($name);
        return cmp_ok $skip, '>', 0, "$kind allocations of $asked: $skip" if disarm();
        # Where a pool cannot grow, nginx itself says so.
        if ( $kind eq 'heap' && $got ne '200' ) {
            my $said = substr $server->log_text('error.log'), $before;
            $said =~ /\[(?:error|alert|crit|emerg)\]|"level":"(?:error|alert|crit|emerg)"/ or fail("$name: the log says so");
        }
        my ( undef, undef, $now ) = ProcessTest::get( $port, '/worker' );
        $now eq $worker or return fail("$name: the same worker");
    }
    return fail("$kind allocations of $asked come to an end");
}

# A list of a header's values for which there is no memory.
my @said;
for my $skip ( 0 .. 100 ) {
    my $body = eval { ( ProcessTest::get( $port, "/list?skip=$skip" ) )[2] };
    last if disarm();
    push @said, $body // '';
}
ok !!( grep {/no memory/} @said ), 'a list of values that there is no memory for' or diag "@said";
ok !( grep {/failed to set header/} @said ), 'is no wrong value' or diag "@said";

# A program that could not be started to the end does not go on without an owner.
for my $skip ( 0 .. 100 ) {
    my $got = status_of("/spawn?skip=$skip");
    like $got, qr/^(?:500|200)$/, "heap allocation $skip of a spawn fails: $got";
    ok ProcessTest::wait_until( sub { ProcessTest::children($worker) == 0 } ), 'no program is left';
    if ( disarm() ) {
        cmp_ok $skip, '>', 2, 'a spawn allocates';
        last;
    }
}

# A reload has the old worker end with a fault, and the new one begin with one.
sub reload {
    my ($why) = @_;
    my $before = $worker;
    kill HUP => $server->pid;
    ok ProcessTest::wait_until(
        sub {
            $worker = eval { ( ProcessTest::get( $port, '/worker' ) )[2] } // $before;
            return $worker ne $before && ProcessTest::children( $server->pid ) == 1;
        }
        ),
        "$why: a new worker serves, and the old one has left";
    disarm();
    $worker = ( ProcessTest::get( $port, '/worker' ) )[2];
}

for my $format (qw(line json)) {
    configure($format);
    reload("error log of $format");
    for my $kind (qw(alloc heap)) {
        fail_own( $kind, $_ ) for @OWN;
        edit_module();
        ok ProcessTest::wait_until( sub { ( ProcessTest::get( $port, '/next' ) )[2] eq "$version\n" } ),
            'the module that has changed is loaded in the end';
    }
}
for my $kind (qw(alloc heap)) {
    for my $skip ( 0 .. 15 ) {
        ProcessTest::get( $port, "/hooks?kind=$kind&skip=$skip" );
        reload("$kind allocation $skip of hooks that wait");
    }
}

$server->stop;
my $log = $server->log_text('error.log');
unlike $log, qr/exited on signal/,    'no worker died';
unlike $log, qr/open socket .* left/, 'no connection was lost';

done_testing;
