//! OpenResty's additions to LuaJIT's C API: two words of data per coroutine, and resetting a
//! coroutine.
//!
//! `exdata` is the request that the coroutine runs for (lua-resty-core reads it through
//! `thread.exdata`); `exdata2` is this module's own record of the coroutine.

use std::ffi::c_void;

use super::state::State;
use crate::nginx::Request;

#[cfg(openresty_luajit)]
mod imp {
    use super::*;
    use crate::lua::sys::{
        lua_getexdata, lua_getexdata2, lua_resetthread, lua_setexdata, lua_setexdata2,
    };

    pub const AVAILABLE: bool = true;

    pub fn set_request(state: State, request: *mut c_void) {
        // SAFETY: a live coroutine.
        unsafe { lua_setexdata(state.as_ptr(), request) }
    }

    pub fn request(state: State) -> *mut c_void {
        // SAFETY: a live coroutine.
        unsafe { lua_getexdata(state.as_ptr()) }
    }

    pub fn set_record(state: State, record: *mut c_void) {
        // SAFETY: a live coroutine.
        unsafe { lua_setexdata2(state.as_ptr(), record) }
    }

    pub fn record(state: State) -> *mut c_void {
        // SAFETY: a live coroutine.
        unsafe { lua_getexdata2(state.as_ptr()) }
    }

    pub fn reset_thread(main: State, thread: State) {
        // SAFETY: `thread` belongs to `main`'s VM and is not running.
        unsafe { lua_resetthread(main.as_ptr(), thread.as_ptr()) }
    }
}

/// Without OpenResty's LuaJIT, the two words are in the registry, keyed by the coroutine.
#[cfg(not(openresty_luajit))]
mod imp {
    use super::*;
    use mlua::ffi;

    pub const AVAILABLE: bool = false;

    /// Offsets that make two registry keys out of one coroutine's address.
    const REQUEST: usize = 1;
    const RECORD: usize = 2;

    fn set(state: State, offset: usize, data: *mut c_void) {
        // SAFETY: registry access by light userdata; the key is never dereferenced.
        unsafe {
            let key = state.as_ptr().cast::<u8>().wrapping_add(offset).cast::<c_void>();
            ffi::lua_pushlightuserdata(state.as_ptr(), key);
            if data.is_null() {
                ffi::lua_pushnil(state.as_ptr());
            } else {
                ffi::lua_pushlightuserdata(state.as_ptr(), data);
            }
            ffi::lua_rawset(state.as_ptr(), ffi::LUA_REGISTRYINDEX);
        }
    }

    fn get(state: State, offset: usize) -> *mut c_void {
        // SAFETY: as in `set`.
        unsafe {
            let key = state.as_ptr().cast::<u8>().wrapping_add(offset).cast::<c_void>();
            ffi::lua_pushlightuserdata(state.as_ptr(), key);
            ffi::lua_rawget(state.as_ptr(), ffi::LUA_REGISTRYINDEX);
            let data = ffi::lua_touserdata(state.as_ptr(), -1);
            ffi::lua_pop(state.as_ptr(), 1);
            data
        }
    }

    pub fn set_request(state: State, request: *mut c_void) {
        set(state, REQUEST, request);
        // lua-resty-core without thread.exdata reads the global `__ngx_req`.
        // SAFETY: a raw write into the globals table.
        unsafe {
            ffi::lua_pushvalue(state.as_ptr(), ffi::LUA_GLOBALSINDEX);
            ffi::lua_pushlightuserdata(state.as_ptr(), request);
            ffi::lua_setfield(state.as_ptr(), -2, c"__ngx_req".as_ptr());
            ffi::lua_pop(state.as_ptr(), 1);
        }
    }

    pub fn request(state: State) -> *mut c_void {
        get(state, REQUEST)
    }

    pub fn set_record(state: State, record: *mut c_void) {
        set(state, RECORD, record);
    }

    pub fn record(state: State) -> *mut c_void {
        get(state, RECORD)
    }

    pub fn reset_thread(_main: State, _thread: State) {}
}

/// The request that the coroutine runs for, if any.
#[inline(always)]
pub fn running_request(state: State) -> Option<Request> {
    // SAFETY: the word is the request that a phase handler or a task set for this coroutine; they
    // clear it, or end the coroutine, before the request is freed.
    unsafe { Request::from_ptr(request(state).cast()) }
}

pub use imp::{AVAILABLE, record, request, reset_thread, set_record, set_request};
