//! What OpenResty adds to LuaJIT, and what takes its place in LuaJIT as it comes from its authors.
//!
//! OpenResty's coroutines have two words for others: `exdata`, the request that the coroutine was made for
//! (lua-resty-core reads it by `thread.exdata`), and `exdata2`, here the key of its task. Its Lua
//! libraries have a few functions more, and a coroutine can be reset.

#[cfg(openresty_luajit)]
#[path = "own.rs"]
mod imp;
#[cfg(not(openresty_luajit))]
#[path = "stock.rs"]
mod imp;

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::null_mut;

use super::state::State;
use crate::nginx::Request;
use crate::own_thread;

pub use imp::{
    OnMain, add_thread, inject_libraries, inject_request, prepare, record, reset_thread,
    runs_for_request, set_record, set_record_of, set_request,
};

own_thread! {
    /// The request that the innermost code on the C stack runs for.
    static RUNNING: Cell<*mut c_void> = Cell::new(null_mut());
}

/// The request that the running code runs for, if any. `state` is the running coroutine.
#[inline(always)]
pub fn running_request(state: State) -> Option<Request> {
    if runs_for_request(state) { innermost_request() } else { None }
}

/// The same, where the coroutine is known to have a request. Its own word is never followed: LuaJIT's own functions
/// resume a coroutine for whichever request's code calls them, and the one that it was made for may have ended.
#[inline(always)]
pub fn innermost_request() -> Option<Request> {
    // SAFETY: the word is the request that a phase handler or a task has set for the time that its code is on the
    // C stack, which the request outlives.
    unsafe { Request::from_ptr(RUNNING.get().cast()) }
}

/// Has code run for a request, until it is dropped.
pub struct RunningFor {
    before: *mut c_void,
}

impl RunningFor {
    #[inline(always)]
    pub fn request(request: Request) -> RunningFor {
        RunningFor { before: RUNNING.replace(request.as_ptr().cast()) }
    }
}

impl Drop for RunningFor {
    #[inline(always)]
    fn drop(&mut self) {
        RUNNING.set(self.before);
    }
}
