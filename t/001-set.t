# set_by_lua*.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3);
no_long_string();
run_tests();

__DATA__

=== TEST 1: the result is the variable's value
--- config
    location = /t {
        set_by_lua $number "return 1 + 2.5";
        set_by_lua $text "return 'text'";
        set_by_lua $nothing "return nil";
        set_by_lua $no_text "return {}";
        set_by_lua $last "return 1, 2";
        return 200 "$number,$text,$nothing,$no_text,$last\n";
    }
--- request
GET /t
--- response_body
3.5,text,,,1
--- no_error_log
[error]



=== TEST 2: arguments: ngx.arg and varargs
--- config
    location = /t {
        set $who world;
        set_by_lua $res '
            local a, b = ...
            return ngx.arg[1] .. " " .. ngx.arg[2] .. " " .. tostring(ngx.arg[3]) .. " "
                   .. a .. " " .. b .. " " .. select("#", ...)
        ' "hello" "$who!";
        return 200 "$res\n";
    }
--- request
GET /t
--- response_body
hello world! nil hello world! 2
--- no_error_log
[error]



=== TEST 3: more arguments than nginx's stack of values holds
--- config
    location = /t {
        set_by_lua $res 'return table.concat({...}, ",")' 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16;
        return 200 "$res\n";
    }
--- request
GET /t
--- response_body
1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16
--- no_error_log
[alert]



=== TEST 4: in order with set and if
--- config
    location = /t {
        set $a 1;
        set_by_lua_block $b { return ngx.var.a + 1 }
        set $a 10;
        if ($b = 2) {
            set_by_lua $c "return ngx.var.a + ngx.arg[1]" $b;
        }
        return 200 "$a $b $c\n";
    }
--- request
GET /t
--- response_body
10 2 12
--- no_error_log
[error]



=== TEST 5: captures of a regex as arguments
--- config
    location ~ ^/t/(.*)-(.*)$ {
        set_by_lua $res "return ngx.arg[2] .. ngx.arg[1]" $1 $2;
        return 200 "$res\n";
    }
--- request
GET /t/one-two
--- response_body
twoone
--- no_error_log
[error]



=== TEST 6: a file, its path with a variable, and arguments
--- config
    location = /t {
        set $name code;
        set_by_lua_file $res html/$name.lua one two;
        return 200 "$res\n";
    }
--- user_files
>>> code.lua
return ngx.get_phase() .. " " .. ngx.arg[2] .. " " .. select(2, ...)
--- request
GET /t
--- response_body
set two two
--- no_error_log
[error]



=== TEST 7: a file that is not there
--- config
    location = /t {
        set_by_lua_file $res html/none.lua;
        return 200 "$res\n";
    }
--- request
GET /t
--- error_code: 500
--- error_log eval
qr/\[error\] .*failed to load external Lua file ".*none\.lua": cannot open/
--- no_error_log
[alert]



=== TEST 8: an error
--- config
    location = /t {
        set_by_lua $res "error('no value today')";
        return 200 "$res\n";
    }
--- request
GET /t
--- error_code: 500
--- error_log eval
qr/\[error\] .*failed to run set_by_lua\*: set_by_lua\(nginx\.conf:\d+\):1: no value today/
--- no_error_log
[alert]



=== TEST 9: code that does not compile
--- config
    location = /t {
        set_by_lua $res "return return";
        return 200 "$res\n";
    }
--- request
GET /t
--- error_code: 500
--- error_log eval
qr/\[error\] .*failed to load inlined Lua code: set_by_lua\(nginx\.conf:\d+\):1:/
--- no_error_log
[alert]



=== TEST 10: what waits, or makes a response, is refused
--- config
    location = /t {
        set_by_lua_block $res {
            local found = {}
            for i, f in ipairs {
                function() ngx.say("hi") end,
                function() ngx.sleep(0) end,
                function() ngx.exit(200) end,
                function() ngx.redirect("/") end,
                function() ngx.location.capture("/") end,
            } do
                local ok, err = pcall(f)
                found[i] = ok and "allowed" or err:match("API.*")
            end
            return table.concat(found, "\n")
        }
        return 200 "$res\n";
    }
--- request
GET /t
--- response_body eval
join "", map { "API disabled in the context of set_by_lua*$_\n" } "",
    ", which cannot wait: use rewrite_by_lua*, and set ngx.var there", "", "",
    ", which cannot wait: use rewrite_by_lua*, and set ngx.var there"
--- no_error_log
[error]



=== TEST 11: nginx's own variables
--- config
    location = /t {
        set_by_lua $args "return 'a=' .. ngx.arg[1]" "$arg_a$arg_a";
        return 200 "$args $arg_a $uri?$args\n";
    }
--- request
GET /t?a=3
--- response_body
a=33 33 /t?a=33
--- no_error_log
[error]



=== TEST 12: a variable that nobody has set yet
--- config
    location = /t {
        set $seen "[$later]";
        set_by_lua $later "return 'set'";
        return 200 "$seen $later\n";
    }
--- request
GET /t
--- response_body
[] set
--- error_log
using uninitialized "later" variable



=== TEST 13: two at once: one variable's code reads another's
--- config
    location = /t {
        set_by_lua $a "return ngx.arg[1] .. '!'" "x";
        set_by_lua $b "return ngx.arg[1] .. ngx.var.a" "y";
        set_by_lua $a "return ngx.arg[1] .. ngx.arg[2]" "$a" "$b";
        return 200 "$a $b\n";
    }
--- request
GET /t
--- response_body
x!yx! yx!
--- no_error_log
[error]



=== TEST 14: ngx.ctx lives on, and the phases behind it are their own
--- config
    location = /t {
        set_by_lua_block $a { ngx.ctx.word = "from set" return "" }
        content_by_lua_block { ngx.say(ngx.ctx.word, ", ", ngx.get_phase()) }
    }
--- request
GET /t
--- response_body
from set, content
--- no_error_log
[error]



=== TEST 15: a name that is no variable
--- config
    location = /t {
        set_by_lua a "return 1";
        return 200;
    }
--- must_die
--- error_log
invalid variable name "a"
--- no_error_log
[alert]
