//! Runs that wait: their beginning, and their end, by themselves or with the request.

use std::rc::{Rc, Weak};

use super::Then;
use crate::config::Phase;
use crate::nginx::core::allocator;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::event::alarm::{Timer, Waiter};
use crate::nginx::http::{client, filters};
use crate::nginx::{Request, Status};
use crate::runtime::context::Context;

impl Context {
    /// Has `run` wait, and `then` called once it has ended. `begin` prepares for the output that
    /// comes meanwhile. False without memory: then the run has been ended.
    #[must_use]
    pub fn filter_waits(
        self: &Rc<Self>,
        run: Rc<Context>,
        then: Then,
        begin: impl FnOnce() -> Result<(), OutOfMemory>,
    ) -> bool {
        let log = self.request().log();
        let ready = allocator::check().and_then(|()| self.watch_request_end());
        let ready = ready.and_then(|()| begin());
        if ready.is_err() {
            abandon(&run);
            return false;
        }
        // From now on an event continues the code at once, as in the content phase.
        run.enter(Phase::Content);
        if let Some(record) = run.filter_run.get() {
            record.then.set(Some(then));
        }
        let keeper = Keeper { base: Rc::downgrade(self) };
        let timer = Timer::with_log(keeper, Keeper::renew, log);
        timer.arm(Keeper::period(self.request()));
        self.filter_runs.keeper.replace(Some(timer));
        self.filter_runs.waiting.set(Some(run));
        filters::set_waits(self.request(), true);
        true
    }

    /// The request ends, and the run that waits with it. Safe to call twice.
    #[inline(always)]
    pub(in crate::runtime) fn end_filter(&self) {
        if self.used().is_some_and(|rare| !rare.filter_runs.waiting.is_empty()) {
            self.end_waiting();
        }
    }

    #[cold]
    fn end_waiting(&self) {
        self.filter_runs.keeper.take();
        if let Some(run) = self.filter_runs.waiting.take() {
            abandon(&run);
        }
    }
}

/// Ends all that a run does.
pub(super) fn abandon(run: &Rc<Context>) {
    run.remove_all_tasks();
    run.close();
    if let Some(record) = run.filter_run.get() {
        record.then.take();
        record.base.set(None);
    }
}

/// A run that has waited has ended, with the result `rc` of its tasks.
pub(in crate::runtime) fn finalize(run: &Rc<Context>, rc: Status) {
    let Some(record) = run.filter_run.get() else { return };
    let ended = record.ended(rc == Status::OK);
    let (base, then) = (record.base(), record.then.take());
    abandon(run);
    let Some(base) = base else { return };
    base.filter_runs.waiting.set(None);
    base.filter_runs.keeper.take();
    if !base.is_released()
        && let Some(then) = then
    {
        filters::set_waits(base.request(), false);
        then(&base, ended);
    }
}

/// While a filter's code waits, nothing is sent, which is not the client's fault: this keeps
/// `send_timeout` from expiring.
#[derive(Clone)]
pub(super) struct Keeper {
    base: Weak<Context>,
}

impl Keeper {
    /// Twice within `send_timeout`.
    fn period(request: Request) -> usize {
        (client::send_timeout(request) / 2).max(1)
    }

    fn renew(&self) {
        let Some(base) = self.base.upgrade() else { return };
        client::restart_send_timer(base.request());
        if let Some(timer) = &*base.filter_runs.keeper.borrow() {
            timer.arm(Keeper::period(base.request()));
        }
    }
}

impl Waiter for Keeper {
    fn abandon(&self) {}
}
