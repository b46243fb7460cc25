//! Collecting the garbage after a Lua allocation has failed, or when the limit of a VM's memory is
//! near, and returning free memory to the system. LuaJIT does neither by itself when an allocation
//! fails.
//!
//! LuaJIT's collector takes memory itself: at the end of a sweep, it makes its table of strings smaller by
//! way of a new one (`lj_gc.c`, `GCSsweep`, calls `lj_str_resize`). Where that allocation fails, the error
//! leaves the collector where it is, and each further step fails there, too: nothing would ever be freed
//! again. So there must be memory for it, where there is none for Lua code.

use std::cell::RefCell;

use mlua::ffi;

use super::limit;
use super::state::State;
use super::vm::Vm;
use crate::nginx::core::{allocator, memory_reserve};
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

impl State {
    /// Runs a full cycle of garbage collection, with more memory than Lua code has.
    pub fn collect_garbage(self) {
        limit::while_collecting(|| {
            if !self.collect() {
                memory_reserve::without(|| self.collect());
            }
        });
    }

    /// Runs a full cycle of garbage collection; false without memory, or if a finalizer raised an error.
    fn collect(self) -> bool {
        self.protect(|state| {
            // SAFETY: runs in protected mode on a live VM.
            unsafe { ffi::lua_gc(state.as_ptr(), ffi::LUA_GCCOLLECT, 0) };
        })
        .is_ok()
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
    memory_reserve::keep();
}
