package HttpCases;

# What holds in each version of HTTP: rows of the location's directives, the request and the answer.

use strict;
use warnings;

# An answer is the status and the body, then "(broken)" where it broke off: a text, a pattern, or a hash of them by
# version. `headers` are lines that the response has.
sub row {
    my ( $name, $conf, $request, $answer, %more ) = @_;
    return { name => $name, conf => $conf, request => $request, answer => $answer, %more };
}

sub content {
    my ( $name, $code, $request, $answer, %more ) = @_;
    return row( $name, "content_by_lua_block { $code }", $request, $answer, %more );
}

sub post { return { method => 'POST', body => [@_] } }

sub refused { return { h1 => $_[0], h2 => '200 http v2 not supported yet', h3 => '200 http v3 not supported yet' } }

# HTTP/3 loses what it has not sent yet when a stream breaks off.
sub broken_off { return { h1 => $_[0], h2 => $_[0], h3 => qr/^(?:\Q$_[0]\E|\(broken\))$/ } }

my @phases = (
    row(
        'every phase, and waits in them',
        'set_by_lua_block $set { return "set" }
         rewrite_by_lua_block { ngx.sleep(0.001) ngx.ctx.phases = ngx.var.set .. " " .. ngx.get_phase() }
         access_by_lua_block { ngx.sleep(0.001) ngx.ctx.phases = ngx.ctx.phases .. " " .. ngx.get_phase() }
         content_by_lua_block { ngx.sleep(0.001) ngx.print(ngx.ctx.phases, " ", ngx.get_phase()) }
         header_filter_by_lua_block { ngx.header["X-Phase"] = ngx.get_phase() }
         body_filter_by_lua_block {
             if ngx.arg[2] then ngx.arg[1] = ngx.arg[1] .. " " .. ngx.get_phase() .. " " .. ngx.header["X-Phase"] end
         }
         log_by_lua_block { ngx.shared.notes:set("phases", ngx.get_phase() .. " " .. ngx.status .. " " .. ngx.ctx.phases) }',
        {}, '200 set rewrite access content body_filter header_filter'
    ),
    content( '… the last behind the response', 'ngx.print(await("phases"))', {}, '200 log 200 set rewrite access' ),
    row(
        'log code that waits',
        'content_by_lua_block { ngx.req.read_body() ngx.print("ok") }
         log_by_lua_block {
             ngx.sleep(0.05)
             local headers = ngx.req.get_headers()
             ngx.shared.notes:set("late", table.concat({ ngx.var.request:gsub(" /.*", ""), headers["X-One"], #headers["X-Long"],
                 #ngx.var.http_x_long, ngx.var.arg_a, ngx.req.get_uri_args().b, ngx.var.host, ngx.req.get_body_data(),
                 ngx.var.remote_addr, ngx.status, ngx.var.ssl_protocol or "plain" }, " "))
         }',
        { method => 'POST', body => ['body'], headers => [ [ 'x-one', 'one' ], [ 'x-long', 'y' x 3000 ] ] },
        '200 ok', args => 'a=1&b=2', beyond_reference => 'h1 h2 h3'
    ),
    content(
        '… and what it sees', 'ngx.print((await("late"):gsub("TLS.*", "TLS")))', {},
        { h1 => '200 POST one 3000 3000 1 2 localhost body 127.0.0.1 200 plain',
          h2 => '200 POST one 3000 3000 1 2 localhost body 127.0.0.1 200 plain',
          h3 => '200 POST one 3000 3000 1 2 localhost body 127.0.0.1 200 TLS' },
        beyond_reference => 'h1 h2 h3'
    ),
    row( 'output in the rewrite phase', 'rewrite_by_lua_block { ngx.say("early") }', {}, "200 early\n" ),
    row( 'output in the access phase', 'access_by_lua_block { ngx.print("early") ngx.exit(200) }', {}, '200 early' ),
    row( 'output in the precontent phase', 'precontent_by_lua_block { ngx.sleep(0.001) ngx.print("early") }',
        {}, '200 early', beyond_reference => 'h1 h2' ),
    row(
        'waits in the filters',
        'header_filter_by_lua_block { ngx.sleep(0.002) ngx.header["X-Word"] = ngx.location.capture("/inner").body }
         body_filter_by_lua_block { ngx.sleep(0.001) ngx.arg[1] = ngx.arg[1]:upper() }
         content_by_lua_block { ngx.print("one ") ngx.flush(true) ngx.print("two ", ngx.header["X-Word"]:sub(1, 5)) }',
        {}, '200 ONE TWO INNER', beyond_reference => 'h1 h2'
    ),
    row(
        'waits in the filters of a proxied response',
        'proxy_http_version 1.1; proxy_pass http://balanced/inner;
         header_filter_by_lua_block { ngx.sleep(0.002) } body_filter_by_lua_block { ngx.sleep(0.001) }',
        {}, '200 inner 1.1', beyond_reference => 'h1 h2'
    ),
    row( 'a wait in the header filter of a response without a body', 'header_filter_by_lua_block { ngx.sleep(0.001) ngx.status = 204 } return 204;',
        {}, '204 ', beyond_reference => 'h1 h2' ),
    row( 'HEAD, and a wait in the header filter', 'header_filter_by_lua_block { ngx.sleep(0.001) } return 200 hello;',
        { method => 'HEAD' }, '200 ', beyond_reference => 'h1 h2' ),
    row( 'a balancer', 'proxy_http_version 1.1; proxy_pass http://balanced/inner;', {}, '200 inner 1.1' ),

    # How they end.
    row( 'exit in the rewrite phase', 'rewrite_by_lua_block { ngx.exit(403) }', {}, qr/^403 .*403 Forbidden/s ),
    row( 'exit in the access phase', 'access_by_lua_block { ngx.sleep(0.001) ngx.exit(503) }', {}, qr/^503 .*503 Service/s ),
    content( 'exit in the content phase', 'ngx.sleep(0.001) ngx.exit(404)', {}, qr/^404 .*404 Not Found/s ),
    content( 'exit without a response',   'ngx.exit(444)',                  {}, '(broken)' ),
    content( 'exit after some output', 'ngx.print("some") ngx.flush(true) ngx.exit(ngx.ERROR)', {}, broken_off('200 some(broken)') ),
    row( 'exit in the header filter', 'header_filter_by_lua_block { ngx.exit(502) } content_by_lua_block { ngx.say("x") }',
        {}, qr/^502 .*502 Bad Gateway/s ),
    row( 'exit in the header filter of a text', 'header_filter_by_lua_block { ngx.exit(502) } return 200 hello;',
        {}, qr/^502 .*502 Bad Gateway/s ),
    row( 'exit in the header filter after a wait', 'header_filter_by_lua_block { ngx.sleep(0.001) ngx.exit(502) } content_by_lua_block { ngx.say("x") }',
        {}, qr/^502 .*502 Bad Gateway/s, beyond_reference => 'h1 h2' ),
    row( 'exit in the header filter of a text after a wait', 'header_filter_by_lua_block { ngx.sleep(0.001) ngx.exit(502) } return 200 hello;',
        {}, qr/^502 .*502 Bad Gateway/s, beyond_reference => 'h1 h2' ),
    row( 'an error in the header filter after a wait', 'header_filter_by_lua_block { ngx.sleep(0.001) error("fails") } return 200 hello;',
        {}, '(broken)', beyond_reference => 'h1 h2' ),
    row( 'an error in the body filter after a wait',
        'body_filter_by_lua_block { if ngx.arg[1] == "b" then ngx.sleep(0.001) error("fails") end }
         content_by_lua_block { ngx.print("a") ngx.flush(true) ngx.print("b") ngx.flush(true) ngx.print("c") }',
        {}, broken_off('200 a(broken)'), beyond_reference => 'h1 h2' ),
    content( 'exit in the header filter of a subrequest',
        'local res = ngx.location.capture("/filtered") ngx.print(res.status, " ", res.body)',
        {}, qr/^200 502 .*502 Bad Gateway/s, beyond_reference => 'h1 h2' ),
    row( 'an error in the body filter', 'body_filter_by_lua_block { error("fails") } content_by_lua_block { ngx.say("x") ngx.say("y") }',
        {}, qr/\(broken\)$/ ),
    content( 'an error',                   'ngx.sleep(0.001) error("fails")',                 {}, qr/^500 .*500 Internal/s ),
    content( 'an error after some output', 'ngx.print("some") ngx.flush(true) error("fails")', {}, broken_off('200 some(broken)') ),
    content( 'a status without a body',    'ngx.status = 204 ngx.print("no")',                {}, '204 ' ),
    content( 'HEAD', 'ngx.header.content_length = 5 ngx.print("hello")', { method => 'HEAD' }, '200 ' ),
);

my @request = (
    content( 'the version', 'ngx.print(ngx.req.http_version(), " ", ngx.var.server_protocol, " ", ngx.var.request:match("%S+$"))',
        {}, { h1 => '200 1.1 HTTP/1.1 HTTP/1.1', h2 => '200 2 HTTP/2.0 HTTP/2.0', h3 => '200 3 HTTP/3.0 HTTP/3.0' } ),
    content( 'the header as it came',
        'ngx.req.set_header("X-One", "2") ngx.req.set_header("Host", "b") ngx.req.clear_header("X-Two") ngx.req.set_header("X-Three", "c")
         ngx.print(ngx.req.raw_header(), "|", ngx.req.raw_header(true), "|", ngx.req.get_headers().x_one, ngx.var.http_x_three)',
        { headers => [ [ 'x-one', '1' ], [ 'x-two', 'a' ], [ 'x-two', 'b' ] ] },
        {   h1 => qr{^200 GET /\d+ HTTP/1.1\r\n(host: localhost\r\nx-one: 1\r\nx-two: a\r\nx-two: b\r\n\r\n)\|\g1\|2c$},
            h2 => qr{^200 GET /\d+ HTTP/2.0\r\n(host: localhost\r\nx-one: 1\r\nx-two: a\r\nx-two: b\r\n\r\n)\|\g1\|2c$},
            h3 => qr{^200 GET /\d+ HTTP/3.0\r\n(host: localhost\r\nx-one: 1\r\nx-two: a\r\nx-two: b\r\n\r\n)\|\g1\|2c$},
        }, beyond_reference => 'h2 h3' ),
    row( 'the header as it came, after an internal redirect and in a subrequest',
        'rewrite_by_lua_block { ngx.req.set_header("X-One", "2") ngx.req.clear_header("X-One") ngx.exec("/raw_header") }',
        { headers => [ [ 'x-one', '1' ] ] }, qr{^200 (GET /\d+ HTTP/\d.\d\r\nhost: localhost\r\nx-one: 1\r\n\r\n)\|\g1$}, beyond_reference => 'h2 h3' ),
    content( 'its headers',
        'local headers, names = ngx.req.get_headers(), {}
         for name in pairs(headers) do names[#names + 1] = name end
         table.sort(names)
         ngx.print(table.concat(names, ","), " ", headers.host, " ", headers["X-One"], " ", table.concat(headers.x_two, "+"))',
        { headers => [ [ 'x-one', '1' ], [ 'x-two', 'a' ], [ 'x-two', 'b' ] ] },
        '200 host,x-one,x-two localhost 1 a+b' ),
    content( 'some of its headers', 'local headers, cut = ngx.req.get_headers(1) ngx.print(next(headers), " ", cut)',
        { headers => [ [ 'x-one', '1' ] ] }, qr/^200 [\w-]+ truncated$/ ),
    content( 'the host', 'ngx.print(ngx.var.host, " ", ngx.var.http_host, " ", ngx.var.HTTP_HOST)', {}, '200 localhost localhost localhost' ),
    row( 'headers that are changed',
        'rewrite_by_lua_block { ngx.req.set_header("X-One", "2") ngx.req.clear_header("X-Two") ngx.req.set_header("Host", "other") }
         content_by_lua_block {
             ngx.print(ngx.var.http_x_one, " ", ngx.var.http_x_two, " ", ngx.var.host, " ", ngx.var.http_host, " ", ngx.req.get_headers().host)
         }', { headers => [ [ 'x-one', '1' ], [ 'x-two', 'a' ] ] }, '200 2 nil other other other' ),
    row( 'a host that is removed',
        'rewrite_by_lua_block { ngx.req.clear_header("Host") }
         content_by_lua_block { ngx.print(ngx.var.http_host, " ", ngx.req.get_headers().host) }', {}, '200 nil nil' ),
    content( 'cookies', 'ngx.print(ngx.var.http_cookie)', { headers => [ [ 'cookie', 'a=1' ], [ 'cookie', 'b=2' ] ] }, '200 a=1; b=2' ),
    content( 'arguments', 'ngx.print(ngx.req.get_uri_args().a, ngx.var.arg_b)', {}, '200 1 23', args => 'a=1%202&b=3' ),
    content( 'POST arguments', 'ngx.req.read_body() ngx.print(ngx.req.get_post_args().a)', post( 'a=1', '%202&b=3' ), '200 1 2' ),

    # Its body.
    content( 'a body', 'ngx.req.read_body() ngx.print(ngx.req.get_body_data())',
        { %{ post( 'abc', 'def' ) }, headers => [ [ 'content-length', '6' ] ] }, '200 abcdef' ),
    content( 'a body whose length nobody tells', 'ngx.req.read_body() ngx.print(ngx.req.get_body_data(), " ", ngx.var.content_length)',
        post( 'abc', 'def' ), '200 abcdef 6' ),
    row( 'a body that comes in pieces',
        'rewrite_by_lua_block { ngx.req.read_body() } content_by_lua_block { ngx.print(ngx.req.get_body_data()) }',
        { %{ post( 'abc', 'def' ) }, pause => 30 }, '200 abcdef' ),
    row( 'a body that is needed', 'lua_need_request_body on; content_by_lua_block { ngx.print(ngx.req.get_body_data()) }',
        { %{ post( 'abc', 'def' ) }, pause => 30 }, '200 abcdef' ),
    row( 'a body in a file',
        'client_body_in_file_only clean; content_by_lua_block {
             ngx.req.read_body() ngx.print(ngx.req.get_body_data(), " ", io.open(ngx.req.get_body_file()):read("*a"))
         }', post('abc'), '200 nil abc' ),
    row( 'a body too large for a buffer',
        'client_body_buffer_size 1k; content_by_lua_block {
             ngx.req.read_body() ngx.print(ngx.req.get_body_data(), " ", #io.open(ngx.req.get_body_file()):read("*a"))
         }', post( ( 'x' x 9000 ) x 20 ), '200 nil 180000' ),
    row( 'a body that is too large', 'client_max_body_size 1k; content_by_lua_block { ngx.req.read_body() ngx.print("read") }',
        post( 'x' x 2000 ), qr/^413 / ),
    row( 'a body that is made',
        'rewrite_by_lua_block {
             ngx.req.read_body() ngx.req.init_body(10) ngx.req.append_body("hello ") ngx.req.append_body("world") ngx.req.finish_body()
         } proxy_pass http://balanced/echo;', post('abc'), '200 hello world' ),
    row( 'a body that is set', 'rewrite_by_lua_block { ngx.req.read_body() ngx.req.set_body_data("other") } proxy_pass http://balanced/echo;',
        post('abc'), '200 other' ),
    content( 'a body that nobody reads', 'ngx.print("unread")', post( 'x' x 50000 ), '200 unread' ),
    content( 'a body that is discarded', 'ngx.req.discard_body() ngx.print("discarded")',
        { %{ post( ( 'x' x 50000 ) x 4 ) }, pause => 5 }, '200 discarded' ),
    content( 'a body that comes after the response', 'ngx.print("at once") ngx.eof() ngx.sleep(0.05)',
        { %{ post( 'abc', 'def' ) }, pause => 30 }, '200 at once' ),
    content( 'a socket of the body', 'ngx.print(assert(ngx.req.socket()):receive(3))',
        { %{ post('abc') }, headers => [ [ 'content-length', '3' ] ] }, '200 abc', beyond_reference => 'h2 h3' ),
    content( 'a socket of a body whose length nobody tells',
        'local socket = assert(ngx.req.socket())
         ngx.print(socket:receive(), ",", socket:receiveuntil("--")(), ",", socket:receiveany(2), ",", socket:receive("*a"), ",", socket:receive())',
        post( "a line\nbefore--", 'after', ' all' ), qr/^200 a line,before,\w{1,2},\w{3,4} all,nilclosed$/, beyond_reference => 'h1 h2 h3' ),
    row( 'a socket of a body that comes in pieces',
        'client_body_timeout 1ms; rewrite_by_lua_block { ngx.sleep(0.02) ngx.ctx.socket = assert(ngx.req.socket()) ngx.ctx.one = ngx.ctx.socket:receive(4) }
         content_by_lua_block { ngx.sleep(0.05) ngx.print(ngx.ctx.one, ",", ngx.ctx.socket:receive(4), ",", select(3, ngx.ctx.socket:receive(4))) }',
        { %{ post( 'abc', 'def', 'ghi' ) }, pause => 30 }, '200 abcd,efgh,i', beyond_reference => 'h1 h2 h3' ),
    content( 'a socket of a body that comes too slowly',
        'local socket = assert(ngx.req.socket()) socket:settimeout(20)
         local data, err, part = socket:receive(6) socket:settimeout(9000) ngx.print(data, err, part, ",", socket:receive("*a"))',
        { %{ post( 'abc', 'def' ) }, pause => 200 }, '200 niltimeoutabc,def', beyond_reference => 'h1 h2 h3' ),
    row( 'a socket of a large body, and a slow reader',
        'client_max_body_size 0; client_body_buffer_size 8k; content_by_lua_block {
             local socket, count, before = assert(ngx.req.socket()), 0, collectgarbage("count")
             for i = 1, 100 do
                 local data, err, part = socket:receive(40000)
                 count = count + #(data or part)
                 if err then break end
                 if i % 20 == 0 then ngx.sleep(0.005) end
             end
             ngx.print(count, " ", select(2, socket:receive(1)))
         }', post( ( 'x' x 100_000 ) x 20 ), '200 2000000 closed', beyond_reference => 'h1 h2 h3' ),
    content( 'a socket of a body that nobody reads', 'assert(ngx.req.socket()) ngx.print("unread")', post( ('x' x 50000) x 4 ),
        qr/^200 unread/, beyond_reference => 'h1 h2 h3' ),
    content( 'a socket of a body that is read in part', 'ngx.print(ngx.req.socket():receive(3))', post( ('x' x 50000) x 4 ),
        qr/^200 xxx/, beyond_reference => 'h1 h2 h3' ),
    row( 'a socket of a body that is too large',
        'client_max_body_size 1k; content_by_lua_block {
             local socket, err = ngx.req.socket()
             if socket then err = select(2, socket:receive("*a")) end
             ngx.print(err)
         }', { %{ post( 'x' x 500, 'x' x 2000 ) }, pause => 10 }, '200 request body too large', beyond_reference => 'h1 h2 h3' ),
    row( 'two sockets of the body, and other readers',
        'client_body_in_file_only on; content_by_lua_block {
             local socket = assert(ngx.req.socket())
             local _, err = ngx.req.socket()
             ngx.req.read_body() ngx.req.discard_body()
             ngx.print(err, ",", ngx.req.get_body_data(), ",", ngx.req.get_body_file(), ",", socket:receive("*a"))
         }', post( 'abc', 'def' ), '200 request body already exists,nil,nil,abcdef', beyond_reference => 'h1 h2 h3' ),
    # nginx may not know yet that a stream of HTTP/3 ends.
    content( 'a socket of no body', 'local socket, err = ngx.req.socket() ngx.print(err or select(2, socket:receive()))',
        {}, { h1 => '200 no body', h2 => '200 no body', h3 => qr/^200 (?:no body|closed)$/ }, beyond_reference => 'h2 h3' ),
    content( 'two threads and a socket of the body',
        'local socket = assert(ngx.req.socket())
         local thread = ngx.thread.spawn(function() return socket:receive(6) end)
         ngx.print(select(2, socket:receive(1)), ",", select(2, ngx.thread.wait(thread)))',
        { %{ post( 'abc', 'def' ) }, pause => 30 }, '200 socket busy reading,abcdef', beyond_reference => 'h1 h2 h3' ),
    content( 'a raw socket',
        'local ok, socket = pcall(ngx.req.socket, true)
         if ok then socket:send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nraw") else ngx.print(socket) end', {}, refused('200 raw') ),
);

my @response = (
    content( 'response headers',
        'ngx.header["X-One"] = { "1", "2" } ngx.header.x_gone = "x" ngx.header.x_gone = nil
         ngx.header.content_type = "text/x" ngx.header["Set-Cookie"] = { "a=1", "b=2" }
         ngx.print(table.concat(ngx.resp.get_headers()["x-one"], "+"))',
        {}, '200 1+2', headers => [ 'x-one: 1', 'x-one: 2', 'content-type: text/x', 'set-cookie: a=1', 'set-cookie: b=2' ] ),
    content( 'flushed pieces', 'for i = 1, 50 do ngx.print(i) ngx.flush(true) if i % 10 == 0 then ngx.sleep(0.001) end end',
        {}, '200 ' . join '', 1 .. 50 ),
    content( 'a large body through a small window', 'for i = 1, 10 do ngx.print(("x"):rep(10000)) assert(ngx.flush(true)) end',
        {}, '200 ' . 'x' x 100_000 ),
    content( 'a large body, not flushed', 'ngx.print(("x"):rep(100000))', {}, '200 ' . 'x' x 100_000 ),
    content( 'a large body, and an end', 'ngx.print(("x"):rep(100000)) ngx.eof()', {}, '200 ' . 'x' x 100_000 ),
    content( 'two threads that flush',
        'local function f() ngx.print(("x"):rep(30000)) assert(ngx.flush(true)) end
         local thread = ngx.thread.spawn(f) f() ngx.thread.wait(thread)', {}, '200 ' . 'x' x 60_000 ),
    row( 'a limited rate', 'limit_rate 50k; content_by_lua_block { ngx.print(("x"):rep(60000)) ngx.flush(true) ngx.print("y") }',
        {}, '200 ' . 'x' x 60_000 . 'y' ),
    content( 'a header alone', 'ngx.send_headers() ngx.flush(true) ngx.sleep(0.01) ngx.print(tostring(ngx.headers_sent))', {}, '200 true' ),
    content( 'output after the end', 'ngx.print("x") ngx.eof() ngx.shared.notes:set("after", tostring(select(2, ngx.print("y"))))',
        {}, '200 x' ),
    content( '… is refused', 'ngx.print(await("after"))', {}, '200 seen eof' ),
);

my @others = (
    content( 'subrequests',
        'local one, two = ngx.location.capture_multi({ { "/inner" }, { "/echo", { method = ngx.HTTP_POST, body = "abc" } } })
         ngx.print(one.status, one.body, " ", two.body)',
        {}, { h1 => '200 200inner 1.1 abc', h2 => '200 200inner 2 abc', h3 => '200 200inner 3 abc' }, beyond_reference => 'h2' ),
    content( 'a subrequest that is passed on', 'ngx.print(ngx.location.capture("/passed").body)', {}, '200 inner 1.1', beyond_reference => 'h2' ),
    row(
        'a page whose filters wait, for a header filter that has waited',
        'error_page 403 /late_page;
         header_filter_by_lua_block { ngx.sleep(0.01) return ngx.exit(403) }
         content_by_lua_block { ngx.say("never sent") ngx.sleep(0.02) }',
        {}, '403 late page', beyond_reference => 'h1 h2 h3'
    ),
    row(
        'a subrequest whose log waits',
        'content_by_lua_block { ngx.print(ngx.location.capture("/sub_logged").body, await("sub_logged")) }',
        {}, '200 sub waited', beyond_reference => 'h1 h2 h3'
    ),
    content(
        'an option of the socket of the body',
        'local ffi = require "ffi"
         local err, len, socket = ffi.new("unsigned char[100]"), ffi.new("size_t[1]", 100), ngx.req.socket()
         local rc = ffi.C.ngx_http_lua_ffi_socket_tcp_setoption(socket[1], 4, 65536, err, len)
         socket:receive("*a")
         ngx.print(rc, rc < 0 and " " .. ffi.string(err, len[0]) or "")',
        post('abc'), { h1 => '200 0', h2 => '200 0', h3 => '200 -1 no socket of its own in HTTP/3' }, beyond_reference => 'h1 h2 h3' ),
    content( 'exec', 'ngx.exec("/inner")', {}, { h1 => '200 inner 1.1', h2 => '200 inner 2', h3 => '200 inner 3' } ),
    row( 'exec of a named location', 'rewrite_by_lua_block { ngx.sleep(0.001) ngx.exec("@named") }', {}, '200 named' ),
    content( 'redirect', 'ngx.redirect("/inner")', {}, qr/^302 / ),
    row( 'an error page', 'error_page 404 = @named; content_by_lua_block { ngx.exit(404) }', {}, '404 named' ),
    content( 'light threads',
        'local threads = {}
         for i = 1, 5 do threads[i] = ngx.thread.spawn(function() ngx.sleep(0.01 * (6 - i)) ngx.print(i) end) end
         for i = 1, 5 do ngx.thread.wait(threads[i]) end', {}, '200 54321' ),
    content( 'a cosocket',
        'local socket = ngx.socket.tcp() assert(socket:connect("127.0.0.1", ngx.var.plain_port))
         socket:send("GET /inner HTTP/1.0\r\n\r\n") ngx.print(socket:receive("*a"):match("[^\n]*$"))', {}, '200 inner 1' ),
    content( 'datagrams',
        'local one, two = ngx.socket.udp(), ngx.socket.udp()
         local port = 0 assert(one:setpeername("127.0.0.1", ngx.var.plain_port + 49)) one:settimeout(20)
         one:send("x") ngx.print(select(2, one:receive()))', {}, qr/^200 (?:timeout|connection refused)$/ ),
    content( 'a timer', 'ngx.timer.at(0, function() ngx.shared.notes:set("timer", "came") end) ngx.print(await("timer"))',
        {}, '200 came' ),
);

our @CASES = ( @phases, @request, @response, @others );

# Code in a handshake, and what the client gets: a certificate, then its answer to a request. Code does not wait in QUIC,
# and that of the C module only if nginx is patched as Debian's is; otherwise a line in the log says so.
my $set = 'local ssl = require "ngx.ssl"
    local function pem(name) return assert(io.open("CERTS/" .. name)):read("*a") end
    assert(ssl.clear_certs())
    assert(ssl.set_cert(assert(ssl.parse_pem_cert(pem("test.crt")))))
    assert(ssl.set_priv_key(assert(ssl.parse_pem_priv_key(pem("test.key")))))
    ngx.ctx.name = ssl.server_name()';

my $waited = qr/^(?:test 200 test.com TLSv1.[23]|none \(broken\))$/;
my $slept  = qr/^(?:stranger 200 slept TLSv1.[23]|none \(broken\))$/;

sub handshake { return { name => $_[0], conf => $_[1], answer => $_[2] } }

our @HANDSHAKES = (
    handshake( 'a certificate that the code sets', "ssl_certificate_by_lua_block { $set }", qr/^test 200 test.com TLSv1.[23]$/ ),
    handshake( 'a look at the name',
        'ssl_client_hello_by_lua_block { ngx.ctx.name = require("ngx.ssl.clienthello").get_client_hello_server_name() }',
        qr/^stranger 200 test.com TLSv1.[23]$/ ),
    handshake( 'a refusal', 'ssl_certificate_by_lua_block { return ngx.exit(ngx.ERROR) }', 'none (broken)' ),
    handshake( 'a refusal of the name', 'ssl_client_hello_by_lua_block { return ngx.exit(ngx.ERROR) }', 'none (broken)' ),
    handshake( 'an error', 'ssl_certificate_by_lua_block { error("fails") }', 'none (broken)' ),
    handshake( 'code that waits', "ssl_certificate_by_lua_block { ngx.sleep(0.01) $set }",
        { h1 => $waited, h2 => $waited, h3 => 'none (broken)' } ),
    handshake( 'code of the name that waits', 'ssl_client_hello_by_lua_block { ngx.sleep(0.01) ngx.ctx.name = "slept" }',
        { h1 => $slept, h2 => $slept, h3 => 'none (broken)' } ),
);

1;
