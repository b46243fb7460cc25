//! A walk over the objects of a VM, by Lua code that comes with the module (`lua/heap.lua`), in steps.

use std::rc::Rc;

use codec::fallible;

use super::reference::Anchor;
use super::state::State;
use super::vm::Vm;
use super::{LuaError, Outcome};

/// The walk. Its code and what it keeps are dropped with it.
pub struct HeapWalk {
    vm: Rc<Vm>,
    step: Option<Anchor>,
    report: Option<Anchor>,
}

/// What has been found.
pub struct Found {
    /// Lines of folded stacks: holders, and bytes.
    pub holders: Vec<u8>,
    /// Lines of a type, the number of its objects, and their bytes.
    pub types: Vec<u8>,
    /// Whether there are more objects than the walk was to look at.
    pub is_part: bool,
}

impl HeapWalk {
    /// Begins a walk that looks at `most` objects. Errors are Lua's.
    pub fn begin(vm: Rc<Vm>, most: usize) -> Result<HeapWalk, Vec<u8>> {
        let mut walk = HeapWalk { vm: vm.clone(), step: None, report: None };
        let begun = vm.main().protect(|mut state| {
            let code = include_bytes!("../../lua/heap.lua");
            if state.load(code, c"=heap walk") != Outcome::Done {
                state.raise(LuaError::on_stack());
            }
            state.push_integer(most as i64);
            state.call_raising(1, 2);
            walk.report = Some(state.anchor());
            walk.step = Some(state.anchor());
        });
        begun.map(|()| walk)
    }

    /// Goes on for about as long as it takes to look at `entries` entries of tables; true if there
    /// is no more to look at.
    pub fn step(&self, entries: usize) -> Result<bool, Vec<u8>> {
        let mut main =
            self.call(self.step.as_ref(), 1, |state| state.push_integer(entries as i64))?;
        let is_done = main.boolean(-1);
        main.pop(1);
        Ok(is_done)
    }

    /// What has been found so far.
    pub fn report(&self) -> Result<Found, Vec<u8>> {
        let mut main = self.call(self.report.as_ref(), 3, |_| {})?;
        let text = |index| fallible::copy(main.bytes(index).unwrap_or_default());
        let is_part = main.boolean(-1);
        let found = text(-3).and_then(|holders| Ok(Found { holders, types: text(-2)?, is_part }));
        main.pop(3);
        found.map_err(|_| fallible::NOT_ENOUGH.into())
    }

    fn call(
        &self,
        function: Option<&Anchor>,
        results: i32,
        push: impl FnOnce(State),
    ) -> Result<State, Vec<u8>> {
        let mut main = self.vm.main();
        let Some(function) = function else { return Err(fallible::NOT_ENOUGH.into()) };
        let before = main.top();
        main.push_anchored(function);
        push(main);
        match main.call(main.top() - before - 1, results, 0) {
            Outcome::Done => Ok(main),
            _ => Err(main.take_error()),
        }
    }
}

impl Drop for HeapWalk {
    fn drop(&mut self) {
        for anchor in [self.step.take(), self.report.take()].into_iter().flatten() {
            self.vm.main().release(anchor);
        }
    }
}
