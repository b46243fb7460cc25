//! A VM for code that runs in another thread: it shares nothing with the worker's own.

use super::state::State;
use super::vm::{Recipe, Vm, VmError};

/// A VM that can be handed to another thread.
pub struct ThreadVm(Vm);

// SAFETY: LuaJIT ties no VM to the thread that made it, nothing of a `Vm` is shared, and there is
// one owner at a time: whoever holds the value.
unsafe impl Send for ThreadVm {}

impl ThreadVm {
    /// A VM after `recipe`, with `modules` loaded.
    pub fn new(recipe: &Recipe, modules: &[&str]) -> Result<ThreadVm, VmError> {
        Vm::plain(recipe, modules).map(ThreadVm)
    }

    pub fn state(&self) -> State {
        self.0.main()
    }
}
