-- Compares the functions of a running nginx with those that are described, and tries the described
-- ones in the phases in which they must be refused. `described` is a list of
-- { name, callable, since, probe, row, phases }, `bits` has the phases by their bits.

-- What a function says where it may not be called.
local REFUSALS = {
    "API disabled", "no request", "no ctx found", "no upstream found", "bad request", "bad ssl conn",
    "bad lua context", "bad session", "bad upstream connection", "unknown phase",
}

-- Objects by what their methods' names begin with; without a request, only some can be made.
local OBJECTS = {
    tcpsock = function() return ngx.socket.tcp() end,
    udpsock = function() return ngx.socket.udp() end,
    reqsock = function() return debug.getregistry().__tcp_req_cosocket_mt end,
    rawsock = function() return debug.getregistry().__tcp_raw_req_cosocket_mt end,
    proc = function() return require("ngx.pipe").spawn({ "/bin/true" }) end,
    sema = function() return require("ngx.semaphore").new() end,
    ["ngx.shared.DICT"] = function() return ngx.shared.cats end,
}

-- Modules that a program may ask for, and the tables that nginx has of its own.
local MODULES = {
    "ngx.balancer", "ngx.base64", "ngx.errlog", "ngx.ocsp", "ngx.pipe", "ngx.process", "ngx.proxyssl",
    "ngx.re", "ngx.req", "ngx.resp", "ngx.ssl", "ngx.ssl.clienthello", "ngx.ssl.proxysslcert",
    "ngx.ssl.proxysslverify", "ngx.ssl.session",
}

-- The semaphore module is a class: its methods and its constructor are one table.
local SEMAPHORE = "ngx.semaphore"

return function(described, bits)
    local M, wrong, tried = {}, {}, {}

    -- The table that `prefix` names: an object's, a global one, or a module.
    local function tables(prefix)
        local found = {}
        if OBJECTS[prefix] then
            local object = OBJECTS[prefix]()
            return { object, (getmetatable(object) or {}).__index }
        end
        local place = _G
        for word in prefix:gmatch("[^.]+") do
            place = type(place) == "table" and rawget(place, word) or nil
        end
        found[1] = place or {}
        local ok, module = pcall(require, prefix)
        found[2] = ok and type(module) == "table" and module or {}
        return found
    end

    -- The described function, or nil.
    local function find(name)
        local prefix, last = name:match("^(.*)[.:]([^.:]+)$")
        for _, place in pairs(prefix and tables(prefix) or { _G }) do
            -- A process is a structure of C's: it has methods, and nothing to walk through.
            local ok, found = pcall(function() return place[last or name] end)
            if ok and type(found) == "function" then
                return found
            end
        end
    end

    local function is_due(entry)
        return entry.callable and (entry.since or 0) <= ngx.config.ngx_lua_version
    end

    -- All that is described is there, and all that is there is described.
    function M.compare()
        local known, faults = {}, {}
        for _, entry in ipairs(described) do
            known[entry.name] = true
            if is_due(entry) and not find(entry.name) then
                table.insert(faults, entry.name .. " is described, and not there\n")
            end
        end
        local function see(prefix, place)
            for name, value in pairs(type(place) == "table" and place or {}) do
                local full = prefix .. name
                local is_known = known[full] or known[(full:gsub("^rawsock", "reqsock"))]
                if type(value) == "function" and not tostring(name):find("^__[ging]") and not is_known then
                    table.insert(faults, full .. " is there, and not described\n")
                end
            end
        end
        local function walk(prefix, place)
            see(prefix, place)
            for name, value in pairs(place) do
                if type(value) == "table" and name ~= "shared" then
                    walk(prefix .. name .. ".", value)
                end
            end
        end
        walk("ngx.", ngx)
        see("coroutine.", coroutine)
        for _, name in ipairs(MODULES) do
            local ok, module = pcall(require, name)
            see(name .. ".", ok and module or {})
        end
        for prefix in pairs(OBJECTS) do
            if prefix ~= "sema" then
                for _, place in pairs(tables(prefix)) do
                    see(prefix .. (prefix:find("%.") and "." or ":"), place)
                end
            end
        end
        for name in pairs(require(SEMAPHORE)) do
            if not (known["sema:" .. name] or known[SEMAPHORE .. "." .. name] or name:find("^_?version$")) then
                table.insert(faults, SEMAPHORE .. "." .. name .. " is there, and not described\n")
            end
        end
        table.sort(faults)
        return #faults > 0 and faults or "all is described\n"
    end

    local function is_refusal(err)
        if type(err) == "cdata" then
            err = require("ffi").string(err[0])
        end
        for _, text in ipairs(REFUSALS) do
            if tostring(err):find(text, 1, true) then
                return true
            end
        end
    end

    -- Whether a use is refused, and what came of it.
    local function try(entry)
        local use = entry.probe and assert(loadstring("return " .. entry.probe)) or find(entry.name)
        local results = { pcall(use) }
        for at = 2, 4 do
            if (not results[1] or not results[2]) and is_refusal(results[at]) then
                return true
            end
        end
        return false, tostring(results[2]) .. ", " .. tostring(results[3])
    end

    -- Tries each function outside of its phases, and each variable everywhere. What rows of the
    -- module's own table tell needs no trial.
    function M.probe()
        local bit = ngx._phase_ctx()
        local phase = bit and bits[bit] or "init_by_lua*"
        tried[phase] = true
        for _, entry in ipairs(described) do
            local allowed = false
            for _, name in ipairs(entry.phases) do
                allowed = allowed or name == phase
            end
            local is_plain = is_due(entry) and not entry.row and not entry.name:find(":", 1, true)
            if is_plain and not allowed or entry.probe and not entry.callable then
                local refused, results = try(entry)
                if allowed == refused then
                    wrong[phase .. ": " .. entry.name .. (refused and " is refused" or ": " .. results)] = true
                end
            end
        end
    end

    function M.report()
        local phases = {}
        for name in pairs(tried) do
            table.insert(phases, name)
        end
        table.sort(phases)
        local faults = {}
        for fault in pairs(wrong) do
            table.insert(faults, fault .. "\n")
        end
        table.sort(faults)
        return { table.concat(phases, " "), "\n", faults }
    end

    return M
end
