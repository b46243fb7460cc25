-- Runs the call `name` in a loop: between marks that callgrind sees, or against the CPU clock.

local ffi = require "ffi"
local C = ffi.C

pcall(ffi.cdef, [[
    typedef struct { long seconds, nanoseconds; } bench_time_t;
    int clock_gettime(int clock, bench_time_t *time);
    const char *gnu_get_libc_version(void);
]])
local PROCESS_CPU_CLOCK = 2

local name, mode = ngx.var.arg_name, ngx.var.arg_mode
local least, most = tonumber(ngx.var.arg_least), tonumber(ngx.var.arg_most)

local chunk = assert(loadfile(ngx.config.prefix() .. "calls/" .. name .. ".lua"))
jit.flush()
local loop = chunk()

local function cpu_time()
    local time = ffi.new("bench_time_t")
    C.clock_gettime(PROCESS_CPU_CLOCK, time)
    return tonumber(time.seconds) * 1e9 + tonumber(time.nanoseconds)
end

-- Everything is compiled, and every cache warm, once this has run.
loop(least)
loop(least)
collectgarbage()

if mode == "count" then
    C.gnu_get_libc_version()
    loop(least)
    C.gnu_get_libc_version()
    loop(most)
    C.gnu_get_libc_version()
    ngx.print("\n#done\n")
else
    local best = math.huge
    for _ = 1, tonumber(ngx.var.arg_rounds) do
        local started = cpu_time()
        loop(most)
        best = math.min(best, (cpu_time() - started) / most)
    end
    ngx.print("\n#nanoseconds=", best, "\n")
end
