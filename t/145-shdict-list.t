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



=== TEST 7: the same in compiled code as in interpreted code
--- http_config
    lua_shared_dict dogs 1m;
    lua_shared_dict cats 1m;
--- config
    location = /t {
        content_by_lua_block {
            local dogs, cats = ngx.shared.dogs, ngx.shared.cats
            local long, longest = ("x"):rep(4096), ("y"):rep(4097)
            local function round(i)
                local key = "list" .. i % 3
                local seen = {
                    dogs:lpush(key, i), dogs:rpush(key, "a\0b"), dogs:lpush(key, ""), dogs:rpush(key, long),
                    dogs:lpush(key, longest), dogs:rpush(key, -0.5), dogs:llen(key), cats:llen(key),
                    #dogs:lpop(key), #dogs:lpop(key), dogs:lpop(key) == i, dogs:rpop(key), #dogs:rpop(key),
                    #dogs:rpop(key), tostring(dogs:lpop(key)), tostring(cats:rpop(key)), dogs:llen(key),
                }
                for n, value in ipairs(seen) do
                    seen[n] = tostring(value)
                end
                return table.concat(seen, " ")
            end
            local results = {}
            for i = 1, 300 do
                results[round(i)] = true
            end
            for result in pairs(results) do
                ngx.say(result)
            end
        }
    }
--- request
GET /t
--- response_body
1 2 3 4 5 6 6 0 4097 0 true -0.5 4096 3 nil nil 0
--- no_error_log
[error]



=== TEST 8: what is refused, in compiled code
--- http_config
    lua_shared_dict dogs 1m;
--- config
    location = /t {
        content_by_lua_block {
            local dogs = ngx.shared.dogs
            dogs:set("value", 1)
            local calls = {
                function() return dogs:lpush("value", 1) end,
                function() return dogs:rpop("value") end,
                function() return dogs:llen("value") end,
                function() return dogs:lpush("list", true) end,
                function() return dogs:rpush("", 1) end,
                function() return dogs:rpush(nil, 1) end,
                function() return dogs:lpop(("k"):rep(65536)) end,
                function() return dogs:lpush(42, "a number is a key"), dogs:lpop("42") end,
                function() return pcall(dogs.lpush, dogs, "key") end,
                function() return pcall(dogs.rpop, dogs, "key", 1) end,
                function() return pcall(dogs.llen, 1, "key") end,
                function() return pcall(dogs.lpush, { io.stdout }, "key", 1) end,
            }
            for n, call in ipairs(calls) do
                local results = {}
                for _ = 1, 200 do
                    local a, b, c = call()
                    results[tostring(a) .. " " .. tostring(b) .. " " .. tostring(c)] = true
                end
                for result in pairs(results) do
                    ngx.say(n, ": ", result)
                end
            end
        }
    }
--- request
GET /t
--- response_body
1: nil value not a list nil
2: nil value not a list nil
3: nil value not a list nil
4: nil bad value type nil
5: nil empty key nil
6: nil nil key nil
7: nil key too long nil
8: 1 a number is a key nil
9: false expecting 3 arguments, but only seen 2 nil
10: false expecting 2 arguments, but only seen 3 nil
11: false bad "zone" argument nil
12: false bad "zone" argument nil
--- no_error_log
[error]



=== TEST 9: a userdata that is no dictionary's (the C module follows it, and dies)
--- http_config
    lua_shared_dict dogs 1m;
--- config
    location = /t {
        content_by_lua_block {
            local dogs = ngx.shared.dogs
            local forged = setmetatable({ newproxy() }, getmetatable(dogs))
            for _ = 1, 200 do
                local ok, err = pcall(forged.lpush, forged, "key", 1)
                assert(not ok and err == 'bad "zone" argument', err)
            end
            ngx.say(pcall(forged.lpop, forged, "key"))
        }
    }
--- request
GET /t
--- response_body
falsebad "zone" argument
--- no_error_log
[error]
