//! A barrier between Rust's panics and LuaJIT's frames.
//!
//! Panics and Lua errors use the same native unwinder. `catch_unwind` stops both, and aborts the
//! process on a Lua error; LuaJIT's frames stop both too, and the process aborts on a panic. So
//! between the two is one frame with a personality routine of its own, which stops panics and lets
//! everything else pass: Lua errors cross it as if it were not there.
//!
//! A panic that it stops is thrown once more, inside a `catch_unwind` without any Lua frame, so
//! that Rust's runtime ends it properly; then the barrier raises a Lua error. It costs one more
//! call for each call of a Lua function of this module.
//!
//! The frame and its landing pad are in assembly, so there is a file for each processor.

use std::ffi::{c_int, c_void};
use std::panic::catch_unwind;

use export::callback;
use mlua::ffi::lua_State;

use super::error::LuaError;
use super::function::RawFunction;
use super::state::State;

#[cfg(target_arch = "aarch64")]
#[path = "aarch64.rs"]
mod frame;
#[cfg(target_arch = "x86_64")]
#[path = "x86_64.rs"]
mod frame;

#[cfg(not(any(target_arch = "aarch64", target_arch = "x86_64")))]
compile_error!(
    "no panic barrier for this processor: src/lua/panic_barrier/ needs a file with its frame, like \
     x86_64.rs and aarch64.rs. Without it, a panic in a Lua function would abort the worker."
);

// The interface of the platform's unwinder (the Itanium C++ ABI). Declared by hand: it is the same on
// every system that has it, like the assembly.
const CLEANUP_PHASE: c_int = 2;
const HANDLER_FOUND: c_int = 6;
const INSTALL_CONTEXT: c_int = 7;
const CONTINUE_UNWIND: c_int = 8;
/// The class of Rust's exceptions.
const RUST: u64 = u64::from_ne_bytes(*b"MOZ\0RUST");

unsafe extern "C-unwind" {
    fn _Unwind_RaiseException(exception: *mut c_void) -> c_int;
}

unsafe extern "C" {
    fn _Unwind_SetGR(context: *mut c_void, register: c_int, value: usize);
    fn _Unwind_SetIP(context: *mut c_void, address: usize);
    /// Where the frame of `call` continues after a panic: a label in its assembly.
    static ngx_http_lua_panic_landing: u8;
}

// `call`: an ordinary frame around `function(state)`, with the personality below. Its landing pad gives
// the exception to `absorb`, and the state that the frame has kept to `raise`.
unsafe extern "C-unwind" {
    /// Runs `function` on `state`; if it panics, raises a Lua error.
    ///
    /// # Safety
    /// As for `function(state)`; Lua errors pass through this function too.
    #[link_name = "ngx_http_lua_panic_barrier"]
    pub fn call(state: *mut lua_State, function: RawFunction) -> c_int;
}

/// Raises a Lua error after a panic, which has been logged.
///
/// # Safety
/// `state` must be that of the function that panicked, in a frame that lets Lua errors pass.
unsafe extern "C-unwind" fn raise(state: *mut lua_State) -> ! {
    // SAFETY: the state is live and the frame of `call` lets Lua errors pass, the contract of
    // this function.
    unsafe { State::from_ptr(state) }.raise(LuaError::text("internal error in the lua module"))
}

/// The unwinder asks what the frame does with an exception: it stops Rust's, and no others.
///
/// # Safety
/// Only the unwinder may call this, for the frame of `call`.
#[callback(unguarded = "part of the barrier against panics")]
unsafe extern "C" fn personality(
    _version: c_int,
    actions: c_int,
    class: u64,
    exception: *mut c_void,
    context: *mut c_void,
) -> c_int {
    if class != RUST {
        return CONTINUE_UNWIND;
    }
    if actions & CLEANUP_PHASE == 0 {
        return HANDLER_FOUND;
    }
    // SAFETY: the unwinder passes its context for the frame of `call`, whose landing pad expects the
    // exception in this register.
    unsafe {
        _Unwind_SetGR(context, frame::EXCEPTION_REGISTER, exception as usize);
        _Unwind_SetIP(context, (&raw const ngx_http_lua_panic_landing) as usize);
    }
    INSTALL_CONTEXT
}

/// Gives a stopped panic back to Rust's runtime, which counts and frees panics: only
/// `catch_unwind` may end one.
///
/// # Safety
/// `exception` must be one of Rust's that no frame owns.
#[callback(unguarded = "part of the barrier against panics")]
unsafe extern "C" fn absorb(exception: *mut c_void) {
    let absorbed = catch_unwind(|| {
        // SAFETY: an exception of Rust's own that no frame owns any more; a frame above catches it.
        unsafe { _Unwind_RaiseException(exception) }
    });
    match absorbed {
        Err(_logged_by_the_hook) => {}
        // The unwinder found no frame that catches it: nothing can be relied on.
        Ok(_) => std::process::abort(),
    }
}
