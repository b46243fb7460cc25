//! Fault injection for tests (compiled in only with the cargo feature `fault-injection`):
//! allocations that fail, and panics where nginx enters the module.
//!
//! A fault is armed in one thread of a worker, and stays armed until it has happened there: the threads of
//! nginx's thread pools, whose work is guarded too, have none.

use std::cell::{Cell, RefCell};

use crate::per_thread;

per_thread! {
    /// How many more pool allocations succeed, and how many fail after those.
    static ALLOCATIONS: Cell<(usize, usize)> = Cell::new((0, 0));
    /// Part of the name of the callback that panics when it is called next.
    static CALLBACK: RefCell<Option<String>> = RefCell::new(None);
}

/// After `succeed` more pool allocations, `fail` of them fail.
pub fn arm_allocations(succeed: usize, fail: usize) {
    ALLOCATIONS.set((succeed, fail));
}

/// Makes the next callback from nginx whose name contains `part` panic. The name is the path of its
/// function, or for a timer the type that it belongs to.
pub fn arm_callback(part: String) {
    CALLBACK.set(Some(part));
}

/// Disarms everything; returns whether something was armed.
pub fn disarm() -> bool {
    ALLOCATIONS.replace((0, 0)).1 > 0 || CALLBACK.take().is_some()
}

/// Whether this allocation is to fail.
pub(in crate::nginx) fn allocation_fails() -> bool {
    match ALLOCATIONS.get() {
        (_, 0) => false,
        (0, fail) => {
            ALLOCATIONS.set((0, fail - 1));
            true
        }
        (succeed, fail) => {
            ALLOCATIONS.set((succeed - 1, fail));
            false
        }
    }
}

/// Panics where the callback `name` is armed.
pub(in crate::nginx) fn panic_if_armed(name: &str) {
    let armed =
        CALLBACK.with_borrow(|armed| armed.as_ref().is_some_and(|part| name.contains(part)));
    if armed {
        CALLBACK.set(None);
        panic!("an injected fault in {name}");
    }
}
