//! A test of the functions that a running nginx has: each is described, each that is described is
//! there, and is refused in just the phases in which it is not allowed.

use std::fmt::Write;

use anyhow::Result;

use super::entry::{self, Entry, Family};
use super::function::{self, Function};
use super::phases::{INIT, PHASES, Phase};
use crate::functions::{self, Row};
use crate::paths;

/// The file's name below `target/docs/`.
pub const FILE: &str = "api-surface.t";

const BLOCKS: &str = r#"
=== what is there is described, and the other way round
--- http_config
    lua_shared_dict cats 1m;
    init_by_lua_block { surface = dofile("SURFACE")(FUNCTIONS, BITS) }
--- config
    location = /t { content_by_lua_block { ngx.print(surface.compare()) } }
--- request
POST /t
body
--- response_body
all is described
--- no_error_log
[error]



=== where functions are refused
--- http_config
    init_by_lua_block {
        surface = dofile("SURFACE")(FUNCTIONS, BITS)
        surface.probe()
    }
    init_worker_by_lua_block {
        surface.probe()
        ngx.timer.at(0, surface.probe)
    }
    upstream back {
        balancer_by_lua_block {
            surface.probe()
            require("ngx.balancer").set_current_peer("unix:$TEST_NGINX_HTML_DIR/tls.sock")
        }
    }
    server {
        listen unix:$TEST_NGINX_HTML_DIR/tls.sock ssl;
        ssl_protocols TLSv1.2;
        ssl_session_tickets off;
        ssl_certificate $TEST_NGINX_CERT_DIR/test.crt;
        ssl_certificate_key $TEST_NGINX_CERT_DIR/test.key;
        ssl_verify_client optional_no_ca;
        ssl_client_hello_by_lua_block { surface.probe() }
        ssl_certificate_by_lua_block { surface.probe() }
        return 204;
    }
    ssl_session_store_by_lua_block { surface.probe() }
    ssl_session_fetch_by_lua_block { surface.probe() }
--- config
    server_rewrite_by_lua_block { surface.probe() }
    location = /t {
        set_by_lua_block $unused { surface.probe() return "" }
        rewrite_by_lua_block { surface.probe() }
        access_by_lua_block { surface.probe() }
        precontent_by_lua_block { surface.probe() }
        content_by_lua_block { surface.probe() ngx.print("seen") }
        header_filter_by_lua_block { surface.probe() }
        body_filter_by_lua_block { surface.probe() }
        log_by_lua_block { surface.probe() }
    }
    location = /proxy {
        proxy_ssl_certificate_by_lua_block { surface.probe() }
        proxy_ssl_verify_by_lua_block { surface.probe() }
        proxy_pass https://back;
    }
    location = /again {
        content_by_lua_block {
            local session
            for _ = 1, 2 do
                local sock = assert(ngx.socket.connect("unix:$TEST_NGINX_HTML_DIR/tls.sock"))
                session = assert(sock:sslhandshake(session))
            end
            ngx.exit(204)
        }
    }
    location = /report {
        content_by_lua_block { ngx.print(surface.report()) }
    }
--- request eval
["GET /t", "GET /proxy", "GET /again", "GET /report"]
--- error_code eval
[200, 204, 204, 200]
--- response_body eval
["seen", "", "", "PHASES\n"]
--- no_error_log
[error]
"#;

/// The test's text.
pub fn test(head: &str) -> Result<String> {
    let rows = functions::table()?;
    let families = entry::read("api")?;
    let functions = function::functions(&families, &rows)?;
    let mut list = String::from("{\n");
    let entries = families.iter().flat_map(|family| family.entry.iter().map(move |e| (family, e)));
    for ((family, entry), function) in entries.zip(&functions) {
        list += &described(family, entry, function, &rows)?;
    }
    list += "}";
    let surface = paths::root().join("xtask/src/docs/surface.lua");
    let blocks = BLOCKS
        .replace("SURFACE", &surface.display().to_string())
        .replace("FUNCTIONS", &list.replace('\n', "\n        "))
        .replace("BITS", &bits())
        .replace("PHASES", &tried());
    Ok(head.to_string() + &blocks)
}

/// The phases by their bits.
fn bits() -> String {
    let bits = PHASES.iter().map(|row| format!("[{}] = {:?}", row.phase.bit(), row.name));
    format!("{{ {} }}", bits.collect::<Vec<_>>().join(", "))
}

/// The phases in which functions are tried: all but the last one of a process, which nobody sees.
fn tried() -> String {
    let rows = PHASES.iter().filter(|row| row.phase != Phase::ExitWorker);
    let mut names: Vec<&str> = rows.map(|row| row.name).chain([INIT]).collect();
    names.sort_unstable();
    names.join(" ")
}

/// An entry as a table of Lua's.
fn described(family: &Family, entry: &Entry, function: &Function, rows: &[Row]) -> Result<String> {
    let mut text = format!("    {{ name = {:?}, callable = {}", entry.name, entry.function);
    if let Some(since) = &entry.since {
        let number: u32 = since
            .split('.')
            .try_fold(0, |all, part| part.parse::<u32>().map(|part| all * 1000 + part))?;
        write!(text, ", since = {number}")?;
    }
    if let Some(probe) = &entry.probe {
        write!(text, ", probe = {probe:?}")?;
    }
    if function::rows_of(family, entry, rows).next().is_some() {
        text += ", row = true";
    }
    text += ", phases = {";
    for name in function.allowed.names() {
        write!(text, " {name:?},")?;
    }
    text += " } },\n";
    Ok(text)
}
