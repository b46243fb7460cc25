//! What the calls on the C stack are about, innermost first: a list whose links are in the calls'
//! own frames, so that it takes no memory.

use std::cell::Cell;
use std::ptr::null;

/// The list. Invariant: each link is in a frame of [`Frames::within`] that has not returned.
pub struct Frames<T: 'static>(Cell<*const Frame<T>>);

struct Frame<T> {
    value: *const T,
    outer: *const Frame<T>,
}

impl<T> Frames<T> {
    pub const fn new() -> Frames<T> {
        Frames(Cell::new(null()))
    }

    /// Does `work`, with `value` in the list meanwhile.
    #[inline(always)]
    pub fn within<R>(&self, value: &T, work: impl FnOnce() -> R) -> R {
        let frame = Frame { value, outer: self.0.get() };
        self.0.set(&raw const frame);
        let _leave = Leave { list: self, outer: frame.outer };
        work()
    }

    pub fn is_empty(&self) -> bool {
        self.0.get().is_null()
    }

    /// A copy of the innermost value for which `is_it` is true.
    pub fn find(&self, is_it: impl Fn(&T) -> bool) -> Option<T>
    where
        T: Clone,
    {
        // SAFETY: by the invariant, the frames are there, and each has borrowed its value until it
        // returns.
        let mut next = unsafe { self.0.get().as_ref() };
        while let Some(frame) = next {
            // SAFETY: as above.
            let (value, outer) = unsafe { (&*frame.value, frame.outer.as_ref()) };
            if is_it(value) {
                return Some(value.clone());
            }
            next = outer;
        }
        None
    }
}

/// Takes the innermost frame out of the list when that returns, or unwinds.
struct Leave<'a, T: 'static> {
    list: &'a Frames<T>,
    outer: *const Frame<T>,
}

impl<T> Drop for Leave<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.list.0.set(self.outer);
    }
}
