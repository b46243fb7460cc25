//! LuaJIT's JIT compiler, which is turned off if the system forbids executing written memory.

use std::ffi::c_int;

use super::run::Outcome;
use super::state::State;
use super::sys::luaJIT_setmode;
use crate::nginx::core::executable_memory;

/// `LUAJIT_MODE_ENGINE`, with `LUAJIT_MODE_OFF` and `LUAJIT_MODE_FLUSH`.
const OFF: c_int = 0;
const FLUSH: c_int = 0x0200;

/// Turns the JIT compiler of a VM off for good if the system forbids executing written memory:
/// otherwise its first attempt would end the process. Runs in a protected call, and may raise.
pub(super) fn turn_off_where_forbidden(mut state: State) {
    if !executable_memory::is_forbidden() {
        return;
    }
    // SAFETY: a live VM; no JIT-compiled code is running now.
    unsafe {
        luaJIT_setmode(state.as_ptr(), 0, OFF);
        luaJIT_setmode(state.as_ptr(), 0, FLUSH);
    }
    let code = include_bytes!("../../lua/keep_compiler_off.lua");
    if state.load(code, c"=jit") == Outcome::Done {
        state.call_raising(0, 0);
    }
}
