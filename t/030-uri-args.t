# ngx.req.get_uri_args, set_uri_args and set_uri.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * 37;

no_long_string();
run_tests();

__DATA__

=== TEST 1: query strings of every length (the entries lie right behind them in memory)
--- config
    location = /t {
        content_by_lua_block {
            for n = 0, 17 do
                ngx.req.set_uri_args("a=" .. ("x"):rep(n) .. "&b&c=%31&b=2")
                local args, err = ngx.req.get_uri_args()
                assert(err == nil and #args.a == n and args.c == "1")
                assert(args.b[1] == true and args.b[2] == "2" and #args.b == 2)
            end
            ngx.say("ok")
        }
    }
--- request
GET /t
--- response_body
ok
--- no_error_log
[error]



=== TEST 2: no arguments, an empty string, nameless arguments, a table of the caller's
--- config
    location = /t {
        content_by_lua_block {
            local mine = {old = 1}
            local args, err = ngx.req.get_uri_args(10, mine)
            ngx.say(args == mine, " ", args.old, " ", next(args), " ", err)
        }
    }
--- pipelined_requests eval
["GET /t", "GET /t?", "GET /t?&&=&=a"]
--- response_body eval
my $same = "true nil nil nil\n"; [$same, $same, $same]



=== TEST 3: the cap of 100, one of the caller's, and none, say "truncated"
--- config
    location = /t {
        content_by_lua_block {
            local function count(max)
                local n, args, err = 0, ngx.req.get_uri_args(max)
                for _ in pairs(args) do n = n + 1 end
                return n .. " " .. tostring(err)
            end
            ngx.say(count(), ", ", count(-1), ", ", count(2), ", ", count(101), ", ", count(0))
        }
    }
--- request eval
"GET /t?" . CORE::join "&", map { "n$_=$_" } 1 .. 101
--- response_body
100 truncated, 100 truncated, 2 truncated, 101 nil, 101 nil
--- error_log
lua hit query args limit 100
lua hit query args limit 2



=== TEST 4: set_uri_args with strings, numbers and tables
--- config
    location = /t {
        content_by_lua_block {
            local function set(args)
                ngx.req.set_uri_args(args)
                return ngx.var.args
            end
            ngx.say(set("a=%20&b=?"), " ", set(3.5), " ", set{["a b"] = {1, "?"}}, " [", set(""), "]")
            ngx.say(set("a=1\r\nX-Evil: 1\0\127\tb c"))
            for _, bad in ipairs{true, function () end, {[1] = 2}} do
                ngx.say(select(2, pcall(ngx.req.set_uri_args, bad)))
            end
            ngx.say(select(2, pcall(ngx.req.set_uri_args)))
        }
    }
--- request
GET /t?old
--- response_body
a=%20&b=? 3.5 a%20b=1&a%20b=%3F []
a=1%0D%0AX-Evil:%201%00%7F%09b%20c
bad argument #1 to '?' (string, number, or table expected, but got boolean)
bad argument #1 to '?' (string, number, or table expected, but got function)
attempt to use a non-string key in the "args" option table
expecting 1 argument but seen 0



=== TEST 5: a new URI reaches the back end, escaped
--- config
    location = /t {
        rewrite_by_lua_block {
            ngx.req.set_uri("/back/a b\r\nX-Evil: 1", false, true)
            ngx.req.set_uri_args("c=d\r\ne")
        }
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT;
    }
    location /back {
        content_by_lua_block { ngx.say(ngx.var.request_uri, " ", ngx.var.http_x_evil) }
    }
--- request
GET /t?old
--- response_body
/back/a%20b%0D%0AX-Evil:%201?c=d%0D%0Ae nil



=== TEST 6: without a jump the location stays, with one it changes
--- config
    location = /t {
        rewrite_by_lua_block {
            ngx.req.set_uri("/other", ngx.var.arg_jump == "yes")
            ngx.ctx.went_on = true
        }
        content_by_lua_block {
            ngx.say("same: ", ngx.var.uri, " ", ngx.req.is_internal(), " ", ngx.ctx.went_on)
        }
    }
    location = /other {
        internal;
        content_by_lua_block { ngx.say("other: ", ngx.var.uri, "?", ngx.var.args, " ", ngx.ctx.went_on) }
    }
--- pipelined_requests eval
["GET /t", "GET /t?jump=yes"]
--- response_body eval
["same: /other true true\n", "other: /other?jump=yes nil\n"]



=== TEST 7: a jump before nginx looks for a location
--- http_config
    server_rewrite_by_lua_block {
        if ngx.var.uri == "/t" then
            ngx.req.set_uri("/other", true)
        end
    }
--- config
    location = /t {
        return 403;
    }
    location = /other {
        content_by_lua_block { ngx.say(ngx.var.uri) }
    }
--- request
GET /t
--- response_body
/other



=== TEST 8: jumps in a circle end
--- config
    location = /t {
        rewrite_by_lua_block { ngx.req.set_uri("/t", true) }
        content_by_lua_block { ngx.say("not reached") }
    }
--- request
GET /t
--- response_body_like: 500 Internal Server Error
--- error_code: 500
--- error_log
rewrite or internal redirection cycle while processing "/t"



=== TEST 9: what set_uri refuses leaves the URI as it was
--- config
    location = /t {
        content_by_lua_block {
            local function try(...)
                ngx.say(select(2, pcall(ngx.req.set_uri, ...)))
            end
            try("")
            try()
            try(1, 2, 3, 4)
            try("/a\nb")
            try("/a\127", false)
            try("/\"\0")
            try("/x", 1)
            try("/x", false, 1)
            try("/x", true)
            try({})
            ngx.say(ngx.var.uri)
        }
    }
--- request
GET /t
--- response_body
attempt to use zero-length uri
expecting 1, 2 or 3 arguments but seen 0
expecting 1, 2 or 3 arguments but seen 4
unsafe byte "0x0a" in uri "/a\x0Ab" (maybe you want to set the 'binary' argument?)
unsafe byte "0x7f" in uri "/a\x7F" (maybe you want to set the 'binary' argument?)
unsafe byte "0x00" in uri "/\x22\x00" (maybe you want to set the 'binary' argument?)
bad argument #2 to '?' (boolean expected, got number)
bad argument #3 to '?' (boolean expected, got number)
API disabled in the context of content_by_lua*
bad argument #1 to '?' (string expected, got table)
/t



=== TEST 10: a jump is refused while a subrequest is under way
--- config
    location = /t {
        rewrite_by_lua_block {
            ngx.thread.spawn(function () ngx.location.capture("/slow") end)
            ngx.log(ngx.WARN, "jump: ", select(2, pcall(ngx.req.set_uri, "/other", true)))
        }
        content_by_lua_block { ngx.say(ngx.var.uri) }
    }
    location = /slow {
        content_by_lua_block { ngx.sleep(0.01) }
    }
    location = /other {
        return 403;
    }
--- request
GET /t
--- response_body
/t
--- error_log
jump: attempt to abort with pending subrequests



=== TEST 11: all values of a table are encoded, whatever their keys
--- config
    location = /echo { content_by_lua_block { ngx.print(ngx.var.args) } }
    location = /exec {
        content_by_lua_block { ngx.exec("/echo", { a = { one = "1" } }) }
    }
    location = /t {
        content_by_lua_block {
            ngx.say(ngx.encode_args { a = { 1, "x", true, false } })
            ngx.say(ngx.encode_args { a = { b = "c d" } })
            ngx.say(ngx.encode_args { a = { [1.5] = "x" } })
            ngx.say(ngx.encode_args { a = { [true] = "x" } })
            ngx.say(ngx.encode_args { a = { nil, "behind a hole" } })
            ngx.say(ngx.encode_args { a = {} }, ".")
            ngx.say(pcall(ngx.encode_args, { a = { b = {} } }))
            ngx.say(pcall(ngx.encode_args, { a = { print } }))
            ngx.say(ngx.location.capture("/echo", { args = { a = { b = 2 } } }).body)
            ngx.say(ngx.location.capture("/exec").body)
            ngx.req.set_uri_args { a = { b = 3 } }
            ngx.say(ngx.var.args)
        }
    }
--- request
GET /t
--- response_body
a=1&a=x&a
a=c%20d
a=x
a=x
a=behind%20a%20hole
.
falseattempt to use table as query arg value
falseattempt to use function as query arg value
a=2
a=1
a=3
--- no_error_log
[error]



=== TEST 12: a finalizer that sets longer arguments while they are read (the C module writes past its buffer)
--- config
    location /t {
        content_by_lua_block {
            local goes_on, length = true, 1
            local function make()
                local proxy = newproxy(true)
                getmetatable(proxy).__gc = function()
                    length = length + 100
                    ngx.req.set_uri_args("a=" .. ("y"):rep(length))
                    if goes_on then make() end
                end
            end
            make()
            -- From now on, each allocation is preceded by a whole collection.
            local pause = collectgarbage("setpause", 0)
            local step = collectgarbage("setstepmul", 1e8)
            collectgarbage()
            local value = ngx.req.get_uri_args().a
            goes_on = false
            collectgarbage("setpause", pause)
            collectgarbage("setstepmul", step)
            collectgarbage()
            ngx.say(length > 100, " ", value == nil or value == ("y"):rep(#value))
        }
    }
--- request
GET /t
--- response_body
true true
--- no_error_log
[error]
