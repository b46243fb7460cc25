//! What happens when a task ends, by itself or by an error.

use std::rc::Rc;

use super::abort::{Abort, log_abort};
use super::run::{AfterRun, end, hand_over, resume_status};
use crate::config::Phase;
use crate::lua::{Kind, LuaFailure};
use crate::nginx::{Level, Status};
use crate::ngx_log;
use crate::runtime::context::Context;
use crate::runtime::task::{Role, Task, TaskStatus};
use crate::runtime::{ends, output};

pub(super) fn finished(context: &Rc<Context>, task: &Rc<Task>) -> AfterRun {
    task.drop_pending();
    task.status.set(TaskStatus::Dead);
    drop_zombies(context, task);
    match task.role() {
        // `ngx.exit` could not yield, but must take effect all the same.
        Role::Entry | Role::LightThread if context.is_to_end() => AfterRun::Leave(end(context)),
        Role::Entry => {
            if let Some(run) = context.used().and_then(|rare| rare.filter_run.get()) {
                run.set_code(task.state().result_code());
            }
            context.remove_task(task);
            leave_if_over(context)
        }
        Role::LightThread => end_light_thread(context, task, true),
        Role::Coroutine | Role::Wrapped => end_coroutine(context, task),
    }
}

/// Drops ended light threads that the finished task has never waited for.
#[inline(always)]
fn drop_zombies(context: &Rc<Context>, task: &Task) {
    if !task.zombies.borrow().is_empty() {
        end_zombies(context, task);
    }
}

fn end_zombies(context: &Rc<Context>, task: &Task) {
    for zombie in task.zombies.take() {
        context.remove_task(&zombie);
    }
}

/// Ends a light thread that runs or waits, with the coroutines that run on its behalf.
pub fn kill(context: &Rc<Context>, chain: &[Rc<Task>]) {
    for task in chain {
        drop_zombies(context, task);
        context.remove_task(task);
    }
    decrement(&context.tasks.light_threads);
}

/// The parent has taken the results of a light thread that had ended.
pub fn forget_zombie(context: &Rc<Context>, parent: &Task, thread: &Rc<Task>) {
    parent.drop_zombie(thread);
    context.remove_task(thread);
}

fn decrement(count: &std::cell::Cell<usize>) {
    count.set(count.get().saturating_sub(1));
}

/// The code of an entry thread without a task has ended.
#[inline(always)]
pub(super) fn entry_ended(context: &Rc<Context>) -> Status {
    if context.is_to_end() {
        // `ngx.exit` could not yield, but must take effect all the same.
        return end(context);
    }
    end_if_over(context)
}

/// Ends the handler if its entry thread and all light threads have ended.
fn leave_if_over(context: &Rc<Context>) -> AfterRun {
    AfterRun::Leave(end_if_over(context))
}

#[inline(always)]
fn end_if_over(context: &Rc<Context>) -> Status {
    if context.tasks.light_threads.get() > 0 || context.is_entry_alive() {
        return Status::AGAIN;
    }
    all_done(context)
}

/// Every thread ended: the content phase closes the response.
fn all_done(context: &Rc<Context>) -> Status {
    if context.has_entered(Phase::Content) && !context.is_alone() && !context.is_filter_run() {
        let rc = output::send_last(context);
        if rc.is_failure() {
            return rc;
        }
    }
    Status::OK
}

/// A light thread ended, its results (or its error) on its stack.
fn end_light_thread(context: &Rc<Context>, task: &Rc<Task>, success: bool) -> AfterRun {
    if !success {
        keep_error_only(task);
    }
    if let Some(parent) = task.parent().filter(|parent| parent.is_alive()) {
        if parent.awaits_thread(task) {
            return hand_results_over(context, task, parent, success);
        }
        task.state().push_bool(success);
        task.state().insert(1);
        task.status.set(TaskStatus::Zombie);
        parent.keep_zombie(task);
        // The parent may be a coroutine that nobody resumes any more.
        decrement(&context.tasks.light_threads);
        return leave_if_over(context);
    }
    context.remove_task(task);
    decrement(&context.tasks.light_threads);
    leave_if_over(context)
}

/// Leaves the error on the stack of a failed coroutine, and removes what its code had there.
///
/// A peculiarity of the C module that scripts can see: for `error("text")`, `ngx.thread.wait`
/// returns first the text without its position, then the whole message.
fn keep_error_only(task: &Task) {
    let mut state = task.state();
    let top = state.top();
    if top > 1 && state.kind(1) == Kind::String && state.kind(top) == Kind::String {
        let (text, message) = (state.bytes(1), state.bytes(top));
        if let (Some(text), Some(message)) = (text, message)
            && message.strip_suffix(text).is_some_and(|position| position.ends_with(b": "))
        {
            if top > 2 {
                state.replace(2);
                state.set_top(2);
            }
            return;
        }
    }
    if top > 1 {
        state.replace(1);
        state.set_top(1);
    }
}

/// Passes the results to the parent, which waits in `ngx.thread.wait` for this thread.
fn hand_results_over(
    context: &Rc<Context>,
    task: &Rc<Task>,
    parent: Rc<Task>,
    success: bool,
) -> AfterRun {
    // Lets go of the other threads that the parent waits for.
    parent.drop_pending();
    let step = hand_over(task, parent, task.state().top(), Some(success));
    context.remove_task(task);
    decrement(&context.tasks.light_threads);
    step
}

fn end_coroutine(context: &Rc<Context>, task: &Rc<Task>) -> AfterRun {
    let Some(parent) = task.leave_parent() else {
        return no_parent(context);
    };
    // The coroutine is alive: its resumer's stack keeps it until that continues.
    task.be_forgotten();
    let step = hand_over(task, parent, task.state().top(), resume_status(task));
    context.remove_task(task);
    step
}

#[cold]
pub(super) fn failed(
    context: &Rc<Context>,
    task: &Rc<Task>,
    failure: LuaFailure,
    abort: &mut Option<Abort>,
) -> AfterRun {
    task.drop_pending();
    // Whatever the failed code had asked for is discarded.
    context.take_switch();
    if failure == LuaFailure::Memory
        && let Some(context) = task.context()
    {
        context.vm().release_memory_soon();
    }
    // `coroutine.resume` returns the error value as it is, and logs nothing.
    *abort = (task.role() != Role::Coroutine).then(|| Abort::of(task, failure));
    aborted(context, task, abort)
}

/// Handles an error that has reached `task`, its own or a wrapped child's.
pub(super) fn aborted(
    context: &Rc<Context>,
    task: &Rc<Task>,
    abort: &mut Option<Abort>,
) -> AfterRun {
    task.status.set(TaskStatus::Dead);
    drop_zombies(context, task);
    match task.role() {
        Role::LightThread => {
            log_abort(context, task, "user thread", abort);
            end_light_thread(context, task, false)
        }
        Role::Entry => {
            log_abort(context, task, "entry thread", abort);
            AfterRun::Leave(ends::abort(context))
        }
        Role::Coroutine | Role::Wrapped => {
            let Some(parent) = task.leave_parent() else {
                return no_parent(context);
            };
            let raises = task.role() == Role::Wrapped;
            if !raises {
                *abort = None;
            }
            let step = hand_over(task, parent.clone(), 1, (!raises).then_some(false));
            parent.propagates_error.set(raises || parent.propagates_error.get());
            context.remove_task(task);
            step
        }
    }
}

#[cold]
pub(super) fn no_parent(context: &Rc<Context>) -> AfterRun {
    let rc = ends::abort(context);
    ngx_log!(
        context.request().log(),
        Level::Err,
        "lua handler aborted: user coroutine has no parent"
    );
    AfterRun::Leave(rc)
}
