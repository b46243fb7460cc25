//! Values that are kept to be used again, because they are expensive to make.

use std::cell::{Cell, UnsafeCell};

use crate::nginx::core::allocator;

/// A free list. Invariant: no reference to its values exists while other code runs.
pub struct FreeList<T> {
    values: UnsafeCell<Vec<T>>,
    max: Cell<usize>,
}

impl<T> FreeList<T> {
    /// An empty list that keeps at most `max` values.
    pub const fn new(max: usize) -> FreeList<T> {
        FreeList { values: UnsafeCell::new(Vec::new()), max: Cell::new(max) }
    }

    /// Has the list keep at most `max` values from now on.
    pub fn set_max(&self, max: usize) {
        self.max.set(max);
    }

    /// Takes out the value that was added last.
    #[inline(always)]
    pub fn take(&self) -> Option<T> {
        // SAFETY: the list is of one thread, and by the invariant nobody refers into it.
        unsafe { (*self.values.get()).pop() }
    }

    /// Whether the list keeps another value, if there is memory.
    #[inline(always)]
    pub fn has_room(&self) -> bool {
        // SAFETY: as in `take`.
        unsafe { (*self.values.get()).len() < self.max.get() }
    }

    /// Keeps `value`; gives it back if the list is full or there is no memory.
    #[inline(always)]
    pub fn keep(&self, value: T) -> Option<T> {
        if !self.has_room() || allocator::is_in_reserve() {
            return Some(value);
        }
        // SAFETY: as in `take`: the vector runs no code but the allocator's.
        let values = unsafe { &mut *self.values.get() };
        let len = values.len();
        if len == values.capacity() && values.try_reserve(1).is_err() {
            return Some(value);
        }
        // SAFETY: the capacity is reserved.
        unsafe {
            values.as_mut_ptr().add(len).write(value);
            values.set_len(len + 1);
        }
        None
    }
}
