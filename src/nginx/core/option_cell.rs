//! A cell for a value or none that can be looked at without the borrow count of a `RefCell`.

use std::cell::UnsafeCell;

/// A `T`, or none. Invariant: no reference into the cell exists while other code runs.
pub struct OptionCell<T>(UnsafeCell<Option<T>>);

impl<T> Default for OptionCell<T> {
    fn default() -> OptionCell<T> {
        OptionCell::new(None)
    }
}

impl<T> OptionCell<T> {
    pub const fn new(value: Option<T>) -> OptionCell<T> {
        OptionCell(UnsafeCell::new(value))
    }

    #[inline(always)]
    pub fn is_some(&self) -> bool {
        // SAFETY: the cell is of one thread, and by the invariant nobody changes it now; to look runs no
        // code.
        unsafe { (*self.0.get()).is_some() }
    }

    /// Puts `value` in; returns what was there.
    #[inline(always)]
    pub fn replace(&self, value: Option<T>) -> Option<T> {
        // SAFETY: as in `is_some`; nothing is dropped.
        unsafe { std::mem::replace(&mut *self.0.get(), value) }
    }

    /// Returns what `look` makes of what is there. Meanwhile the cell is empty.
    pub fn with<R>(&self, look: impl FnOnce(Option<&T>) -> R) -> R {
        let value = self.take();
        let seen = look(value.as_ref());
        drop(self.replace(value));
        seen
    }

    /// Takes out what is there.
    #[inline(always)]
    pub fn take(&self) -> Option<T> {
        self.replace(None)
    }
}
