//! What the methods of [`State`] are given is checked, because LuaJIT itself looks at nothing. As with a
//! slice's index, what is wrong is a bug, and panics.
//!
//! Whether a value is a table depends on what a script passes: that is checked always. Indexes and numbers of
//! values depend on this module's code alone. They are checked in debug builds, which the tests run: a check of
//! each would make a function that walks a table a fifth slower. Space needs no check: LuaJIT makes a stack
//! larger by itself, and raises an error beyond its limit.

use std::ffi::c_int;

use mlua::ffi;

use super::kind::Kind;
use super::state::{GLOBALS, REGISTRY, State};

impl State {
    /// `index`, for a function that reads the value there. LuaJIT reads nil above the top of the
    /// stack, but whatever memory is below the stack.
    #[inline(always)]
    pub(super) fn readable(self, index: i32) -> c_int {
        let is_relative = REGISTRY < index && index <= 0;
        if cfg!(debug_assertions) && index < GLOBALS && !self.has_upvalue(GLOBALS - index) {
            self.refuse("runs no function with such an upvalue", index);
        }
        if is_relative { self.slot(index) } else { index }
    }

    /// Whether the running function is a C function with `n` upvalues at least.
    fn has_upvalue(self, n: c_int) -> bool {
        // SAFETY: a live coroutine; the record is filled before it is read, and Lua's string in it is
        // NUL-terminated.
        unsafe {
            let mut frame: ffi::lua_Debug = std::mem::zeroed();
            ffi::lua_getstack(self.as_ptr(), 0, &mut frame) != 0
                && ffi::lua_getinfo(self.as_ptr(), c"Su".as_ptr(), &mut frame) != 0
                && *frame.what as u8 == b'C'
                && frame.nups >= n
        }
    }

    /// `index`, of a value on the stack.
    #[inline(always)]
    pub(super) fn slot(self, index: i32) -> c_int {
        if cfg!(debug_assertions)
            && !(1..=self.top().unsigned_abs()).contains(&index.unsigned_abs())
        {
            self.refuse("has no such index", index);
        }
        index
    }

    /// `index`, of a table.
    #[inline(always)]
    pub(super) fn table(self, index: i32) -> c_int {
        if index != REGISTRY && index != GLOBALS && self.kind(index) != Kind::Table {
            self.refuse("has no table there", index);
        }
        index
    }

    /// `n`, a number of values that the stack has at least.
    #[inline(always)]
    pub(super) fn held(self, n: i32) -> c_int {
        if cfg!(debug_assertions) && !(0..=self.top()).contains(&n) {
            self.refuse("does not hold so many", n);
        }
        n
    }

    /// Requires `other` to be a coroutine of the same VM.
    #[inline(always)]
    pub(super) fn in_one_vm(self, other: State) {
        if cfg!(debug_assertions) && !self.shares_vm_with(other) {
            self.refuse("is of another VM", 0);
        }
    }

    /// Whether `other` is a coroutine of the same VM.
    pub fn shares_vm_with(self, other: State) -> bool {
        let registry = |state: State| {
            // SAFETY: the registry can be asked for on any coroutine.
            unsafe { ffi::lua_topointer(state.as_ptr(), REGISTRY) }
        };
        registry(self) == registry(other)
    }

    #[cold]
    #[inline(never)]
    fn refuse(self, what: &str, number: i32) -> ! {
        panic!("a Lua stack with {} values {what}: {number}", self.top())
    }
}
