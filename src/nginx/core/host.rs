//! The nginx that this module was built for, and the one that it is loaded into.
//!
//! nginx itself refuses a module of another version or signature, in words that do not say which
//! were wanted: a line before nginx's own does. What neither shows are patches and forks that
//! change nginx's structures. They are known by symbols that they add.

use std::ffi::CStr;

use export::callback;

use crate::nginx::core::log::{Level, Line, log_cycle};
use crate::nginx::core::module::module;
use crate::nginx::sys::{ngx_core_module, ngx_module_t};

/// What this module is, for a person. The zeros set it apart in the file, where `strings` finds it.
const DESCRIPTION: &str = concat!(
    "\0ngx_http_lua_module ",
    env!("CARGO_PKG_VERSION"),
    " in Rust, built for ",
    env!("BUILT_FOR_NGINX"),
    "\0"
);

/// What this module is: a line for the log.
pub fn description() -> &'static str {
    DESCRIPTION.trim_matches('\0')
}

/// This module's own version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A symbol that only some nginxes have, what these call themselves, and whether the one that this
/// module was built for has it.
struct Mark {
    symbol: &'static CStr,
    server: &'static str,
    built_with: bool,
}

const MARKS: [Mark; 4] = [
    // OpenResty's patches.
    Mark {
        symbol: c"ngx_posted_delayed_events",
        server: "nginx",
        built_with: cfg!(ngx_posted_delayed_events),
    },
    Mark {
        symbol: c"ngx_is_privileged_agent",
        server: "nginx",
        built_with: cfg!(ngx_is_privileged_agent),
    },
    Mark { symbol: c"ngx_show_build_info", server: "Angie", built_with: cfg!(ngx_show_build_info) },
    // Angie has it too.
    Mark { symbol: c"ngx_daemon_sync", server: "freenginx", built_with: cfg!(ngx_daemon_sync) },
];

/// Why this module cannot work in this nginx although nginx accepts it; `None` if it can.
pub fn refusal() -> Option<Line> {
    let mark = MARKS.iter().find(|mark| has(mark.symbol) != mark.built_with)?;
    let (built, loaded) = if mark.built_with { ("with", "without") } else { ("without", "with") };
    Some(Line::of(format_args!(
        "ngx_http_lua_module was built for an nginx {built} the symbol \"{}\" and is loaded into one \
         {loaded} it: one of them is patched, and their structures differ; build the module from the \
         source of this nginx",
        mark.symbol.to_string_lossy()
    )))
}

fn has(symbol: &CStr) -> bool {
    // SAFETY: dlsym reads the name, a C string, and nothing at the address that it finds.
    unsafe { !libc::dlsym(libc::RTLD_DEFAULT, symbol.as_ptr()).is_null() }
}

/// What an nginx with these marks calls itself.
fn server(has: impl Fn(&Mark) -> bool) -> &'static str {
    MARKS.iter().find(|mark| has(mark)).map_or("nginx", |mark| mark.server)
}

/// Has the loader call [`explain`] before nginx sees the module.
#[used]
#[unsafe(link_section = ".init_array")]
static EXPLAIN: extern "C" fn() = explain;

/// Logs what the module was built for, where nginx is about to refuse it.
#[callback]
extern "C" fn explain() {
    // SAFETY: a static of nginx's, whose type nginx has never changed.
    let nginx = unsafe { &*std::ptr::addr_of!(ngx_core_module) };
    if let Some(line) = mismatch(module(), nginx) {
        log_cycle(Level::Emerg, line.bytes());
    }
}

fn mismatch(own: &ngx_module_t, nginx: &ngx_module_t) -> Option<Line> {
    if own.version != nginx.version {
        return Some(Line::of(format_args!(
            "ngx_http_lua_module was built for {} {} and is loaded into {} {}: install the one for this \
             nginx, or build it from the source of this nginx",
            server(|mark| mark.built_with),
            Version(own.version),
            server(|mark| has(mark.symbol)),
            Version(nginx.version)
        )));
    }
    // SAFETY: a module's signature is a static C string.
    let (own, nginx) = unsafe { (CStr::from_ptr(own.signature), CStr::from_ptr(nginx.signature)) };
    if own == nginx {
        return None;
    }
    Some(Line::of(format_args!(
        "ngx_http_lua_module was built for an nginx with the signature \"{}\" and is loaded into one \
         with \"{}\": build it from a source tree that was configured like this nginx (nginx -V)",
        own.to_string_lossy(),
        nginx.to_string_lossy()
    )))
}

/// A version as nginx numbers it: 1022001 is 1.22.1.
struct Version(usize);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Version(number) = *self;
        write!(f, "{}.{}.{}", number / 1_000_000, number / 1_000 % 1_000, number % 1_000)
    }
}
