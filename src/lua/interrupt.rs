//! Interrupting Lua code from a signal handler: a hook of LuaJIT's, which the interpreter calls before its next
//! instruction. Compiled code does not look at hooks; it meets the hook when it gives back to the interpreter.

use std::cell::Cell;
use std::ptr::null_mut;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use mlua::ffi;

use super::state::State;
use crate::nginx::core::watchdog::InSignalHandler;
use crate::own_thread;

/// The main coroutine of the VM that runs; null for none.
static RUNNING: AtomicPtr<ffi::lua_State> = AtomicPtr::new(null_mut());
/// Whether the hook is set, and whether it is to end the code.
static IS_SET: AtomicBool = AtomicBool::new(false);
static ENDS: AtomicBool = AtomicBool::new(false);

/// What the hook calls, with the coroutine that runs, where it does not end the code.
static NOTE: OnceLock<fn(State)> = OnceLock::new();

own_thread! {
    /// Whether the slice that ran last has been ended.
    static HAS_ENDED: Cell<bool> = Cell::new(false);
}

/// The error that ends code.
pub const ERROR: &str = "the code ran for longer than lua_max_slice without waiting";

/// Sets what is done when code is interrupted that is not to end.
pub fn prepare(note: fn(State)) {
    let _ = NOTE.set(note);
}

/// The VM whose code runs, or none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Running(*mut ffi::lua_State);

impl Running {
    /// None.
    pub const NONE: Running = Running(null_mut());

    /// The VM with this main coroutine.
    pub fn of(main: State) -> Running {
        Running(main.as_ptr())
    }

    /// Its code runs from now on; returns what ran before.
    pub fn begin(self) -> Running {
        let before = RUNNING.load(Ordering::Relaxed);
        RUNNING.store(self.0, Ordering::Relaxed);
        Running(before)
    }
}

/// The main coroutine of the VM that runs; null for none. For signal handlers, too.
pub(super) fn running() -> *mut ffi::lua_State {
    RUNNING.load(Ordering::Relaxed)
}

/// [`interrupt`], for the watchdog.
// SAFETY: it reads and writes atomics, and sets a hook, for which LuaJIT provides.
pub const INTERRUPT: InSignalHandler = unsafe { InSignalHandler::new(interrupt) };

/// Interrupts the code that runs, to take a note or to end it. For signal handlers of nginx's main thread.
fn interrupt(ends: bool) {
    let running = RUNNING.load(Ordering::Relaxed);
    if running.is_null() {
        return;
    }
    ENDS.store(ends, Ordering::Relaxed);
    IS_SET.store(true, Ordering::Relaxed);
    // SAFETY: a VM that runs, or is about to; LuaJIT's function is made for signal handlers.
    unsafe { ffi::lua_sethook(running, Some(hook), ffi::LUA_MASKCOUNT, 1) };
}

/// Sets the hook again, if code has been interrupted and has not noticed: LuaJIT's profiler takes out a hook that is
/// set while it takes a sample. For signal handlers of nginx's main thread.
pub(super) fn repeat() {
    if IS_SET.load(Ordering::Relaxed) {
        interrupt(ENDS.load(Ordering::Relaxed));
    }
}

/// Whether the code that runs is to end.
pub fn is_ending() -> bool {
    IS_SET.load(Ordering::Relaxed) && ENDS.load(Ordering::Relaxed)
}

/// Code begins to run, which has not been ended.
pub fn begin() {
    HAS_ENDED.set(false);
}

/// The slice that ran last goes on with other code of the VM `of`: if the code before has been ended, this is, too.
pub fn go_on(Running(of): Running) {
    if HAS_ENDED.get() {
        ENDS.store(true, Ordering::Relaxed);
        IS_SET.store(true, Ordering::Relaxed);
        // SAFETY: a live VM.
        unsafe { ffi::lua_sethook(of, Some(hook), ffi::LUA_MASKCOUNT, 1) };
    }
}

/// Takes the hook out, after the code of a VM has run; true if it was to take a note, and has not been called.
pub fn withdraw(from: Running) -> bool {
    IS_SET.load(Ordering::Relaxed) && take_out(from)
}

#[cold]
fn take_out(Running(main): Running) -> bool {
    // SAFETY: a VM whose code has just run.
    unsafe { ffi::lua_sethook(main, None, 0, 0) };
    let was_set = IS_SET.swap(false, Ordering::Relaxed);
    HAS_ENDED.set(was_set && ENDS.load(Ordering::Relaxed));
    was_set && !HAS_ENDED.get()
}

/// LuaJIT's hook: ends the code that runs, or has a note of it taken.
///
/// # Safety
/// Only LuaJIT may call this, with the running coroutine.
unsafe extern "C-unwind" fn hook(state: *mut ffi::lua_State, _at: *mut ffi::lua_Debug) {
    // SAFETY: LuaJIT passes the running coroutine. The error leaves as the function's last act, with nothing
    // left to drop.
    unsafe {
        if ENDS.load(Ordering::Relaxed) {
            raise(state);
        }
        ffi::lua_sethook(state, None, 0, 0);
        IS_SET.store(false, Ordering::Relaxed);
        if let Some(note) = NOTE.get() {
            crate::nginx::guard((), || note(State::from_ptr(state)));
        }
    }
}

/// Raises the error that ends code. The hook stays set, so the same error is raised again at each
/// further instruction: code that catches it does not go on.
///
/// # Safety
/// As for [`hook`].
unsafe fn raise(state: *mut ffi::lua_State) -> ! {
    // SAFETY: the running coroutine, the contract of this function.
    unsafe {
        ffi::luaL_where(state, 0);
        ffi::lua_pushlstring_(state, ERROR.as_ptr().cast(), ERROR.len());
        ffi::lua_concat(state, 2);
        ffi::lua_error(state)
    }
}
