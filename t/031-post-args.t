# ngx.req.get_post_args: arguments in a urlencoded body.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * 23;

no_long_string();
run_tests();

__DATA__

=== TEST 1: values, names without a value, lists, escapes
--- config
    location = /t {
        content_by_lua_block {
            ngx.req.read_body()
            local args, err = ngx.req.get_post_args()
            ngx.say(args["a b"], " ", args.c, " [", args.d, "] ", type(args.e), " ", err)
            ngx.say(#args.e, ": ", table.concat(args.e, ",", 1, 2), " ", args.e[3])
            ngx.say(args[""])
        }
    }
--- request
POST /t
a+b=1%262&c&d=&e=1&e=2&e&=lost&&%zz=%
--- response_body
1&2 true [] table nil
3: 1,2 true
nil



=== TEST 2: a cap says so, in Lua and in the log
--- config
    location = /t {
        content_by_lua_block {
            ngx.req.read_body()
            for _, max in ipairs{2, 3, 4, 0, -1} do
                local args, err = ngx.req.get_post_args(max)
                local n = 0
                for _ in pairs(args) do n = n + 1 end
                ngx.say(max, ": ", n, " ", err)
            end
        }
    }
--- request
POST /t
a=1&b=2&c=3
--- response_body
2: 2 truncated
3: 3 nil
4: 3 nil
0: 3 nil
-1: 3 nil
--- error_log
lua hit query args limit 2



=== TEST 3: 100 arguments where no cap is given
--- config
    location = /t {
        content_by_lua_block {
            ngx.req.read_body()
            local args, err = ngx.req.get_post_args()
            local n = 0
            for _ in pairs(args) do n = n + 1 end
            ngx.say(n, " ", err)
        }
    }
--- request eval
"POST /t\n" . CORE::join "&", map { "n$_=$_" } 1 .. 101
--- response_body
100 truncated



=== TEST 4: a body that has not been read
--- config
    location = /t {
        content_by_lua_block {
            ngx.say(select(2, pcall(ngx.req.get_post_args)))
            ngx.say(select(2, pcall(ngx.req.get_post_args, 1, 2)))
            ngx.say(select(2, pcall(ngx.req.get_post_args, "x")))
        }
    }
--- request
POST /t
a=1
--- response_body
no request body found; maybe you should turn on lua_need_request_body?
expecting 0 or 1 arguments but seen 2
bad argument #1 to '?' (number expected, got string)



=== TEST 5: a body in a file, a discarded one, and none
--- config
    location = /file {
        client_body_in_file_only clean;
        content_by_lua_block {
            ngx.req.read_body()
            ngx.say(ngx.req.get_post_args().a)
        }
    }
    location = /none {
        content_by_lua_block {
            ngx.req.read_body()
            ngx.say(next(ngx.req.get_post_args()))
        }
    }
--- pipelined_requests eval
["POST /file\na=1", "POST /none\n", "GET /none"]
--- response_body eval
["1\n", "nil\n", "nil\n"]



=== TEST 6: encode_args and decode_args
--- config
    location = /t {
        content_by_lua_block {
            ngx.say(ngx.encode_args{["a b"] = "c&d"}, " ", ngx.encode_args{a = {1, true, "x", false}})
            ngx.say("[", ngx.encode_args{}, "] [", ngx.encode_args{a = false}, "] ", ngx.encode_args{a = 3.5})
            for _, bad in ipairs{{[1] = "x"}, {a = function () end}, {a = {b = {}, {}}}} do
                ngx.say(select(2, pcall(ngx.encode_args, bad)))
            end
            ngx.say(select(2, pcall(ngx.encode_args, "x")))
            ngx.say(select(2, pcall(ngx.encode_args)))
            local args, err = ngx.decode_args("a=1&b%20=2&c&c=", 3)
            ngx.say(args.a, " ", args["b "], " ", args.c, " ", err)
            ngx.say(#ngx.decode_args("c&c=").c, " ", next(ngx.decode_args("")))
            ngx.say(select(2, pcall(ngx.decode_args, {})))
            ngx.say(select(2, pcall(ngx.decode_args, "a", 1, 2)))
        }
    }
--- request
GET /t
--- response_body
a%20b=c%26d a=1&a&a=x
[] [] a=3.5
attempt to use a non-string key in the "args" option table
attempt to use function as query arg value
attempt to use table as query arg value
bad argument #1 to '?' (table expected, got string)
expecting 1 argument but seen 0
1 2 true truncated
2 nil
bad argument #1 to '?' (string expected, got table)
expecting 1 or 2 arguments but seen 3



=== TEST 7: many names, each of them twice and once empty
--- config
    location = /t {
        content_by_lua_block {
            local args = {}
            for _, value in ipairs{"first", "", "third+one"} do
                for i = 1, 300 do args[#args + 1] = "n" .. i .. "=" .. value end
            end
            local decoded = ngx.decode_args(table.concat(args, "&"), 0)
            local names = 0
            for name, values in pairs(decoded) do
                assert(table.concat(values, "|") == "first||third one", name)
                names = names + 1
            end
            ngx.say(names)
            local same = ngx.decode_args("ab=1&ba=2&ab=3&=4&a%62=5&" .. ("x"):rep(300) .. "=6")
            ngx.say(table.concat(same.ab, ","), " ", same.ba, " ", same[("x"):rep(300)], " ", same[""])
        }
    }
--- request
GET /t
--- response_body
300
1,3,5 2 6 nil



=== TEST 9: arguments in a file that is read in pieces
--- config
    client_body_buffer_size 1k;
    location = /t {
        content_by_lua_block {
            ngx.req.read_body()
            local text = assert(io.open(assert(ngx.req.get_body_file()))):read("*a")
            local function compare(max)
                local from_file, err = ngx.req.get_post_args(max)
                local args, wanted_err = ngx.decode_args(text, max)
                assert(err == wanted_err, err)
                for name, value in pairs(args) do
                    local found = from_file[name]
                    if type(value) == "table" then
                        value, found = table.concat(value, ","), table.concat(found, ",")
                    end
                    assert(value == found, name)
                    from_file[name] = nil
                end
                assert(not next(from_file))
                return err
            end
            ngx.say(compare(0), " ", compare(100), " ", compare(3), " ", compare(1), " ", compare(20007))
            ngx.say(ngx.req.get_post_args().first, " ", #ngx.req.get_post_args(0).long, " ", #text)
            ngx.req.init_body(10)
            ngx.req.append_body("a=1&b=")
            ngx.req.append_body(("x"):rep(100) .. "&c")
            ngx.req.finish_body()
            local args = ngx.req.get_post_args()
            ngx.say(args.a, " ", #args.b, " ", args.c, " ", ngx.req.get_body_data())
        }
    }
--- request eval
"POST /t\nfirst=1&&" . join("&", map { "name$_=v%20$_&list=$_&=" } 1 .. 5000) . "&long=" . "y" x 200_000 . "&flag&last="
--- response_body_like eval
qr/^nil truncated truncated truncated nil\n1 200000 \d+\n1 100 true nil\n$/



=== TEST 10: a body's file that is cut short
--- config
    client_body_in_file_only clean;
    location = /t {
        content_by_lua_block {
            ngx.req.read_body()
            io.open(ngx.req.get_body_file(), "w"):close()
            ngx.say(ngx.req.get_post_args())
        }
    }
--- request
POST /t
a=1
--- response_body
nilfailed to read the request body's file: unexpected end
