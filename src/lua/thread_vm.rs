//! A VM for code that runs in another thread: it shares nothing with the worker's own.

use super::state::State;
use super::vm::{Recipe, Vm, VmError};

/// A VM that can be moved to another thread.
pub struct ThreadVm {
    vm: Vm,
    /// Its memory after the last garbage collection, in kilobytes.
    kept: usize,
    /// Whether a task had no memory.
    was_full: bool,
}

/// How much garbage tasks may leave, in kilobytes, in addition to as much as the VM held before.
const MAY_LEAVE: usize = 1024;

// SAFETY: LuaJIT does not tie a VM to the thread that made it, nothing of the `Vm` is shared with
// others, and the value has one owner at a time.
unsafe impl Send for ThreadVm {}

impl ThreadVm {
    /// Makes a VM by `recipe`, with `modules` loaded.
    pub fn new(recipe: &Recipe, modules: &[&str]) -> Result<ThreadVm, VmError> {
        let vm = Vm::plain(recipe, modules)?;
        let kept = vm.main().kilobytes();
        Ok(ThreadVm { vm, kept, was_full: false })
    }

    pub fn state(&self) -> State {
        self.vm.main()
    }

    /// Notes that a task had no memory.
    pub fn set_full(&mut self) {
        self.was_full = true;
    }

    /// Collects the garbage of tasks if it is much, because the next task may never come, or if memory is short,
    /// because LuaJIT itself would collect it too late.
    pub fn release_garbage(&mut self) {
        let was_full = std::mem::take(&mut self.was_full);
        let is_short = self.vm.takes_passed_mark() || was_full;
        if is_short || self.state().kilobytes() > 2 * self.kept + MAY_LEAVE {
            self.vm.release_memory();
            self.kept = self.state().kilobytes();
        }
    }
}
