-- Lists of shared dictionaries through the FFI, so that LuaJIT compiles the code that uses them.
--
-- Only what succeeds with the usual arguments: all else is done, or refused, by the functions that
-- these take the place of. Nothing has been changed then.
local methods, zones, push_item, pop_item, count_items = ...

local ffi = require "ffi"
local rawget, select, type = rawget, select, type
local ffi_string = ffi.string

push_item = ffi.cast([[double (*)(void *zone, const char *key, size_t key_len, int left,
    const char *text, size_t text_len, double number)]], push_item)
pop_item = ffi.cast([[double (*)(void *zone, const char *key, size_t key_len, int left,
    char *text, size_t room, double *number)]], pop_item)
for userdata, zone in pairs(zones) do
    zones[userdata] = ffi.cast("void *", zone)
end
count_items = ffi.cast("double (*)(void *zone, const char *key, size_t key_len)", count_items)

-- What pop_item gives for no item, for a number, and where it leaves an item in its place; a text's
-- length otherwise.
local NONE, NUMBER = -1, -2

local CAPACITY = 4096
local text = ffi.new("char[?]", CAPACITY)
local number = ffi.new("double[1]")
-- Whether these have what has not become a value yet. A finalizer may run then, where compiled code ends, and
-- pop too: it has to do without. (After an error in between, all have.)
local taken = false

local function pusher(push, left)
    return function(...)
        if select("#", ...) ~= 3 then
            return push(...)
        end
        local dict, key, value = ...
        local zone = type(dict) == "table" and zones[rawget(dict, 1)]
        if not zone or type(key) ~= "string" then
            return push(...)
        end
        local count = 0
        if type(value) == "number" then
            count = push_item(zone, key, #key, left, nil, 0, value)
        elseif type(value) == "string" then
            count = push_item(zone, key, #key, left, value, #value, 0)
        end
        if count > 0 then
            return count
        end
        return push(...)
    end
end

local function popper(pop, left)
    return function(...)
        if taken or select("#", ...) ~= 2 then
            return pop(...)
        end
        local dict, key = ...
        local zone = type(dict) == "table" and zones[rawget(dict, 1)]
        if not zone or type(key) ~= "string" then
            return pop(...)
        end
        taken = true
        local result, item = pop_item(zone, key, #key, left, text, CAPACITY, number)
        if result >= 0 then
            item = ffi_string(text, result)
        elseif result == NUMBER then
            item = number[0]
        end
        taken = false
        if item ~= nil or result == NONE then
            return item
        end
        return pop(...)
    end
end

local function counter(llen)
    return function(...)
        if select("#", ...) ~= 2 then
            return llen(...)
        end
        local dict, key = ...
        local zone = type(dict) == "table" and zones[rawget(dict, 1)]
        if not zone or type(key) ~= "string" then
            return llen(...)
        end
        local count = count_items(zone, key, #key)
        if count >= 0 then
            return count
        end
        return llen(...)
    end
end

methods.lpush = pusher(methods.lpush, 1)
methods.rpush = pusher(methods.rpush, 0)
methods.lpop = popper(methods.lpop, 1)
methods.rpop = popper(methods.rpop, 0)
methods.llen = counter(methods.llen)
