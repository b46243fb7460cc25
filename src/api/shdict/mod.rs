//! `ngx.shared.DICT`: dictionaries that all workers share.
//!
//! `store` has the operations on single values, `list` those on lists, `whole` those on all entries;
//! lua-resty-core calls the first through the C symbols of `ffi`, the others are mostly Lua functions in `lua`;
//! those of lists, LuaJIT's FFI can call too (`list::ffi`). `c_api` is for other nginx modules. An operation on an
//! entry takes the zone's lock once, and calls neither Lua nor nginx's event handling while it has it.

mod c_api;
pub mod ffi;
pub mod list;
pub mod lua;
pub mod store;
mod whole;

pub use lua::inject;

use crate::nginx::core::shared_memory::NEVER;
use crate::nginx::core::time;

/// The longest key there may be, in bytes.
pub const MAX_KEY: usize = 65535;

/// nginx's cached time, in milliseconds since the epoch.
fn now() -> u64 {
    time::milliseconds()
}

/// When an entry expires that lives `ttl` milliseconds from now, in milliseconds since the epoch;
/// `NEVER` for a `ttl` of 0 or below.
fn expiry(ttl: i64) -> u64 {
    match u64::try_from(ttl) {
        Ok(0) | Err(_) => NEVER,
        Ok(ttl) => now().saturating_add(ttl).min(NEVER - 1),
    }
}
