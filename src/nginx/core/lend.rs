//! A look at a value in a cell, which is put back afterwards.

use std::cell::Cell;

/// A cell whose value can be lent.
pub trait Lend<T> {
    /// Returns what `work` makes of the value. Meanwhile the cell has the default.
    fn lend<R>(&self, work: impl FnOnce(&mut T) -> R) -> R;
}

impl<T: Default> Lend<T> for Cell<T> {
    #[inline(always)]
    fn lend<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        let mut value = self.take();
        let result = work(&mut value);
        self.set(value);
        result
    }
}
