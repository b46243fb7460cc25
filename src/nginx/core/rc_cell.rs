//! A share that may be exchanged, and copied without looking into the cell by a reference: a `Cell` for
//! an `Rc`, where a `RefCell` would count its borrows.

use std::cell::UnsafeCell;
use std::rc::Rc;

/// A share of a `T`, or none. Invariant: no reference into the cell is there while other code runs.
pub struct RcCell<T>(UnsafeCell<Option<Rc<T>>>);

impl<T> Default for RcCell<T> {
    fn default() -> RcCell<T> {
        RcCell(UnsafeCell::new(None))
    }
}

impl<T> RcCell<T> {
    /// Puts `value` in, and drops what was there.
    #[inline(always)]
    pub fn set(&self, value: Option<Rc<T>>) {
        // SAFETY: the cell is of one thread, and by the invariant nobody refers into it. What was
        // there is dropped after the exchange, because dropping it may come back here.
        let before = unsafe { std::mem::replace(&mut *self.0.get(), value) };
        drop(before);
    }

    /// Another share of what is there.
    #[inline(always)]
    pub fn get(&self) -> Option<Rc<T>> {
        // SAFETY: as in `set`; to copy a share runs no code but its count.
        unsafe { (*self.0.get()).clone() }
    }
}
