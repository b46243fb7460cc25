# Subrequests that nginx makes (SSI, addition) and Lua answers: their output has its place in the page.
# The C module sends it as it comes.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * blocks() * 4;
no_long_string();

add_block_preprocessor(
    sub {
        my $block = shift;
        $block->set_value( request => 'GET /t' ) if !defined $block->request;
        $block->set_value( no_error_log => "[error]\n[alert]" );
        $block->set_value( config => $block->config . <<'_EOC_' );
    # /lua/NAME/MILLISECONDS
    location /lua/ {
        content_by_lua_block {
            local name, wait = ngx.var.uri:match("/(%w+)/(%d+)$")
            ngx.print("<", name)
            ngx.sleep(wait / 1000)
            ngx.print(":", name)
            ngx.flush(true)
            ngx.sleep(wait / 1000)
            ngx.print(">")
        }
    }
_EOC_
    }
);

run_tests();

__DATA__

=== TEST 1: includes that answer in the opposite order
--- config
    location = /t {
        ssi on;
        ssi_types *;
        return 200 '[<!--#include virtual="/lua/a/60" -->,<!--#include virtual="/lua/b/30" -->,<!--#include virtual="/lua/c/1" -->]';
    }
--- response_body chomp
[<a:a>,<b:b>,<c:c>]



=== TEST 2: beside proxy_pass, in a page of Lua's own
--- config
    location = /t {
        ssi on;
        ssi_types *;
        content_by_lua_block {
            ngx.print('[<!--#include virtual="/lua/a/40" -->')
            ngx.print(',<!--#include virtual="/proxy/lua/b/20" -->,')
            ngx.sleep(0.01)
            ngx.say('<!--#include virtual="/lua/c/1" -->]')
        }
    }
    location /proxy/ {
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/;
    }
--- response_body
[<a:a>,<b:b>,<c:c>]



=== TEST 3: nested
--- config
    location = /t {
        ssi on;
        ssi_types *;
        return 200 '[<!--#include virtual="/outer/one/30" -->,<!--#include virtual="/outer/two/1" -->,<!--#include virtual="/lua/last/1" -->]';
    }
    location /outer/ {
        ssi on;
        ssi_types *;
        content_by_lua_block {
            local name, wait = ngx.var.uri:match("/(%w+)/(%d+)$")
            ngx.print("(", name, ' <!--#include virtual="/lua/', name, "/", wait, '" -->')
            ngx.sleep(wait / 1000)
            ngx.print('<!--#include virtual="/lua/', name, "2/", wait + 5, '" -->)')
        }
    }
--- response_body chomp
[(one <one:one><one2:one2>),(two <two:two><two2:two2>),<last:last>]



=== TEST 4: includes that capture
--- config
    location = /t {
        ssi on;
        ssi_types *;
        return 200 '[<!--#include virtual="/captures/a/40" -->,<!--#include virtual="/captures/b/10" -->,<!--#include virtual="/lua/c/1" -->]';
    }
    location /captures/ {
        content_by_lua_block {
            local name, wait = ngx.var.uri:match("/(%w+)/(%d+)$")
            ngx.print("{", name, " ")
            local res = ngx.location.capture("/lua/" .. name .. "/" .. wait)
            ngx.print(res.body)
            local one, two = ngx.location.capture_multi({
                { "/lua/x/" .. wait }, { "/again/y/" .. wait } })
            ngx.print(one.body, two.body, "}")
        }
    }
    location /again/ {
        content_by_lua_block {
            local name, wait = ngx.var.uri:match("/(%w+)/(%d+)$")
            local res = ngx.location.capture("/lua/" .. name .. "/" .. wait)
            ngx.print(res.body)
        }
    }
--- response_body chomp
[{a <a:a><x:x><y:y>},{b <b:b><x:x><y:y>},<c:c>]



=== TEST 5: what comes before the body and after it
--- config
    location = /t {
        default_type text/html;
        add_before_body /lua/before/30;
        add_after_body /lua/after/1;
        content_by_lua_block {
            ngx.print("body")
            ngx.sleep(0.01)
            ngx.print(" of Lua")
        }
    }
--- response_body chomp
<before:before>body of Lua<after:after>



=== TEST 6: the same around a page of nginx's
--- config
    location = /t {
        default_type text/html;
        add_before_body /lua/before/30;
        add_after_body /lua/after/1;
        return 200 "body";
    }
--- response_body chomp
<before:before>body<after:after>



=== TEST 7: a captured location that asks another one first
--- config
    location = /t {
        ssi on;
        ssi_types *;
        return 200 '[<!--#include virtual="/lua/a/30" -->,<!--#include virtual="/captures" -->,<!--#include virtual="/lua/c/1" -->]';
    }
    location = /captures {
        content_by_lua_block {
            ngx.print("{")
            ngx.print(ngx.location.capture("/guarded").body)
            ngx.print("}")
        }
    }
    location = /guarded {
        auth_request /allow;
        content_by_lua_block { ngx.sleep(0.005) ngx.print("guarded") }
    }
    location = /allow {
        content_by_lua_block { ngx.sleep(0.005) ngx.exit(204) }
    }
--- response_body chomp
[<a:a>,{guarded},<c:c>]



=== TEST 8: a light thread prints while others capture
--- config
    location = /t {
        content_by_lua_block {
            local function capture(n)
                ngx.print(ngx.location.capture("/captures?" .. n).body)
            end
            local threads = {}
            for n = 1, 3 do threads[n] = ngx.thread.spawn(capture, n) end
            for n = 1, 10 do ngx.print(".") ngx.sleep(0.002) end
            for n = 1, 3 do ngx.thread.wait(threads[n]) end
        }
        body_filter_by_lua_block { ngx.arg[1] = ngx.arg[1]:gsub("%.", "") }
    }
    location = /captures {
        content_by_lua_block {
            ngx.print(ngx.location.capture("/lua/x/" .. 10 * ngx.var.args).body)
        }
    }
--- response_body chomp
<x:x><x:x><x:x>



=== TEST 9: the response of an include ends before it is its turn, and its code goes on
--- config
    location = /t {
        ssi on;
        ssi_types *;
        return 200 '[<!--# include virtual="/lua/slow/20" --><!--# include virtual="/content" --><!--# include virtual="/rewrite" -->]';
    }
    set $end 'ngx.say("begins") ngx.flush(true) ngx.print("ends") ngx.sleep(0.005) ngx.eof() ngx.sleep(0.1)';
    location = /content {
        content_by_lua_block { loadstring(ngx.var["end"])() }
    }
    location = /rewrite {
        rewrite_by_lua_block { loadstring(ngx.var["end"])() }
    }
--- response_body chomp
[<slow:slow>begins
endsbegins
ends]
