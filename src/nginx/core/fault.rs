//! Fault injection for tests (compiled in only with the cargo feature `fault-injection`):
//! allocations that fail, and panics where nginx enters the module.
//!
//! A fault is armed in one thread of a worker, and stays armed until it has happened there: the
//! threads of nginx's thread pools, whose work is guarded too, have none.

use std::cell::RefCell;

use codec::fallible::OutOfMemory;
use codec::faults::{Countdown, HEAP};

use crate::per_thread;

per_thread! {
    /// The allocations from nginx's pools.
    static POOLS: Countdown = Countdown::new();
    /// Part of the name of the callback that panics when it is called next.
    static CALLBACK: RefCell<Option<String>> = RefCell::new(None);
}

/// After `succeed` more pool allocations, `fail` of them fail.
pub fn arm_pools(succeed: usize, fail: usize) {
    POOLS.with(|pools| pools.arm(succeed, fail));
}

/// The same for the allocations of [`codec::fallible`].
pub fn arm_heap(succeed: usize, fail: usize) {
    HEAP.with(|heap| heap.arm(succeed, fail));
}

/// Makes the next callback from nginx whose name contains `part` panic. The name is the path of its
/// function, or for a timer the type that it belongs to.
pub fn arm_callback(part: String) {
    CALLBACK.set(Some(part));
}

/// Disarms everything; returns whether something was armed.
pub fn disarm() -> bool {
    let armed =
        [POOLS.with(Countdown::disarm), HEAP.with(Countdown::disarm), CALLBACK.take().is_some()];
    armed.contains(&true)
}

/// Fails where this allocation from a pool is to fail.
pub(in crate::nginx) fn allocate() -> Result<(), OutOfMemory> {
    POOLS.with(Countdown::allocate)
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
