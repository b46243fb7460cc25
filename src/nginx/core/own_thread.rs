//! Statics that only nginx's main thread uses, in which every event and every request runs.
//!
//! The threads of nginx's thread pools run Lua code too (`ngx.run_worker_thread`), in VMs of their
//! own that reach none of these statics; what they use too is a static of `per_thread!`. That would
//! do for these as well, but in a loaded module each access to one is a function call.

use std::ops::Deref;

/// A value that only nginx's main thread uses.
pub struct OwnThread<T>(T);

// SAFETY: no other thread reaches the value, `new`'s contract.
unsafe impl<T> Sync for OwnThread<T> {}

impl<T> OwnThread<T> {
    /// # Safety
    /// Only code that runs in nginx's main thread may use the static; debug builds check it.
    pub const unsafe fn new(value: T) -> OwnThread<T> {
        OwnThread(value)
    }
}

impl<T> Deref for OwnThread<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        #[cfg(debug_assertions)]
        check();
        &self.0
    }
}

/// Defines statics of nginx's main thread: `own_thread! { static NAME: Type = value; }`. Only code
/// that runs in that thread may use them; debug builds check it.
#[macro_export]
macro_rules! own_thread {
    ($($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty = $value:expr;)*) => {$(
        $(#[$attribute])*
        #[allow(unsafe_code, reason = "the macro's contract")]
        $visibility static $name: $crate::nginx::core::own_thread::OwnThread<$type> = {
            let value = $value;
            // SAFETY: only nginx's main thread uses the static, the macro's contract.
            unsafe { $crate::nginx::core::own_thread::OwnThread::new(value) }
        };
    )*};
}

/// Panics if called in another thread than the first time in this process.
#[cfg(debug_assertions)]
fn check() {
    use std::sync::atomic::{AtomicI32, Ordering};
    static PROCESS: AtomicI32 = AtomicI32::new(0);
    static THREAD: AtomicI32 = AtomicI32::new(0);
    // SAFETY: neither call takes a pointer or changes anything.
    let (process, thread) = unsafe { (libc::getpid(), libc::gettid()) };
    if PROCESS.swap(process, Ordering::Relaxed) != process {
        THREAD.store(thread, Ordering::Relaxed);
    }
    assert_eq!(THREAD.load(Ordering::Relaxed), thread, "a static of nginx's own thread");
}
