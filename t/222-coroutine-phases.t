# Coroutines that go on in a later phase of their request.

use Test::Nginx::Socket::Lua;

repeat_each(2);
plan tests => repeat_each() * ( blocks() * 3 );
no_long_string();
run_tests();

__DATA__

=== TEST 1: what has yielded goes on, from phase to phase
--- config
    location = /t {
        rewrite_by_lua_block {
            local ctx = ngx.ctx
            ctx.co = coroutine.create(function(...)
                local got = { ... }
                while true do
                    got = { coroutine.yield(ngx.get_phase() .. " " .. table.concat(got, " ")) }
                    ngx.sleep(0.001)
                end
            end)
            ctx.wrap = coroutine.wrap(function()
                coroutine.yield(coroutine.wrap(function() while true do coroutine.yield(ngx.get_phase()) end end))
            end)
            ctx.lines = { select(2, coroutine.resume(ctx.co, "a", "b")) }
            ctx.inner = ctx.wrap()
            ctx.lines[2] = ctx.inner()
        }
        access_by_lua_block {
            local ctx = ngx.ctx
            collectgarbage()
            ctx.lines[3] = select(2, coroutine.resume(ctx.co, "c"))
            ctx.lines[4] = ctx.inner()
            ngx.sleep(0.001)
            ctx.lines[5] = coroutine.status(ctx.co)
        }
        content_by_lua_block {
            local ctx = ngx.ctx
            for _, line in ipairs(ctx.lines) do ngx.say(line) end
            ngx.say(coroutine.resume(ctx.co, "d", "e"))
            ngx.say(ctx.inner())
            ctx.wrap()
            ngx.say(select(2, pcall(ctx.wrap)))
        }
        log_by_lua_block { collectgarbage() }
    }
--- request
GET /t
--- response_body
rewrite a b
rewrite
access c
access
suspended
truecontent d e
content
falsecannot resume dead coroutine
--- no_error_log
[error]



=== TEST 2: after ngx.exit, too
--- config
    location = /t {
        rewrite_by_lua_block {
            ngx.ctx.co = coroutine.create(function()
                coroutine.yield()
                return ngx.get_phase()
            end)
            ngx.ctx.new = coroutine.create(function() return ngx.get_phase() end)
            coroutine.resume(ngx.ctx.co)
            ngx.exit(ngx.OK)
        }
        content_by_lua_block {
            ngx.say(coroutine.resume(ngx.ctx.co))
            ngx.say(coroutine.resume(ngx.ctx.new))
        }
    }
--- request
GET /t
--- response_body
truecontent
truecontent
--- no_error_log
[error]



=== TEST 3: a light thread, and what waits, ends with its phase (in the C module, what a coroutine waits for does not)
--- config
    location = /t {
        access_by_lua_block {
            ngx.ctx.thread = ngx.thread.spawn(function()
                ngx.ctx.waits = coroutine.create(function() ngx.sleep(0.01) ngx.ctx.went_on = true end)
                coroutine.resume(ngx.ctx.waits)
            end)
            ngx.ctx.spawns = coroutine.create(function()
                ngx.thread.spawn(function() ngx.sleep(0.01) ngx.ctx.went_on = true end)
                coroutine.yield()
                return "spawned"
            end)
            coroutine.resume(ngx.ctx.spawns)
            ngx.exit(ngx.OK)
        }
        content_by_lua_block {
            ngx.say(coroutine.resume(ngx.ctx.spawns))
            ngx.sleep(0.02)
            ngx.say(ngx.ctx.went_on)
        }
    }
--- request
GET /t
--- response_body
truespawned
nil
--- no_error_log
[error]



=== TEST 4: ten thousand of them, in each phase
--- config
    location = /t {
        rewrite_by_lua_block {
            ngx.ctx.all = {}
            function ngx.ctx.make()
                local all = ngx.ctx.all
                for i = 1, 10000 do
                    all[#all + 1] = coroutine.create(function() coroutine.yield() return 1 end)
                    coroutine.resume(all[#all])
                end
            end
            ngx.ctx.make()
        }
        access_by_lua_block { ngx.ctx.make() ngx.sleep(0) }
        content_by_lua_block {
            ngx.ctx.make()
            local sum = 0
            for _, co in ipairs(ngx.ctx.all) do
                sum = sum + select(2, coroutine.resume(co))
            end
            ngx.say(sum)
            ngx.thread.wait(ngx.thread.spawn(function() ngx.sleep(0) end))
            ngx.say("done")
        }
    }
--- request
GET /t
--- timeout: 20
--- response_body
30000
done
--- no_error_log
[error]



=== TEST 5: after a jump to another location, too
--- config
    location = /t {
        rewrite_by_lua_block {
            local kept = {}
            package.loaded.kept = kept
            kept.co = coroutine.create(function()
                coroutine.yield()
                ngx.sleep(0.001)
                return ngx.get_phase() .. " " .. ngx.var.uri
            end)
            kept.new = coroutine.create(function() return ngx.get_phase() end)
            ngx.thread.spawn(function() ngx.sleep(0.01) kept.went_on = true end)
            coroutine.resume(kept.co)
            ngx.req.set_uri("/other", true)
        }
    }
    location = /other {
        content_by_lua_block {
            local kept = require "kept"
            ngx.say(coroutine.resume(kept.co))
            ngx.say(coroutine.resume(kept.new))
            ngx.sleep(0.02)
            ngx.say(kept.went_on)
        }
    }
--- request
GET /t
--- response_body
truecontent /other
truecontent
nil
--- no_error_log
[error]
