//! What OpenResty adds to LuaJIT, and what takes its place in LuaJIT as it comes from its authors.
//!
//! OpenResty's coroutines have two words for others: `exdata`, the request that the coroutine runs for
//! (lua-resty-core reads it by `thread.exdata`), and `exdata2`, here the key of its task. Its Lua
//! libraries have a few functions more, and a coroutine can be reset.

#[cfg(openresty_luajit)]
#[path = "own.rs"]
mod imp;
#[cfg(not(openresty_luajit))]
#[path = "stock.rs"]
mod imp;

use super::state::State;
use crate::nginx::Request;

/// The request that the running code runs for, if any. `state` is the running coroutine.
#[inline(always)]
pub fn running_request(state: State) -> Option<Request> {
    // SAFETY: the word is the request that a phase handler or a task set for this coroutine, or for the
    // time that its code runs; they clear it, or end the coroutine, before the request is freed.
    unsafe { Request::from_ptr(imp::request(state).cast()) }
}

pub use imp::{
    OnMain, RunningTasks, add_thread, inject_libraries, inject_request, prepare, record,
    reset_thread, set_record, set_record_of, set_request,
};
