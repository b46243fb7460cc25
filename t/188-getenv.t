# os.getenv: in init_by_lua* it knows the values of the env directives, which are not yet in the
# process's environment.

use Test::Nginx::Socket::Lua;

$ENV{GETENV_INHERITED} = 'from outside';

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3);
no_long_string();
run_tests();

__DATA__

=== TEST 1: the env directives in init_by_lua
--- main_config
    env GETENV_GIVEN=a=b;
    env GETENV_EMPTY=;
    env GETENV_INHERITED;
--- http_config
    init_by_lua_block {
        seen = { os.getenv("GETENV_GIVEN"), os.getenv("GETENV_EMPTY"),
                 os.getenv("GETENV_INHERITED"), tostring(os.getenv("GETENV_ABSENT")) }
        package.loaded.seen = seen
    }
--- config
    location = /t {
        content_by_lua_block {
            ngx.say("[", table.concat(require "seen", "] ["), "]")
        }
    }
--- request
GET /t
--- response_body
[a=b] [] [from outside] [nil]
--- no_error_log
[error]



=== TEST 2: the same later, from the environment
--- main_config
    env GETENV_GIVEN=a=b;
    env GETENV_INHERITED;
--- config
    location = /t {
        content_by_lua_block {
            ngx.say(os.getenv("GETENV_GIVEN"), " ", os.getenv("GETENV_INHERITED"), " ",
                    os.getenv("GETENV_ABSENT"))
        }
    }
--- request
GET /t
--- response_body
a=b from outside nil
--- no_error_log
[error]
