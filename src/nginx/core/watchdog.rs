//! A thread that watches how long the main thread is busy with one thing, and interrupts it by a
//! signal.
//!
//! The main thread only counts: an odd number means busy. The watchdog looks at the number at
//! regular times; so being watched costs the main thread two writes of a word. It is told that time
//! is up in a signal handler of its own, between any two of its instructions.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use export::callback;

use crate::nginx::core::log::{Level, log_cycle};

/// Odd while the main thread is busy; each thing that it is busy with has a number of its own.
static COUNT: AtomicU64 = AtomicU64::new(0);
/// The count that the last signal is about, and whether it is the second signal.
static MEANT: AtomicU64 = AtomicU64::new(0);
static IS_SECOND: AtomicU64 = AtomicU64::new(0);

/// What interrupts the main thread: nginx, LuaJIT and its profiler do not use this signal.
pub const SIGNAL: i32 = libc::SIGVTALRM;
/// How long the main thread may stay busy beyond the second limit.
const GRACE: Duration = Duration::from_secs(1);

/// A function that a signal handler may call.
#[derive(Clone, Copy)]
pub struct InSignalHandler(fn(bool));

impl InSignalHandler {
    /// # Safety
    /// `function` does nothing that a signal handler may not.
    pub const unsafe fn new(function: fn(bool)) -> InSignalHandler {
        InSignalHandler(function)
    }
}

/// When the main thread is interrupted, and what is done then.
#[derive(Clone, Copy)]
pub struct Limits {
    /// How long the main thread may be busy with one thing before the first signal, and before the
    /// second, after which it must finish. Without a limit, there is no such signal.
    pub first: Option<Duration>,
    pub second: Option<Duration>,
    /// Called in the signal handler with whether the signal is the second one.
    pub tell: InSignalHandler,
    /// The line that is logged before the process is ended, because the main thread has not
    /// finished.
    pub last_line: &'static str,
}

/// The main thread is busy from now on.
#[inline(always)]
pub fn enter() {
    COUNT.store(COUNT.load(Ordering::Relaxed) | 1, Ordering::Relaxed);
}

/// The main thread is not busy any more.
#[inline(always)]
pub fn leave() {
    COUNT.store((COUNT.load(Ordering::Relaxed) | 1) + 1, Ordering::Relaxed);
}

/// The main thread is still busy with what it has just [left](leave).
#[inline(always)]
pub fn enter_again() {
    let count = COUNT.load(Ordering::Relaxed);
    if count.is_multiple_of(2) {
        COUNT.store(count.wrapping_sub(1), Ordering::Relaxed);
    }
}

static TELL: std::sync::OnceLock<InSignalHandler> = std::sync::OnceLock::new();

/// Starts the thread; to be called by the main thread, once per process. False where it cannot be
/// started.
pub fn start(limits: Limits) -> bool {
    let _ = TELL.set(limits.tell);
    // SAFETY: the handler only does what `tell` does, and LuaJIT's profiler does not come in
    // between; zero is a valid action. Signals are blocked while the thread is made, which then has
    // none of nginx's.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_signal as *const () as usize;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaddset(&mut action.sa_mask, libc::SIGPROF);
        libc::sigaction(SIGNAL, &action, std::ptr::null_mut());
        let (pid, main) = (libc::getpid(), libc::gettid());
        let (mut all, mut before) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        let thread = thread::Builder::new().spawn(move || watch(limits, pid, main));
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        thread.is_ok()
    }
}

fn watch(limits: Limits, pid: i32, main: i32) {
    let shortest = [limits.first, limits.second].into_iter().flatten().min();
    let pause = shortest.unwrap_or(GRACE) / 4;
    let pause = pause.clamp(Duration::from_millis(1), Duration::from_millis(250));
    let (mut seen, mut looks, mut signals) = (0, 0u32, [false; 2]);
    loop {
        thread::sleep(pause);
        let count = COUNT.load(Ordering::Relaxed);
        if count != seen || count.is_multiple_of(2) {
            (seen, looks, signals) = (count, 0, [false; 2]);
            continue;
        }
        // Not by the clock, which goes on while the whole process stands still.
        looks = looks.saturating_add(1);
        let busy = pause.saturating_mul(looks);
        for (number, limit) in [limits.first, limits.second].into_iter().enumerate() {
            let (Some(limit), Some(sent)) = (limit, signals.get_mut(number)) else { continue };
            if busy >= limit && !*sent {
                *sent = true;
                MEANT.store(count, Ordering::SeqCst);
                IS_SECOND.store(number as u64, Ordering::SeqCst);
                // SAFETY: the main thread lives as long as the process.
                unsafe { libc::syscall(libc::SYS_tgkill, pid, main, SIGNAL) };
            }
        }
        if limits.second.is_some_and(|limit| busy >= limit + GRACE) {
            end(limits.last_line);
        }
    }
}

/// Ends the process, in which the main thread would go on for ever.
fn end(line: &str) {
    log_cycle(Level::Alert, line.as_bytes());
    // SAFETY: the process ends here, without running anything of its own.
    unsafe { libc::_exit(1) }
}

/// # Safety
/// Only the system may call this, in the main thread.
#[callback(unguarded = "it runs in a signal handler, and reads atomics")]
unsafe extern "C" fn on_signal(_signal: libc::c_int) {
    if COUNT.load(Ordering::SeqCst) == MEANT.load(Ordering::SeqCst)
        && let Some(InSignalHandler(tell)) = TELL.get()
    {
        tell(IS_SECOND.load(Ordering::SeqCst) == 1);
    }
}
