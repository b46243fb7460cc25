//! The beginning and the end of code that runs for a fake request: a timer's handler, a worker
//! hook, a phase of a TLS handshake.

use std::cell::Cell;
use std::rc::Rc;

use codec::fallible::OutOfMemory;

use super::context::Context;
use super::{Task, pending_log};
use crate::config::Phase;
use crate::lua::Vm;
use crate::nginx::Status;
use crate::nginx::http::fake::FakeRequest;
use crate::own_thread;

/// Makes the context of a new fake request; `scheduler::start_fake` then runs its entry thread.
/// Without memory, frees the request.
pub fn begin(request: FakeRequest, vm: Rc<Vm>, phase: Phase) -> Result<Rc<Context>, OutOfMemory> {
    let begun = Task::reserve().and_then(|()| {
        let context = Context::new(request.request(), vm, phase);
        context.attach()?;
        Ok(context)
    });
    match &begun {
        Ok(context) => {
            context.fake_end.owned.replace(Some(request));
            // So that an event continues the code at once, as in the content phase: there are no
            // phases of nginx to run.
            context.enter(Phase::Content);
        }
        Err(OutOfMemory) => request.destroy(),
    }
    begun
}

/// Ends a fake request, or one that lives on for code of the log phase, whose code has ended with
/// the result `rc`. An error of the code has been logged already.
pub fn finalize(context: &Rc<Context>, rc: Status) {
    if context.is_released() {
        return;
    }
    context.remove_all_tasks();
    timer_ended(context);
    if let Some(on_result) = context.fake_end.on_result.take() {
        on_result(rc);
    }
    if context.is_detached() {
        pending_log::end(context);
    } else {
        destroy(context);
    }
}

/// Frees the request, if the context owns it.
pub fn destroy(context: &Context) {
    if let Some(request) = context.fake_end.owned.take() {
        request.destroy();
    }
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
    if context.phase.get() == Phase::Timer && !context.fake_end.timer_counted_out.replace(true) {
        RUNNING_TIMERS.set(RUNNING_TIMERS.get().saturating_sub(1));
    }
}
