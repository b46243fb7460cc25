-- A small client of MariaDB and MySQL over a raw cosocket: a password (mysql_native_password), and
-- queries whose values come as text.
--
--     local db, err = mariadb.connect({ host = "127.0.0.1", port = 3306, timeout = 2000,
--                                       user = "me", password = "secret", database = "mine" })
--     local rows, err, code = db:query("SELECT 1 AS one")     -- rows[1].one == "1"
--     local done = db:query("INSERT …")                       -- done.affected_rows, done.insert_id
--     db:set_keepalive(10000, 10)

local bit = require "bit"
local byte, char, sub, rep = string.byte, string.char, string.sub, string.rep

local _M = {}
local mt = { __index = _M }

-- long password, database in the handshake, protocol 4.1, transactions, secure connection, plugins
local CAPABILITIES = 0x1 + 0x8 + 0x200 + 0x2000 + 0x8000 + 0x80000
local UTF8MB4 = 45

-- The number of `size` bytes at `at`, least byte first, and where it ends.
local function number(data, at, size)
    local n = 0
    for i = at + size - 1, at, -1 do
        n = n * 256 + (byte(data, i) or 0)
    end
    return n, at + size
end

local function bytes_of(n, size)
    local list = {}
    for i = 1, size do
        list[i] = char(n % 256)
        n = math.floor(n / 256)
    end
    return table.concat(list)
end

-- A number of a length that its first byte tells; nil for NULL.
local function length(data, at)
    local first = byte(data, at) or 0
    if first == 0xfb then return nil, at + 1 end
    if first == 0xfc then return number(data, at + 1, 2) end
    if first == 0xfd then return number(data, at + 1, 3) end
    if first == 0xfe then return number(data, at + 1, 8) end
    return first, at + 1
end

local function text(data, at)
    local size, from = length(data, at)
    if not size then return nil, from end
    return sub(data, from, from + size - 1), from + size
end

-- Some bytes; where they do not come, the rest of the answer might: the connection is of no more use.
local function bytes(self, size)
    local data, err = self.sock:receive(size)
    if not data then self.sock:close() end
    return data, err
end

function _M:receive()
    local head, err = bytes(self, 4)
    if not head then return nil, err end
    self.sequence = byte(head, 4)
    return bytes(self, (number(head, 1, 3)))
end

function _M:send(packet)
    self.sequence = (self.sequence + 1) % 256
    return self.sock:send({ bytes_of(#packet, 3), char(self.sequence), packet })
end

-- An error packet as err and code: "Access denied … (28000)", 1045.
local function failure(packet)
    local state, message = packet:match("^#(%w%w%w%w%w)(.*)$", 4)
    return message and message .. " (" .. state .. ")" or sub(packet, 4), (number(packet, 2, 2))
end

local function scrambled(password, salt)
    if password == "" then return "" end
    local once = ngx.sha1_bin(password)
    local mask = ngx.sha1_bin(salt .. ngx.sha1_bin(once))
    return (once:gsub("()(.)", function(i, c) return char(bit.bxor(byte(c), byte(mask, i))) end))
end

-- The salt in the server's first packet.
local function salt_of(greeting)
    local version_end = greeting:find("\0", 2, true)
    local first = version_end + 1 + 4
    return sub(greeting, first, first + 7) .. sub(greeting, first + 27, first + 38)
end

local function log_in(self, options)
    local greeting, err = self:receive()
    if not greeting then return nil, err end
    if byte(greeting) == 0xff then return nil, failure(greeting) end
    local proof = scrambled(options.password, salt_of(greeting))
    self:send(table.concat({
        bytes_of(CAPABILITIES, 4), bytes_of(2 ^ 24 - 1, 4), char(UTF8MB4), rep("\0", 23),
        options.user, "\0", char(#proof), proof, options.database, "\0mysql_native_password\0",
    }))
    local answer
    answer, err = self:receive()
    -- Another way to log in is asked for: the same with another salt is all that is known here.
    if answer and byte(answer) == 0xfe then
        local plugin, salt = answer:match("^.([^%z]*)%z(.-)%z?$")
        if plugin ~= "mysql_native_password" then
            return nil, "the server asks for " .. tostring(plugin)
        end
        self:send(scrambled(options.password, salt))
        answer, err = self:receive()
    end
    if not answer then return nil, err end
    if byte(answer) == 0xff then return nil, failure(answer) end
    return true
end

-- Connects and logs in; a connection from the pool has done both before.
function _M.connect(options)
    local sock = ngx.socket.tcp()
    sock:settimeout(options.timeout)
    local pool = table.concat({
        "mariadb", options.user, ngx.md5(options.password), options.database, options.host, options.port,
    }, ":")
    local ok, err = sock:connect(options.host, options.port, { pool = pool })
    if not ok then return nil, err end
    local self = setmetatable({ sock = sock, sequence = -1 }, mt)
    if sock:getreusedtimes() == 0 then
        local code
        ok, err, code = log_in(self, options)
        if not ok then
            sock:close()
            return nil, err, code
        end
    end
    return self
end

-- Reads packets up to the next end mark, and hands each to `each`.
local function until_end(self, each)
    while true do
        local packet, err = self:receive()
        if not packet then return nil, err end
        if byte(packet) == 0xff then return nil, failure(packet) end
        if byte(packet) == 0xfe and #packet < 9 then return true end
        each(packet)
    end
end

-- A column's name is the fifth of its texts.
local function column_name(packet)
    local name
    local at = 1
    for _ = 1, 5 do
        name, at = text(packet, at)
    end
    return name
end

-- A list of rows, each a table by column names; for a statement without rows, what it did. NULL is
-- nil. Otherwise nil, the error and, where it is the server's, its number.
function _M:query(sql)
    self.sequence = -1
    local sent, err = self:send("\3" .. sql)
    if not sent then return nil, err end
    local head
    head, err = self:receive()
    if not head then return nil, err end
    if byte(head) == 0xff then return nil, failure(head) end
    if byte(head) == 0 then
        local affected, at = length(head, 2)
        return { affected_rows = affected, insert_id = (length(head, at)) }
    end
    local names, rows = {}, {}
    local ok, code
    ok, err, code = until_end(self, function(packet) names[#names + 1] = column_name(packet) end)
    if not ok then return nil, err, code end
    ok, err, code = until_end(self, function(packet)
        local row, at = {}, 1
        for _, name in ipairs(names) do
            row[name], at = text(packet, at)
        end
        rows[#rows + 1] = row
    end)
    if not ok then return nil, err, code end
    return rows
end

function _M:set_keepalive(idle, size)
    return self.sock:setkeepalive(idle, size)
end

function _M:close()
    return self.sock:close()
end

return _M
