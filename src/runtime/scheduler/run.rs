//! Running a task and those that it resumes; deciding what each yield means.

use std::rc::Rc;

use super::abort::Abort;
use super::ended::{aborted, entry_ended, failed, finished, no_parent};
use crate::config::metrics::Metric;
use crate::lua::registry::STACK_OVERFLOW;
use crate::lua::{LuaFailure, Outcome, Thread};
use crate::nginx::Status;
use crate::runtime::context::plain::Stopped;
use crate::runtime::context::{Context, End, Switch};
use crate::runtime::task::{Role, Task, TaskStatus};
use crate::runtime::{counters, ends, output};

/// What the scheduler does after a task has stopped running.
pub(super) enum AfterRun {
    /// Run this one with this many values.
    Run(Rc<Task>, i32),
    /// Leave the scheduler with this status.
    Leave(Status),
}

/// Runs `task` with the `values` on its stack, and the tasks that it resumes.
///
/// `AGAIN`: everything waits. `DONE`: the request has gone on elsewhere (`ngx.exec`). Anything
/// else: the handler has finished, with that result.
pub fn run(context: &Rc<Context>, task: Rc<Task>, values: i32) -> Status {
    context.run_code(|| {
        let rc = run_in_turns(context, task, values, None);
        output::release_held(context);
        context.set_current(None);
        rc
    })
}

/// Runs the code of the context's phase on `thread`, which has its function on the stack and `values`
/// for it, and what it resumes. The memory for a task must have been reserved ([`Task::reserve`]).
/// The result is that of [`run`].
#[inline(never)]
pub fn start(context: &Rc<Context>, thread: Thread, values: i32) -> Status {
    counters::count_run(context.phase.get());
    context.run_own_code(|| {
        let rc = start_plain(context, thread, values);
        output::release_held(context);
        rc
    })
}

#[inline(always)]
fn start_plain(context: &Rc<Context>, thread: Thread, values: i32) -> Status {
    let mut state = thread.state;
    let run = context.begin_plain(thread);
    let outcome = state.resume(values);
    match run.stop(outcome == Outcome::Done) {
        Some(Stopped::Plain(thread)) => {
            context.vm().give_back_ended(thread, context.request().log());
            entry_ended(context)
        }
        Some(Stopped::Task(task)) => take_over(context, task, outcome),
        None => Status::ERROR,
    }
}

/// As [`run`], for a task whose code has been started by other means, and has stopped with
/// `outcome`.
#[cold]
pub fn take_over(context: &Rc<Context>, task: Rc<Task>, outcome: Outcome) -> Status {
    task.stops(context);
    let mut abort = None;
    let rc = match stopped(context, task, outcome, &mut abort) {
        AfterRun::Run(next, values) => run_in_turns(context, next, values, abort),
        AfterRun::Leave(rc) => rc,
    };
    context.set_current(None);
    rc
}

/// What follows when the code of `task` stops with `outcome`; that of the innermost coroutine, where it has yielded because
/// one below it has stopped.
#[inline(always)]
fn stopped(
    context: &Rc<Context>,
    task: Rc<Task>,
    outcome: Outcome,
    abort: &mut Option<Abort>,
) -> AfterRun {
    let (task, outcome) = match context.take_stopped_below() {
        Some((inner, inner_outcome)) if outcome == Outcome::Yielded => {
            context.set_current(Some(&inner));
            (inner, inner_outcome)
        }
        _ => (task, outcome),
    };
    match outcome {
        Outcome::Yielded => {
            counters::count(Metric::Yields);
            yielded(context, task)
        }
        Outcome::Done => finished(context, &task),
        Outcome::Failed(failure) => failed(context, &task, failure, abort),
    }
}

/// Runs `task`, and then whatever runs next because of it, until none does. `abort` is an error that is being passed on
/// to it.
#[inline(always)]
fn run_in_turns(
    context: &Rc<Context>,
    mut task: Rc<Task>,
    mut values: i32,
    mut abort: Option<Abort>,
) -> Status {
    context.set_current(Some(&task));
    loop {
        let step = if task.propagates_error.get() {
            fails(context, &task, &mut abort)
        } else {
            task.runs.set(true);
            let outcome = task.state().resume(values);
            task.stops(context);
            stopped(context, task, outcome, &mut abort)
        };
        match step {
            AfterRun::Run(next, given) => {
                context.set_current(Some(&next));
                (task, values) = (next, given);
            }
            AfterRun::Leave(rc) => return rc,
        }
    }
}

/// Raises the error on top of the stack of `task`, of a wrapped child say; the task runs no more.
#[cold]
fn fails(context: &Rc<Context>, task: &Rc<Task>, abort: &mut Option<Abort>) -> AfterRun {
    abort.get_or_insert_with(|| Abort::of(task, LuaFailure::Runtime));
    aborted(context, task, abort)
}

#[inline(always)]
fn yielded(context: &Rc<Context>, task: Rc<Task>) -> AfterRun {
    if let Some(how) = way_out(context) {
        return leave(context, how);
    }
    let switch = context.take_switch();
    if !matches!(switch, Switch::Wait) {
        // Where its code could not yield, it may have begun to wait all the same: that must not wake it now.
        task.drop_pending();
    }
    match switch {
        // LuaJIT's own `coroutine.yield`, which lua-resty-core leaves to filters.
        Switch::Wait if context.is_filter_run() && task.has_nothing_to_wait_for() => {
            yield_thread(context, task)
        }
        Switch::Wait => AfterRun::Leave(Status::AGAIN),
        Switch::Spawn(thread, values) => AfterRun::Run(thread, values),
        Switch::Resume(child, values) => resume_child(task, child, values),
        Switch::Yield(_) if task.is_thread() => yield_thread(context, task),
        Switch::Yield(values) => return_to_resumer(context, &task, values),
    }
}

/// How the handler ends here, whatever its code has asked for by yielding; `None` if it goes on.
#[inline(always)]
pub(super) fn way_out(context: &Context) -> Option<fn(&Rc<Context>) -> Status> {
    if context.is_released() {
        return Some(|_| Status::ERROR);
    }
    if context.request().get().uri_changed() != 0 {
        return Some(ends::jump);
    }
    if context.is_to_end() { Some(end) } else { None }
}

/// Leaves the scheduler, whatever the code has asked of it by yielding.
#[cold]
fn leave(context: &Rc<Context>, how: fn(&Rc<Context>) -> Status) -> AfterRun {
    drop(context.take_switch());
    AfterRun::Leave(how(context))
}

/// Ends the handler as its code asked.
#[cold]
pub(super) fn end(context: &Rc<Context>) -> Status {
    match context.ending.end.take() {
        Some(End::Exit(code)) => ends::exit(context, Status(code)),
        Some(End::Exec { uri, args }) => ends::exec(context, &uri, &args),
        None => Status::AGAIN,
    }
}

/// `coroutine.yield` in a light thread: the others that are ready run first.
fn yield_thread(context: &Rc<Context>, task: Rc<Task>) -> AfterRun {
    task.state().set_top(0);
    task.status.set(TaskStatus::Running);
    if context.has_posted() {
        context.post(task, 0);
        return AfterRun::Leave(Status::AGAIN);
    }
    AfterRun::Run(task, 0)
}

/// `coroutine.resume`: the yielded values become the arguments of the coroutine, or the results of
/// its `coroutine.yield`. The coroutine itself stays on the stack below them.
#[inline(always)]
fn resume_child(task: Rc<Task>, child: Rc<Task>, values: i32) -> AfterRun {
    if child.state().reserve_waiting(|| task.main_state(), values).is_err() {
        let lost = child.state().has_lost_wait();
        child.status.set(if lost { TaskStatus::Dead } else { TaskStatus::Suspended });
        task.state().set_top(0);
        return overflows(task);
    }
    if values > 0 {
        task.state().move_to(child.state(), values);
    }
    task.resume(&child);
    AfterRun::Run(child, values)
}

/// `coroutine.yield` in a coroutine: its values become the results of the resume.
#[inline(always)]
pub(super) fn return_to_resumer(context: &Rc<Context>, task: &Rc<Task>, values: i32) -> AfterRun {
    let Some(parent) = task.leave_parent() else {
        return no_parent(context);
    };
    task.status.set(TaskStatus::Suspended);
    hand_over(task, parent, values, resume_status(task))
}

/// `coroutine.resume` gives its status first, `coroutine.wrap` does not.
pub(super) fn resume_status(child: &Task) -> Option<bool> {
    (child.role() != Role::Wrapped).then_some(true)
}

/// Continues `parent` with the top `values` of `task` as results, preceded by `status`, if given.
///
/// Except on x86-64, LuaJIT takes all that is on the stack of `parent` for results.
#[inline(always)]
pub(super) fn hand_over(
    task: &Task,
    parent: Rc<Task>,
    values: i32,
    status: Option<bool>,
) -> AfterRun {
    if parent.state().reserve_waiting(|| parent.main_state(), values + 1).is_err() {
        return overflows(parent);
    }
    if cfg!(not(target_arch = "x86_64")) {
        // Removes what has kept the coroutine of `task` until here. Nothing below collects garbage.
        parent.state().set_top(0);
    }
    if let Some(status) = status {
        parent.state().push_bool(status);
    }
    if values > 0 {
        task.state().move_to(parent.state(), values);
    }
    AfterRun::Run(parent, values + i32::from(status.is_some()))
}

/// Continues `task` with an error, because values do not fit onto a stack.
#[cold]
fn overflows(task: Rc<Task>) -> AfterRun {
    task.state().push_registered(STACK_OVERFLOW);
    task.propagates_error.set(true);
    AfterRun::Run(task, 0)
}
