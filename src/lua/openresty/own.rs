//! OpenResty's LuaJIT: the words are in the coroutine itself.

use std::ffi::c_void;
use std::ptr::null_mut;

use mlua::ffi;

use super::RunningFor;
use crate::lua::ThreadAnchor;
use crate::lua::state::State;
use crate::lua::sys::{
    lua_getexdata, lua_getexdata2, lua_resetthread, lua_setexdata, lua_setexdata2,
};
use crate::nginx::Request;

/// Prepares a new VM's registry.
pub fn prepare(_state: State) {}

/// Adds to a new VM what LuaJIT's libraries lack.
pub fn inject_libraries(_main: State) -> Result<(), Vec<u8>> {
    Ok(())
}

/// Adds `thread.exdata`, which has the request of the running code.
pub fn inject_request(_main: State) -> Result<(), Vec<u8>> {
    Ok(())
}

/// Notes a new coroutine, which is on top of the stack.
#[inline(always)]
pub fn add_thread(_state: State) {}

/// Sets the request that the coroutine runs for.
#[inline(always)]
pub fn set_request(thread: State, request: Request) {
    // SAFETY: a live coroutine.
    unsafe { lua_setexdata(thread.as_ptr(), request.as_ptr().cast()) }
}

/// Whether the code of a coroutine runs for a request. Which one that is, the coroutine may not know: it may have
/// been made for another one.
#[inline(always)]
pub fn runs_for_request(state: State) -> bool {
    !request(state).is_null()
}

#[inline(always)]
fn request(state: State) -> *mut c_void {
    // SAFETY: a live coroutine.
    unsafe { lua_getexdata(state.as_ptr()) }
}

/// Sets the key of the coroutine's task.
#[inline(always)]
pub fn set_record(thread: State, record: u64) {
    // SAFETY: a live coroutine.
    unsafe { lua_setexdata2(thread.as_ptr(), record as usize as *mut c_void) }
}

/// Sets the key of the task of a coroutine whose code may be running.
#[inline(always)]
pub fn set_record_of(_main: State, _anchor: Option<&ThreadAnchor>, thread: State, record: u64) {
    set_record(thread, record);
}

/// The key of the coroutine's task; 0 for none. One that LuaJIT itself made has its creator's.
#[inline(always)]
pub fn record(thread: State) -> u64 {
    // SAFETY: a live coroutine.
    unsafe { lua_getexdata2(thread.as_ptr()) as usize as u64 }
}

/// Makes a coroutine that has ended, or never goes on, as good as new; false where that cannot be.
///
/// # Safety
/// `thread` must belong to `main`'s VM, and not be running.
pub unsafe fn reset_thread(main: State, mut thread: State) -> bool {
    // SAFETY: `thread` belongs to `main`'s VM and is not running, the contract of this function.
    unsafe {
        // One that has ended by itself is as good as new without its results, unless it was given other
        // globals. LuaJIT's reset would clear its whole stack.
        if ffi::lua_status(thread.as_ptr()) == ffi::LUA_OK && main.globals() == thread.globals() {
            thread.set_top(0);
        } else {
            lua_resetthread(main.as_ptr(), thread.as_ptr());
        }
        lua_setexdata(thread.as_ptr(), null_mut());
    }
    true
}

/// Has the code of the main coroutine run for a request, until it is dropped.
pub struct OnMain {
    main: State,
    before: *mut c_void,
    _running: RunningFor,
}

impl OnMain {
    pub fn run(main: State, request: Request) -> OnMain {
        let before = self::request(main);
        set_request(main, request);
        OnMain { main, before, _running: RunningFor::request(request) }
    }
}

impl Drop for OnMain {
    fn drop(&mut self) {
        // SAFETY: a live coroutine.
        unsafe { lua_setexdata(self.main.as_ptr(), self.before) }
    }
}
