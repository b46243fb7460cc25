# receiveuntil's iterators between other reads: what one holds back, for it may begin its pattern,
# is read by whoever reads next.

use Test::Nginx::Socket::Lua;

repeat_each(2);

plan tests => repeat_each() * (blocks() * 3);

our $HttpConfig = <<'_EOC_';
    # Says what it is asked to, one byte after the other.
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        lua_socket_log_errors off;
        location / {
            content_by_lua_block {
                local sock = assert(ngx.req.socket(true))
                local text = sock:receive()
                for byte in text:gmatch(".") do
                    if byte == "~" then ngx.sleep(0.8) else sock:send(byte) end
                end
            }
        }
    }
    init_by_lua_block {
        function say(text)
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
            sock:send("GET / HTTP/1.0\r\n\r\n" .. text .. "\n")
            return sock
        end

        function show(...)
            local values = {}
            for i = 1, select("#", ...) do
                values[i] = "[" .. tostring((select(i, ...))) .. "]"
            end
            ngx.say(table.concat(values, " "))
        end
    }
_EOC_

add_block_preprocessor(sub {
    my $block = shift;
    $block->set_value('http_config', $HttpConfig);
    $block->set_value('request', "GET /t\n");
    $block->set_value('no_error_log', "[error]\n");
});

no_long_string();
run_tests();

__DATA__

=== TEST 1: bytes are read between an iterator's calls
--- config
    location /t {
        content_by_lua_block {
            local sock = say("----abc----abc-")
            local read = sock:receiveuntil("--abc")
            for _ = 1, 4 do
                show(read(2))
                show(sock:receive(1))
            end
            show(read(2))
            show(read(2))
        }
    }
--- response_body
[--]
[-]
[-a]
[b]
[c-]
[-]
[]
[-]
[nil] [nil] [nil]
[nil] [closed] []



=== TEST 2: the same with a buffer smaller than the pattern
--- config
    lua_socket_buffer_size 3;
    location /t {
        content_by_lua_block {
            local sock = say("----abc----abc-")
            local read = sock:receiveuntil("--abc")
            for _ = 1, 4 do
                show(read(2))
                show(sock:receive(1))
            end
            show(read(2))
            show(read(2))
        }
    }
--- response_body
[--]
[-]
[-a]
[b]
[c-]
[-]
[]
[-]
[nil] [nil] [nil]
[nil] [closed] []



=== TEST 3: two iterators in turns
--- config
    location /t {
        content_by_lua_block {
            local sock = say("------abd----abc!")
            local long, short = sock:receiveuntil("--abc"), sock:receiveuntil("-ab")
            show(long(2))
            show(sock:receive(1))
            show(long(1))
            show(short(2))
            show(long())
            show(long())
        }
    }
--- response_body
[--]
[-]
[-]
[-]
[d--]
[nil] [closed] [!]



=== TEST 4: by every other way to read, after the iterator is gone
--- config
    location /t {
        content_by_lua_block {
            local function held()
                local sock = say("ab1ab1")
                show(sock:receiveuntil("ab1ab2")(2))
                collectgarbage()
                return sock
            end
            show(held():receive(3))
            show(held():receive("*a"))
            show(held():receive())
            show(held():receiveany(10))
            show(held():receiveuntil("1")())
        }
    }
--- response_body
[ab1]
[ab1]
[ab1]
[ab1]
[ab1]
[nil] [closed] [ab1]
[ab1]
[ab1]
[ab1]
[ab]



=== TEST 5: what was held back when the time ran out
--- config
    lua_socket_log_errors off;
    location /t {
        content_by_lua_block {
            local sock = say("x--~end.")
            local read = sock:receiveuntil("--end")
            sock:settimeout(300)
            show(read())
            sock:settimeout(3000)
            show(read())
            show(sock:receive("*a"))

            sock = say("x--~end.")
            sock:settimeout(300)
            show(sock:receiveuntil("--end")())
            show(sock:receive(2))
            sock:settimeout(3000)
            show(sock:receive("*a"))
        }
    }
--- response_body
[nil] [timeout] [x]
[]
[.]
[nil] [timeout] [x]
[--]
[end.]



=== TEST 6: the last iterator of a socket that connects again
--- config
    location /t {
        content_by_lua_block {
            local sock = say("aaa")
            local read = sock:receiveuntil("aab")
            show(read(1))
            assert(sock:close())
            assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
            sock:send("GET / HTTP/1.0\r\n\r\nb\n")
            show(read())
        }
    }
--- response_body
[a]
[nil] [closed] [b]
