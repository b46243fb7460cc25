# init_by_lua*.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3);
no_long_string();
run_tests();

__DATA__

=== TEST 1: what it makes is there in the workers
--- http_config
    init_by_lua_block {
        package.loaded.mine = { phase = ngx.get_phase() }
        local regex = require "ngx.re"
        package.loaded.mine.split = regex.split("a,b", ",")[2]
    }
--- config
    location = /t {
        content_by_lua_block {
            local mine = require "mine"
            ngx.say(mine.phase, " ", mine.split)
        }
    }
--- request
GET /t
--- response_body
init b
--- no_error_log
[error]



=== TEST 2: a file
--- http_config
    init_by_lua_file html/init.lua;
--- config
    location = /t {
        content_by_lua_block { ngx.say(package.loaded.mine.word) }
    }
--- user_files
>>> init.lua
package.loaded.mine = { word = "from the file" }
--- request
GET /t
--- response_body
from the file
--- no_error_log
[error]



=== TEST 3: it logs; what needs a request is refused
--- http_config
    init_by_lua_block {
        ngx.log(ngx.WARN, "init logs")
        for _, f in ipairs {
            function() return ngx.var.uri end,
            function() ngx.timer.at(0, function() end) end,
            function() ngx.sleep(0) end,
            function() ngx.say("x") end,
            function() ngx.req.read_body() end,
        } do
            local ok, err = pcall(f)
            print(ok, " ", (err:gsub("^.*:%d+: ", "")))
        end
    }
--- config
    location = /t {
        return 200 "served\n";
    }
--- request
GET /t
--- response_body
served
--- grep_error_log eval: qr/(?:init logs|(?:true|false) [\w ]+)/
--- grep_error_log_out eval
["init logs
false no request found
false no request
false no request found
false no request object found
false request object not found
", ""]



=== TEST 4: an error stops nginx
--- http_config
    init_by_lua_block {
        local function fail()
            error("no start today")
        end
        fail()
    }
--- config
--- must_die
--- error_log eval
[
qr/\[error\] .*init_by_lua error: init_by_lua\(nginx\.conf:\d+\):3: no start today/,
"stack traceback:",
]



=== TEST 5: so does an error without a value
--- http_config
    init_by_lua "error(nil)";
--- config
--- must_die
--- error_log
init_by_lua error: unknown reason (nil)
--- no_error_log
[alert]



=== TEST 6: code that does not compile
--- http_config
    init_by_lua "local";
--- config
--- must_die
--- error_log eval
qr/\[error\] .*init_by_lua error: init_by_lua\(nginx\.conf:\d+\):1:/
--- no_error_log
[alert]



=== TEST 7: a file that is not there
--- http_config
    init_by_lua_file html/none.lua;
--- config
--- must_die
--- error_log eval
qr/\[error\] .*init_by_lua_file error: cannot open .*html\/none\.lua/
--- no_error_log
[alert]



=== TEST 8: two of them
--- http_config
    init_by_lua "a = 1";
    init_by_lua_block { b = 2 }
--- config
--- must_die
--- error_log
"init_by_lua_block" directive is duplicate
--- no_error_log
[alert]



=== TEST 9: no code
--- http_config
    init_by_lua "";
--- config
--- must_die
--- error_log
invalid location config: no runnable Lua code
--- no_error_log
[alert]
