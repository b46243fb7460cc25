//! A list of what the calls on the C stack work on, innermost first. Its links are in the calls'
//! own frames, so it allocates nothing.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ptr::null;
use std::rc::Rc;

/// The list. Invariant: each link is in a frame of [`Frames::within`] that has not returned.
pub struct Frames<T: 'static>(Cell<*const Frame<T>>);

struct Frame<T> {
    /// A copy of the `Rc` that the call has borrowed, which does not count as a share.
    value: ManuallyDrop<Rc<T>>,
    outer: *const Frame<T>,
}

impl<T> Frames<T> {
    pub const fn new() -> Frames<T> {
        Frames(Cell::new(null()))
    }

    /// Does `work`, with `value` in the list meanwhile.
    #[inline(always)]
    pub fn within<R>(&self, value: &Rc<T>, work: impl FnOnce() -> R) -> R {
        // SAFETY: the copy lasts no longer than `value` is borrowed, and is not dropped.
        let copy = unsafe { ManuallyDrop::new(std::ptr::read(value)) };
        let frame = Frame { value: copy, outer: self.0.get() };
        self.0.set(&raw const frame);
        let _leave = Leave { list: self, outer: frame.outer };
        work()
    }

    /// Calls `work` with the innermost value, none where there is none.
    #[inline(always)]
    pub fn with_innermost<R>(&self, work: impl FnOnce(Option<&Rc<T>>) -> R) -> R {
        // SAFETY: by the invariant, the frame is there, and stays until what has called this
        // returns.
        work(unsafe { self.0.get().as_ref() }.map(|frame| &*frame.value))
    }

    pub fn is_empty(&self) -> bool {
        self.0.get().is_null()
    }

    /// A share of the innermost value for which `is_it` is true.
    pub fn find(&self, is_it: impl Fn(&T) -> bool) -> Option<Rc<T>> {
        // SAFETY: by the invariant, the frames are there.
        let mut next = unsafe { self.0.get().as_ref() };
        while let Some(frame) = next {
            if is_it(&frame.value) {
                return Some(Rc::clone(&frame.value));
            }
            // SAFETY: as above.
            next = unsafe { frame.outer.as_ref() };
        }
        None
    }
}

/// Takes the innermost frame out of the list when its call returns, or unwinds.
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
