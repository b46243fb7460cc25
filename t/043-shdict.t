# ngx.shared.DICT: values, time to live, shortage of memory, errors.

use Test::Nginx::Socket::Lua;

repeat_each(2);

plan tests => repeat_each() * (blocks() * 3 - 4);

run_tests();

__DATA__

=== TEST 1: values of every type
--- http_config
    lua_shared_dict dogs 1m;
--- config
    location = /t {
        content_by_lua_block {
            local dogs = ngx.shared.dogs
            local big = string.rep("big", 10000)
            for _, value in ipairs{ "text", "", "with \0 in it", 3.25, -1, 1e300, true, false, big } do
                assert(dogs:set("key", value))
                local found = dogs:get("key")
                ngx.say(type(found), " ", found == value)
            end
            assert(dogs:set("key", 0/0))
            local nan = dogs:get("key")
            ngx.say(nan ~= nan)
            assert(dogs:set("key", nil))
            ngx.say(dogs:get("key"))
            ngx.say(dogs:set("key", {}))
            ngx.say(dogs:add("key", nil))
            ngx.say(dogs:set(42, "number key"), dogs:get("42"))
        }
    }
--- request
GET /t
--- response_body
string true
string true
string true
number true
number true
number true
boolean true
boolean true
string true
true
nil
nilbad value type
falseattempt to add or replace nil valuesfalse
truenumber key
--- no_error_log
[error]



=== TEST 2: keys
--- http_config
    lua_shared_dict dogs 1m;
--- config
    location = /t {
        content_by_lua_block {
            local dogs = ngx.shared.dogs
            local longest = string.rep("k", 65535)
            ngx.say(dogs:set(longest, 1), dogs:get(longest), dogs:llen(longest))
            dogs:delete(longest)
            for _, key in ipairs{ longest .. "k", "" } do
                ngx.say(dogs:set(key, 1), "|", dogs:get(key), "|", dogs:get_stale(key), "|", dogs:incr(key, 1, 0))
                ngx.say(dogs:add(key, 1), "|", dogs:replace(key, 1), "|", dogs:safe_set(key, 1), "|", dogs:delete(key))
                ngx.say(dogs:ttl(key), "|", dogs:expire(key, 1))
                ngx.say(dogs:lpush(key, 1), "|", dogs:rpush(key, 1), "|", dogs:lpop(key), "|", dogs:rpop(key), "|", dogs:llen(key))
            end
            ngx.say(dogs:get(nil))
            ngx.say(dogs:lpush(nil, 1))
            ngx.say(#dogs:get_keys())
        }
    }
--- request
GET /t
--- response_body
true1nilvalue not a list
nil|nil|nil|nilkey too long
nil|nil|nil|nilkey too long
nil|nilkey too long
nil|nil|nil|nil|nilkey too long
nil|nil|nil|nilempty key
nil|nil|nil|nilempty key
nil|nilempty key
nil|nil|nil|nil|nilempty key
nilnil key
nilnil key
0
--- no_error_log
[error]



=== TEST 3: add, replace, delete, flags
--- http_config
    lua_shared_dict dogs 1m;
--- config
    location = /t {
        content_by_lua_block {
            local dogs = ngx.shared.dogs
            dogs:flush_all()
            ngx.say(dogs:replace("key", 1))
            ngx.say(dogs:add("key", 1, 0, 17))
            ngx.say(dogs:get("key"))
            ngx.say(dogs:add("key", 2))
            ngx.say(dogs:replace("key", "two"))
            ngx.say(dogs:get("key"))
            dogs:delete("key")
            ngx.say(dogs:get("key"))
            ngx.say(dogs:safe_add("key", true))
            ngx.say(dogs:safe_add("key", true))
            dogs:delete("key")
        }
    }
--- request
GET /t
--- response_body
falsenot foundfalse
truenilfalse
117
falseexistsfalse
truenilfalse
two
nil
truenilfalse
falseexistsfalse
--- no_error_log
[error]



=== TEST 4: what has expired is not found, but is there for get_stale
--- http_config
    lua_shared_dict dogs 1m;
--- config
    location = /t {
        content_by_lua_block {
            local dogs = ngx.shared.dogs
            dogs:flush_all()
            dogs:flush_expired()
            dogs:set("keeps", 0)
            dogs:set("key", 32, 0.01, 7)
            ngx.say(dogs:get("key"))
            ngx.say(dogs:get_stale("key"))
            ngx.sleep(0.02)
            ngx.say(dogs:get_stale("key"))
            ngx.say(dogs:ttl("key") < 0)
            ngx.say(table.concat(dogs:get_keys(), ","))
            ngx.say(dogs:replace("key", 1))
            dogs:get("keeps")
            ngx.say(dogs:get("key"))
            ngx.say(dogs:add("key", 33))
            ngx.say(dogs:get("key"))
        }
    }
--- request
GET /t
--- response_body
327
327false
327true
true
keeps
falsenot foundfalse
nil
truenilfalse
33
--- no_error_log
[error]



=== TEST 5: an entry expires at the millisecond that ends its time, and stays so
--- http_config
    lua_shared_dict dogs 1m;
--- config
    location = /t {
        content_by_lua_block {
            local dogs = ngx.shared.dogs
            local wrong = 0
            for i = 1, 30 do
                dogs:set("key", 1, 0.001)
                local start = ngx.now()
                local found
                repeat
                    ngx.update_time()
                    found = dogs:get_stale("key") and not select(3, dogs:get_stale("key"))
                    local over = ngx.now() - start >= 0.0009
                    local ttl = dogs:ttl("key")
                    if over and (found or ttl >= 0) or not over and not found then
                        wrong = wrong + 1
                    end
                until over
            end
            ngx.say(wrong)
        }
    }
--- request
GET /t
--- response_body
0
--- no_error_log
[error]



=== TEST 6: ttl and expire
--- http_config
    lua_shared_dict dogs 1m;
--- config
    location = /t {
        content_by_lua_block {
            local dogs = ngx.shared.dogs
            dogs:flush_all()
            dogs:flush_expired()
            ngx.say(dogs:ttl("key"))
            ngx.say(dogs:expire("key", 1))
            dogs:set("key", 1)
            ngx.say(dogs:ttl("key"))
            ngx.say(dogs:expire("key", 0.5), " ", dogs:ttl("key") <= 0.5, " ", dogs:ttl("key") > 0)
            ngx.say(dogs:expire("key", 0), " ", dogs:ttl("key"))
            ngx.say(pcall(dogs.set, dogs, "key", 1, -1))
        }
    }
--- request
GET /t
--- response_body_like chop
^nilnot found
nilnot found
0
true true true
true 0
false.*bad "exptime" argument$
--- no_error_log
[error]



=== TEST 7: counting
--- http_config
    lua_shared_dict dogs 1m;
--- config
    location = /t {
        content_by_lua_block {
            local dogs = ngx.shared.dogs
            dogs:flush_all()
            dogs:flush_expired()
            ngx.say(dogs:incr("n", 1))
            ngx.say(dogs:incr("n", 5, 10))
            ngx.say(dogs:incr("n", -0.5))
            dogs:set("n", "text")
            ngx.say(dogs:incr("n", 1, 0))
            dogs:set("n", "12345678")
            ngx.say(dogs:incr("n", 1, 0))
            dogs:set("n", 5, 0.001, 99)
            ngx.sleep(0.01)
            ngx.say(dogs:incr("n", 1, 100, 0.5))
            ngx.say(dogs:get("n"), " ", dogs:ttl("n") > 0)
            dogs:set("t", "longer than a number", 0.001)
            ngx.sleep(0.01)
            ngx.say(dogs:incr("t", 1, 1))
        }
    }
--- request
GET /t
--- response_body
nilnot found
15nilfalse
14.5
nilnot a number
nilnot a number
101nilfalse
101 true
2nilfalse
--- no_error_log
[error]



=== TEST 8: the least recently used go first, and only when they must
--- http_config
    lua_shared_dict dogs 100k;
--- config
    location = /t {
        content_by_lua_block {
            local dogs = ngx.shared.dogs
            dogs:flush_all()
            dogs:flush_expired()
            local value = string.rep("v", 1000)
            local n, forcible = 0, false
            while not forcible do
                n = n + 1
                if n > 3 then dogs:get("key1") end
                local ok, err
                ok, err, forcible = dogs:set("key" .. n, value)
                assert(ok, err)
            end
            ngx.say(n > 20, " ", dogs:get("key1") == value, " ", dogs:get("key2"))
            ngx.say(dogs:safe_set("new", value))
            ngx.say(dogs:safe_add("newer", value))
            ngx.say(dogs:set("huge", string.rep("v", 200 * 1024)))
            ngx.say(n - #dogs:get_keys(0) > 30)
        }
    }
--- request
GET /t
--- response_body
true true nil
falseno memoryfalse
falseno memoryfalse
falseno memorytrue
true
--- no_error_log
[error]



=== TEST 9: what has expired goes before what is used least
--- http_config
    lua_shared_dict dogs 100k;
--- config
    location = /t {
        content_by_lua_block {
            local dogs = ngx.shared.dogs
            dogs:flush_all()
            dogs:flush_expired()
            local value = string.rep("v", 1000)
            for i = 1, 20 do dogs:set("short" .. i, value, 0.001) end
            ngx.sleep(0.01)
            local forced = 0
            for i = 1, 40 do
                local _, _, forcible = dogs:set("key" .. i, value)
                if forcible then forced = forced + 1 end
            end
            ngx.say(forced)
            -- Reading what has expired does not make it young again.
            dogs:flush_all()
            for i = 1, 40 do dogs:get_stale("key" .. i) end
            ngx.say(dogs:flush_expired(1))
            ngx.say(dogs:get_stale("key40") ~= nil)
            ngx.say(dogs:flush_expired(), " ", dogs:flush_expired())
        }
    }
--- request
GET /t
--- response_body
0
1
true
36 0
--- no_error_log
[error]



=== TEST 10: flush_expired, get_keys, their counts
--- http_config
    lua_shared_dict dogs 1m;
--- config
    location = /t {
        content_by_lua_block {
            local dogs = ngx.shared.dogs
            dogs:flush_all()
            dogs:flush_expired()
            for i = 1, 1030 do dogs:set(string.format("key%04d", i), i) end
            ngx.say(#dogs:get_keys(), " ", #dogs:get_keys(0), " ", #dogs:get_keys(3))
            ngx.say(table.concat(dogs:get_keys(3), ","))
            for i = 1, 5 do dogs:set("short" .. i, i, 0.001) end
            ngx.sleep(0.01)
            ngx.say(dogs:flush_expired(2), " ", dogs:flush_expired(), " ", dogs:flush_expired())
            ngx.say(#dogs:get_keys(0))
            ngx.say(pcall(dogs.get_keys))
            ngx.say(pcall(dogs.get_keys, "x"))
            ngx.say(pcall(dogs.flush_expired, dogs, 1, 2))
            ngx.say(pcall(dogs.get_keys, { "x" }))
        }
    }
--- request
GET /t
--- response_body
1024 1030 3
key0001,key0002,key0003
2 3 0
1030
falseexpecting 1 or 2 argument(s), but saw 0
falsebad argument #1 to '?' (table expected, got string)
falseexpecting 1 or 2 argument(s), but saw 3
falsebad user data for the ngx_shm_zone_t pointer
--- no_error_log
[error]



=== TEST 11: several dictionaries share their methods, not their values
--- http_config
    lua_shared_dict dogs 1m;
    lua_shared_dict cats 12k;
--- config
    location = /t {
        content_by_lua_block {
            local dogs, cats = ngx.shared.dogs, ngx.shared.cats
            dogs:set("key", "dog")
            cats:set("key", "cat")
            ngx.say(dogs:get("key"), " ", cats:get("key"), " ", tostring(ngx.shared.birds))
            ngx.say(getmetatable(dogs) == getmetatable(cats), " ", type(dogs[1]))
            ngx.say(dogs:capacity(), " ", cats:capacity(), " ", dogs:free_space() > 900000)
            ngx.say(pcall(dogs.get, dogs[1], "key"))
        }
    }
--- request
GET /t
--- response_body_like chop
^dog cat nil
true userdata
1048576 12288 true
false.*bad "zone" argument$
--- no_error_log
[error]



=== TEST 12: without a dictionary
--- config
    location = /t {
        content_by_lua_block {
            ngx.say(type(ngx.shared), " ", tostring(next(ngx.shared)))
        }
    }
--- request
GET /t
--- response_body
table nil
--- no_error_log
[error]



=== TEST 13: init_by_lua* runs when the zones are there
--- http_config
    lua_shared_dict dogs 1m;
    init_by_lua_block {
        ngx.shared.dogs:set("key", "from init")
        ngx.shared.dogs:rpush("list", 1)
    }
    lua_shared_dict cats 1m;
--- config
    location = /t {
        content_by_lua_block {
            ngx.say(ngx.shared.dogs:get("key"), " ", ngx.shared.dogs:llen("list"))
        }
    }
--- request
GET /t
--- response_body
from init 1
--- no_error_log
[error]



=== TEST 14: an error in init_by_lua* stops nginx
--- http_config
    lua_shared_dict dogs 1m;
    init_by_lua_block { error("no " .. ngx.shared.dogs:capacity()) }
--- config
--- must_die
--- error_log
init_by_lua error: init_by_lua(nginx.conf:



=== TEST 15: too small
--- http_config
    lua_shared_dict dogs 8191;
--- config
--- must_die
--- error_log
invalid lua shared dict size "8191"



=== TEST 16: no size
--- http_config
    lua_shared_dict dogs many;
--- config
--- must_die
--- error_log
invalid lua shared dict size "many"



=== TEST 17: one name twice
--- http_config
    lua_shared_dict dogs 1m;
    lua_shared_dict dogs 1m;
--- config
--- must_die
--- error_log
lua_shared_dict "dogs" is already defined as "dogs"



=== TEST 18: a VM for each request has the same dictionaries
--- http_config
    lua_shared_dict dogs 1m;
    lua_code_cache off;
--- config
    location = /t {
        content_by_lua_block {
            local n = ngx.shared.dogs:incr("n", 1, 0)
            ngx.say(n >= 1 and n <= 2, " ", type(ngx.shared.dogs.lpush))
        }
    }
--- request
GET /t
--- response_body
true function
--- no_error_log
[error]



=== TEST 19: a value that does not fit leaves the one that was there
--- http_config
    lua_shared_dict dogs 100k;
--- config
    location = /t {
        content_by_lua_block {
            local dogs = ngx.shared.dogs
            local huge = string.rep("v", 200 * 1024)
            local function only(make)
                dogs:flush_all()
                dogs:flush_expired()
                make()
            end
            for _, set in ipairs{ "set", "safe_set", "replace" } do
                only(function() dogs:set("old", "short", 100, 7) end)
                ngx.say(set, " ", dogs[set](dogs, "old", huge))
                ngx.say(dogs:get("old"))
                ngx.say(dogs:ttl("old") > 90, " ", #dogs:get_keys(0))
                dogs:set("old", "other length")
                ngx.say(dogs:get("old"))
                only(function()
                    for i = 1, 3 do dogs:rpush("list", i .. string.rep("x", 100)) end
                    dogs:expire("list", 100)
                end)
                ngx.say(dogs[set](dogs, "list", huge))
                ngx.say(dogs:llen("list"), " ", dogs:ttl("list") > 90)
                for i = 1, 3 do
                    local item = dogs:lpop("list")
                    ngx.print(item:sub(1, 1), #item, " ")
                end
                ngx.say(dogs:llen("list"))
            end
            dogs:set("other", "evicted")
            dogs:set("old", "kept")
            ngx.say(dogs:set("old", huge))
            ngx.say(dogs:get("old"), " ", dogs:get("other"))
        }
    }
--- request
GET /t
--- response_body eval
join("", map {
    "$_ falseno memoryfalse\nshort7\ntrue 1\nother length\n"
    . "falseno memoryfalse\n3 true\n1101 2101 3101 0\n"
} qw(set safe_set replace)) . "falseno memorytrue\nkept nil\n"
--- no_error_log
[error]



=== TEST 20: a value of another length fits into what the old one leaves
--- http_config
    lua_shared_dict dogs 100k;
--- config
    location = /t {
        content_by_lua_block {
            local dogs = ngx.shared.dogs
            dogs:flush_all()
            dogs:flush_expired()
            assert(dogs:safe_set("big", string.rep("v", 40 * 1024)))
            local n = 0
            while dogs:safe_set("key" .. n, string.rep("v", 3000)) do n = n + 1 end
            ngx.say(n > 1, " ", dogs:safe_set("other", string.rep("w", 38 * 1024)))
            ngx.say(dogs:safe_set("big", string.rep("w", 38 * 1024)))
            ngx.say(#dogs:get("big"), " ", #dogs:get_keys(0) - n)
        }
    }
--- request
GET /t
--- response_body
true falseno memoryfalse
truenilfalse
38912 1
--- no_error_log
[error]



=== TEST 21: no more than thirty make place for one
--- http_config
    lua_shared_dict dogs 200k;
--- config
    location = /t {
        content_by_lua_block {
            local dogs = ngx.shared.dogs
            dogs:flush_all()
            dogs:flush_expired()
            local n = 0
            while dogs:safe_set("key" .. n, string.rep("v", 1500)) do n = n + 1 end
            ngx.say(n > 70)
            -- Two to a page: fifteen pages are not enough for sixteen, and enough for fifteen.
            ngx.say(dogs:set("large", string.rep("v", 16 * 4096 - 100)))
            ngx.say(n - #dogs:get_keys(0))
            ngx.say(dogs:set("large", string.rep("v", 16 * 4096 - 100)))
            ngx.say(n - #dogs:get_keys(0) < 40)
        }
    }
--- request
GET /t
--- response_body
true
falseno memorytrue
30
trueniltrue
true
--- no_error_log
[error]



=== TEST 22: a table of another userdata is no dictionary (the C module follows it, and dies)
--- http_config
    lua_shared_dict dogs 900k;
--- config
    location = /t {
        content_by_lua_block {
            local dogs = ngx.shared.dogs
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", ngx.var.server_port))
            for _, other in ipairs { sock, { newproxy() }, { io.stdout } } do
                for _, method in ipairs { "get", "delete", "capacity", "llen" } do
                    local ok, err = pcall(dogs[method], other, "key")
                    assert(not ok and err:find('bad "zone" argument', 1, true), err)
                end
                ngx.say(pcall(dogs.get_keys, other))
            end
            ngx.say(dogs:safe_set("key", 1), " ", dogs:get("key"))
        }
    }
--- request
GET /t
--- response_body
falsebad user data for the ngx_shm_zone_t pointer
falsebad user data for the ngx_shm_zone_t pointer
falsebad user data for the ngx_shm_zone_t pointer
true 1
--- no_error_log
[error]



=== TEST 23: all values expire again and again, and are still there for those who want stale ones
--- http_config
    lua_shared_dict dogs 1m;
--- config
    location = /t {
        content_by_lua_block {
            local dogs = ngx.shared.dogs
            dogs:flush_all()
            dogs:flush_expired()
            for i = 1, 10000 do
                -- The oldest three make place at once.
                for n = 1, 5 do dogs:set("key" .. n, i, n % 2 * 100) end
                dogs:flush_all()
                for n = 4, 5 do
                    local value, _, is_stale = dogs:get_stale("key" .. n)
                    assert(value == i and is_stale, i)
                    assert(dogs:ttl("key" .. n) < -1e6, i)
                end
                assert(#dogs:get_keys(0) == 0, i)
            end
            ngx.say(dogs:expire("key4", 100), " ", dogs:get("key4"), " ", dogs:ttl("key4") > 90)
            ngx.say(dogs:expire("key4", 0), " ", dogs:get("key4"), " ", dogs:ttl("key4"))
            ngx.say(dogs:incr("key5", 1, 10), " ", dogs:add("key6", 1), " ", dogs:replace("key4", 2))
            ngx.say(dogs:flush_expired(), " ", #dogs:get_keys(0))
            dogs:set("long", 1, 1e9)
            ngx.say(math.floor(dogs:ttl("long") / 1e6))
        }
    }
--- request
GET /t
--- response_body
true 10000 true
true 10000 0
11 true truenilfalse
0 3
1000
--- no_error_log
[error]



=== TEST 24: values of any length take one another's place
--- http_config
    lua_shared_dict dogs 4m;
--- config
    location = /t {
        content_by_lua_block {
            local dogs = ngx.shared.dogs
            dogs:flush_all()
            dogs:flush_expired()
            local function value(i)
                if i % 7 == 0 then return i end
                if i % 7 == 1 then return i % 2 == 0 end
                return string.char(97 + i % 26):rep(i * i % 9001)
            end
            local stored = {}
            for i = 1, 5000 do
                local key = "key" .. i % 13
                assert(dogs:set(key, value(i), i % 3 * 100, i))
                stored[key] = i
                if i % 11 == 0 then
                    for key, i in pairs(stored) do
                        local found, flags = dogs:get(key)
                        assert(found == value(i) and flags == i, i)
                        assert((dogs:ttl(key) > 0) == (i % 3 > 0), i)
                    end
                end
            end
            for _, large in ipairs { 3900, 5000, 100000, 1000000, 1000 } do
                dogs:set("large", ("a"):rep(large))
                local free = dogs:free_space()
                for i = -3, 3 do
                    dogs:set("large", ("b"):rep(large + i * 10))
                    assert(dogs:get("large") == ("b"):rep(large + i * 10))
                end
                ngx.say(large, " ", free - dogs:free_space())
            end
            for i = 1, 5 do dogs:rpush("list", i) end
            dogs:delete("large")
            ngx.say(dogs:get("list"))
            ngx.say(dogs:set("list", "no list"), " ", dogs:get("list"), " ", #dogs:get_keys(0))
            for key in pairs(stored) do dogs:delete(key) end
            dogs:delete("list")
            ngx.say(#dogs:get_keys(0), " ", dogs:flush_expired())
        }
    }
--- request
GET /t
--- response_body
3900 0
5000 0
100000 0
1000000 0
1000 0
nilvalue is a list
true no list 14
0 0
--- no_error_log
[error]



=== TEST 25: all keys of many, and the memory of many that have expired
--- http_config
    lua_shared_dict dogs 16m;
--- config
    location = /t {
        content_by_lua_block {
            local dogs = ngx.shared.dogs
            dogs:flush_all()
            dogs:flush_expired()
            dogs:set("oldest", 1)
            for i = 1, 20000 do
                dogs:set("key" .. i, i, i % 2 * 0.001)
            end
            for i = 1, 100 do dogs:rpush("list" .. i, i) end
            ngx.sleep(0.01)
            local keys, seen = dogs:get_keys(0), {}
            for _, key in ipairs(keys) do seen[key] = true end
            local missing = 0
            for i = 2, 20000, 2 do
                if not seen["key" .. i] then missing = missing + 1 end
            end
            ngx.say(#keys, " ", missing, " ", tostring(seen.key1), " ", tostring(seen.list1))
            ngx.say(dogs:flush_expired(300), " ", dogs:flush_expired(), " ", dogs:flush_expired())
            dogs:flush_all()
            ngx.say(#dogs:get_keys(0), " ", dogs:flush_expired(), " ", dogs:flush_expired())
        }
    }
--- request
GET /t
--- response_body
10101 0 nil true
300 9700 0
0 10098 0
--- no_error_log
[error]
