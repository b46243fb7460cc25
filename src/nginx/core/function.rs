//! Functions that their type alone names: items, and closures without captures. C code that gets a
//! pointer to a generic function finds out by its type which one to call.

use std::ptr::NonNull;

/// The only value of a function's type.
///
/// # Safety
/// A value of `F` must exist. It does where C code calls: what registers a callback takes its
/// function as an argument.
#[inline(always)]
pub unsafe fn instance<F: Copy + 'static>() -> F {
    const { assert!(size_of::<F>() == 0, "a function that C code calls captures nothing") };
    // SAFETY: a type without a size; there is a value of it, the contract of this function, and any
    // aligned pointer points to one.
    unsafe { *NonNull::<F>::dangling().as_ref() }
}
