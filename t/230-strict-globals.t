# lua_strict_globals: new global variables are named once, refused, or allowed.

use Test::Nginx::Socket::Lua;

plan skip_all => 'the C module has no lua_strict_globals'
    if ( $ENV{TEST_NGINX_LOAD_MODULES} // '' ) =~ m{/nginx/modules/ngx_http_lua_module};
repeat_each(1);
plan tests => repeat_each() * 20;

no_long_string();
run_tests();

__DATA__

=== TEST 1: warn names each place once, with file and line
--- http_config
    lua_strict_globals warn;
    init_by_lua_block { of_init = 1 }
--- config
    location = /t {
        content_by_lua_block {
            for i = 1, 3 do
                _G["name" .. i] = i
            end
            other = "here"
            ngx.say(of_init, name3, other)
        }
    }
--- request
GET /t
--- response_body
13here
--- grep_error_log eval: qr/content_by_lua\(nginx\.conf:\d+\):\d+: the global variable '\w+' is written for the first time/
--- grep_error_log_out eval
qr/^content_by_lua\(nginx\.conf:\d+\):3: the global variable 'name1' is written for the first time
content_by_lua\(nginx\.conf:\d+\):5: the global variable 'other' is written for the first time
$/
--- no_error_log
[error]
writing a global Lua variable



=== TEST 2: error refuses it, with file and line
--- http_config
    lua_strict_globals error;
    init_by_lua_block { of_init = 1 }
--- config
    location = /t {
        content_by_lua_block {
            of_init = 2
            ngx.say(pcall(function()
                accident = 1
            end))
            ngx.say(of_init, " ", rawget(_G, "accident"))
        }
    }
--- request
GET /t
--- response_body_like eval
qr/^falsecontent_by_lua\(nginx\.conf:\d+\):4: attempt to write a new global variable 'accident'
2 nil
$/
--- no_error_log
[error]
[warn]



=== TEST 3: off allows it
--- http_config
    lua_strict_globals off;
--- config
    location = /t {
        content_by_lua_block {
            wanted = 1
            ngx.say(wanted)
        }
    }
--- request
GET /t
--- response_body
1
--- no_error_log
[error]
[warn]



=== TEST 4: uncaught, the request fails
--- http_config
    lua_strict_globals error;
--- config
    location = /t {
        content_by_lua_block { accident = 1 }
    }
--- request
GET /t
--- error_code: 500
--- error_log
attempt to write a new global variable 'accident'
--- no_error_log
[alert]



=== TEST 5: another value is refused
--- http_config
    lua_strict_globals on;
--- config
--- must_die
--- error_log
invalid value "on" in "lua_strict_globals" directive, it must be "warn", "error" or "off"



=== TEST 6: so is a second one
--- http_config
    lua_strict_globals warn;
    lua_strict_globals warn;
--- config
--- must_die
--- error_log
"lua_strict_globals" directive is duplicate
