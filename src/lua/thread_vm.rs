//! A VM for code that runs in another thread: it shares nothing with the worker's own.

use super::state::State;
use super::vm::{Recipe, Vm, VmError};

/// A VM that can be handed to another thread.
pub struct ThreadVm {
    vm: Vm,
    /// What it held when its garbage was collected last, in kilobytes.
    kept: usize,
}

/// What a task may leave, in kilobytes, beside as much as the VM held before.
const MAY_LEAVE: usize = 1024;

// SAFETY: LuaJIT ties no VM to the thread that made it, nothing of a `Vm` is shared, and there is
// one owner at a time: whoever holds the value.
unsafe impl Send for ThreadVm {}

impl ThreadVm {
    /// A VM after `recipe`, with `modules` loaded.
    pub fn new(recipe: &Recipe, modules: &[&str]) -> Result<ThreadVm, VmError> {
        let vm = Vm::plain(recipe, modules)?;
        let kept = vm.main().kilobytes();
        Ok(ThreadVm { vm, kept })
    }

    pub fn state(&self) -> State {
        self.vm.main()
    }

    /// Collects what tasks have left, where that is much: the next task may never come.
    pub fn release_garbage(&mut self) {
        if self.state().kilobytes() > 2 * self.kept + MAY_LEAVE {
            self.vm.release_memory();
            self.kept = self.state().kilobytes();
        }
    }
}
