//! The contexts whose code is running, that is, on the C stack.

use std::cell::RefCell;
use std::rc::Rc;

use super::Context;
use crate::nginx::{Request, forget_header_indexes};
use crate::own_thread;

own_thread! {
    /// Innermost last.
    static RUNNING: RefCell<Vec<Rc<Context>>> = RefCell::new(Vec::new());
}

/// Marks a context's code as running until it is dropped.
pub struct RunningGuard(());

impl Context {
    /// Marks the context's code as running until the guard is dropped.
    pub fn run_guard(self: &Rc<Self>) -> RunningGuard {
        #[expect(clippy::disallowed_methods, reason = "as many as calls nest on the C stack")]
        RUNNING.borrow_mut().push(self.clone());
        RunningGuard(())
    }

    /// Whether code of any request is on the C stack.
    pub fn any_runs() -> bool {
        !RUNNING.borrow().is_empty()
    }

    /// The context of running code for `request`, if nginx's slot has been cleared meanwhile.
    pub fn running(request: Request) -> Option<Rc<Context>> {
        RUNNING.borrow().iter().rev().find(|context| context.request() == request).cloned()
    }
}

impl Drop for RunningGuard {
    fn drop(&mut self) {
        let ended = RUNNING.borrow_mut().pop();
        drop(ended);
        forget_header_indexes();
    }
}
