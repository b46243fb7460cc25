-- What each worker does: it waits for jobs, and does each of them at the same time as all others.

local ffi = require "ffi"
local C = ffi.C

pcall(ffi.cdef, [[
    typedef struct { long seconds, nanoseconds; } bench_time_t;
    typedef struct { long times[4], others[12], voluntary, involuntary; } bench_usage_t;
    int clock_gettime(int clock, bench_time_t *time);
    int getrusage(int who, bench_usage_t *usage);
]])
local MONOTONIC_CLOCK, PROCESS_CPU_CLOCK = 1, 2

local time, usage = ffi.new("bench_time_t"), ffi.new("bench_usage_t")

-- Nanoseconds.
local function clock(which)
    C.clock_gettime(which, time)
    return tonumber(time.seconds) * 1e9 + tonumber(time.nanoseconds)
end

-- How often the process has given up its CPU, to wait.
local function waits()
    C.getrusage(0, usage)
    return tonumber(usage.voluntary)
end

local dict, control = ngx.shared.hammered, ngx.shared.control
local keys = {}
for n = 0, 4095 do
    keys[n] = "key" .. n
end
local large = ("x"):rep(1024 * 1024)
local WALKED = 100000

-- Keys that walks find: in no order by their names, and used in another order than that in which they were made.
local function fill(expires)
    dict:flush_all()
    dict:flush_expired()
    -- The oldest entry lives: so expired ones stay until they are looked for.
    dict:set("oldest", 1)
    for n = 0, 4095 do
        dict:set(keys[n], n)
    end
    for n = 1, WALKED do
        dict:set("walked" .. n * 7919 % WALKED, n, expires)
    end
    for n = 1, WALKED do
        dict:get("walked" .. n * 30011 % WALKED)
    end
    if expires > 0 then
        ngx.sleep(expires + 0.005)
    end
end

-- Loops: `body` with `i` counting on, `before` and `after` around each turn.
local function loop(body, before, after)
    local code = ([[
        local dict, keys, large, clock = ...
        local slowest = 0
        return function(from, turns)
            slowest = 0
            for i = from, from + turns - 1 do
                %s %s %s
            end
            return slowest
        end]]):format(before or "", body, after or "")
    return assert(loadstring(code))(dict, keys, large, clock)
end

local function timed(body)
    return loop(body, "local started = clock(1)", [[
        local took = clock(1) - started
        if took > slowest then slowest = took end]])
end

local GET = "dict:get(keys[i % 4096])"
local MIXED = [[
    local key = keys[i % 4096]
    local kind = i % 16
    if kind == 0 then dict:set(key, i) elseif kind == 1 then dict:incr(key, 1) else dict:get(key) end]]
local LARGE = [[
    local kind = i % 128
    if kind == 0 then
        if i % 1024 == 0 then dict:set("large", large) else dict:get("large") end
    else
        dict:get(keys[i % 4096])
    end]]

local function beside(expires, walk)
    return {
        loop = timed(GET),
        prepare = function() fill(expires) end,
        walk = walk,
        seconds = 0.06,
    }
end

local function plain(body)
    return { loop = loop(body), prepare = function() dict:set("large", large) end, seconds = 0.25 }
end

local jobs = {
    get = plain(GET),
    set = plain("dict:set(keys[i % 4096], i)"),
    incr = plain("dict:incr(keys[i % 4096], 1, 0)"),
    mixed = plain(MIXED),
    large = plain(LARGE),
    get_keys = beside(0, function() dict:get_keys(0) end),
    flush_all = beside(0, function() dict:flush_all() end),
    flush_expired = beside(0.3, function() dict:flush_expired() end),
}
jobs.large.loop = timed(LARGE)

-- Repeats a loop for some time. Returns its turns, and the slowest one's nanoseconds.
local function hammer(job, from)
    local stop, turns, slowest = clock(MONOTONIC_CLOCK) + job.seconds * 1e9, 0, 0
    repeat
        slowest = math.max(slowest, job.loop(from + turns, 128))
        turns = turns + 128
    until clock(MONOTONIC_CLOCK) > stop
    return turns, slowest
end

local function run(job, turn)
    local id, workers = ngx.worker.id(), ngx.worker.count()
    if id == 0 then
        job.prepare()
    end
    -- All is compiled, and the garbage is gone, once this has run.
    job.loop(1, 2048)
    collectgarbage()
    control:incr("ready" .. turn, 1, 0)
    repeat
        ngx.sleep(0.001)
    until control:get("ready" .. turn) == workers
    local walks = id == 0 and job.walk
    if walks then
        -- The others are at it by then.
        local start = clock(MONOTONIC_CLOCK) + 5e6
        repeat until clock(MONOTONIC_CLOCK) > start
    end
    local waited, used = waits(), clock(PROCESS_CPU_CLOCK)
    local turns, slowest = 1, 0
    if walks then
        walks()
    else
        turns, slowest = hammer(job, id * 512)
    end
    used, waited = clock(PROCESS_CPU_CLOCK) - used, waits() - waited
    control:set("result" .. id, table.concat({ turns, used, waited, slowest }, " "))
    control:incr("done" .. turn, 1, 0)
end

local function wait_for_jobs()
    local last = 0
    while not ngx.worker.exiting() do
        local turn = control:get("turn")
        if turn and turn > last then
            last = turn
            run(jobs[control:get("job")], turn)
        end
        ngx.sleep(0.01)
    end
end

assert(ngx.timer.at(0, wait_for_jobs))
