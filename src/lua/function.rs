//! How Lua calls Rust: one generic trampoline, for functions that return a [`LuaResult`]. Lua
//! errors pass through it, panics do not.

use std::ffi::c_int;
use std::mem::size_of;

use mlua::ffi;

use super::error::LuaError;
use super::panic_barrier;
use super::state::State;
use crate::nginx::core::function::instance;

/// A function in the form that Lua calls.
pub type RawFunction = unsafe extern "C-unwind" fn(*mut ffi::lua_State) -> c_int;

/// A function that may become a value of Lua code's.
#[derive(Clone, Copy)]
pub struct CFunction(RawFunction);

impl CFunction {
    /// # Safety
    /// Lua code may call `function` on any coroutine, with any arguments.
    pub const unsafe fn new(function: RawFunction) -> CFunction {
        CFunction(function)
    }

    pub(super) fn raw(self) -> RawFunction {
        self.0
    }
}

/// What a function leaves on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returns {
    /// This many results, on top of the stack.
    Values(i32),
    /// The coroutine yields this many values and is resumed with the results.
    Yield(i32),
}

/// What a Lua function of this module gives back.
pub type LuaResult = Result<Returns, LuaError>;

/// The C function that runs `F`.
///
/// `F` is a function item or a closure without captures. Everything that it made is dropped
/// before its error is raised or its yield takes place.
pub const fn wrap<F>(_function: F) -> CFunction
where
    F: Fn(State) -> LuaResult + Copy + 'static,
{
    const { assert!(size_of::<F>() == 0, "a Lua function captures nothing") };
    // SAFETY: `F` is called with the running coroutine, and checks its arguments itself.
    unsafe { CFunction::new(trampoline::<F>) }
}

/// What Lua calls: a panic of `F` becomes a Lua error here.
///
/// # Safety
/// Only Lua may call this, with the running coroutine.
unsafe extern "C-unwind" fn trampoline<F>(state: *mut ffi::lua_State) -> c_int
where
    F: Fn(State) -> LuaResult + Copy + 'static,
{
    // SAFETY: Lua passes the running coroutine.
    unsafe { stop_panics(state, run::<F>) }
}

/// Runs `function` on `state`; if it panics, which is logged, raises a Lua error.
///
/// # Safety
/// As for `function(state)`. It must be called from a function that Lua called, as its last act.
pub(super) unsafe fn stop_panics(state: *mut ffi::lua_State, function: RawFunction) -> c_int {
    // SAFETY: `state` is what `function` needs, the contract of this function.
    unsafe { panic_barrier::call(state, function) }
}

/// # Safety
/// Only Lua may call this, with the running coroutine.
unsafe extern "C-unwind" fn run<F>(state: *mut ffi::lua_State) -> c_int
where
    F: Fn(State) -> LuaResult + Copy + 'static,
{
    // SAFETY: Lua passes the running coroutine; `wrap` was given the function.
    let (state, function) = unsafe { (State::from_ptr(state), instance::<F>()) };
    match function(state) {
        Ok(Returns::Values(n)) => state.held(n),
        // SAFETY: called from a C function, as its last act; there are `n` values on the stack.
        Ok(Returns::Yield(n)) => unsafe { ffi::lua_yield(state.as_ptr(), state.held(n)) },
        Err(error) => state.raise(error),
    }
}

/// Pushes a function that always returns `text`.
pub fn push_constant_function(state: State, text: &[u8]) {
    state.push_bytes(text);
    state.push_closure(
        wrap(|state: State| {
            state.push_value(super::state::upvalue::<1>());
            Ok(Returns::Values(1))
        }),
        1,
    );
}
