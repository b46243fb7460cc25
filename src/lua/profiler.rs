//! LuaJIT's sampling profiler, on one VM of this process.
//!
//! Its timer counts the CPU time of the process, and sends a signal. LuaJIT's own handler of that signal sets a
//! hook, which calls us at the VM's next instruction. The handler here comes before it: only a signal that
//! interrupts code of the VM is passed on, any other is just counted. How many samples a call of the hook is
//! about is counted here too: so what is left when the code stops belongs to that code, not to the next.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::rc::Rc;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use codec::fallible::{self, OutOfMemory};
use export::callback;
use mlua::ffi;

use super::interrupt;
use super::state::State;
use super::sys::{luaJIT_profile_start, luaJIT_profile_stop};
use super::vm::Vm;
use crate::nginx::core::watchdog;
use crate::nginx::guard;
use crate::own_thread;

/// What the VM did when the sample was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doing {
    /// It ran Lua code, interpreted or compiled.
    Lua,
    CFunction,
    GarbageCollection,
    Compilation,
}

/// Gets the coroutine whose code runs, what the VM did, and how many samples there are.
pub type OnSample = fn(State, Doing, u64);

/// LuaJIT's handler of the signal; 0 for none.
static LUAJIT: AtomicUsize = AtomicUsize::new(0);
/// The VM whose code is sampled, and nginx's main thread.
static SAMPLED: AtomicPtr<ffi::lua_State> = AtomicPtr::new(null_mut());
static THREAD: AtomicI32 = AtomicI32::new(0);
/// Samples that nobody has taken yet: of code of the VM, and of anything else.
static INSIDE: AtomicU64 = AtomicU64::new(0);
static OUTSIDE: AtomicU64 = AtomicU64::new(0);

own_thread! {
    static ON_SAMPLE: Cell<Option<OnSample>> = Cell::new(None);
}

/// The profiler takes samples until this is dropped.
pub struct Sampling(Rc<Vm>);

/// Why no samples can be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Other code of this process uses the profiler: there is one of it.
    InUse,
    NoMemory,
}

/// Takes a sample after every `interval` milliseconds of CPU time.
///
/// LuaJIT drops all compiled code, and compiles anew with points where samples can be taken; again at the end.
pub fn start(vm: Rc<Vm>, interval: usize, on_sample: OnSample) -> Result<Sampling, Refusal> {
    if ON_SAMPLE.get().is_some() || ![libc::SIG_DFL, libc::SIG_IGN].contains(&handler()) {
        return Err(Refusal::InUse);
    }
    let mode = fallible::format(format_args!("li{interval}"));
    let mode = mode.and_then(|mode| fallible::c_string(mode.as_bytes()));
    let mode = mode.map_err(|OutOfMemory| Refusal::NoMemory)?;
    let main = vm.main().as_ptr();
    take_inside();
    take_outside();
    // SAFETY: there is no argument.
    THREAD.store(unsafe { libc::gettid() }, Ordering::Relaxed);
    SAMPLED.store(main, Ordering::Relaxed);
    ON_SAMPLE.set(Some(on_sample));
    // SAFETY: a live VM, whose code does not run; LuaJIT reads the mode during the call.
    unsafe { luaJIT_profile_start(main, mode.as_ptr(), Some(sample), null_mut()) };
    LUAJIT.store(handler(), Ordering::Relaxed);
    set_handler(on_signal as *const () as usize);
    Ok(Sampling(vm))
}

impl Drop for Sampling {
    fn drop(&mut self) {
        ON_SAMPLE.set(None);
        // Other code may have taken the profiler over.
        if handler() == on_signal as *const () as usize {
            // SAFETY: a live VM, which this value has a share of.
            unsafe { luaJIT_profile_stop(self.0.main().as_ptr()) };
        }
        SAMPLED.store(null_mut(), Ordering::Relaxed);
    }
}

/// How many samples of the VM's code there are that nobody has taken: they are the caller's now.
pub fn take_inside() -> u64 {
    INSIDE.swap(0, Ordering::Relaxed)
}

/// As [`take_inside`], of anything else that the process did.
pub fn take_outside() -> u64 {
    OUTSIDE.swap(0, Ordering::Relaxed)
}

/// The signal's handler now.
fn handler() -> usize {
    // SAFETY: the system fills the action, of which zero is a valid one.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGPROF, std::ptr::null(), &mut action);
        action.sa_sigaction
    }
}

fn set_handler(handler: usize) {
    // SAFETY: the handler does only what one may do; zero is a valid action. What another signal's handler does
    // to LuaJIT's hooks (`interrupt`) must not come in between.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaddset(&mut action.sa_mask, watchdog::SIGNAL);
        libc::sigaction(libc::SIGPROF, &action, null_mut());
    }
}

/// # Safety
/// Only the system may call this.
#[callback(unguarded = "it runs in a signal handler, and uses atomics")]
unsafe extern "C" fn on_signal(signal: c_int) {
    // SAFETY: there is no argument.
    if unsafe { libc::gettid() } != THREAD.load(Ordering::Relaxed) {
        return;
    }
    let sampled = SAMPLED.load(Ordering::Relaxed);
    if sampled.is_null() || interrupt::running() != sampled {
        OUTSIDE.fetch_add(1, Ordering::Relaxed);
        return;
    }
    INSIDE.fetch_add(1, Ordering::Relaxed);
    interrupt::repeat();
    let luajit = LUAJIT.load(Ordering::Relaxed);
    if luajit != 0 {
        // SAFETY: LuaJIT's own handler of this signal, which takes the signal's number.
        unsafe { std::mem::transmute::<usize, extern "C" fn(c_int)>(luajit)(signal) }
    }
}

/// # Safety
/// Only LuaJIT may call this, with the running coroutine.
unsafe extern "C-unwind" fn sample(
    _data: *mut c_void,
    state: *mut ffi::lua_State,
    _samples: c_int,
    vm_state: c_int,
) {
    let samples = take_inside();
    let (Some(on_sample), 1..) = (ON_SAMPLE.get(), samples) else { return };
    let doing = match u8::try_from(vm_state) {
        Ok(b'C') => Doing::CFunction,
        Ok(b'G') => Doing::GarbageCollection,
        Ok(b'J') => Doing::Compilation,
        _ => Doing::Lua,
    };
    // SAFETY: LuaJIT passes the running coroutine.
    let state = unsafe { State::from_ptr(state) };
    guard((), || on_sample(state, doing, samples));
}
