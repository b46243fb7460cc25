//! What the request's context shows while the code of a run is on the C stack.

use std::rc::Rc;

use super::waiting::abandon;
use crate::config::Phase;
use crate::lua::Thread;
use crate::nginx::Chain;
use crate::runtime::context::{Context, End};

/// The base's state outside of the run that is on the C stack; put back when this is dropped.
pub(super) struct Outside<'a> {
    base: &'a Rc<Context>,
    phase: Phase,
    thread: Option<Thread>,
    inner: Option<Rc<Context>>,
    end: Option<End>,
    chain: Chain,
    left: bool,
}

impl<'a> Outside<'a> {
    /// Has the base show a run instead: one that starts on `thread`, or goes on as `inner`.
    pub(super) fn of(
        base: &'a Rc<Context>,
        phase: Phase,
        thread: Option<Thread>,
        inner: Option<Rc<Context>>,
        chain: Chain,
    ) -> Outside<'a> {
        let runs = &base.filter_runs;
        let outer = runs.inner.take();
        runs.inner.set(inner);
        Outside {
            base,
            phase: base.replace_phase(phase),
            thread: runs.thread.replace(thread),
            inner: outer,
            end: base.ending.end.take(),
            chain: base.filter.chain.replace(chain),
            left: false,
        }
    }

    /// Has the base show again what it showed before; returns what the run has left there.
    pub(super) fn leave(mut self) -> (Option<Thread>, Option<Rc<Context>>, Option<isize>, Chain) {
        self.left = true;
        self.put_back()
    }

    fn put_back(&mut self) -> (Option<Thread>, Option<Rc<Context>>, Option<isize>, Chain) {
        let runs = &self.base.filter_runs;
        self.base.phase.set(self.phase);
        let inner = runs.inner.take();
        runs.inner.set(self.inner.take());
        let exit = match self.base.ending.end.replace(self.end.take()) {
            Some(End::Exit(code)) => Some(code),
            _ => None,
        };
        let chain = self.base.filter.chain.replace(self.chain);
        (runs.thread.replace(self.thread.take()), inner, exit, chain)
    }
}

/// A panic passes: the run ends.
impl Drop for Outside<'_> {
    fn drop(&mut self) {
        if !self.left {
            let (_, inner, ..) = self.put_back();
            if let Some(run) = inner {
                abandon(&run);
            }
        }
    }
}
