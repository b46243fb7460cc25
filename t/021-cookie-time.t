# ngx.cookie_time, ngx.http_time and ngx.parse_http_time.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3);
no_long_string();
run_tests();

__DATA__

=== TEST 1: a cookie's year has two digits until 2037
--- config
    location = /t {
        content_by_lua_block {
            for _, time in ipairs{ 0, 1290079655, 2145916799, 2145916800, 4102444799 } do
                ngx.say(ngx.cookie_time(time))
            end
        }
    }
--- request
GET /t
--- response_body
Thu, 01-Jan-70 00:00:00 GMT
Thu, 18-Nov-10 11:27:35 GMT
Thu, 31-Dec-37 23:59:59 GMT
Fri, 01-Jan-2038 00:00:00 GMT
Thu, 31-Dec-2099 23:59:59 GMT
--- no_error_log
[error]



=== TEST 2: a header's date, leap days among them
--- config
    location = /t {
        content_by_lua_block {
            for _, time in ipairs{ 0, 951782400, 1290079655.9, 4107542400 } do
                ngx.say(ngx.http_time(time))
            end
        }
    }
--- request
GET /t
--- response_body
Thu, 01 Jan 1970 00:00:00 GMT
Tue, 29 Feb 2000 00:00:00 GMT
Thu, 18 Nov 2010 11:27:35 GMT
Mon, 01 Mar 2100 00:00:00 GMT
--- no_error_log
[error]



=== TEST 3: the three forms of a date are read
--- config
    location = /t {
        content_by_lua_block {
            ngx.say(ngx.parse_http_time("Sun, 06 Nov 1994 08:49:37 GMT"))
            ngx.say(ngx.parse_http_time("Sunday, 06-Nov-94 08:49:37 GMT"))
            ngx.say(ngx.parse_http_time("Sun Nov  6 08:49:37 1994"))
        }
    }
--- request
GET /t
--- response_body
784111777
784111777
784111777
--- no_error_log
[error]



=== TEST 4: what is no date
--- config
    location = /t {
        content_by_lua_block {
            for _, text in ipairs{ "", "now", "Sun, 31 Feb 1994 08:49:37 GMT",
                                   "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov" } do
                ngx.say(ngx.parse_http_time(text))
            end
        }
    }
--- request
GET /t
--- response_body
nil
nil
nil
nil
nil
--- no_error_log
[error]



=== TEST 5: arguments of the wrong type
--- config
    location = /t {
        content_by_lua_block {
            ngx.say(pcall(ngx.cookie_time, "1"))
            ngx.say(pcall(ngx.http_time, "1"))
            ngx.say(pcall(ngx.parse_http_time, 1))
        }
    }
--- request
GET /t
--- response_body
falsenumber argument only
falsenumber argument only
falsestring argument only
--- no_error_log
[error]
