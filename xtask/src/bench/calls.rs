//! The calls whose cost `cargo xtask bench --calls` measures: one row per function and kind of use.

use anyhow::{Context, Result};

/// One call of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    pub name: &'static str,
    /// Lua that runs once, before the loop.
    pub setup: &'static str,
    /// What the loop repeats; `i` counts.
    pub body: &'static str,
    /// Turns of the shorter and of the longer loop.
    pub turns: [u64; 2],
    /// The location of benches/calls/nginx.conf that runs it.
    pub location: &'static str,
}

const fn call(name: &'static str, setup: &'static str, body: &'static str) -> Call {
    Call { name, setup, body, turns: [1000, 5000], location: "call" }
}

const TEXT: &str = "local text = ('GET /some/path?and=arguments HTTP/1.1 Agent'):rep(1)";
const LARGE: &str = "local text = ('0123456789abcdef'):rep(256)";
const LARGE_BASE64: &str = "local text = ngx.encode_base64(('0123456789abcdef'):rep(256))";
const PLAIN: &str = "local text = ('plain-text_without.escapes'):rep(2)";
const GSUB: &str = "
    local text = ('GET /some/path?and=arguments HTTP/1.1 Agent'):rep(1)
    local byte, format = string.byte, string.format
    local function escape(c) return format('%%%02X', byte(c)) end";
const GSUB_LARGE: &str = "
    local text = ('a line of a template that has a $name in it\\n'):rep(90)
    local words = { name = 'value' }
    local function look_up(name) return words[name] end";
const ARGS: &str = "local t = { a = '1', b = 'two words', c = { '3', '4' }, d = true }";
const ONE: &str = "local dict = ngx.shared.one dict:set('key', 1)";
/// The dictionary of a million keys; `keys` are some of them, far from one another.
const MANY: &str = "
    local dict = ngx.shared.many
    if not dict:get('key1') then
        for n = 1, 1000000 do assert(dict:safe_set('key' .. n, n)) end
    end
    local keys = {}
    for n = 0, 1023 do keys[n] = 'key' .. n * 976 + 1 end";
const SOCKET: &str = "
    local sock = ngx.socket.tcp()
    assert(sock:connect('127.0.0.1', 18393))";
const BODY: &str = "
    ngx.req.read_body()
    ngx.req.set_body_data(('a=1&b=two%20words&'):rep(4))";
/// Modules that have been loaded. LuaJIT would move what is the same each time out of the loop.
const MODULES: &str = "
    local names, module = {}
    for n = 0, 255 do
        names[n] = 'bench.module' .. n
        package.loaded[names[n]] = { n }
    end";
const OBJECTS: &str = "
    local objects, text = {}
    for n = 0, 7 do objects[n] = setmetatable({ 'text ' .. n }, { __tostring = function(o) return o[1] end }) end";
const LIST: &str = "
    local list = {}
    for n = 1, 20 do list[n] = n * 7 % 20 end
    local up, down = function(a, b) return a < b end, function(a, b) return a > b end";
const UNTIL: &str = "
    local sock = ngx.socket.tcp()
    assert(sock:connect('127.0.0.1', 18393))
    local reader = sock:receiveuntil('\\r\\n')";

/// All of them, in the table's order.
pub const CALLS: &[Call] = &[
    call("say", "local say = ngx.say", "say('hello world')"),
    call("say-three", "local say = ngx.say", "say('hello ', i, ' world')"),
    call("print", "local print = ngx.print", "print('hello world')"),
    Call {
        location: "coalesced",
        ..call("say-coalesced", "local say = ngx.say", "say('hello world')")
    },
    call("escape_uri", TEXT, "ngx.escape_uri(text)"),
    call("escape_uri-plain", PLAIN, "ngx.escape_uri(text)"),
    call(
        "unescape_uri",
        "local text = ngx.escape_uri('GET /some/path?and=arguments HTTP/1.1 Agent')",
        "ngx.unescape_uri(text)",
    ),
    call("unescape_uri-plain", PLAIN, "ngx.unescape_uri(text)"),
    call("encode_base64", "local text = '0123456789abcdef'", "ngx.encode_base64(text)"),
    call("encode_base64-4k", LARGE, "ngx.encode_base64(text)"),
    call("decode_base64", "local text = 'MDEyMzQ1Njc4OWFiY2RlZg=='", "ngx.decode_base64(text)"),
    call("decode_base64-4k", LARGE_BASE64, "ngx.decode_base64(text)"),
    call("md5", "local text = '0123456789abcdef'", "ngx.md5(text)"),
    call("md5-4k", LARGE, "ngx.md5(text)"),
    call("sha1_bin", "local text = '0123456789abcdef'", "ngx.sha1_bin(text)"),
    call("sha1_bin-4k", LARGE, "ngx.sha1_bin(text)"),
    call("hmac_sha1", "local text = '0123456789abcdef'", "ngx.hmac_sha1('secret', text)"),
    call("crc32_short", "local text = '0123456789abcdef'", "ngx.crc32_short(text)"),
    call("crc32_long", LARGE, "ngx.crc32_long(text)"),
    call("re.match-o", "", "ngx.re.match('hello, 1234', '([a-z]+), ([0-9]+)', 'o')"),
    call("re.match-jo", "", "ngx.re.match('hello, 1234', '([a-z]+), ([0-9]+)', 'jo')"),
    call("re.find-o", "", "ngx.re.find('hello, 1234', '[0-9]+', 'o')"),
    call("re.find-jo", "", "ngx.re.find('hello, 1234', '[0-9]+', 'jo')"),
    call("re.gsub-o", "", "ngx.re.gsub('hello, 1234', '[0-9]', '[$0]', 'o')"),
    call("re.gsub-jo", "", "ngx.re.gsub('hello, 1234', '[0-9]', '[$0]', 'jo')"),
    call("gsub-function", GSUB, "text:gsub('([^%w])', escape)"),
    Call {
        turns: [50, 250],
        ..call("gsub-function-4k", GSUB_LARGE, "text:gsub('%$(%w+)', look_up)")
    },
    call("gsub-function-short", GSUB, "('a-b'):gsub('%-', escape)"),
    call("gsub-string-short", "", "('a-b'):gsub('%-', '_')"),
    call("req.get_headers", "", "ngx.req.get_headers()"),
    call("req.get_uri_args", "", "ngx.req.get_uri_args()"),
    call("encode_args", ARGS, "ngx.encode_args(t)"),
    call("decode_args", "", "ngx.decode_args('a=1&b=two%20words&c=3&c=4&d')"),
    call("var-get", "", "local _ = ngx.var.number"),
    call("var-get-builtin", "", "local _ = ngx.var.uri"),
    call("var-set", "", "ngx.var.number = '2'"),
    call("header-get", "ngx.header['X-Word'] = 'hello'", "local _ = ngx.header['X-Word']"),
    call("header-set", "", "ngx.header['X-Word'] = 'hello'"),
    call("header-set-type", "", "ngx.header.content_type = 'text/html'"),
    call("req.set_header", "", "ngx.req.set_header('X-Word', 'hello')"),
    call("req.read_body", "ngx.req.read_body()", "ngx.req.read_body()"),
    call("req.get_body_data", BODY, "ngx.req.get_body_data()"),
    call("ctx", "ngx.ctx.word = 'hello'", "local _ = ngx.ctx.word"),
    call("get_phase", "", "ngx.get_phase()"),
    call("shdict-get", ONE, "dict:get('key')"),
    call("shdict-set", ONE, "dict:set('key', i)"),
    call("shdict-incr", ONE, "dict:incr('key', 1)"),
    call("shdict-lpush", "local dict = ngx.shared.one", "dict:lpush('list', i) dict:lpop('list')"),
    call("shdict-get-1m", MANY, "dict:get(keys[i % 1024])"),
    call("shdict-set-1m", MANY, "dict:set(keys[i % 1024], i)"),
    call("shdict-incr-1m", MANY, "dict:incr(keys[i % 1024], 1)"),
    call("shdict-lpush-1m", MANY, "dict:lpush('list', i) dict:lpop('list')"),
    call("now", "", "ngx.now()"),
    call("update_time", "", "ngx.update_time()"),
    call("http_time", "", "ngx.http_time(1234567890)"),
    call("parse_http_time", "", "ngx.parse_http_time('Fri, 13 Feb 2009 23:31:30 GMT')"),
    call("receive-line", SOCKET, "sock:receive()"),
    call("receive-size", SOCKET, "sock:receive(64)"),
    call("receive-until", UNTIL, "reader()"),
    call("receiveuntil", SOCKET, "sock:receiveuntil('\\r\\n')()"),
    call(
        "send",
        SOCKET,
        "sock:send('GET /some/path?and=arguments HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n')",
    ),
    call(
        "coroutine.resume",
        "local co = coroutine.create(function() while true do coroutine.yield() end end)",
        "coroutine.resume(co)",
    ),
    call("coroutine.create", "local function f() end", "coroutine.resume(coroutine.create(f))"),
    call("require", MODULES, "module = require(names[i % 256])"),
    call("tostring-object", OBJECTS, "text = tostring(objects[i % 8])"),
    call("table.sort", LIST, "table.sort(list, i % 2 == 0 and up or down)"),
];

/// The calls with these names; all where none is named.
///
/// Errors: a name that no call has.
pub fn named(names: &[String]) -> Result<Vec<Call>> {
    if names.is_empty() {
        return Ok(CALLS.to_vec());
    }
    let find = |name: &String| {
        let call = CALLS.iter().find(|call| call.name == name).copied();
        call.with_context(|| format!("no call \"{name}\""))
    };
    names.iter().map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_loops_differ() {
        for (index, call) in CALLS.iter().enumerate() {
            assert!(CALLS[..index].iter().all(|other| other.name != call.name), "{}", call.name);
            assert!(call.turns[0] < call.turns[1], "{}", call.name);
        }
    }
}
