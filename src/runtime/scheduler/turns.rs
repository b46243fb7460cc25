//! Choosing what runs next: threads that are ready, and tasks that events have woken; and what
//! nginx is told.

use std::rc::Rc;

use super::{fail, run, start};
use crate::config::Phase;
use crate::lua::Thread;
use crate::nginx::Status;
use crate::nginx::core::guard::panics;
use crate::nginx::http::departure;
use crate::runtime::context::Context;
use crate::runtime::task::{Task, TaskStatus};
use crate::runtime::{fake_request, filter_run, output, watch};

/// Runs the threads that are ready, one after another.
///
/// `DONE`: no thread is ready any more, and the others wait. Anything else is the result of the
/// handler, which has finished: in earlier phases, the caller returns it to nginx; in the content
/// phase, and in a fake request, the request has been finalized with it.
pub fn run_posted(context: &Rc<Context>) -> Status {
    let turns = watch::threads_take_turns(context);
    loop {
        if context.is_released() {
            return Status::DONE;
        }
        let Some((task, values)) = context.take_posted() else {
            return Status::DONE;
        };
        if task.status.get() != TaskStatus::Running {
            continue;
        }
        let values = turns.next(&task, values);
        let rc = run(context, task, values);
        if rc == Status::AGAIN {
            continue;
        }
        if rc == Status::DONE {
            finalize(context, Status::DONE);
            continue;
        }
        drop(turns);
        if context.has_entered(Phase::Content) {
            finalize(context, rc);
        }
        return rc;
    }
}

/// Hands the request, whose code has ended with the result `rc`, back to nginx. A request that
/// nginx does not know, and a filter's run, are ended; the result of `balancer_by_lua*` goes to
/// whoever waits for it.
pub fn finalize(context: &Rc<Context>, rc: Status) {
    if context.is_released() {
        return;
    }
    if context.used().is_some_and(|rare| rare.upstream_peer.get().is_some()) {
        context.remove_all_tasks();
        if let Some(on_result) = context.fake_end.on_result.take() {
            on_result(rc);
        }
    } else if context.is_alone() {
        fake_request::finalize(context, rc);
    } else if context.is_filter_run() {
        filter_run::finalize(context, rc);
    } else {
        context.request().finalize(rc);
    }
}

/// Continues the tasks that events woke. Phase handlers call this when nginx enters them again.
pub fn resume_woken(context: &Rc<Context>) -> Status {
    if context.used().is_some_and(|rare| rare.captures.lifted_error.take()) {
        departure::set_gone(context.request());
    }
    match context.take_woken() {
        Some((task, values)) => go_on(context, task, values),
        // nginx has entered for another reason: perhaps output can go on.
        None => output::write_event(context),
    }
}

/// Continues `task`, and then the others that events woke.
pub(super) fn go_on(context: &Rc<Context>, task: Rc<Task>, values: i32) -> Status {
    let mut next = (task, values);
    loop {
        let (task, values) = next;
        let rc = if task.is_alive() {
            let rc = run(context, task, values);
            settle(context, rc)
        } else {
            Status::DONE
        };
        if rc != Status::DONE || context.is_released() {
            return rc;
        }
        match context.take_woken() {
            Some(woken) => next = woken,
            None => return rc,
        }
    }
}

/// What the phase handler returns to nginx after a task has run.
pub fn settle(context: &Rc<Context>, rc: Status) -> Status {
    if rc == Status::AGAIN {
        return run_posted(context);
    }
    if rc == Status::DONE {
        finalize(context, Status::DONE);
        return run_posted(context);
    }
    if context.has_entered(Phase::Content) {
        finalize(context, rc);
        return Status::DONE;
    }
    rc
}

/// Runs the entry thread of a fake request (`fake_request::begin`), with its function on the stack
/// of `thread`, until it waits or ends. `begin` pushes its arguments and returns their number. A
/// panic ends it like an error.
pub fn start_fake(context: &Rc<Context>, thread: Thread, begin: impl FnOnce() -> i32) {
    let first_part = || {
        let values = begin();
        let rc = start(context, thread, values);
        settle(context, rc);
    };
    if panics(first_part) {
        fail(context);
    }
}
