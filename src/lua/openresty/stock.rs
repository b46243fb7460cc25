//! LuaJIT as it comes from its authors.
//!
//! Lua code reads the request where it stands for the whole process. A coroutine's task is in a
//! table with weak keys, so that one which has been collected leaves nothing to the next one at its
//! address. `lua/openresty_*.lua` have OpenResty's functions.

use std::ffi::c_void;
use std::ptr::null_mut;

use mlua::ffi;

use super::{RUNNING, RunningFor};
use crate::lua::registry::TASKS;
use crate::lua::run::Outcome;
use crate::lua::state::{GLOBALS, State};
use crate::lua::{LuaError, ThreadAnchor};
use crate::nginx::Request;

/// Prepares a new VM's registry.
pub fn prepare(mut state: State) {
    state.new_table(0, 0);
    state.new_table(0, 1);
    state.push_str("k");
    state.set_field(-2, c"__mode");
    state.set_metatable(-2);
    state.register(TASKS);
}

/// Adds to a new VM what LuaJIT's libraries lack.
pub fn inject_libraries(main: State) -> Result<(), Vec<u8>> {
    run(main, include_bytes!("../../../lua/openresty_tables.lua"), null_mut())
}

/// Adds `thread.exdata`, which has the request of the running code. Not in a VM for another thread.
pub fn inject_request(main: State) -> Result<(), Vec<u8>> {
    let running = RUNNING.as_ptr().cast();
    run(main, include_bytes!("../../../lua/openresty_exdata.lua"), running)
}

fn run(main: State, code: &[u8], argument: *mut c_void) -> Result<(), Vec<u8>> {
    main.protect(|mut state| {
        if state.load(code, c"=openresty") != Outcome::Done {
            state.raise(LuaError::on_stack());
        }
        state.push_light_userdata(argument);
        state.call_raising(1, 0);
    })
}

/// Notes a new coroutine, which is on top of the stack; raises without memory.
pub fn add_thread(mut state: State) {
    state.push_registered(TASKS);
    state.push_value(-2);
    state.push_number(0.0);
    state.raw_set(-3);
    state.pop(1);
}

/// Sets the request that the coroutine runs for.
pub fn set_request(_thread: State, _request: Request) {}

/// Whether the code of a coroutine runs for a request: the word for the process tells.
#[inline(always)]
pub fn runs_for_request(_state: State) -> bool {
    true
}

/// Sets the key of the coroutine's task. It has been noted by [`add_thread`], so this takes no memory.
pub fn set_record(mut thread: State, record: u64) {
    thread.push_registered(TASKS);
    thread.push_thread();
    thread.push_number(as_number(record));
    thread.raw_set(-3);
    thread.pop(1);
}

/// The same for a coroutine whose code may be running, and which `anchor` keeps, if anything does. Compiled
/// code that has called a C symbol has not said where its stack ends: nothing may be put there.
pub fn set_record_of(mut main: State, anchor: Option<&ThreadAnchor>, thread: State, record: u64) {
    let Some(anchor) = anchor else { return set_record(thread, record) };
    main.push_registered(TASKS);
    main.push_anchored_thread(anchor);
    main.push_number(as_number(record));
    main.raw_set(-3);
    main.pop(1);
}

/// The key of the coroutine's task; 0 for none.
pub fn record(mut thread: State) -> u64 {
    thread.push_registered(TASKS);
    thread.push_thread();
    thread.raw_get(-2);
    let record = as_record(thread.number(-1));
    thread.pop(2);
    record
}

/// A key as a Lua number with the same bits. A key's lower half is an index: as the upper half of the
/// number, it makes no NaN, whose bits LuaJIT would not keep.
fn as_number(record: u64) -> f64 {
    f64::from_bits(record.rotate_left(32))
}

fn as_record(number: f64) -> u64 {
    number.to_bits().rotate_left(32)
}

/// Makes a coroutine that has ended as good as new; false for one that has not.
///
/// # Safety
/// `thread` must belong to `main`'s VM, and not be running.
pub unsafe fn reset_thread(mut main: State, mut thread: State) -> bool {
    // SAFETY: two coroutines of one VM, of which `thread` is not running, the contract of this function; there
    // is space for a value on each stack.
    unsafe {
        if ffi::lua_status(thread.as_ptr()) != ffi::LUA_OK {
            return false;
        }
        thread.set_top(0);
        if main.globals() != thread.globals() {
            main.push_value(GLOBALS);
            main.move_to(thread, 1);
            ffi::lua_replace(thread.as_ptr(), GLOBALS);
        }
    }
    true
}

/// Has the code of the main coroutine run for a request, until it is dropped.
pub struct OnMain {
    _running: RunningFor,
}

impl OnMain {
    pub fn run(_main: State, request: Request) -> OnMain {
        OnMain { _running: RunningFor::request(request) }
    }
}
