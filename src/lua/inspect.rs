//! Information about Lua functions and memory.

use std::ffi::CStr;

use codec::fallible;
use mlua::ffi;

use super::function::{LuaResult, Returns};
use super::kind::Kind;
use super::registry::TRACEBACK;
use super::state::State;

/// The message handler: appends a traceback to an error's text.
pub(super) fn add_traceback(mut state: State) -> LuaResult {
    state.set_top(1);
    state.error_text();
    state.push_str("\n");
    state.push_traceback(state, None, 1);
    state.concat(3);
    Ok(Returns::Values(1))
}

/// The name of a function's chunk that has none.
const UNKNOWN: &[u8] = b"(unknown)";

impl State {
    /// Where the function at `index` is defined: its chunk's name, and the line. Nowhere for another value.
    pub fn definition(self, index: i32) -> (Vec<u8>, i32) {
        if self.kind(index) != Kind::Function {
            return (UNKNOWN.into(), 0);
        }
        self.push_value(index);
        // SAFETY: the function is on top, and lua_getinfo pops it; it fills the record, whose
        // strings are NUL-terminated.
        unsafe {
            let mut debug: ffi::lua_Debug = std::mem::zeroed();
            ffi::lua_getinfo(self.as_ptr(), c">S".as_ptr(), &mut debug);
            let source = match debug.source.is_null() {
                true => UNKNOWN.into(),
                false => fallible::reason(CStr::from_ptr(debug.source).to_bytes()),
            };
            (source, debug.linedefined)
        }
    }

    /// How much memory the VM has in use.
    pub fn bytes_in_use(self) -> usize {
        // SAFETY: a live VM; the call only reads a number.
        let rest = unsafe { ffi::lua_gc(self.as_ptr(), ffi::LUA_GCCOUNTB, 0) };
        self.kilobytes() * 1024 + usize::try_from(rest).unwrap_or(0)
    }

    /// How much memory the VM has in use, in kilobytes.
    pub fn kilobytes(self) -> usize {
        // SAFETY: a live VM; the call only reads a number.
        let count = unsafe { ffi::lua_gc(self.as_ptr(), ffi::LUA_GCCOUNT, 0) };
        usize::try_from(count).unwrap_or(0)
    }

    /// Pushes a message handler that adds a traceback to an error's text.
    pub fn push_traceback_handler(self) {
        self.push_registered(TRACEBACK);
    }

    /// Joins the top `n` values, strings that the caller pushed, into one.
    pub fn concat(&mut self, n: i32) {
        // SAFETY: there are `n` values on the stack; may raise, as any Lua function.
        unsafe { ffi::lua_concat(self.as_ptr(), self.held(n)) }
    }
}
