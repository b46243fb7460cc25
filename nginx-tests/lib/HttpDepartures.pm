package HttpDepartures;

# Clients that leave, or do not read, while code runs for them: rows of the location's directives, the request and
# what the code notes, which ends with the log phase's note. `answered()` waits until the client has its whole answer. The
# client leaves once the code has noted what matches `until`: "start" if nothing else is said.

use strict;
use warnings;

my $ON       = 'lua_check_client_abort on;';
my $LARGE    = 'ngx.print(("x"):rep(9000000)) local ok, err = ngx.flush(true) note(tostring(ok) .. " " .. tostring(err))';
my $PARTIAL  = { method => 'POST', headers => [ [ 'content-length', '20' ] ], body => [ 'abc', 'def' ], pause => 60000 };
# The same, and nothing says how long the body is.
my $UNTOLD   = { method => 'POST', body => [ 'abc', 'def' ], pause => 60000 };
my $UNREAD   = { stop => 'data' };
my $UNREADER = { stop => 'told', reluctance => 60000 };

our @ROWS = (

    # The code waits.
    {   name    => 'a client that is watched',
        conf    => "$ON content_by_lua_block { note('start') ngx.sleep(9) note('end') }",
        request => { stop => 'told' },
        notes   => 'start;log 499;',
    },
    {   name    => 'a client that is ignored',
        conf    => 'content_by_lua_block { note("start") ngx.sleep(0.15) note("end") ngx.print("x") }',
        request => { stop => 'told' },
        notes   => 'start;end;log 200;',
    },
    {   name    => 'a handler that ends the request',
        conf    => "$ON content_by_lua_block { note('start') ngx.on_abort(function() note('abort') ngx.exit(499) end) ngx.sleep(9) }",
        request => { stop => 'told' },
        notes   => 'start;abort;log 499;',
    },
    {   name    => 'a handler that lets the code go on',
        conf    => "$ON content_by_lua_block { note('start') 
            local gone ngx.on_abort(function() gone = true note('abort') end)
            while not gone do ngx.sleep(0.01) end note('end')
        }",
        request => { stop => 'told' },
        notes   => 'start;abort;end;log 200;',
    },
    {   name    => 'a handler that waits',
        conf    => "$ON content_by_lua_block { note('start')
            ngx.on_abort(function() ngx.sleep(0.03) note('abort') ngx.exit(499) end) ngx.sleep(9)
        }",
        request => { stop => 'told' },
        notes   => 'start;abort;log 499;',
    },
    {   name    => 'the access phase',
        conf    => "$ON access_by_lua_block { note('start') ngx.sleep(9) note('end') }",
        request => { stop => 'told' },
        notes   => 'start;log 499;',
    },
    {   name    => 'a handler in the rewrite phase',
        conf    => "$ON rewrite_by_lua_block { note('start') ngx.on_abort(function() note('abort') ngx.exit(499) end) ngx.sleep(9) }",
        request => { stop => 'told' },
        notes   => 'start;abort;log 499;',
    },
    {   name    => 'light threads',
        conf    => "$ON content_by_lua_block { note('start')
            for i = 1, 10 do ngx.thread.spawn(function() ngx.sleep(9) note('thread') end) end ngx.sleep(9)
        }",
        request => { stop => 'told' },
        notes   => 'start;log 499;',
    },
    {   name => 'a cosocket',
        conf => "$ON content_by_lua_block { note('start')
            local socket = ngx.socket.tcp() socket:connect('127.0.0.1', ngx.var.plain_port) note(tostring(socket:receive()))
        }",
        request => { stop => 'told' },
        notes   => 'start;log 499;',
    },
    {   name    => 'after some output',
        conf    => "$ON content_by_lua_block { ngx.print('some') ngx.flush(true) ngx.sleep(9) note('end') }",
        request => { stop => 'data' },
        notes   => 'log 200;',
    },
    {   name    => 'after the header',
        conf    => "$ON content_by_lua_block { ngx.send_headers() ngx.flush(true) ngx.sleep(9) note('end') }",
        request => { stop => 'header' },
        notes   => 'log 200;',
    },

    {   name    => 'a balancer',
        conf    => 'set $chosen_after 9; proxy_pass http://chosen_late/inner;',
        request => { stop => 'told' },
        notes   => qr/^start;log (?:0|499);$/,
        beyond_reference => 'h1 h2 h3',
    },
    {   name    => 'a balancer of a response that goes on',
        conf    => 'set $chosen_after 0.15; proxy_ignore_client_abort on; proxy_pass http://chosen_late/inner;',
        request => { stop => 'told' },
        notes   => {
            h1 => qr/^start;chosen;log (?:200|499);$/,
            h2 => qr/^start;chosen;log (?:200|499);$/,
            # nginx ends the requests of a connection that is closed.
            h3 => qr/^start;(?:chosen;log (?:200|499)|log 0);$/,
        },
        beyond_reference => 'h1 h2 h3',
    },
    {   name    => 'a header filter',
        conf    => 'header_filter_by_lua_block { note("start") ngx.sleep(9) note("end") } return 200 hello;',
        request => { stop => 'told' },
        notes   => qr/^start;log (?:200|499);$/,
        beyond_reference => 'h1 h2',
    },
    {   name    => 'a header filter of code that goes on',
        conf    => "$ON header_filter_by_lua_block { note('start') ngx.sleep(9) note('end') }
            content_by_lua_block { ngx.say('x') ngx.sleep(9) note('end') }",
        request => { stop => 'told' },
        notes   => qr/^start;log (?:200|499);$/,
        beyond_reference => 'h1 h2',
    },
    {   name    => 'a body filter',
        conf    => 'body_filter_by_lua_block { note("start") ngx.sleep(9) note("end") } return 200 hello;',
        request => { stop => 'told' },
        notes   => qr/^start;log (?:200|499);$/,
        beyond_reference => 'h1 h2',
    },

    # It waits for the client to take output.
    {   name    => 'a flush',
        conf    => "content_by_lua_block { $LARGE ngx.sleep(0.01) note('end') }",
        request => $UNREAD,
        notes   => qr/^nil (?:client aborted|nginx output filter error);end;log 200;$/,
        beyond_reference => 'h2',
    },
    {   name    => 'a flush in an early phase',
        conf    => "access_by_lua_block { $LARGE ngx.sleep(0.01) note('end') }",
        request => $UNREAD,
        notes   => qr/^nil (?:client aborted|nginx output filter error);end;log 200;$/,
        beyond_reference => 'h2',
    },
    {   name    => 'a flush for a client that is watched',
        conf    => "$ON content_by_lua_block { $LARGE }",
        request => $UNREAD,
        # The code is ended, or hears of it first: whichever of the connection's events comes first.
        notes   => qr/^(?:nil (?:client aborted|nginx output filter error);)?log 200;$/,
    },
    {   name    => 'a flush that comes to the end of its time',
        conf    => "send_timeout 200ms; content_by_lua_block { note('start') $LARGE ngx.sleep(0.01) note('end') }",
        request => $UNREADER,
        until   => qr/log /,
        notes   => 'start;nil timeout;end;log 200;',
    },
    {   name    => 'output that nobody waits for',
        conf    => 'send_timeout 200ms; content_by_lua_block { note("start") ngx.print(("x"):rep(9000000)) }',
        request => $UNREADER,
        until   => qr/log /,
        notes   => 'start;log 200;',
    },
    {   name    => 'unread output, and work behind it',
        conf    => 'send_timeout 100ms; content_by_lua_block { note("start") ngx.print(("x"):rep(9000000)) ngx.eof() ngx.sleep(0.3) note("end") }',
        request => $UNREADER,
        until   => qr/log /,
        notes   => 'start;end;log 200;',
    },

    # It waits for the body. (nginx 1.28 ends requests itself once a connection of HTTP/3 is closed, and logs 0.)
    {   name    => 'a body that breaks off',
        conf    => 'content_by_lua_block { note("start") ngx.req.read_body() note("read") }',
        request => { %$PARTIAL, stop => 'told' },
        notes   => qr/^start;log (?:0|400|499);$/,
    },
    {   name    => 'a body that breaks off while a thread works',
        conf    => "$ON content_by_lua_block { note('start')
            ngx.thread.spawn(function() ngx.sleep(0.5) note('thread') end) ngx.req.read_body() note('read')
        }",
        request => { %$PARTIAL, stop => 'told' },
        notes   => qr/^start;log (?:0|400|499);$/,
    },
    {   name    => 'a body that never comes',
        conf    => 'client_body_timeout 100ms; content_by_lua_block { note("start") ngx.req.read_body() note("read") }',
        request => { %$PARTIAL, stop => 'told' },
        until   => qr/log /,
        notes   => 'start;log 408;',
    },
    {   name    => 'a body that is shorter than its length',
        conf    => 'content_by_lua_block { note("start") ngx.req.read_body() note("read") }',
        request => { %$PARTIAL, pause => 0 },
        notes   => 'start;log 400;',
    },
    {   name    => 'a socket of a body that breaks off',
        conf    => 'content_by_lua_block { note("start")
            local socket = assert(ngx.req.socket()) note(table.concat({ select(2, socket:receive(20)) }, " ")) note("end")
        }',
        request => { %$PARTIAL, stop => 'told' },
        notes   => 'start;client aborted abc;end;log 200;',
        beyond_reference => 'h2 h3',
    },
    {   name    => 'a socket of a body whose length nobody tells, which breaks off',
        conf    => 'rewrite_by_lua_block { note("start")
            local socket = assert(ngx.req.socket()) note(table.concat({ select(2, socket:receive("*a")) }, " ")) note("end")
        }
        content_by_lua_block { ngx.say("x") }',
        request => { %$UNTOLD, stop => 'told' },
        notes   => 'start;client aborted abc;end;log 200;',
        beyond_reference => 'h1 h2 h3',
    },
    {   name    => 'a socket of a body that nobody reads for a client that is watched',
        conf    => "$ON content_by_lua_block { note('start') local socket = assert(ngx.req.socket()) socket:receive(3)
            ngx.sleep(9) note('end')
        }",
        request => { %$UNTOLD, stop => 'told' },
        notes   => 'start;log 499;',
        beyond_reference => 'h1 h2 h3',
    },
    {   name    => 'a handler, and a body that nobody reads',
        conf    => "$ON client_body_buffer_size 1k; content_by_lua_block { note('start') local socket = assert(ngx.req.socket())
            ngx.on_abort(function() note('abort') ngx.exit(499) end)
            ngx.sleep(ngx.req.http_version() < 2 and 0.1 or 9) note('end')
        }",
        request => { %$UNTOLD, body => [ 'x' x 4000, 'x' ], stop => 'told' },
        # Without reading the body, nginx cannot see what comes after it on a connection of HTTP/1.1.
        notes   => { h1 => 'start;end;log 200;', h2 => 'start;abort;log 499;', h3 => 'start;abort;log 499;' },
        beyond_reference => 'h1 h2 h3',
    },
    {   name    => 'a thread that is killed while it reads the body',
        conf    => 'content_by_lua_block { note("start") local socket = assert(ngx.req.socket())
            local thread = ngx.thread.spawn(function() socket:receive("*a") note("read") end)
            ngx.sleep(0.01) ngx.thread.kill(thread) note(select(2, socket:receive(1))) ngx.exit(204)
        }',
        request => { %$UNTOLD, stop => 'told' },
        until   => qr/log /,
        notes   => 'start;closed;log 204;',
        beyond_reference => 'h1 h2 h3',
    },

    # It waits for others.
    {   name    => 'a subrequest',
        conf    => "$ON content_by_lua_block { note('start') ngx.location.capture('/slow?s=9') note('end') }",
        request => { stop => 'told' },
        notes   => 'start;log 499;',
        beyond_reference => 'h2',
    },
    {   name    => 'a subrequest, for a client that is ignored',
        conf    => 'content_by_lua_block { note("start") note(ngx.location.capture("/slow").status) note("end") }',
        request => { stop => 'told' },
        notes   => 'start;200;end;log 200;',
        beyond_reference => 'h2',
    },
    {   name    => 'a subrequest in an early phase, for a client that is ignored',
        conf    => 'access_by_lua_block { note("start") note(ngx.location.capture("/slow").status) ngx.sleep(0.01) note("end") ngx.exit(204) }',
        request => { stop => 'told' },
        notes   => 'start;200;end;log 204;',
        beyond_reference => 'h2',
    },
    {   name    => 'a subrequest to another server',
        conf    => 'content_by_lua_block { note("start") ngx.location.capture("/slow_passed") note("end") }',
        request => { stop => 'told' },
        notes   => 'start;log 499;',
        beyond_reference => 'h1 h2',
    },
    {   name    => 'another server',
        conf    => 'access_by_lua_block { note("start") } proxy_pass http://balanced/slow?s=9;',
        request => { stop => 'told' },
        notes   => qr/^start;log (?:0|499);$/,
    },

    # The response has ended.
    {   name    => 'work behind a response',
        conf    => 'content_by_lua_block { ngx.print("x") ngx.eof() note(answered()) }',
        request => {},
        answer  => '200 x',
        notes   => 'answered;log 200;',
    },
    {   name    => 'work behind a large response',
        conf    => 'content_by_lua_block { ngx.print(("x"):rep(200000)) ngx.eof() note(answered()) }',
        request => {},
        answer  => '200 ' . 'x' x 200_000,
        notes   => 'answered;log 200;',
        beyond_reference => 'h1 h2',
    },
    {   name    => 'work behind a response without a body',
        conf    => 'content_by_lua_block { ngx.header.content_length = 5 ngx.eof() note(answered()) }',
        request => { method => 'HEAD' },
        answer  => '200 ',
        notes   => 'answered;log 200;',
    },
    {   name    => 'work behind a response of an early phase',
        conf    => 'access_by_lua_block { ngx.print("x") ngx.eof() note(answered()) }',
        request => {},
        answer  => '200 x',
        notes   => 'answered;log 200;',
    },
    {   name    => 'work with subrequests behind a response',
        conf    => 'content_by_lua_block {
            ngx.print("x") ngx.eof() note(answered())
            for i = 1, 3 do note(ngx.location.capture("/slow").status) end
        }',
        request => {},
        answer  => '200 x',
        notes   => 'answered;200;200;200;log 200;',
        beyond_reference => 'h2',
    },
    {   name    => 'work behind a response, for a client that is watched',
        conf    => "$ON content_by_lua_block { ngx.print('x') ngx.eof() ngx.sleep(9) note('end') }",
        request => {},
        answer  => '200 x',
        notes   => 'log 200;',
    },
    {   name    => 'an exit behind a response',
        conf    => 'content_by_lua_block { ngx.print("x") ngx.eof() ngx.sleep(0.01) note("end") ngx.exit(500) }',
        request => {},
        answer  => '200 x',
        notes   => 'end;log 200;',
    },
    {   name    => 'an error behind a response',
        conf    => 'content_by_lua_block { ngx.print("x") ngx.eof() ngx.sleep(0.01) note("end") error("fails") }',
        request => {},
        answer  => '200 x',
        notes   => 'end;log 200;',
    },
);

1;
