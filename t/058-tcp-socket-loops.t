# TCP cosockets in loops that LuaJIT compiles: `receive` of what has been received already, and what comes between.

use Test::Nginx::Socket::Lua;

repeat_each(2);

plan tests => repeat_each() * (blocks() * 3);

our $HttpConfig = <<'_EOC_';
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        large_client_header_buffers 4 64k;
        # Sends a text as often as it is told, then again after a while if it is told, and closes the connection, or
        # waits for the client to do so.
        location / {
            content_by_lua_block {
                local text, times = ngx.unescape_uri(ngx.var.arg_text), tonumber(ngx.var.arg_times)
                local sock = assert(ngx.req.socket(true))
                sock:send((text:rep(times)))
                if ngx.var.arg_late then
                    ngx.sleep(0.05)
                    sock:send((text:rep(times)))
                end
                if ngx.var.arg_stay then
                    sock:receive()
                end
            }
        }
    }
    init_by_lua_block {
        -- A socket that gets `text`, `times` times; `more` are further arguments for the server.
        function start(text, times, more)
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
            local args = "text=" .. ngx.escape_uri(text) .. "&times=" .. times .. "&" .. (more or "")
            assert(sock:send("GET /?" .. args .. " HTTP/1.0\r\n\r\n"))
            return sock
        end
    }
_EOC_

no_long_string();
run_tests();

__DATA__

=== TEST 1: lines
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local lines = { "one", "", "t\rw\ro", ("x"):rep(2047), ("y"):rep(2048), ("z"):rep(5000), "last\r" }
            local sock = start(table.concat(lines, "\r\n") .. "\r\n", 300)
            local wrong = 0
            for i = 1, 300 do
                for n = 1, 7 do
                    local line = i % 2 == 0 and sock:receive() or i % 2 == 1 and sock:receive("*l")
                    if line ~= lines[n]:gsub("\r", "") then
                        wrong = wrong + 1
                    end
                end
            end
            ngx.say(wrong)
            ngx.say(sock:receive())
        }
    }
--- request
GET /t
--- response_body
0
nilclosed
--- no_error_log
[error]



=== TEST 2: sizes, as numbers and as strings, of all kinds
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local sock = start("0123456789", 15000)
            local sizes = { 1, 3.9, "7", 64, 0, 100, 2048, 2049, 11 }
            local all = ("0123456789"):rep(15000)
            local at, wrong = 1, 0
            for i = 1, 200 do
                local size = sizes[i % #sizes + 1]
                local data = sock:receive(size)
                local length = math.floor(tonumber(size))
                if data ~= all:sub(at, at + length - 1) then
                    wrong = wrong + 1
                end
                at = at + length
            end
            for _ = 1, 2000 do
                if sock:receive(10) ~= all:sub(at, at + 9) then
                    wrong = wrong + 1
                end
                at = at + 10
            end
            ngx.say(wrong)
            ngx.say(#sock:receive("*a") == #all - at + 1)
        }
    }
--- request
GET /t
--- response_body
0
true
--- no_error_log
[error]



=== TEST 3: with other ways to read between
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local sock = start("a line\nsize and--rest\nany", 1000)
            local reader = sock:receiveuntil("--")
            local texts, counts = {}, {}
            local function note(text)
                text = tostring(text)
                if not counts[text] then
                    texts[#texts + 1], counts[text] = text, 0
                end
                counts[text] = counts[text] + 1
            end
            for _ = 1, 1000 do
                note(sock:receive())
                note(sock:receive(4))
                note((reader(2)))
                note((reader(2)))
                note((reader(2)))
                note((reader(2)))
                note(sock:receive("*l"))
                note(sock:receive(1) .. sock:receiveany(1) .. sock:receive(1))
            end
            for _, text in ipairs(texts) do
                ngx.say(text, ": ", counts[text])
            end
        }
    }
--- request
GET /t
--- response_body
a line: 1000
size: 1000
 a: 1000
nd: 1000
: 1000
nil: 1000
rest: 1000
any: 1000
--- no_error_log
[error]



=== TEST 4: the errors about arguments are the same
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local sock = start("line\n", 5000)
            local function receive(...)
                local data = sock:receive(...)
                return data
            end
            local bad = { "*x", "x", -1, {}, true, "-3" }
            local function errors()
                local list = {}
                for i, what in ipairs(bad) do
                    list[i] = select(2, pcall(receive, what))
                end
                list[#list + 1] = select(2, pcall(receive, nil))
                list[#list + 1] = select(2, pcall(receive, 1, 2))
                list[#list + 1] = select(2, pcall(sock.receive))
                list[#list + 1] = select(2, pcall(sock.receive, 1))
                list[#list + 1] = select(2, pcall(sock.receive, "x", 1))
                list[#list + 1] = select(2, pcall(sock.receive, newproxy()))
                return table.concat(list, "\n")
            end
            local before = errors()
            local count = 0
            for i = 1, 1000 do
                if receive() == "line" and receive("*l") == "line" and receive(5) == "line\n" then
                    count = count + 1
                end
                if i % 250 == 0 and errors() ~= before then
                    ngx.say(errors())
                end
            end
            ngx.say(count)
            ngx.say(before:match("bad argument.-\n"))
            ngx.say(select(2, before:gsub("content_by_lua", "")) > 0)
        }
    }
--- request
GET /t
--- response_body
1000
bad argument #1 to 'receive' (bad pattern argument)

true
--- no_error_log
[error]



=== TEST 5: the traceback of an error in a loop
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local sock = start("line\n", 1000)
            for i = 1, 1000 do
                sock:receive(i < 900 and 5 or "*x")
            end
        }
    }
--- request
GET /t
--- response_body_like: 500 Internal Server Error
--- error_code: 500
--- grep_error_log eval: qr/bad argument.*(?=,|$)|\[C\]: in function 'receive'|ngx\.socket\.tcp:/
--- grep_error_log_out
bad argument #1 to 'receive' (bad pattern argument)
[C]: in function 'receive'



=== TEST 6: data that come late
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local sock = start("some line\r\n", 1000, "late=1")
            local count = 0
            while true do
                local line, err, partial = sock:receive()
                if not line then
                    ngx.say(count, " ", err, " '", partial, "'")
                    break
                end
                count = line == "some line" and count + 1 or 0
            end
            sock = start("0123456", 1000, "late=1&stay=1")
            sock:settimeout(300)
            count = 0
            while true do
                local data, err, partial = sock:receive(64)
                if not data then
                    ngx.say(count, " ", err, " '", partial, "'")
                    break
                end
                count = count + #data
            end
            ngx.say(sock:receive(1))
        }
    }
--- request
GET /t
--- response_body
2000 closed ''
13952 timeout '123456012345601234560123456012345601234560123456'
niltimeout
--- error_log
lua tcp socket read timed out



=== TEST 7: a socket that is closed in the middle
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local endings = {
                close = function(sock) sock:close() end,
                setkeepalive = function(sock) assert(sock:setkeepalive(1)) end,
            }
            for _, ending in ipairs { "close", "setkeepalive" } do
                local sock = start("some line\r\n", 1000, "stay=1")
                local counts = {}
                for i = 1, 1000 do
                    if i == 600 then
                        sock:receive(11 * 401)
                        endings[ending](sock)
                    end
                    local line, err = sock:receive()
                    counts[line or err] = (counts[line or err] or 0) + 1
                end
                ngx.say(ending, ": ", counts["some line"], " ", counts.closed)
                -- It is the same table's next connection.
                assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1, { pool = "other" }))
                assert(sock:send("GET /?text=word%0A&times=500 HTTP/1.0\r\n\r\n"))
                local count = 0
                for _ = 1, 500 do
                    count = count + #sock:receive()
                end
                ngx.say(count, " ", select(2, sock:receive()))
            end
            -- The connection that was kept leaves the pool.
            ngx.sleep(0.05)
        }
    }
--- request
GET /t
--- response_body
close: 599 401
2000 closed
setkeepalive: 599 401
2000 closed
--- error_log
attempt to receive data on a closed socket



=== TEST 8: another request's socket
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local sock = start("some line\n", 2000)
            shared = sock
            for _ = 1, 500 do
                sock:receive()
            end
            ngx.print(ngx.location.capture("/other").body)
            local count = 0
            for _ = 1, 1500 do
                count = count + #sock:receive()
            end
            ngx.say(count)
        }
    }
    location /other {
        content_by_lua_block {
            local errors = {}
            for _ = 1, 500 do
                local ok, err = pcall(shared.receive, shared)
                errors[tostring(err)] = (errors[tostring(err)] or 0) + 1
            end
            for err, count in pairs(errors) do
                ngx.say(err, ": ", count)
            end
        }
    }
--- request
GET /t
--- response_body
bad request: 500
13500
--- no_error_log
[error]



=== TEST 9: a socket that another thread reads from
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local sock = start("some line\n", 1000, "stay=1")
            for _ = 1, 1000 do
                sock:receive()
            end
            local thread = ngx.thread.spawn(function() return sock:receive() end)
            local errors = {}
            for _ = 1, 500 do
                local _, err = sock:receive()
                errors[err] = (errors[err] or 0) + 1
            end
            ngx.say(errors["socket busy reading"])
            ngx.thread.kill(thread)
        }
    }
--- request
GET /t
--- response_body
500
--- no_error_log
[error]



=== TEST 10: a script's own functions and tables
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            -- A table that finds the methods in a socket is none.
            local sock = start("some line\n", 3000)
            local count = 0
            for _ = 1, 500 do
                count = count + #sock:receive()
            end
            local other = setmetatable({}, { __index = sock })
            local pretends = setmetatable({ { 1 } }, { __index = sock })
            local fails = 0
            for _ = 1, 500 do
                fails = fails + (select(2, other:receive()) == "closed" and 1 or 0)
                fails = fails + (select(2, pretends:receive()) == "closed" and 1 or 0)
            end
            -- A table with the same userdata is a socket.
            local copy = { sock[1], receive = sock.receive }
            for _ = 1, 500 do
                count = count + #copy:receive()
            end
            ngx.say(count, " ", fails)

            -- A method that takes the place of the module's is called each time.
            local calls = 0
            local methods = getmetatable(sock)
            local receive = methods.receive
            methods.receive = function(...)
                calls = calls + 1
                return receive(...)
            end
            sock = start("some line\n", 500)
            for _ = 1, 500 do
                sock:receive()
            end
            methods.receive = receive
            ngx.say(calls)

            sock = start("some line\n", 500)
            local own = {}
            sock.receive = function(...)
                own[#own + 1] = receive(...)
                return "own"
            end
            for _ = 1, 500 do
                calls = calls + (sock:receive() == "own" and 1 or 0)
            end
            ngx.say(calls, " ", #own)
        }
    }
--- request
GET /t
--- response_body
9000 1000
500
1000 500
--- error_log
attempt to receive data on a closed socket



=== TEST 11: a coroutine, a pcall and a finalizer that reads from the same socket
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local sock = start("some line\n", 4000)
            local count, wrong = 0, 0
            local function note(line)
                count = count + 1
                if line ~= "some line" then
                    wrong = wrong + 1
                end
            end
            local lines = coroutine.wrap(function()
                for _ = 1, 1000 do
                    coroutine.yield((sock:receive()))
                end
            end)
            for _ = 1, 1000 do
                note(lines())
            end
            for _ = 1, 1000 do
                local _, line = pcall(sock.receive, sock)
                note(line)
            end
            local finalized, ended = 0, false
            for _ = 1, 1000 do
                getmetatable(newproxy(true)).__gc = function()
                    -- Where it runs while the result of a read is made, the socket is busy.
                    local line = not ended and finalized < 900 and sock:receive()
                    if line then
                        finalized = finalized + 1
                        note(line)
                    end
                end
                note((sock:receive()))
            end
            ended = true
            ngx.say(count - finalized, " ", wrong, " ", finalized > 0)
        }
    }
--- request
GET /t
--- response_body
3000 0 true
--- no_error_log
[error]



=== TEST 12: a raw socket for the client's connection, in turns with what it sends
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local sock = assert(ngx.socket.tcp())
            assert(sock:connect("127.0.0.1", $TEST_NGINX_SERVER_PORT))
            assert(sock:send("GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n"))
            local count = 0
            for turn = 1, 3 do
                assert(sock:send(("some line\r\n"):rep(500)))
                assert(sock:send("end\r\n"))
                for _ = 1, 500 do
                    count = count + (sock:receive() == turn .. ": some line" and 1 or 0)
                end
                ngx.sleep(0.01)
            end
            assert(sock:send(("some line\r\n"):rep(500)))
            sock:close()
            ngx.say(count)
            ngx.sleep(0.05)
            ngx.say(closed)
        }
    }
    location /echo {
        content_by_lua_block {
            local sock = assert(ngx.req.socket(true))
            local lines, turn = {}, 1
            while true do
                local line, err = sock:receive()
                if line == "end" then
                    sock:send(table.concat(lines))
                    lines, turn = {}, turn + 1
                elseif line then
                    lines[#lines + 1] = turn .. ": " .. line .. "\n"
                else
                    closed = #lines .. " " .. err
                    return
                end
            end
        }
    }
--- request
GET /t
--- response_body
1500
500 closed
--- no_error_log
[error]



=== TEST 13: a finalizer that reads from another socket where a compiled loop ends
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local long, short = ("A"):rep(300), ("B"):rep(8)
            local sock, other = start(long, 24100), start(short, 60000)
            for _ = 1, 5 do
                sock:receive(300)
                other:receive(8)
            end
            local wrong, finalized, ended = 0, 0, false
            local function make()
                getmetatable(newproxy(true)).__gc = function()
                    -- It cannot wait here: then there is nothing to compare.
                    local read, text = pcall(ended and type or other.receive, other, 8)
                    if not ended and read and text then
                        wrong = wrong + (text == short and 0 or 1)
                        finalized = finalized + 1
                    end
                end
            end
            local code = [[
                local sock, long, make = ...
                local wrong = 0
                for i = 1, 240 do
                    if sock:receive(300) ~= long then
                        wrong = wrong + 1
                    end
                    if i % 2 == 0 then
                        make()
                    end
                end
                return wrong
            ]]
            -- Garbage is collected all the time, and each loop compiled anew.
            collectgarbage("setpause", 10)
            collectgarbage()
            for round = 1, 100 do
                wrong = wrong + loadstring(code .. "-- " .. round)(sock, long, make)
            end
            collectgarbage("setpause", 200)
            ended = true
            ngx.say(wrong, " ", finalized > 0)
        }
    }
--- request
GET /t
--- response_body
0 true
--- no_error_log
[error]



=== TEST 14: a method that takes the place of the module's reaches sockets that are in use, and leaves them again
--- http_config eval: $::HttpConfig
--- config
    location /t {
        content_by_lua_block {
            local sock = start("some line\n", 1500)
            local function read()
                local count = 0
                for _ = 1, 500 do
                    count = count + (sock:receive() == "some line" and 1 or 0)
                end
                return count
            end
            ngx.say(read())
            local methods, calls = getmetatable(sock), 0
            local receive = methods.receive
            function methods.receive(...)
                calls = calls + 1
                return receive(...)
            end
            ngx.say(read(), " ", calls)
            methods.receive = receive
            ngx.say(read(), " ", calls)
        }
    }
--- request
GET /t
--- response_body
500
500 500
500 500
--- no_error_log
[error]
