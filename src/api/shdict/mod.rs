//! `ngx.shared.DICT`: dictionaries that all workers share.
//!
//! `store` has what is done to single values, `list` to lists; lua-resty-core calls the former
//! through the C symbols of `ffi`, the latter are Lua functions in `lua`, most of them with an FFI
//! face in `list::ffi`. `c_api` is for other nginx modules. Each operation takes the zone's lock
//! once and calls nothing else while it has it.

mod c_api;
pub mod ffi;
pub mod list;
pub mod lua;
pub mod store;

pub use lua::inject;

use crate::nginx::core::time;

/// The longest key there may be, in bytes.
pub const MAX_KEY: usize = 65535;

/// Milliseconds since the epoch, as nginx's clock has them.
fn now() -> u64 {
    time::milliseconds()
}

/// The time of expiry of an entry that lives `ttl` milliseconds from now; 0 for never.
fn expiry(ttl: i64) -> u64 {
    match u64::try_from(ttl) {
        Ok(0) | Err(_) => 0,
        Ok(ttl) => now().saturating_add(ttl),
    }
}
