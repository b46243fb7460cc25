//! How much of this thread's C stack is in use.

use std::cell::Cell;
use std::ffi::c_void;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::ptr::null_mut;

use crate::per_thread;

/// How much of a stack code may use that can go on going deeper, in bytes; a quarter of one that is small. nginx uses some
/// ten kilobytes of its main thread's.
const MOST: usize = 256 << 10;

per_thread! {
    /// The lowest address that such code may use; 0 as long as nobody has asked.
    static LIMIT: Cell<usize> = Cell::new(0);
}

/// Whether code must not go deeper: what runs now has used as much of this thread's stack as it may.
#[inline(always)]
pub fn is_deep() -> bool {
    let here = 0_u8;
    let limit = match LIMIT.get() {
        0 => find_limit(),
        limit => limit,
    };
    (black_box(&raw const here) as usize) < limit
}

/// Where the system does not tell, nothing is deep.
#[cold]
fn find_limit() -> usize {
    let limit = bounds().map_or(1, |(lowest, size)| lowest + size - MOST.min(size / 4));
    LIMIT.set(limit);
    limit
}

/// The lowest address of this thread's stack, and its size in bytes.
fn bounds() -> Option<(usize, usize)> {
    let mut attributes = MaybeUninit::uninit();
    // SAFETY: the first call fills the attributes of this thread, or fails; they are used after it has succeeded, and
    // destroyed once.
    unsafe {
        if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 {
            return None;
        }
        let (mut lowest, mut size) = (null_mut::<c_void>(), 0);
        let rc = libc::pthread_attr_getstack(attributes.as_ptr(), &mut lowest, &mut size);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        (rc == 0).then_some((lowest as usize, size))
    }
}
