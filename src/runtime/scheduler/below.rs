//! Coroutines that run below the code that resumes them.
//!
//! As long as such a coroutine only yields to its resumer, or ends, its resumer need not yield, and the scheduler has
//! nothing to decide. When it stops in any other way (it waits, it asks to end the request, it has failed), each
//! resumer on the C stack yields, and the scheduler goes on as if it had run the coroutine itself.

use std::cell::Cell;
use std::rc::Rc;

use super::ended::finished;
use super::run::{AfterRun, return_to_resumer, way_out};
use crate::config::metrics::Metric;
use crate::lua::state::ALWAYS_FREE;
use crate::lua::{LuaResult, Outcome, Returns};
use crate::own_thread;
use crate::runtime::context::Context;
use crate::runtime::counters;
use crate::runtime::task::Task;

/// The most coroutines that run below others: each takes some of the C stack. The scheduler runs those that are
/// resumed beyond.
const MAX_DEPTH: u32 = 32;

/// The most values that are passed on: every stack has room for them, and for the status before them.
const MAX_VALUES: i32 = ALWAYS_FREE - 1;

own_thread! {
    static DEPTH: Cell<u32> = Cell::new(0);
}

/// Whether a coroutine may run below the code that resumes it with this many values. Nothing more runs where that code is
/// to end, though it could not yield when it asked for that.
#[inline(always)]
pub fn can_run_below(context: &Context, values: i32) -> bool {
    values <= MAX_VALUES && DEPTH.get() < MAX_DEPTH && way_out(context).is_none()
}

/// Whether a new light thread may run below the code that spawns it, with this many values: that code goes on next, when
/// the thread waits, so no other may be ready before it. Where the spawner itself runs below its own, that one is.
#[inline(always)]
pub fn can_spawn_below(context: &Context, values: i32) -> bool {
    can_run_below(context, values) && !context.has_posted() && !context.tasks.spawns.get()
}

/// Resumes `child`, a suspended coroutine, with the top `values` of the stack of `task`, which runs and can yield, and
/// which [`can_run_below`] has allowed. `child` must be what is left on that stack: it is what keeps its coroutine.
#[inline(always)]
pub fn resume_below(
    context: &Rc<Context>,
    task: &Rc<Task>,
    child: &Rc<Task>,
    values: i32,
) -> LuaResult {
    if values > 0 {
        task.state().move_to(child.state(), values);
    }
    task.clone().resume(child);
    let outcome = run_below(context, task, child, values);
    match results(context, task, child, outcome) {
        Some(AfterRun::Run(_, results)) => {
            context.set_current(Some(task));
            Ok(Returns::Values(results))
        }
        _ => {
            context.set_stopped_below(child, outcome);
            Ok(Returns::Yield(1))
        }
    }
}

/// Runs `thread`, a new light thread of `task`, with the `values` on its stack, until it waits or ends; then `task` goes
/// on, with the coroutine on top of its stack as the one result. [`can_spawn_below`] must have allowed it.
#[inline(always)]
pub fn spawn_below(
    context: &Rc<Context>,
    task: &Rc<Task>,
    thread: &Rc<Task>,
    values: i32,
) -> LuaResult {
    context.tasks.spawns.set(true);
    let outcome = run_below(context, task, thread, values);
    context.tasks.spawns.set(false);
    let goes_on = match outcome {
        Outcome::Yielded => way_out(context).is_none() && begins_to_wait(context, thread),
        Outcome::Done if task.is_alive() && !context.is_released() && !context.is_to_end() => {
            // As long as its parent is alive, neither the phase nor the request ends with it.
            finished(context, thread);
            true
        }
        _ => false,
    };
    // What the thread has resumed or woken may have killed its spawner.
    let is_alive = task.is_alive();
    if goes_on && is_alive {
        context.set_current(Some(task));
        return Ok(Returns::Values(1));
    }
    if is_alive {
        // Before any that the thread has made ready.
        context.post_first(task.clone(), 1);
    }
    context.set_stopped_below(thread, outcome);
    Ok(Returns::Yield(1))
}

/// Whether `thread`, which has yielded, has done so to wait for something.
#[inline(always)]
fn begins_to_wait(context: &Context, thread: &Task) -> bool {
    let waits = !context.is_filter_run()
        && context.asks_to_wait()
        && !context.has_stopped_below()
        && thread.is_alive();
    if waits {
        counters::count(Metric::Yields);
    }
    waits
}

/// Runs `inner` with the `values` on its stack until it stops; `task`, the code that resumes it, gives way.
#[inline(always)]
fn run_below(context: &Rc<Context>, task: &Task, inner: &Rc<Task>, values: i32) -> Outcome {
    counters::count(Metric::Yields);
    // Where its code could not yield, it may have begun to wait all the same: that must not wake it meanwhile.
    task.drop_pending();
    let _depth = Deeper::begin();
    context.set_current(Some(inner));
    inner.runs.set(true);
    let outcome = inner.state().resume(values);
    inner.stops(context);
    outcome
}

/// Puts what `child` has yielded or returned onto the stack of `task`, if it goes on with that.
#[inline(always)]
fn results(
    context: &Rc<Context>,
    task: &Rc<Task>,
    child: &Rc<Task>,
    outcome: Outcome,
) -> Option<AfterRun> {
    // What has stopped below `child` has asked for what the switch says.
    if context.has_stopped_below() || !child.is_resumed_by(task) {
        return None;
    }
    match outcome {
        Outcome::Yielded if way_out(context).is_none() => {
            let values = context.take_yield(MAX_VALUES)?;
            counters::count(Metric::Yields);
            child.drop_pending();
            Some(return_to_resumer(context, child, values))
        }
        Outcome::Done if child.state().top() <= MAX_VALUES => Some(finished(context, child)),
        _ => None,
    }
}

/// One more coroutine is on the C stack, until this is dropped.
struct Deeper;

impl Deeper {
    #[inline(always)]
    fn begin() -> Deeper {
        DEPTH.set(DEPTH.get() + 1);
        Deeper
    }
}

impl Drop for Deeper {
    #[inline(always)]
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}
