//! A cell for an `Rc` that can be replaced and cloned, without the borrow count of a `RefCell`.

use std::cell::UnsafeCell;
use std::rc::Rc;

/// An `Rc<T>`, or none. Invariant: no reference into the cell exists while other code runs.
pub struct RcCell<T>(UnsafeCell<Option<Rc<T>>>);

impl<T> Default for RcCell<T> {
    fn default() -> RcCell<T> {
        RcCell::new(None)
    }
}

impl<T> RcCell<T> {
    pub const fn new(value: Option<Rc<T>>) -> RcCell<T> {
        RcCell(UnsafeCell::new(value))
    }

    /// Puts `value` in, and drops what was there.
    #[inline(always)]
    pub fn set(&self, value: Option<Rc<T>>) {
        // SAFETY: the cell is of one thread, and by the invariant nobody refers into it. What was
        // there is dropped after the exchange, because dropping it may come back here.
        let before = unsafe { std::mem::replace(&mut *self.0.get(), value) };
        drop(before);
    }

    /// Takes out what is there.
    #[inline(always)]
    pub fn take(&self) -> Option<Rc<T>> {
        // SAFETY: as in `set`; nothing is dropped.
        unsafe { (*self.0.get()).take() }
    }

    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        // SAFETY: as in `set`; to look runs no code.
        unsafe { (*self.0.get()).is_none() }
    }

    /// Whether `other` is what is there.
    #[inline(always)]
    pub fn holds(&self, other: &Rc<T>) -> bool {
        // SAFETY: as in `is_empty`.
        unsafe { (*self.0.get()).as_ref().is_some_and(|own| Rc::ptr_eq(own, other)) }
    }

    /// Whether there is a value for which `is_it` is true. Meanwhile the cell is empty.
    #[inline(always)]
    pub fn is_some_and(&self, is_it: impl FnOnce(&T) -> bool) -> bool {
        let value = self.take();
        let answer = value.as_deref().is_some_and(is_it);
        self.set(value);
        answer
    }

    /// Another share of what is there.
    #[inline(always)]
    pub fn get(&self) -> Option<Rc<T>> {
        // SAFETY: as in `set`; to copy a share runs no code but its count.
        unsafe { (*self.0.get()).clone() }
    }
}
