# lua_coalesce_output, a directive of this module only: small pieces of a body are joined.

use Test::Nginx::Socket::Lua;

if ( ( $ENV{TEST_NGINX_LOAD_MODULES} || '' ) =~ m{/nginx/modules/ngx_http_lua_module} ) {
    plan( skip_all => 'the C module has no lua_coalesce_output' );
}
else {
    repeat_each(2);
    plan( tests => repeat_each() * blocks() * 3 );
}

no_long_string();

# Answers with the raw body that the location /pieces sends.
add_block_preprocessor(
    sub {
        my $block = shift;
        $block->set_value( config => $block->config . <<'_EOC_' );
    location /t {
        content_by_lua_block {
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", ngx.var.server_port))
            assert(sock:send("GET /pieces HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
            local raw = assert(sock:receive("*a"))
            ngx.say((raw:match("\r\n\r\n(.*)"):gsub("\r\n", "|"):gsub("\n", "+"):gsub("x+", "x")))
        }
    }
_EOC_
        $block->set_value( request      => 'GET /t' );
        $block->set_value( no_error_log => '[error]' );
    }
);

run_tests();

__DATA__

=== TEST 1: until the code waits, flushes or ends
--- config
    location /pieces {
        lua_coalesce_output on;
        content_by_lua_block {
            ngx.say("one")
            ngx.print("two", 2)
            ngx.print({ "three" })
            ngx.sleep(0.001)
            ngx.print("a")
            ngx.print("b")
            ngx.flush()
            ngx.print("c")
            ngx.print("d")
            ngx.eof()
        }
    }
--- response_body
d|one+two2three|2|ab|2|cd|0||



=== TEST 2: up to postpone_output
--- config
    location /pieces {
        lua_coalesce_output on;
        postpone_output 8;
        content_by_lua_block {
            ngx.print("abc")
            ngx.print("def")
            ngx.print("ghi")
            ngx.print("j")
        }
    }
--- response_body
9|abcdefghi|1|j|0||



=== TEST 3: a large piece goes on at once, with what is held back
--- config
    location /pieces {
        lua_coalesce_output on;
        content_by_lua_block {
            ngx.print("a")
            ngx.print(("x"):rep(5000))
            ngx.print("b")
            ngx.print("c")
        }
    }
--- response_body
1389|ax|2|bc|0||



=== TEST 4: a server's is its locations', unless they say otherwise
--- config
    lua_coalesce_output on;
    location /pieces {
        content_by_lua_block {
            local inner = ngx.socket.tcp()
            assert(inner:connect("127.0.0.1", ngx.var.server_port))
            assert(inner:send("GET /off HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
            local raw = inner:receive("*a")
            ngx.print("a")
            ngx.print("b")
            ngx.print((raw:match("\r\n\r\n(.*)"):gsub("\r\n", ",")))
        }
    }
    location /off {
        lua_coalesce_output off;
        content_by_lua_block {
            ngx.print("c")
            ngx.print("d")
        }
    }
--- response_body
d|ab1,c,1,d,0,,|0||



=== TEST 5: in an if block
--- config
    location /pieces {
        if ($http_host = "a") {
            lua_coalesce_output on;
            content_by_lua_block {
                ngx.print("a")
                ngx.print("b")
            }
        }
    }
--- response_body
2|ab|0||



=== TEST 6: code that filters the body sees each piece
--- config
    location /pieces {
        lua_coalesce_output on;
        content_by_lua_block {
            ngx.print("a")
            ngx.print("b")
        }
        body_filter_by_lua_block {
            ngx.arg[1] = "[" .. ngx.arg[1] .. "]"
        }
    }
--- response_body
3|[a]|3|[b]|2|[]|0||
