-- A small client of PostgreSQL over a raw cosocket: a password (SCRAM-SHA-256), and simple queries
-- whose values come as text.
--
--     local db, err = postgresql.connect({ host = "127.0.0.1", port = 5432, timeout = 2000,
--                                          user = "me", password = "secret", database = "mine" })
--     local rows, err, code = db:query("SELECT 1 AS one")     -- rows[1].one == "1"
--     local done = db:query("INSERT …")                       -- done.command == "INSERT 0 1"
--     db:set_keepalive(10000, 10)

local bit = require "bit"
local ffi = require "ffi"
local byte, char, sub = string.byte, string.char, string.sub

-- OpenSSL's, which nginx links.
ffi.cdef [[
typedef struct evp_md_st EVP_MD;
const EVP_MD *EVP_sha256(void);
unsigned char *SHA256(const unsigned char *data, size_t len, unsigned char *out);
unsigned char *HMAC(const EVP_MD *md, const void *key, int key_len, const unsigned char *data,
    size_t len, unsigned char *out, unsigned int *out_len);
int PKCS5_PBKDF2_HMAC(const char *password, int password_len, const unsigned char *salt,
    int salt_len, int iterations, const EVP_MD *md, int out_len, unsigned char *out);
int RAND_bytes(unsigned char *out, int len);
]]
local C = ffi.C
local DIGEST = 32
local out = ffi.new("unsigned char[?]", DIGEST)

local _M = {}
local mt = { __index = _M }

local function sha256(data)
    C.SHA256(data, #data, out)
    return ffi.string(out, DIGEST)
end

local function hmac(key, data)
    C.HMAC(C.EVP_sha256(), key, #key, data, #data, out, nil)
    return ffi.string(out, DIGEST)
end

local function salted(password, salt, iterations)
    C.PKCS5_PBKDF2_HMAC(password, #password, salt, #salt, iterations, C.EVP_sha256(), DIGEST, out)
    return ffi.string(out, DIGEST)
end

local function nonce()
    C.RAND_bytes(out, 18)
    return ngx.encode_base64(ffi.string(out, 18))
end

local function xor(a, b)
    return (a:gsub("()(.)", function(i, c) return char(bit.bxor(byte(c), byte(b, i))) end))
end

-- The number of `size` bytes at `at`, greatest byte first, and where it ends.
local function number(data, at, size)
    local n = 0
    for i = at, at + size - 1 do
        n = n * 256 + (byte(data, i) or 0)
    end
    return n, at + size
end

local function int32(n)
    return char(bit.band(bit.rshift(n, 24), 255), bit.band(bit.rshift(n, 16), 255),
        bit.band(bit.rshift(n, 8), 255), bit.band(n, 255))
end

-- Some bytes; where they do not come, the rest of the answer might: the connection is of no more use.
local function bytes(self, size)
    local data, err = self.sock:receive(size)
    if not data then self.sock:close() end
    return data, err
end

-- The kind of the next message, and what it holds.
function _M:receive()
    local head, err = bytes(self, 5)
    if not head then return nil, err end
    local body
    body, err = bytes(self, number(head, 2, 4) - 4)
    if not body then return nil, err end
    return sub(head, 1, 1), body
end

function _M:send(kind, body)
    return self.sock:send({ kind, int32(#body + 4), body })
end

-- An error message as err and code: "FATAL: database "x" does not exist", "3D000".
local function failure(body)
    local fields = {}
    for name, value in body:gmatch("(%a)([^%z]*)%z") do
        fields[name] = value
    end
    return (fields.S or "ERROR") .. ": " .. (fields.M or "?"), fields.C
end

-- Waits for an authentication message: its number and what follows it.
local function authentication(self)
    local kind, body = self:receive()
    if not kind then return nil, body end
    if kind == "E" then return nil, failure(body) end
    if kind ~= "R" then return nil, "no authentication message but " .. kind end
    return (number(body, 1, 4)), sub(body, 5)
end

local function scram(self, password)
    local own = nonce()
    local first = "n=,r=" .. own
    self:send("p", "SCRAM-SHA-256\0" .. int32(#first + 3) .. "n,," .. first)
    local step, challenge, code = authentication(self)
    if step ~= 11 then return nil, challenge, code end
    local both, salt, iterations = challenge:match("^r=([^,]+),s=([^,]+),i=(%d+)")
    if not both or sub(both, 1, #own) ~= own then return nil, "the server's challenge is not ours" end

    local key = salted(password, ngx.decode_base64(salt), tonumber(iterations))
    local last = "c=biws,r=" .. both
    local transcript = first .. "," .. challenge .. "," .. last
    local client_key = hmac(key, "Client Key")
    local proof = xor(client_key, hmac(sha256(client_key), transcript))
    self:send("p", last .. ",p=" .. ngx.encode_base64(proof))
    local answer
    step, answer, code = authentication(self)
    if step ~= 12 then return nil, answer, code end
    local signature = hmac(hmac(key, "Server Key"), transcript)
    if answer ~= "v=" .. ngx.encode_base64(signature) then return nil, "the server does not know the password" end
    return authentication(self)
end

local function log_in(self, options)
    local start = int32(196608) .. "user\0" .. options.user .. "\0database\0" .. options.database .. "\0\0"
    self:send("", start)
    local step, rest, code = authentication(self)
    if step == 10 then
        step, rest, code = scram(self, options.password)
    end
    if not step then return nil, rest, code end
    if step ~= 0 then return nil, "the server asks for authentication of kind " .. step end
    return self:until_ready(function() end)
end

-- Reads messages until the server is ready for the next query, hands each to `each`, and then
-- returns true, or the first error among them.
function _M:until_ready(each)
    local err, code
    while true do
        local kind, body = self:receive()
        if not kind then return nil, body end
        if kind == "Z" then
            if err then return nil, err, code end
            return true
        end
        if kind == "E" then
            err, code = failure(body)
            -- After this one the server closes.
            if err:find("^FATAL") then return nil, err, code end
        end
        each(kind, body)
    end
end

-- Connects and logs in; a connection from the pool has done both before.
function _M.connect(options)
    local sock = ngx.socket.tcp()
    sock:settimeout(options.timeout)
    local pool = table.concat({
        "postgresql", options.user, ngx.md5(options.password), options.database, options.host, options.port,
    }, ":")
    local ok, err = sock:connect(options.host, options.port, { pool = pool })
    if not ok then return nil, err end
    local self = setmetatable({ sock = sock }, mt)
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

-- The names in a description of rows: each is followed by 18 bytes about its column.
local function column_names(body)
    local names = {}
    local count, at = number(body, 1, 2)
    for i = 1, count do
        local ends = body:find("\0", at, true)
        names[i] = sub(body, at, ends - 1)
        at = ends + 1 + 18
    end
    return names
end

local function row_of(body, names)
    local row = {}
    local _, at = number(body, 1, 2)
    for _, name in ipairs(names) do
        local size
        size, at = number(body, at, 4)
        if size ~= 0xffffffff then    -- NULL
            row[name] = sub(body, at, at + size - 1)
            at = at + size
        end
    end
    return row
end

-- A list of rows, each a table by column names, with the field `command` that says what was done.
-- NULL is nil. Otherwise nil, the error and, where it is the server's, its code.
function _M:query(sql)
    local sent, err = self:send("Q", sql .. "\0")
    if not sent then return nil, err end
    local rows, names = {}, {}
    local ok, code
    ok, err, code = self:until_ready(function(kind, body)
        if kind == "T" then
            names = column_names(body)
        elseif kind == "D" then
            rows[#rows + 1] = row_of(body, names)
        elseif kind == "C" then
            rows.command = sub(body, 1, -2)
        end
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
