//! `ngx.shared.DICT`: dictionaries that all workers share.
//!
//! `store` has the operations on single values, `list` those on lists; lua-resty-core calls the
//! former through the C symbols of `ffi`, the latter are Lua functions in `lua`, most of which
//! LuaJIT's FFI can call too (`list::ffi`). `c_api` is for other nginx modules. Each operation
//! takes the zone's lock once, and calls neither Lua nor nginx's event handling while it has it.

mod c_api;
pub mod ffi;
pub mod list;
pub mod lua;
pub mod store;

pub use lua::inject;

use crate::nginx::core::time;

/// The longest key there may be, in bytes.
pub const MAX_KEY: usize = 65535;

/// nginx's cached time, in milliseconds since the epoch.
fn now() -> u64 {
    time::milliseconds()
}

/// When an entry expires that lives `ttl` milliseconds from now, in milliseconds since the epoch; 0
/// for never, which is what a `ttl` of 0 or below means.
fn expiry(ttl: i64) -> u64 {
    match u64::try_from(ttl) {
        Ok(0) | Err(_) => 0,
        Ok(ttl) => now().saturating_add(ttl),
    }
}
