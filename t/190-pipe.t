# ngx.pipe, against real programs.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * (blocks() * 3 + 1);
no_long_string();
run_tests();

__DATA__

=== TEST 1: write to cat, shut its stdin down, read all, wait
--- config
    location = /t {
        content_by_lua_block {
            local proc = assert(require("ngx.pipe").spawn({ "cat" }))
            ngx.say(proc:pid() > 1)
            ngx.say(proc:write("one "))
            ngx.say(proc:write({ "two", " ", "three" }), " ", proc:write(4))
            ngx.say(proc:shutdown("stdin"))
            ngx.say(proc:write("more"))
            ngx.say((proc:stdout_read_all()))
            ngx.say("again: ", (proc:stdout_read_all()))
            ngx.say(proc:wait())
            ngx.say(proc:wait())
            ngx.say(proc:stdout_read_all())
            ngx.say(proc:kill(15))
            ngx.say(proc:shutdown("stdout"))
        }
    }
--- request
GET /t
--- response_body
true
4
9 1
true
nilclosed
one two three4
again: 
trueexit0
nilexited
nilclosednil
nilexited
nilclosed
--- no_error_log
[error]



=== TEST 2: lines, bytes, and what there is
--- config
    location = /t {
        content_by_lua_block {
            local proc = assert(require("ngx.pipe").spawn("printf 'one\r\ntwo\n\n123456789'; exec sleep 60"))
            for i = 1, 3 do
                ngx.say(i, ": ", (proc:stdout_read_line()))
            end
            ngx.say(proc:stdout_read_bytes(0), (proc:stdout_read_bytes(3)))
            ngx.say((proc:stdout_read_any(2)))
            ngx.say((proc:stdout_read_any(100)))
            proc:set_timeouts(nil, 20)
            ngx.say(proc:stdout_read_any(100))
            ngx.say(proc:stdout_read_line())
            ngx.say(proc:kill(15))
            ngx.say(proc:stdout_read_bytes(1))
            ngx.say(proc:wait())
        }
    }
--- request
GET /t
--- response_body
1: one
2: two
3: 
123
45
6789
niltimeout
niltimeout
true
nilclosed
falsesignal15
--- no_error_log
[alert]



=== TEST 3: the data before a failure comes along
--- config
    location = /t {
        content_by_lua_block {
            local proc = assert(require("ngx.pipe").spawn("printf abc; read x; printf def"))
            proc:set_timeouts(nil, 50)
            ngx.say(table.concat({ tostring(nil), select(2, proc:stdout_read_all()) }, " "))
            proc:set_timeouts(nil, 10000)
            proc:write("\n")
            ngx.say(table.concat({ tostring(nil), select(2, proc:stdout_read_bytes(10)) }, " "))
            ngx.say(table.concat({ tostring(nil), select(2, proc:stdout_read_line()) }, " "), "|")
            ngx.say(proc:wait())
        }
    }
--- request
GET /t
--- response_body
nil timeout abc
nil closed def
nil closed |
trueexit0
--- no_error_log
[error]



=== TEST 4: a program that floods both outputs, read by two threads
--- config
    location = /t {
        content_by_lua_block {
            local script = "i=0; while [ $i -lt 200 ]; do i=$((i+1)); "
                .. "printf '%01000d' 1; printf '%02000d' 2 >&2; done"
            local proc = assert(require("ngx.pipe").spawn(script, { buffer_size = 512 }))
            local out = ngx.thread.spawn(proc.stdout_read_all, proc)
            local err = ngx.thread.spawn(proc.stderr_read_all, proc)
            local _, one = ngx.thread.wait(out)
            local _, two = ngx.thread.wait(err)
            ngx.say(#one, " ", #two)
            ngx.say(proc:wait())
        }
    }
--- request
GET /t
--- response_body
200000 400000
trueexit0
--- no_error_log
[error]



=== TEST 5: a program that ignores TERM, and KILL, which leaves no alert
--- config
    location = /t {
        content_by_lua_block {
            local proc = assert(require("ngx.pipe").spawn(
                "trap '' TERM; echo ready; while true; do sleep 0.01; done"))
            ngx.say((proc:stdout_read_line()))
            ngx.say(proc:kill(15))
            proc:set_timeouts(nil, nil, nil, 50)
            ngx.say(proc:wait())
            ngx.say(proc:kill(12345))
            ngx.say(proc:kill(9))
            proc:set_timeouts(nil, nil, nil, 10000)
            ngx.say(proc:wait())
        }
    }
--- request
GET /t
--- response_body
ready
true
niltimeoutnil
nilinvalid signal
true
falsesignal9
--- no_error_log
[alert]



=== TEST 6: stderr apart, and merged
--- config
    location = /t {
        content_by_lua_block {
            local spawn = require("ngx.pipe").spawn
            local proc = assert(spawn("echo out; echo err >&2; exit 3"))
            ngx.say((proc:stderr_read_line()), " ", (proc:stdout_read_line()))
            ngx.say(proc:wait())
            proc = assert(spawn("echo out; echo err >&2", { merge_stderr = true }))
            ngx.say((proc:stdout_read_all():gsub("\n", " ")))
            ngx.say(proc:stderr_read_all())
            ngx.say(proc:shutdown("stderr"))
            ngx.say(proc:shutdown("stdout"))
            ngx.say(proc:stdout_read_all())
        }
    }
--- request
GET /t
--- response_body
err out
falseexit3
out err 
nilmerged to stdoutnil
nilmerged to stdout
true
nilclosednil
--- no_error_log
[error]



=== TEST 7: the environment
--- config
    location = /t {
        content_by_lua_block {
            local spawn = require("ngx.pipe").spawn
            local proc = assert(spawn({ "env" }, { environ = { "ONE=1", "TWO=two words" } }))
            ngx.print((proc:stdout_read_all()))
        }
    }
--- request
GET /t
--- response_body
ONE=1
TWO=two words
--- no_error_log
[error]



=== TEST 8: a program that is not there
--- config
    location = /t {
        content_by_lua_block {
            local proc = assert(require("ngx.pipe").spawn({ "no-such-program-at-all" }))
            ngx.say(proc:wait())
            proc = assert(require("ngx.pipe").spawn({ "nor-this" }, { environ = { "ONE=1" } }))
            ngx.say(proc:wait())
        }
    }
--- request
GET /t
--- response_body
falseexit1
falseexit1
--- error_log eval
[
    qr/lua pipe child execvp\(\) failed while executing no-such-program-at-all \(2: No such file/,
    qr/lua pipe child execvpe\(\) failed while executing nor-this \(2: No such file/,
]



=== TEST 9: the child has three descriptors, no ignored and no blocked signals
--- config
    location = /t {
        content_by_lua_block {
            local spawn = require("ngx.pipe").spawn
            local proc = assert(spawn("ls /proc/self/fd; grep -E 'Sig(Ign|Blk)' /proc/self/status"))
            -- ls has the directory open itself.
            ngx.say((proc:stdout_read_all():gsub("%s+", " ")))
        }
    }
--- request
GET /t
--- response_body
0 1 2 3 SigBlk: 0000000000000000 SigIgn: 0000000000000000 
--- no_error_log
[error]



=== TEST 10: one task at a time reads, writes and waits
--- config
    location = /t {
        content_by_lua_block {
            local proc = assert(require("ngx.pipe").spawn({ "sleep", "60" }))
            local threads = {}
            for _, name in ipairs { "stdout_read_line", "stderr_read_any", "write", "wait" } do
                local argument = name == "write" and string.rep("x", 1000000) or 10
                threads[name] = ngx.thread.spawn(proc[name], proc, argument)
            end
            ngx.say(proc:stdout_read_all())
            ngx.say(proc:stderr_read_all())
            ngx.say(proc:write("x"))
            ngx.say(proc:wait())
            ngx.say(proc:shutdown("stdout"), proc:shutdown("stdin"))
            for _, name in ipairs { "stdout_read_line", "write" } do
                local _, result, err, partial = ngx.thread.wait(threads[name])
                ngx.say(result, " ", err, " ", partial)
            end
            proc:kill(9)
            local _, ok, reason, status = ngx.thread.wait(threads.wait)
            ngx.say(ok, " ", reason, " ", status)
            local _, result, err, partial = ngx.thread.wait(threads.stderr_read_any)
            ngx.say(result, " ", err, " ", partial)
        }
    }
--- request
GET /t
--- response_body
nilpipe busy readingnil
nilpipe busy readingnil
nilpipe busy writing
nilpipe busy waiting
truetrue
nil aborted 
nil aborted nil
false signal 9
nil closed 
--- no_error_log
[alert]



=== TEST 11: a write that nobody takes times out; one that is taken later ends
--- config
    location = /t {
        content_by_lua_block {
            local spawn = require("ngx.pipe").spawn
            local proc = assert(spawn({ "sleep", "60" }, { write_timeout = 20 }))
            ngx.say(proc:write(string.rep("x", 1000000)))
            proc = assert(spawn("read x; wc -c"))
            local thread = ngx.thread.spawn(proc.write, proc, string.rep("x", 1000000))
            proc:set_timeouts(10000)
            ngx.say(coroutine.status(thread))
            proc:kill(19)
            proc:kill(18)
            ngx.thread.wait(thread)
            ngx.say(proc:write("\n" .. string.rep("y", 300000)))
            proc:shutdown("stdin")
            ngx.say((proc:stdout_read_line()))
        }
    }
--- request
GET /t
--- response_body
niltimeout
running
300001
300000
--- no_error_log
[error]



=== TEST 12: a stream whose reader is gone
--- config
    location = /t {
        content_by_lua_block {
            local proc = assert(require("ngx.pipe").spawn("exec 0<&-; echo closed; exec sleep 60"))
            ngx.say((proc:stdout_read_line()))
            ngx.say(proc:write("x"))
        }
    }
--- request
GET /t
--- response_body
closed
nilclosed
--- no_error_log
[error]



=== TEST 13: what a killed thread had read is not lost
--- config
    location = /t {
        content_by_lua_block {
            local proc = assert(require("ngx.pipe").spawn("printf abc; read x; echo def"))
            local thread = ngx.thread.spawn(proc.stdout_read_line, proc)
            ngx.sleep(0.05)
            ngx.say(ngx.thread.kill(thread))
            proc:write("\n")
            ngx.say((proc:stdout_read_line()))
            ngx.say(proc:wait())
        }
    }
--- request
GET /t
--- response_body
1
abcdef
trueexit0
--- no_error_log
[error]



=== TEST 14: a request's programs end with it, and are reaped
--- config
    location = /spawn {
        content_by_lua_block {
            local proc = assert(require("ngx.pipe").spawn({ "sleep", "60" }))
            package.loaded.kept = proc
            ngx.print(proc:pid())
        }
    }
    location = /t {
        content_by_lua_block {
            local pid = ngx.location.capture("/spawn").body
            ngx.timer.at(0, function()
                for i = 1, 200 do
                    local file = io.open("/proc/" .. pid .. "/stat")
                    if not file then
                        local kept = package.loaded.kept
                        ngx.log(ngx.WARN, "gone; ", select(2, kept:wait()), ", ",
                                select(2, kept:stdout_read_all()), ", ", select(2, kept:kill(9)))
                        return
                    end
                    file:close()
                    ngx.sleep(0.01)
                end
                ngx.log(ngx.ERR, "still there")
            end)
            ngx.say("ok")
        }
    }
--- request
GET /t
--- response_body
ok
--- wait: 0.5
--- error_log
gone; exited, closed, exited



=== TEST 15: programs are collected with their Lua objects
--- config
    location = /t {
        content_by_lua_block {
            local pid = require("ngx.pipe").spawn({ "sleep", "60" }):pid()
            collectgarbage()
            collectgarbage()
            for i = 1, 200 do
                local file = io.open("/proc/" .. pid .. "/stat")
                if not file then
                    return ngx.say("gone")
                end
                file:close()
                ngx.sleep(0.01)
            end
            ngx.say("still there")
        }
    }
--- request
GET /t
--- response_body
gone
--- no_error_log
[alert]



=== TEST 16: in a timer, and in rewrite and access
--- config
    location = /t {
        rewrite_by_lua_block {
            local proc = assert(require("ngx.pipe").spawn("sleep 0.01; echo rewrite"))
            ngx.ctx.rewrite = proc:stdout_read_line()
        }
        access_by_lua_block {
            local proc = assert(require("ngx.pipe").spawn("sleep 0.01; exit 7"))
            ngx.ctx.access = select(3, proc:wait())
        }
        content_by_lua_block {
            local done = require("ngx.semaphore").new()
            local line
            ngx.timer.at(0, function()
                local proc = assert(require("ngx.pipe").spawn("sleep 0.01; echo timer"))
                line = proc:stdout_read_line()
                done:post()
            end)
            done:wait(10)
            ngx.say(ngx.ctx.rewrite, " ", ngx.ctx.access, " ", line)
        }
    }
--- request
GET /t
--- response_body
rewrite 7 timer
--- no_error_log
[error]



=== TEST 17: where nothing can wait
--- config
    location = /t {
        content_by_lua_block { ngx.say("ok") }
        set_by_lua_block $none {
            local proc = assert(require("ngx.pipe").spawn({ "cat" }))
            for _, name in ipairs { "stdout_read_all", "write", "wait" } do
                ngx.log(ngx.WARN, name, ": ", select(2, pcall(proc[name], proc, "x")))
            end
        }
    }
--- request
GET /t
--- response_body
ok
--- error_log eval
qr/wait: .*API disabled in the context of set_by_lua\*/



=== TEST 18: many programs at once, and the shell's own
--- config
    location = /t {
        content_by_lua_block {
            local spawn = require("ngx.pipe").spawn
            local procs = {}
            for i = 1, 30 do
                procs[i] = assert(spawn({ "sh", "-c", "read x; exit $x" }))
            end
            local mine = io.popen("echo popen")
            ngx.say(mine:read("*l"), " ", mine:close())
            local sum = 0
            for i, proc in ipairs(procs) do
                proc:write(i .. "\n")
            end
            for _, proc in ipairs(procs) do
                sum = sum + select(3, proc:wait())
            end
            ngx.say(sum)
        }
    }
--- request
GET /t
--- response_body
popen true
465
--- no_error_log
[error]



=== TEST 19: output that is there when its stream is shut down is read once
--- config
    location = /t {
        content_by_lua_block {
            local spawn = require("ngx.pipe").spawn
            local function read(method, ...)
                local proc = assert(spawn([[read x; printf 'a\nb\n'; exec sleep 60]]))
                local thread = ngx.thread.spawn(proc[method], proc, ...)
                proc:write("\n")
                -- nginx handles no event meanwhile.
                ngx.update_time()
                local start = ngx.now()
                while ngx.now() < start + 0.3 do
                    ngx.update_time()
                end
                proc:shutdown("stdout")
                local _, data, err = ngx.thread.wait(thread)
                ngx.say(data, " ", err)
                proc:kill(9)
            end
            read("stdout_read_line")
            read("stdout_read_bytes", 1)
            read("stdout_read_any", 10)
        }
    }
--- request
GET /t
--- response_body eval
"a nil\na nil\na\nb\n nil\n"
--- no_error_log
[error]
