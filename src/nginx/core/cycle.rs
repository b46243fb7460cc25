//! nginx's cycle: one configuration, from being read to the end of its last worker.

use std::ptr::{NonNull, addr_of_mut};

use crate::nginx::core::pool::{OutOfMemory, Pool};
use crate::nginx::sys::{ngx_cycle, ngx_cycle_t, ngx_log_t};

/// A cycle that nginx passed; copies are the same one.
#[derive(Clone, Copy)]
pub struct Cycle(NonNull<ngx_cycle_t>);

impl Cycle {
    /// # Safety
    /// `cycle` must be null or live. The value must not be kept after the call in which nginx
    /// passed it.
    pub unsafe fn from_ptr(cycle: *mut ngx_cycle_t) -> Option<Cycle> {
        NonNull::new(cycle).map(Cycle)
    }

    pub(in crate::nginx) fn as_ptr(self) -> *mut ngx_cycle_t {
        self.0.as_ptr()
    }

    /// The pool in which the configuration lives.
    pub fn pool(self) -> Result<Pool, OutOfMemory> {
        // SAFETY: a live cycle has a pool.
        unsafe { Pool::from_ptr((*self.as_ptr()).pool) }.ok_or(OutOfMemory)
    }

    /// The cycle's own error log, which is complete once its configuration has been read.
    pub fn new_log(self) -> *mut ngx_log_t {
        // SAFETY: a live cycle; only an address is taken.
        unsafe { addr_of_mut!((*self.as_ptr()).new_log) }
    }

    /// Runs `work` with this cycle, whose configuration has just been read, as nginx's current one.
    pub fn make_current<T>(self, work: impl FnOnce() -> T) -> T {
        /// Restores the previous cycle, even if `work` panics.
        struct Before(*mut ngx_cycle_t);
        impl Drop for Before {
            fn drop(&mut self) {
                // SAFETY: the pointer that nginx itself had set; only this thread reads or writes
                // the variable.
                unsafe { *addr_of_mut!(ngx_cycle) = self.0 }
            }
        }
        // SAFETY: only this thread reads or writes the variable, and nginx reads it anew each time
        // it needs it. This cycle is live, by `from_ptr`'s contract.
        let _before = unsafe {
            let current = addr_of_mut!(ngx_cycle);
            let before = Before(*current);
            *current = self.as_ptr();
            before
        };
        work()
    }
}
