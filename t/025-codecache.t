# lua_code_cache off.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3);
no_long_string();
run_tests();

__DATA__

=== TEST 1: a cycle of subrequests in a file ends
--- config
    lua_code_cache off;
    location = /t {
        content_by_lua_file html/cycle.lua;
    }
--- user_files
>>> cycle.lua
local res = ngx.location.capture("/t")
ngx.print(res.status == 500 and "ends" or res.body)
--- request
GET /t
--- response_body chomp
ends
--- error_log
subrequests cycle
--- timeout: 15
