//! A Lua stack with typed helpers; each says what it does to the stack. What they are given is checked
//! (`checks`). What may be pushed without an error is `LUA_MINSTACK` values, or what [`State::reserve`] has
//! reserved.

use std::ffi::c_void;
use std::ptr::NonNull;

use mlua::ffi;

use super::error::LuaError;

/// A coroutine (or a VM's main one) and its stack; copies are the same coroutine.
///
/// What takes values off the stack, or replaces them, takes `&mut self`: so the bytes of a string, which
/// [`State::bytes`] borrows, cannot be used after it. That covers one copy of the value; a function that is
/// given another one leaves what it finds on the stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct State(NonNull<ffi::lua_State>);

/// The index of the registry table.
pub const REGISTRY: i32 = ffi::LUA_REGISTRYINDEX;
/// The index of the globals table.
pub const GLOBALS: i32 = ffi::LUA_GLOBALSINDEX;
/// All results of a call.
pub const MULTRET: i32 = ffi::LUA_MULTRET;
/// How many values the stack of a coroutine that waits in a function of this module's always has room for: such
/// functions leave half of the LUA_MINSTACK slots free that Lua gives them beyond their arguments; a new coroutine has
/// twice as many.
pub const ALWAYS_FREE: i32 = ffi::LUA_MINSTACK / 2;

/// The index of upvalue `N` of the running C function, for values that [`State::push_closure`] gave it. Debug
/// builds check that it has so many.
pub const fn upvalue<const N: i32>() -> i32 {
    const { assert!(0 < N && N < 256, "the number of an upvalue") };
    ffi::lua_upvalueindex(N)
}

impl State {
    /// # Safety
    /// `state` must be a live coroutine, and stay anchored while the value is used.
    pub unsafe fn from_ptr(state: *mut ffi::lua_State) -> State {
        // SAFETY: a live coroutine, the contract of this function.
        State(unsafe { NonNull::new_unchecked(state) })
    }

    pub fn as_ptr(self) -> *mut ffi::lua_State {
        self.0.as_ptr()
    }

    pub fn top(self) -> i32 {
        // SAFETY: a live coroutine, which `from_ptr`'s caller has promised; so in every method
        // below.
        unsafe { ffi::lua_gettop(self.as_ptr()) }
    }

    pub fn set_top(&mut self, top: i32) {
        if top < 0 {
            self.held(-(top + 1));
        }
        // SAFETY: a number that the stack can have; LuaJIT makes it larger where it must.
        unsafe { ffi::lua_settop(self.as_ptr(), top) }
    }

    /// The address of the coroutine's table of globals.
    #[inline(always)]
    pub fn globals(self) -> *const c_void {
        // SAFETY: a live coroutine has such a table.
        unsafe { ffi::lua_topointer(self.as_ptr(), GLOBALS) }
    }

    pub fn pop(&mut self, n: i32) {
        self.set_top(-n - 1);
    }

    /// Reserves stack space for `n` more values; fails if there is none.
    pub fn reserve(self, n: i32) -> Result<(), LuaError> {
        // One more: what pushes or moves the last of `n` values makes a stack larger that has no slot left then.
        let slots = n.saturating_add(1);
        // SAFETY: a live coroutine.
        match unsafe { ffi::lua_checkstack(self.as_ptr(), slots) } {
            0 => Err(LuaError::text("stack overflow")),
            _ => Ok(()),
        }
    }

    /// As [`State::reserve`], for a coroutine that is new, or waits in a function of this module's, from code that
    /// Lua may not have called: what `main` gives, the VM's main coroutine, catches what LuaJIT raises where it
    /// cannot make the stack larger. The coroutine has lost its wait then: see [`State::has_lost_wait`].
    #[inline(always)]
    pub fn reserve_waiting(
        self,
        main: impl FnOnce() -> Option<State>,
        n: i32,
    ) -> Result<(), LuaError> {
        if n <= ALWAYS_FREE {
            return Ok(());
        }
        self.reserve_protected(main(), n)
    }

    /// [`State::reserve`], of which `main` catches what is raised.
    #[cold]
    fn reserve_protected(self, main: Option<State>, n: i32) -> Result<(), LuaError> {
        let mut fits = Err(LuaError::text("stack overflow"));
        if let Some(main) = main {
            // What is raised says the same.
            let _ = main.protect(|_| fits = self.reserve(n));
        }
        fits
    }

    pub fn push_value(self, index: i32) {
        // SAFETY: a checked index.
        unsafe { ffi::lua_pushvalue(self.as_ptr(), self.readable(index)) }
    }

    pub fn insert(self, index: i32) {
        // SAFETY: a checked index.
        unsafe { ffi::lua_insert(self.as_ptr(), self.slot(index)) }
    }

    pub fn remove(&mut self, index: i32) {
        // SAFETY: a checked index.
        unsafe { ffi::lua_remove(self.as_ptr(), self.slot(index)) }
    }

    pub fn replace(&mut self, index: i32) {
        // SAFETY: a checked index.
        unsafe { ffi::lua_replace(self.as_ptr(), self.slot(index)) }
    }

    /// Moves the top `n` values to another coroutine of the same VM.
    pub fn move_to(&mut self, target: State, n: i32) {
        self.in_one_vm(target);
        // SAFETY: both belong to one VM; there are `n` values here, and LuaJIT makes space there.
        unsafe { ffi::lua_xmove(self.as_ptr(), target.as_ptr(), self.held(n)) }
    }
}
