//! Statics that only nginx's main thread uses, in which every event and every request runs.
//!
//! The threads of nginx's thread pools run Lua code too (`ngx.run_worker_thread`), in VMs of their
//! own that reach none of these statics. Thread-locals would do as well, but in a loaded module
//! each access to one is a function call.

use std::cell::RefCell;
use std::ops::Deref;

use crate::nginx::core::allocator;

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

/// A free list: values that are kept to be used again, because they are expensive to make.
pub struct FreeList<T> {
    values: RefCell<Vec<T>>,
    max: usize,
}

impl<T> FreeList<T> {
    /// An empty list that keeps at most `max` values.
    pub const fn new(max: usize) -> FreeList<T> {
        FreeList { values: RefCell::new(Vec::new()), max }
    }

    /// Takes out the value that was added last.
    #[inline]
    pub fn take(&self) -> Option<T> {
        self.values.borrow_mut().pop()
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.values.borrow().is_empty()
    }

    /// Keeps `value`, or drops it if the list is full or there is no memory.
    #[inline]
    pub fn keep(&self, value: T) {
        let mut values = self.values.borrow_mut();
        if values.len() < self.max && !allocator::is_in_reserve() && values.try_reserve(1).is_ok() {
            #[expect(clippy::disallowed_methods, reason = "the capacity is reserved")]
            values.push(value);
        }
    }
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
