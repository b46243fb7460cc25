# ngx.log and errors that nobody catches: what of their bytes the log shows.

use Test::Nginx::Socket::Lua;

log_level('notice');
repeat_each(2);
plan tests => repeat_each() * (blocks() * 4 + 3);
no_long_string();
run_tests();

__DATA__

=== TEST 1: ngx.log, print and raw_log write the bytes that they are given
--- config
    location = /t {
        content_by_lua_block {
            ngx.log(ngx.WARN, "one", "\0", "two\nthree")
            print("four\0five")
            require("ngx.errlog").raw_log(ngx.WARN, "six\0seven")
            ngx.say("done")
        }
    }
--- request
GET /t
--- response_body
done
--- error_log eval
[
"one\0two",
qr/\[notice\].*four\0five, client/,
"six\0seven, client",
]



=== TEST 2: an error with a NUL in its text, in every kind of code
--- config
    location = /t {
        content_by_lua_block {
            for _, where in ipairs { "content", "thread", "wrapped", "header", "log", "access", "table" } do
                ngx.location.capture("/" .. where)
            end
            ngx.timer.at(0, function() error("the\0timer") end)
            ngx.sleep(0.01)
            ngx.say("done")
        }
    }
    location = /content { content_by_lua_block { error("the\0content") } }
    location = /thread {
        content_by_lua_block { ngx.thread.spawn(function() error("the\0thread") end) }
    }
    location = /wrapped {
        content_by_lua_block { coroutine.wrap(function() error("the\0wrapped\0\0one") end)() }
    }
    location = /header { return 204; header_filter_by_lua_block { error("the\0header") } }
    location = /log { return 204; log_by_lua_block { error("the\0log") } }
    location = /access { rewrite_by_lua_block { error("the\0access", 0) } }
    location = /table {
        content_by_lua_block {
            error(setmetatable({}, { __tostring = function() return "the\0table" end }))
        }
    }
--- request
GET /t
--- response_body
done
--- error_log eval
[
qr/lua entry thread aborted: runtime error: .*the\\x00content$/,
qr/lua user thread aborted: runtime error: .*the\\x00thread$/,
qr/the\\x00wrapped\\x00\\x00one$/,
qr/failed to run header_filter_by_lua\*: .*the\\x00header/,
qr/runtime error: the\\x00access$/,
qr/lua entry thread aborted: runtime error: .*the\\x00timer$/,
]
--- no_error_log eval
"\0"



=== TEST 3: code that cannot be loaded
--- config
    location = /t { content_by_lua_file html/nul.lua; }
--- user_files eval
">>> nul.lua
error(]] '\0')"
--- request
GET /t
--- error_code: 500
--- error_log
failed to load external Lua file
--- no_error_log eval
"\0"



=== TEST 4: a long text with NULs is cut as any other
--- config
    location = /t {
        content_by_lua_block {
            error(("x\0"):rep(1024 * 1024))
        }
    }
--- request
GET /t
--- error_code: 500
--- error_log eval
qr/x\\x00x\\x00x\\x00/
--- no_error_log eval
"\0"



=== TEST 5: before there is a worker
--- http_config
    init_by_lua_block { error("the\0start") }
--- config
--- must_die
--- error_log eval
qr/init_by_lua error: .*the\\x00start/
--- no_error_log eval
"\0"
