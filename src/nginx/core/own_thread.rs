//! Statics of nginx's own thread, in which every event and every request runs.
//!
//! The threads of nginx's pools run Lua code too (`ngx.run_worker_thread`), in VMs of their own that
//! reach none of these. They are no thread-locals, which a loaded module finds by a call each time.

use std::cell::RefCell;
use std::ops::Deref;

use crate::nginx::core::allocator;

/// A value that one thread uses, whoever else there is.
pub struct OwnThread<T>(T);

// SAFETY: `new`'s contract: no other thread comes here.
unsafe impl<T> Sync for OwnThread<T> {}

impl<T> OwnThread<T> {
    /// # Safety
    /// Only code that runs in nginx's own thread may reach the static; debug builds check it.
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

/// Statics of nginx's own thread: `own_thread! { static NAME: Type = value; }`. Only code that runs in
/// that thread may reach them; debug builds check it.
#[macro_export]
macro_rules! own_thread {
    ($($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty = $value:expr;)*) => {$(
        $(#[$attribute])*
        #[allow(unsafe_code, reason = "the macro's contract")]
        $visibility static $name: $crate::nginx::core::own_thread::OwnThread<$type> = {
            let value = $value;
            // SAFETY: the macro's contract, by which nothing but nginx's own thread comes here.
            unsafe { $crate::nginx::core::own_thread::OwnThread::new(value) }
        };
    )*};
}

/// Values that wait to be used again, for they are dear to make.
pub struct Spares<T> {
    values: RefCell<Vec<T>>,
    max: usize,
}

impl<T> Spares<T> {
    /// Room for `max` of them.
    pub const fn new(max: usize) -> Spares<T> {
        Spares { values: RefCell::new(Vec::new()), max }
    }

    /// The one that came last.
    #[inline]
    pub fn take(&self) -> Option<T> {
        self.values.borrow_mut().pop()
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.values.borrow().is_empty()
    }

    /// Keeps `value`, or drops it where there is no room, or no memory for it.
    #[inline]
    pub fn keep(&self, value: T) {
        let mut values = self.values.borrow_mut();
        if values.len() < self.max && !allocator::is_in_reserve() && values.try_reserve(1).is_ok() {
            #[expect(clippy::disallowed_methods, reason = "the room is there")]
            values.push(value);
        }
    }
}

/// Panics in another thread than the one that came first in this process.
#[cfg(debug_assertions)]
fn check() {
    use std::sync::atomic::{AtomicI32, Ordering};
    static PROCESS: AtomicI32 = AtomicI32::new(0);
    static THREAD: AtomicI32 = AtomicI32::new(0);
    // SAFETY: neither call takes or changes anything.
    let (process, thread) = unsafe { (libc::getpid(), libc::gettid()) };
    if PROCESS.swap(process, Ordering::Relaxed) != process {
        THREAD.store(thread, Ordering::Relaxed);
    }
    assert_eq!(THREAD.load(Ordering::Relaxed), thread, "a static of nginx's own thread");
}
