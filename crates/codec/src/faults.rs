//! Allocations that fail on demand, for tests: compiled in only with the feature `fault-injection`.
//!
//! Faults are armed in one thread, and stay armed until they have happened there.

use std::cell::Cell;

use crate::fallible::OutOfMemory;

/// How many more allocations succeed, and how many fail after those.
pub struct Countdown(Cell<(usize, usize)>);

impl Countdown {
    /// All succeed.
    pub const fn new() -> Self {
        Self(Cell::new((0, 0)))
    }

    /// After `succeed` more allocations, `fail` of them fail.
    pub fn arm(&self, succeed: usize, fail: usize) {
        self.0.set((succeed, fail));
    }

    /// All succeed again; returns whether one was still to fail.
    pub fn disarm(&self) -> bool {
        self.0.replace((0, 0)).1 > 0
    }

    /// Counts an allocation, which fails where its turn has come.
    pub fn allocate(&self) -> Result<(), OutOfMemory> {
        match self.0.get() {
            (_, 0) => Ok(()),
            (0, fail) => {
                self.0.set((0, fail - 1));
                Err(OutOfMemory)
            }
            (succeed, fail) => {
                self.0.set((succeed - 1, fail));
                Ok(())
            }
        }
    }
}

impl Default for Countdown {
    fn default() -> Self {
        Self::new()
    }
}

thread_local! {
    /// The allocations of [`crate::fallible`].
    pub static HEAP: Countdown = const { Countdown::new() };
}
