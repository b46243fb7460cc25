//! Recovery after a Lua allocation has failed: collects the garbage and returns free memory to the
//! system. LuaJIT does neither by itself when an allocation fails.

use std::cell::RefCell;

use super::state::State;
use super::vm::Vm;
use crate::nginx::core::allocator;
use crate::nginx::event::alarm::{Timer, Waiter};

/// A VM's scheduled garbage collection.
#[derive(Default)]
pub(super) struct Collection(RefCell<Option<Box<Timer<Collected>>>>);

/// The main coroutine of the VM, which owns the timer.
#[derive(Clone, Copy)]
struct Collected(State);

impl Waiter for Collected {
    fn abandon(&self) {}
}

impl Vm {
    /// Collects the garbage now. Only for code that Lua did not call.
    pub fn release_memory(&self) {
        release(&Collected(self.main()));
    }

    /// Collects the garbage at the end of the current round of the event loop, when the code that
    /// failed has left its coroutine.
    pub fn release_memory_soon(&self) {
        self.collection.begin_soon(self.main());
    }
}

impl Collection {
    /// Begins at the end of the current round of the event loop.
    pub(super) fn begin_soon(&self, main: State) {
        let mut collection = self.0.borrow_mut();
        collection.get_or_insert_with(|| Timer::new(Collected(main), release)).post();
    }
}

fn release(collected: &Collected) {
    // Objects with a finalizer are freed only in the second cycle.
    collected.0.collect_garbage();
    collected.0.collect_garbage();
    allocator::trim();
}
