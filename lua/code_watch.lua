-- `lua_code_cache stat`: modules that `require` has loaded, and files of `*_by_lua_file`, are loaded anew when they
-- have changed on disk, together with the modules that need them: all of them, or, if one does not load, none.
--
-- A request that is under way when that happens goes on with what there was: each request is pinned to the
-- version that was current when it began. A version that has ended knows what has been replaced since.
local hook, stat, running_request, log = ...

local error, pairs, pcall, next, type = error, pairs, pcall, next, type
local running, getinfo, loadfile = coroutine.running, debug.getinfo, loadfile
local sort, concat = table.sort, table.concat
local package, searchpath = package, package.searchpath
local loaded = package.loaded

-- By the name of each module from a file: its path, what the file was like (`stamp`), what it was like when it
-- was last tried in vain (`tried`), and the names of the modules that its code has asked for (`needs`).
local modules = {}
-- By path: the function of a file, `code`, with the same.
local files = {}
-- By request: its version.
local pinned = {}
-- By kind and name: what has been replaced at the end of the version.
local current = { modules = {}, files = {} }
-- By name, the modules that did not load, or not for good, when others that need them were last loaded anew in
-- vain: the path and the stamp of the file, or true without a file.
local missing = {}
-- Whether modules are being loaded anew.
local is_renewing = false

-- The functions of lua/require.lua.
local require_module, is_in, state_of, loads
-- By coroutine: the innermost module that it loads.
local innermost = setmetatable({}, { __mode = "k" })
local MAIN = {}

-- The module whose code asks for another one in this coroutine, if any.
local function loading()
    local thread = running() or MAIN
    local load = innermost[thread]
    while load and not is_in(false, load) do
        load = load.outer
    end
    innermost[thread] = load
    return load, thread
end

local function is_built_in(name)
    return name:find("^ngx%.") or name:find("^resty%.core")
end

local hooks = {}

-- Before a module is looked for: what its file is like, so that no later change is missed.
function hooks.before(name)
    local path = searchpath(name, package.path)
    return path and { path = path, stamp = stat(path) }
end

-- A module has no code: there is no file, or it does not compile.
function hooks.missing(name, seen)
    if is_renewing then
        missing[name] = seen or true
    end
end

-- Before the code of a module runs.
function hooks.loads(name, code, load, seen)
    local outer, thread = loading()
    load.outer, load.needs = outer, {}
    innermost[thread] = load
    modules[name] = nil
    local source = getinfo(code, "S").source
    if source:sub(1, 1) ~= "@" or is_built_in(name) or package.preload[name] == code then
        return
    end
    local path = source:sub(2)
    local stamp = seen and seen.path == path and seen.stamp or stat(path)
    if stamp then
        modules[name] = { path = path, stamp = stamp, needs = load.needs }
    end
end

require_module, is_in, state_of, loads = hook(hooks)

-- What was under that name for this request, if it has been replaced since the request began.
local function former(request, kind, name)
    local version = request and pinned[request]
    while version do
        local value = version[kind][name]
        if value ~= nil then
            return value
        end
        version = version.next
    end
end

function require(name)
    local load = loading()
    if load then
        load.needs[name or ""] = true
    else
        local value = former(running_request(), "modules", name)
        if value ~= nil then
            return value
        end
    end
    return require_module(name)
end

-- A module that is loaded anew makes its C declarations again, which LuaJIT refuses for structures.
local ffi = require "ffi"
local cdef, declared = ffi.cdef, {}
function ffi.cdef(text, ...)
    if declared[text] and select("#", ...) == 0 then
        return
    end
    local ok, err = pcall(cdef, text, ...)
    if not ok then
        error(err, 2)
    end
    declared[text] = true
end

-- Of the records, the names whose file has changed, and whether any has since it was last tried.
local function changes(records, has)
    local changed, is_new = {}, false
    for name, record in pairs(records) do
        -- While a file is being replaced, there may be none.
        local stamp = has(name) and stat(record.path or name)
        if stamp and stamp ~= record.stamp then
            changed[name] = stamp
            is_new = is_new or stamp ~= record.tried
        end
    end
    return changed, is_new
end

-- Adds the modules that need one of `set`.
local function add_dependents(set)
    local found
    repeat
        found = false
        for name, record in pairs(modules) do
            if not set[name] and loaded[name] ~= nil then
                for needed in pairs(record.needs) do
                    if set[needed] then
                        set[name], found = record.stamp, true
                        break
                    end
                end
            end
        end
    until not found
end

local function names_of(set)
    local names = {}
    for name in pairs(set) do
        names[#names + 1] = name
    end
    sort(names)
    return names
end

-- Compiles the files; returns their functions, or nil and an error.
local function compile(changed)
    local codes = {}
    for path in pairs(changed) do
        local code, err = loadfile(path)
        if not code then
            return nil, err
        end
        codes[path] = code
    end
    return codes
end

-- Loads the modules of `set` anew; returns what they were, or nil and an error, and then all is as before.
local function load_anew(set)
    local before, records, known = {}, {}, {}
    for name in pairs(loaded) do
        known[name] = true
    end
    for name in pairs(set) do
        before[name], records[name] = loaded[name], modules[name]
        loaded[name] = nil
    end
    for _, name in pairs(names_of(set)) do
        is_renewing = true
        local ok, err = pcall(require_module, name)
        is_renewing = false
        if not ok then
            for new in pairs(loaded) do
                if not known[new] then
                    loaded[new] = nil
                end
            end
            -- What has come with them goes with them, and is looked at until it has changed.
            for new, record in pairs(modules) do
                if not known[new] and not set[new] then
                    missing[new], modules[new] = missing[new] or record, nil
                end
            end
            for old in pairs(set) do
                loaded[old], modules[old] = before[old], records[old]
            end
            return nil, err
        end
    end
    return before
end

local function replace(changed_modules, changed_files)
    local set = {}
    for name, stamp in pairs(changed_modules) do
        set[name] = stamp
    end
    add_dependents(set)
    local codes, err = compile(changed_files)
    local before
    if codes then
        before, err = load_anew(set)
    end
    if not before then
        for name, stamp in pairs(changed_modules) do
            modules[name].tried = stamp
        end
        for path, stamp in pairs(changed_files) do
            files[path].tried = stamp
        end
        err = type(err) == "string" and err:gsub("\n%s*", " ") or "an error that is no text"
        log(true, "lua_code_cache stat: the old code stays, because the new one does not load: " .. err)
        return
    end
    missing = {}
    local ended = current
    current = { modules = {}, files = {} }
    ended.next, ended.modules = current, before
    for path, stamp in pairs(changed_files) do
        ended.files[path] = files[path].code
        files[path] = { stamp = stamp, code = codes[path] }
    end
    local names = names_of(set)
    for _, path in pairs(names_of(changed_files)) do
        names[#names + 1] = path
    end
    log(false, "lua_code_cache stat: new code of " .. concat(names, ", "))
end

local function is_loaded(name)
    return loaded[name] ~= nil
end

local function check()
    for _, load in pairs(loads) do
        -- Another request's code waits in the middle of a module.
        if state_of(load) then
            return
        end
    end
    local changed_modules, new_modules = changes(modules, is_loaded)
    local changed_files, new_files = changes(files, function() return true end)
    local is_new = new_modules or new_files
    for name, seen in pairs(missing) do
        local path = searchpath(name, package.path)
        if path and (seen == true or path ~= seen.path or stat(path) ~= seen.stamp) then
            is_new = true
        end
    end
    if is_new and (next(changed_modules) or next(changed_files)) then
        missing = {}
        replace(changed_modules, changed_files)
    end
end

-- A request begins; true if it had not begun before.
local function begin(request, looks)
    if pinned[request] then
        return false
    end
    if looks then
        check()
    end
    pinned[request] = current
    return true
end

local function finish(request)
    pinned[request] = nil
end

-- The function of a file for a request; nil if it has not been compiled.
local function find(path, request)
    local code = former(request, "files", path)
    local file = files[path]
    return code or file and file.code
end

-- Keeps the function of a file, which was like `stamp` before it was read.
local function keep(path, stamp, code)
    files[path] = { stamp = stamp, code = code }
end

return begin, finish, find, keep
