//! The end of a fake request: a timer's handler, a worker hook, a phase of a TLS handshake.

use std::cell::Cell;
use std::rc::Rc;

use super::context::Context;
use crate::config::Phase;
use crate::nginx::Status;
use crate::nginx::http::fake;
use crate::own_thread;

/// Ends a fake request whose code had the result `rc`. An error has been logged already.
pub fn finalize(context: &Rc<Context>, rc: Status) {
    if context.is_released() {
        return;
    }
    context.remove_all_tasks();
    timer_ended(context);
    if let Some(on_result) = context.fake_end.on_result.take() {
        on_result(rc);
    }
    fake::destroy(context.request());
}

own_thread! {
    /// Timers whose handlers are running in this worker.
    static RUNNING_TIMERS: Cell<usize> = Cell::new(0);
}

/// How many timer handlers are running.
pub fn running_timers() -> usize {
    RUNNING_TIMERS.get()
}

/// Counts a timer's handler that starts.
pub fn timer_started() {
    RUNNING_TIMERS.set(RUNNING_TIMERS.get() + 1);
}

/// Counts the end of the handler of `context`, if it is a timer's; once per context.
pub fn timer_ended(context: &Context) {
    if context.fake
        && context.phase.get() == Phase::Timer
        && !context.fake_end.timer_counted_out.replace(true)
    {
        RUNNING_TIMERS.set(RUNNING_TIMERS.get().saturating_sub(1));
    }
}
