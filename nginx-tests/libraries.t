# Libraries that Debian ships for nginx's Lua, as they are: websockets, both ends of them, DNS, cookies,
# and modules of lua-resty-core and lua-resty-lrucache.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use NameServer;
use ProcessTest;

my $port   = ProcessTest::port();
my $names  = NameServer->start( $port + 1, { 'host.test' => '127.0.0.42' } );
my $server = ProcessTest->new;
my $conf   = $server->write_http(<<"_EOC_");
init_by_lua_block {
    -- Whether \`name\` can be loaded; says why not, where it is there and fails.
    function has(name)
        local ok, err = pcall(require, name)
        if not ok and not err:find("module '" .. name .. "' not found", 1, true) then error(err) end
        return ok
    end
}
server {
    listen 127.0.0.1:$port;
    location = /has {
        content_by_lua_block { ngx.say(has(ngx.var.arg_name)) }
    }
    # Sends every frame back, until one of them closes.
    location = /echo {
        content_by_lua_block {
            local ws = assert(require("nginx.websocket.server"):new({ timeout = 5000, max_payload_len = 2000000 }))
            while true do
                local data, kind, err = ws:recv_frame()
                if not data then
                    ngx.log(ngx.NOTICE, "recv_frame: ", err)
                    return ws:send_close()
                end
                if kind == "close" then return ws:send_close(err, data) end
                if kind == "ping" then assert(ws:send_pong(data))
                elseif kind == "text" then assert(ws:send_text(data))
                elseif kind == "binary" then assert(ws:send_binary(data)) end
            end
        }
    }
    location = /websocket {
        content_by_lua_block {
            local ws = require("nginx.websocket.client"):new({ timeout = 5000, max_payload_len = 2000000 })
            assert(ws:connect("ws://127.0.0.1:$port/echo"))
            assert(ws:send_text("hello"))
            ngx.say(ws:recv_frame())
            local big = string.rep("0123456789", 100000)
            assert(ws:send_binary(big))
            local data, kind = ws:recv_frame()
            ngx.say(data == big, " ", kind)
            assert(ws:send_ping("are you there"))
            ngx.say(ws:recv_frame())
            -- One thread reads while another one writes.
            local reader = ngx.thread.spawn(function()
                local words = {}
                for i = 1, 3 do words[i] = ws:recv_frame() end
                return table.concat(words, " ")
            end)
            for _, word in ipairs({ "one", "two", "three" }) do
                assert(ws:send_text(word))
                ngx.sleep(0)
            end
            ngx.say(select(2, ngx.thread.wait(reader)))
            assert(ws:send_close(1000, "enough"))
            ngx.say(ws:recv_frame())
            ws:close()
        }
    }
    location = /dns {
        content_by_lua_block {
            local dns = assert(require("nginx.dns.resolver"):new({
                nameservers = { { "127.0.0.1", @{[ $port + 1 ]} } }, retrans = 2, timeout = 2000,
            }))
            local answers = assert(dns:query("host.test", { qtype = dns.TYPE_A }))
            ngx.say(#answers, " ", answers[1].name, " ", answers[1].address, " ", answers[1].ttl)
            local none = assert(dns:query("nowhere.test"))
            ngx.say(none.errcode, " ", none.errstr)
        }
    }
    location = /cookie {
        content_by_lua_block {
            local cookie = assert(require("nginx.cookie"):new())
            ngx.header["X-Got"] = cookie:get("name")
            assert(cookie:set({ key = "name", value = "value two", path = "/", httponly = true, max_age = 60 }))
            ngx.say("done")
        }
    }
    location = /core {
        content_by_lua_block {
            local cache = assert(require("resty.lrucache").new(2))
            for i = 1, 3 do cache:set(i, "value " .. i, 60) end
            ngx.say(cache:get(1), " ", cache:get(3))
            ngx.say(table.concat(require("ngx.re").split("a, b,c", ", ?"), "|"))
            ngx.say(require("ngx.base64").encode_base64url("\\255\\254?"))
        }
    }
}
_EOC_
$server->start($conf);

sub body {
    my ($path) = @_;
    return scalar( ( ProcessTest::get( $port, $path ) )[2] );
}

sub has { return body("/has?name=$_[0]") eq "true\n" }

SKIP: {
    skip 'lua-nginx-websocket is not installed', 1 if !has('nginx.websocket.client');
    is body('/websocket'), <<'_EOC_', 'a websocket, both ends of it';
hellotextnil
true binary
are you therepongnil
one two three
enoughclose1000
_EOC_
}
SKIP: {
    skip 'lua-nginx-dns is not installed', 1 if !has('nginx.dns.resolver');
    is body('/dns'), "1 host.test 127.0.0.42 60\n3 name error\n", 'names';
}
SKIP: {
    skip 'lua-nginx-cookie is not installed', 2 if !has('nginx.cookie');
    my ( undef, $head, $body ) = ProcessTest::get( $port, '/cookie' );
    is $body, "done\n", 'a cookie';
    like $head, qr{^Set-Cookie: name=value two; Max-Age=60; Path=/; HttpOnly\r$}m, 'as a header';
}
is body('/core'), "nil value 3nil0\na|b|c\n__4_\n", 'what lua-resty-core brings';
$server->stop;
unlike $server->log_text('error.log'), qr/\[(?:error|alert|emerg|crit)\]/, 'no errors';

done_testing;
