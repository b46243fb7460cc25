# Coroutines that outlive the code that made them, resumed by LuaJIT's own functions: lua-resty-core takes these in
# filters, and they have names of their own (coroutine._resume …).

use Test::Nginx::Socket::Lua;

if ( ( $ENV{TEST_NGINX_LOAD_MODULES} || '' ) =~ m{/nginx/modules/ngx_http_lua_module} ) {
    plan( skip_all => 'the C module reads freed memory' );
}
else {
    repeat_each(2);
    plan( tests => repeat_each() * ( blocks() * 3 ) );
}

no_long_string();

# kept: what a request leaves behind. get(): the body that another request gets, which has ended then. report(): what
# the running code sees of its request. resume_all(): what each of those left behind gives, by name.
add_block_preprocessor(
    sub {
        my $block = shift;
        $block->set_value( request => 'GET /t' );
        $block->set_value( more_headers => 'X-Name: t' );
        $block->set_value( http_config => <<'_EOC_' . ( $block->http_config // '' ) );
    init_by_lua_block {
        kept = {}
        function get(uri, port)
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", port or ngx.var.server_port))
            assert(sock:send("GET " .. uri .. " HTTP/1.0\r\nHost: a\r\nX-Name: " .. uri .. "\r\n\r\n"))
            local raw = assert(sock:receive("*a"))
            sock:close()
            return raw:match("\r\n\r\n(.*)")
        end
        function report()
            ngx.log(ngx.INFO, "reports")
            return table.concat({
                ngx.var.uri, ngx.get_phase(), tostring(ngx.ctx.name),
                tostring(ngx.req.get_headers()["X-Name"]), ngx.req.get_method(),
                tostring((pcall(ngx.req.get_body_data))), tostring(ngx.is_subrequest),
                tostring(ngx.headers_sent), ngx.status,
            }, " ")
        end
        function report_often(is_started)
            if is_started == "start" then coroutine.yield() end
            while true do coroutine._yield(report()) end
        end
        function resume_all(names)
            local lines = {}
            for _, name in ipairs(names) do
                local ok, line = coroutine.resume(kept[name])
                lines[#lines + 1] = name .. " " .. tostring(line)
            end
            return lines
        end
    }
_EOC_
    }
);

run_tests();

__DATA__

=== TEST 1: left by requests that have ended, resumed by a header filter
--- config
    location = /make {
        content_by_lua_block {
            ngx.ctx.name = "make"
            kept.new = coroutine.create(report_often)
            kept.started = coroutine.create(report_often)
            coroutine.resume(kept.started, "start")
            kept.own = coroutine._create(report_often)
            kept.within = coroutine.create(function()
                local own = coroutine._create(report_often)
                coroutine._resume(own)
                coroutine.yield(own)
            end)
            kept.within = select(2, coroutine.resume(kept.within))
            ngx.say("made")
        }
        header_filter_by_lua_block {
            kept.wrapped = coroutine.wrap(report_often)
            kept.of_filter = coroutine.create(report_often)
            coroutine.resume(kept.of_filter)
        }
    }
    location = /t {
        content_by_lua_block {
            ngx.ctx.name = "t"
            get("/make")
            ngx.send_headers()
            for _, line in ipairs(ngx.ctx.lines) do
                ngx.say(line)
            end
            ngx.say(kept.wrapped())
        }
        header_filter_by_lua_block {
            local lines = resume_all { "new", "started", "own", "within", "of_filter" }
            lines[#lines + 1] = "wrapped " .. kept.wrapped()
            ngx.ctx.lines = lines
        }
    }
--- response_body
new /t header_filter t t GET true false false 200
started /t header_filter t t GET true false false 200
own /t header_filter t t GET true false false 200
within /t header_filter t t GET true false false 200
of_filter /t header_filter t t GET true false false 200
wrapped /t header_filter t t GET true false false 200
/t content t t GET true false true 200
--- no_error_log
[error]



=== TEST 2: by a body filter, log_by_lua*, a sort, a finalizer and a timer
--- config
    location = /make {
        content_by_lua_block {
            kept.started = coroutine.create(report_often)
            coroutine.resume(kept.started, "start")
            ngx.say("made")
        }
    }
    location = /logs {
        content_by_lua_block {
            ngx.ctx.name = "logs"
            ngx.print("body")
        }
        log_by_lua_block {
            kept.logged = select(2, coroutine._resume(kept.started))
        }
    }
    location = /t {
        content_by_lua_block {
            ngx.ctx.name = "t"
            get("/make")
            get("/logs")
            ngx.say(kept.logged)
            ngx.say(kept.filtered)
            local t = { 2, 1 }
            table.sort(t, function(a, b)
                kept.sorted = select(2, coroutine._resume(kept.started))
                return a < b
            end)
            ngx.say(kept.sorted)
            getmetatable(newproxy(true)).__gc = function()
                kept.finalized = select(2, coroutine._resume(kept.started))
            end
            collectgarbage()
            ngx.say(kept.finalized)
            local in_timer = coroutine.create(ngx.get_phase)
            ngx.timer.at(0, function() kept.timed = select(2, coroutine._resume(in_timer)) end)
            while not kept.timed do ngx.sleep(0.002) end
            ngx.say(kept.timed)
        }
        body_filter_by_lua_block {
            kept.filtered = select(2, coroutine.resume(kept.started))
        }
    }
--- response_body
/logs log logs /logs GET true false true 200
/t body_filter t t GET true false true 200
/t content t t GET true false true 200
/t content t t GET true false true 200
timer
--- no_error_log
[error]



=== TEST 3: light threads, coroutines in them, and a timer's, that had not ended
--- config
    location = /make {
        content_by_lua_block {
            kept.thread = ngx.thread.spawn(function()
                ngx.sleep(10)
                report_often()
            end)
            ngx.thread.spawn(function()
                kept.resumer = coroutine.running()
                ngx.log(ngx.INFO, coroutine.wrap(function()
                    kept.in_thread = coroutine.running()
                    ngx.sleep(10)
                    report_often()
                end)())
                coroutine._yield(report())
            end)
            kept.connected = false
            kept.waits = ngx.thread.spawn(function()
                local sock = ngx.socket.tcp()
                assert(sock:connect("127.0.0.1", ngx.var.server_port))
                kept.connected = true
                local line = sock:receive()
                coroutine._yield(tostring(line) .. " " .. select(2, sock:receive()))
            end)
            kept.waits_too = ngx.thread.spawn(function()
                local semaphore = require "ngx.semaphore".new()
                coroutine._yield(tostring((semaphore:wait(10))))
            end)
            while not kept.connected do ngx.sleep(0.002) end
            ngx.exit(200)
        }
    }
    lua_socket_log_errors off;
    location = /timer {
        content_by_lua_block {
            ngx.timer.at(0, function()
                kept.of_timer = coroutine.create(report_often)
                coroutine.resume(kept.of_timer, "start")
                ngx.thread.spawn(function() ngx.sleep(10) end)
                ngx.exit(0)
            end)
            ngx.say("made")
        }
    }
    location = /t {
        content_by_lua_block {
            ngx.ctx.name = "t"
            get("/make")
            get("/timer")
            while not kept.of_timer do ngx.sleep(0.002) end
            ngx.sleep(0.002)
            ngx.send_headers()
            for _, line in ipairs(ngx.ctx.lines) do
                ngx.say(line)
            end
        }
        header_filter_by_lua_block {
            local lines = resume_all { "thread", "in_thread", "resumer", "of_timer", "waits", "waits_too" }
            ngx.ctx.lines = lines
        }
    }
--- response_body
thread /t header_filter t t GET true false false 200
in_thread /t header_filter t t GET true false false 200
resumer /t header_filter t t GET true false false 200
of_timer /t header_filter t t GET true false false 200
waits nil closed
waits_too nil
--- no_error_log
[error]



=== TEST 4: of a request that still lives, whose code goes on afterwards
--- config
    location = /lives {
        content_by_lua_block {
            ngx.ctx.name = "lives"
            local function reports()
                while true do coroutine.yield(report()) end
            end
            kept.started = coroutine.create(reports)
            coroutine.resume(kept.started)
            kept.go_on = false
            while not kept.go_on do ngx.sleep(0.002) end
            ngx.say(select(2, coroutine.resume(kept.started)))
            kept.started = nil
        }
    }
    location = /parent {
        content_by_lua_block {
            ngx.ctx.name = "parent"
            kept.parent = coroutine.create(function()
                while true do coroutine.yield(report()) end
            end)
            coroutine.resume(kept.parent)
            ngx.print(ngx.location.capture("/sub").body)
            ngx.say(select(2, coroutine.resume(kept.parent)))
        }
    }
    location = /sub {
        content_by_lua_block {
            ngx.ctx.name = "sub"
            ngx.send_headers()
            ngx.say(kept.in_sub)
        }
        header_filter_by_lua_block {
            kept.in_sub = select(2, coroutine.resume(kept.parent))
        }
    }
    location = /t {
        content_by_lua_block {
            ngx.ctx.name = "t"
            local thread = ngx.thread.spawn(get, "/lives")
            while not kept.started do ngx.sleep(0.002) end
            ngx.send_headers()
            ngx.say(kept.filtered)
            kept.go_on = true
            ngx.print(select(2, ngx.thread.wait(thread)))
            ngx.print(get("/parent"))
        }
        header_filter_by_lua_block {
            kept.filtered = select(2, coroutine.resume(kept.started))
        }
    }
--- response_body
/t header_filter t t GET true false false 200
/lives content lives /lives GET true false false 0
/sub header_filter sub /parent GET true true false 200
/parent content parent /parent GET true false false 200
--- no_error_log
[error]



=== TEST 5: what LuaJIT's own functions resume cannot wait, and asks nothing of the scheduler
--- config
    location = /t {
        content_by_lua_block {
            local function started(work)
                local co = coroutine.create(function()
                    coroutine.yield()
                    return (select(2, pcall(work)):gsub("^.*: ", ""))
                end)
                coroutine.resume(co)
                return co
            end
            local other = coroutine.create(function() return "went on" end)
            for _, work in ipairs {
                function() ngx.sleep(10) end,
                function() coroutine.yield("a", "b") end,
                function() coroutine.resume(other, 1, 2, 3, 4) end,
                function() ngx.thread.spawn(function() ngx.say("never") end) end,
                function() ngx.location.capture("/empty") end,
                function() ngx.flush(true) ngx.sleep(10) end,
            } do
                ngx.say(coroutine._resume(started(work)))
                ngx.sleep(0.001)
            end
            ngx.say(coroutine.resume(other))
        }
    }
    location = /empty { return 204; }
--- response_body eval
("trueno co ctx found\n" x 6) . "truewent on\n"
--- no_error_log
[error]



=== TEST 6: what they have ended is dead
--- config
    location = /t {
        content_by_lua_block {
            local co = coroutine.create(function() coroutine.yield() end)
            coroutine.resume(co)
            ngx.say(coroutine._resume(co))
            ngx.say(coroutine.resume(co))
            ngx.say(coroutine.resume(co, print, 1, 2))
            local wrapped = coroutine.wrap(function() kept.wrapped = coroutine.running() coroutine.yield() end)
            wrapped()
            ngx.say(coroutine._resume(kept.wrapped))
            ngx.say(wrapped())
        }
    }
--- response_body
true
falsecannot resume dead coroutine
falsecannot resume dead coroutine
true
falsecannot resume dead coroutine
--- no_error_log
[error]



=== TEST 7: what waits, or has results that somebody waits for, is left alone by a filter
In the C module, a filter resumes it, and the scheduler once more later.
--- config
    location = /sleeps {
        content_by_lua_block {
            kept.thread = ngx.thread.spawn(function() ngx.sleep(0.002) return "slept" end)
            ngx.send_headers()
            ngx.say(kept.refused)
            ngx.say(ngx.thread.wait(kept.thread))
        }
        header_filter_by_lua_block { kept.refused = select(2, coroutine.resume(kept.thread)) }
    }
    location = /ended {
        content_by_lua_block {
            kept.thread = ngx.thread.spawn(function() return "result" end)
            ngx.send_headers()
            ngx.say(kept.refused)
            ngx.say(ngx.thread.wait(kept.thread))
        }
        header_filter_by_lua_block { kept.refused = select(2, coroutine.resume(kept.thread)) }
    }
    location = /resumer {
        content_by_lua_block {
            ngx.thread.spawn(function()
                kept.resumer = coroutine.running()
                ngx.say((coroutine.wrap(function() ngx.sleep(0.005) return "came back" end)()))
            end)
            ngx.sleep(0.001)
            ngx.send_headers()
            collectgarbage()
            ngx.say(kept.refused)
        }
        header_filter_by_lua_block { kept.refused = select(2, coroutine.resume(kept.resumer)) }
    }
    location = /entry {
        content_by_lua_block {
            kept.entry = coroutine.running()
            ngx.thread.spawn(function() ngx.sleep(0.001) ngx.send_headers() end)
            ngx.sleep(0.003)
            ngx.say(kept.refused)
        }
        header_filter_by_lua_block { kept.refused = select(2, coroutine.resume(kept.entry)) }
    }
    location = /t {
        content_by_lua_block {
            for _, uri in ipairs { "/sleeps", "/ended", "/resumer", "/entry" } do
                ngx.print(get(uri))
            end
        }
    }
--- response_body
cannot resume non-suspended coroutine
trueslept
cannot resume non-suspended coroutine
trueresult
cannot resume non-suspended coroutine
came back
cannot resume non-suspended coroutine
--- no_error_log
[error]



=== TEST 8: what a timer and init_worker_by_lua* have left
--- http_config
    init_worker_by_lua_block {
        kept.of_worker = coroutine.create(report_often)
        coroutine.resume(kept.of_worker, "start")
    }
--- config
    location = /t {
        content_by_lua_block {
            ngx.ctx.name = "t"
            ngx.timer.at(0, function() kept.of_timer = coroutine.create(report_often) end)
            while not kept.of_timer do ngx.sleep(0.002) end
            ngx.send_headers()
            ngx.say(kept.seen[1])
            ngx.say(kept.seen[2])
        }
        header_filter_by_lua_block {
            kept.of_worker = kept.of_worker or kept.of_timer
            kept.seen = {
                select(2, coroutine.resume(kept.of_worker)), select(2, coroutine.resume(kept.of_timer))
            }
        }
    }
--- response_body
/t header_filter t t GET true false false 200
/t header_filter t t GET true false false 200
--- no_error_log
[error]
