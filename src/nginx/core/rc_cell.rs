//! A cell for an `Rc` that can be replaced and cloned, without the borrow count of a `RefCell`.

use std::cell::UnsafeCell;
use std::rc::Rc;

/// An `Rc<T>`, or none. Invariant: no reference into the cell exists while other code runs.
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
