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
    /// `index`, to be read: LuaJIT takes one above the top for nil, but reads what is below the stack.
    #[inline(always)]
    pub(super) fn readable(self, index: i32) -> c_int {
        let is_relative = REGISTRY < index && index <= 0;
        if is_relative { self.slot(index) } else { index }
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

    /// `n`, as many values as there are at least.
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
        let registry = |state: State| {
            // SAFETY: the registry can be asked for on any coroutine.
            unsafe { ffi::lua_topointer(state.as_ptr(), REGISTRY) }
        };
        if cfg!(debug_assertions) && registry(self) != registry(other) {
            self.refuse("is of another VM", 0);
        }
    }

    #[cold]
    #[inline(never)]
    fn refuse(self, what: &str, number: i32) -> ! {
        panic!("a Lua stack with {} values {what}: {number}", self.top())
    }
}
