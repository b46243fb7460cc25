-- The jobs of the database locations: each writes the result to a server, reads it back, and tells
-- what it read. What goes wrong is raised, as one line.

local mariadb = require "mariadb"
local postgresql = require "postgresql"

local _M = {}

local TIMEOUT = 2000    -- milliseconds for each step
local IDLE = 10000      -- for how long a connection rests in its pool
local RESULT = 42

-- Passes on what an API function returned, and raises its "nil, error".
local function checked(what, value, err)
    if not value then
        error(what .. ": " .. tostring(err), 0)
    end
    return value
end

local function connected(host, port, ...)
    return checked("connect to " .. host .. ":" .. port, ...)
end

-- A driver that is a package of its own.
local function driver(module, package)
    local found, lib = pcall(require, module)
    if not found then
        error("no Lua module \"" .. module .. "\", which Debian has in " .. package, 0)
    end
    return lib
end

function _M.redis(host, port)
    local red = driver("nginx.redis", "lua-nginx-redis"):new()
    red:set_timeout(TIMEOUT)
    connected(host, port, red:connect(host, port))
    checked("set", red:set("async:outcome", RESULT))
    checked("expire", red:expire("async:outcome", 60))
    local outcome = checked("get", red:get("async:outcome"))
    red:set_keepalive(IDLE, 10)
    return "Redis holds " .. outcome
end

function _M.memcached(host, port)
    local memc = checked("new", driver("nginx.memcached", "lua-nginx-memcached"):new())
    memc:set_timeout(TIMEOUT)
    connected(host, port, memc:connect(host, port))
    checked("set", memc:set("async:outcome", RESULT, 60))
    local outcome, _, err = memc:get("async:outcome")
    checked("get", outcome, err)
    memc:set_keepalive(IDLE, 10)
    return "Memcached holds " .. outcome
end

-- The table `outcome` of the database `async`, through one of the two clients beside this file.
local function insert(client, host, port, id_type)
    local db = connected(host, port, client.connect({
        host = host, port = port, timeout = TIMEOUT,
        user = "async", password = "async", database = "async",
    }))
    local function query(sql)
        return checked("query", db:query(sql))
    end
    query("CREATE TABLE IF NOT EXISTS outcome (id " .. id_type .. " PRIMARY KEY, result INT)")
    query("INSERT INTO outcome (result) VALUES (" .. RESULT .. ")")
    local rows = query("SELECT result FROM outcome ORDER BY id DESC LIMIT 1")
    db:set_keepalive(IDLE, 10)
    return rows[1].result
end

function _M.mariadb(host, port)
    return "MariaDB holds " .. insert(mariadb, host, port, "INT AUTO_INCREMENT")
end

function _M.postgresql(host, port)
    return "PostgreSQL holds " .. insert(postgresql, host, port, "SERIAL")
end

return _M
