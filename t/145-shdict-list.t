# Lists in ngx.shared.DICT.

use Test::Nginx::Socket::Lua;

repeat_each(2);

plan tests => repeat_each() * (blocks() * 3);

no_long_string();
run_tests();

__DATA__

=== TEST 1: both ends
--- http_config
    lua_shared_dict dogs 1m;
--- config
    location = /t {
        content_by_lua_block {
            local dogs = ngx.shared.dogs
            ngx.say(dogs:rpush("list", "a"), dogs:rpush("list", 2.5), dogs:lpush("list", ""), dogs:llen("list"))
            ngx.say(dogs:rpop("list"), "|", dogs:lpop("list"), "|", dogs:lpop("list"), "|", dogs:lpop("list"))
            ngx.say(dogs:llen("list"), " ", #dogs:get_keys(0))
        }
    }
--- request
GET /t
--- response_body
1233
2.5||a|nil
0 0
--- no_error_log
[error]



=== TEST 2: a list is no value, and a value no list
--- http_config
    lua_shared_dict dogs 1m;
--- config
    location = /t {
        content_by_lua_block {
            local dogs = ngx.shared.dogs
            dogs:flush_all()
            dogs:flush_expired()
            dogs:lpush("list", 1)
            dogs:set("value", 1)
            ngx.say(dogs:get("list"))
            ngx.say(dogs:get_stale("list"))
            ngx.say(dogs:incr("list", 1))
            ngx.say(dogs:add("list", 1))
            ngx.say(dogs:lpush("value", 1))
            ngx.say(dogs:rpop("value"))
            ngx.say(dogs:llen("value"))
            ngx.say(dogs:rpush("list", true))
            ngx.say(dogs:rpush("list", nil))
            dogs:set("list", "x")
            ngx.say(dogs:get("list"))
        }
    }
--- request
GET /t
--- response_body
nilvalue is a list
nilvalue is a list
nilnot a number
falseexistsfalse
nilvalue not a list
nilvalue not a list
nilvalue not a list
nilbad value type
nilbad value type
x
--- no_error_log
[error]



=== TEST 3: a list's time
--- http_config
    lua_shared_dict dogs 1m;
--- config
    location = /t {
        content_by_lua_block {
            local dogs = ngx.shared.dogs
            dogs:rpush("list", 1)
            dogs:rpush("list", 2)
            dogs:set("value", "text", 0.001)
            dogs:expire("list", 0.001)
            ngx.sleep(0.01)
            ngx.say(dogs:rpop("list"), " ", dogs:llen("list"))
            ngx.say(dogs:rpush("list", 3), " ", dogs:ttl("list"))
            ngx.say(dogs:rpush("value", 4), " ", dogs:lpop("value"))
            dogs:delete("list")
        }
    }
--- request
GET /t
--- response_body
nil 0
1 0
1 4
--- no_error_log
[error]



=== TEST 4: the memory of a list comes back
--- http_config
    lua_shared_dict dogs 100k;
--- config
    location = /t {
        content_by_lua_block {
            local dogs = ngx.shared.dogs
            local function fill()
                local n = 0
                while true do
                    local len, err = dogs:rpush("list", string.rep("v", 100))
                    if not len then return n, err end
                    n = len
                end
            end
            local n, err = fill()
            ngx.say(n > 100, " ", err)
            dogs:delete("list")
            ngx.say(fill() == n)
            for i = 1, n do assert(dogs:lpop("list")) end
            ngx.say(fill() == n)
            dogs:flush_all()
            dogs:flush_expired()
            ngx.say(fill() == n)
            dogs:set("list", "x")
            ngx.say(dogs:llen("list"))
            dogs:delete("list")
        }
    }
--- request
GET /t
--- response_body
true no memory
true
true
true
nilvalue not a list
--- no_error_log
[error]



=== TEST 5: no memory for any list
--- http_config
    lua_shared_dict dogs 100k;
--- config
    location = /t {
        content_by_lua_block {
            local dogs = ngx.shared.dogs
            dogs:flush_all()
            dogs:flush_expired()
            ngx.say(dogs:lpush("huge", string.rep("v", 200 * 1024)))
            ngx.say(#dogs:get_keys(0))
        }
    }
--- request
GET /t
--- response_body
nilno memory
0
--- no_error_log
[error]



=== TEST 6: arguments
--- http_config
    lua_shared_dict dogs 1m;
--- config
    location = /t {
        content_by_lua_block {
            local dogs = ngx.shared.dogs
            ngx.say(pcall(dogs.lpush, dogs, "key"))
            ngx.say(pcall(dogs.rpop, dogs))
            ngx.say(pcall(dogs.llen, dogs, "key", 1))
            ngx.say(pcall(dogs.llen, "dogs", "key"))
            ngx.say(pcall(dogs.llen, { io.stdout }, "key"))
            ngx.say(pcall(dogs.llen, {}, "key"))
        }
    }
--- request
GET /t
--- response_body
falseexpecting 3 arguments, but only seen 2
falseexpecting 2 arguments, but only seen 1
falseexpecting 2 arguments, but only seen 3
falsebad "zone" argument
falsebad "zone" argument
falsebad "zone" argument
--- no_error_log
[error]
