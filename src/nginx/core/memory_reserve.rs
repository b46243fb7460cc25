//! Memory that is kept for work that frees memory, where the system has none for it.
//!
//! It is a mapping that nobody touches, so it costs address space only. Where a process's memory is
//! limited (`ulimit -v`, or a system that does not promise more than it has), it counts.

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

const SIZE: usize = 16 * 1024 * 1024;

/// The mapping; null if there is none. Nobody else knows it.
static KEPT: AtomicPtr<c_void> = AtomicPtr::new(null_mut());

/// Makes the mapping, unless there is one. Without memory there is none, until the next call.
pub fn keep() {
    if !KEPT.load(Ordering::Relaxed).is_null() {
        return;
    }
    // SAFETY: a new mapping, at an address that the system chooses.
    let mapping = unsafe {
        libc::mmap(
            null_mut(),
            SIZE,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if mapping != libc::MAP_FAILED {
        // SAFETY: the new mapping.
        unsafe { replace(mapping) };
    }
}

/// Does `work` while the system has the mapping's memory.
pub fn without<R>(work: impl FnOnce() -> R) -> R {
    // SAFETY: null is none.
    unsafe { replace(null_mut()) };
    let result = work();
    keep();
    result
}

/// Has `mapping` in place of the one before, which goes back to the system.
///
/// # Safety
/// It must be null, or a mapping of [`SIZE`] bytes that nothing refers to.
unsafe fn replace(mapping: *mut c_void) {
    let before = KEPT.swap(mapping, Ordering::AcqRel);
    if !before.is_null() {
        // SAFETY: what was there is such a mapping, the contract of this function, and nobody else can take
        // it out any more.
        unsafe { libc::munmap(before, SIZE) };
    }
}
