//! `ngx.thread.*`: light threads, which the scheduler runs concurrently within a request.

use std::rc::Rc;

use crate::api::call::{Call, Row, set_functions_in};
use crate::api::coroutine;
use crate::config::metrics::Metric;
use crate::lua::{LuaError, LuaResult, Returns, State};
use crate::runtime::context::Switch;
use crate::runtime::task::Record;
use crate::runtime::{PhaseSet, Role, Task, TaskStatus, counters, scheduler};

const FUNCTIONS: &[Row] = &[
    Row::late::<{ PhaseSet::YIELDABLE.0 }, _>(c"spawn", spawn),
    Row::in_phases::<{ PhaseSet::YIELDABLE.0 }, _>(c"wait", wait),
    Row::in_phases::<{ PhaseSet::YIELDABLE.0 }, _>(c"kill", kill),
];

/// Puts the functions into the `ngx` table on top.
pub fn inject(state: State) {
    set_functions_in(state, c"thread", FUNCTIONS);
}

fn spawn(call: &Call) -> LuaResult {
    coroutine::check_function(call)?;
    let mut state = call.state;
    let parent = &call.task()?;
    let arguments = state.top() - 1;
    parent.reserve_thread(call.context.tasks.light_threads.get())?;
    let thread = coroutine::make_thread(call)?;
    counters::count(Metric::ThreadsMade);
    if arguments > 0 {
        if let Err(error) = thread.state().reserve(arguments) {
            call.context.remove_task(&thread);
            return Err(error);
        }
        // The thread takes the function's place, below the arguments.
        state.replace(1);
        state.move_to(thread.state(), arguments);
    }
    thread.set_parent(parent);
    thread.status.set(TaskStatus::Running);
    call.context.tasks.light_threads.set(call.context.tasks.light_threads.get() + 1);
    // The new thread runs first. Then its parent goes on, with the thread on top of its stack as the one result.
    if scheduler::can_spawn_below(call.context, arguments) {
        return scheduler::spawn_below(call.context, parent, &thread, arguments);
    }
    call.context.post(parent.clone(), 1);
    call.context.set_switch(Switch::Spawn(thread, arguments));
    Ok(Returns::Yield(1))
}

/// What is known of the coroutine that is argument `n`: it must have ended, or be one of the
/// running request's. It need not be a light thread.
fn light_thread(call: &Call, n: i32) -> Result<Record, LuaError> {
    let thread =
        call.state.thread(n).ok_or_else(|| LuaError::argument(n, "lua thread expected"))?;
    match Task::record(thread) {
        // Another request's, or not made here.
        Record::Task(task) if !task.belongs_to(call.context) => {
            Err(LuaError::text("no co ctx found"))
        }
        Record::New(new) if !new.belongs_to(call.context) => Err(LuaError::text("no co ctx found")),
        Record::None => Err(LuaError::text("no co ctx found")),
        record => Ok(record),
    }
}

fn is_child(thread: &Task, parent: &Rc<Task>) -> bool {
    thread.parent().is_some_and(|task| Rc::ptr_eq(&task, parent))
}

fn wait(call: &Call) -> LuaResult {
    let parent = &call.running_task()?;
    let n = call.arguments();
    if n == 0 {
        return Err(LuaError::text("at least one coroutine should be specified"));
    }
    parent.begin_thread_wait();
    for i in 1..=n {
        let thread = match light_thread(call, i)? {
            Record::Task(task) if task.role() == Role::LightThread => task,
            Record::EndedThread if i < n => continue,
            Record::EndedThread => return call.fail("already waited or killed"),
            _ => {
                return Err(LuaError::text(
                    "attempt to wait on a coroutine that is not a user thread",
                ));
            }
        };
        if !is_child(&thread, parent) {
            return Err(LuaError::text("only the parent coroutine can wait on the thread"));
        }
        if thread.status.get() == TaskStatus::Zombie {
            return take_results(call, parent, &thread);
        }
        parent.await_thread(&thread);
    }
    call.state.check_yieldable()?;
    parent.wait_for_threads();
    Ok(Returns::Yield(0))
}

/// Takes the results of a thread that has ended from its stack.
fn take_results(call: &Call, parent: &Task, thread: &Rc<Task>) -> LuaResult {
    let results = thread.state().top();
    call.state.reserve(results)?;
    thread.state().move_to(call.state, results);
    scheduler::forget_zombie(call.context, parent, thread);
    Ok(Returns::Values(results))
}

fn kill(call: &Call) -> LuaResult {
    let killer = &call.running_task()?;
    let thread = match light_thread(call, 1)? {
        Record::Task(task) if task.role() == Role::LightThread => task,
        Record::EndedThread => return call.fail("already waited or killed"),
        _ => return call.fail("not user thread"),
    };
    if !is_child(&thread, killer) {
        return call.fail("killer not parent");
    }
    if thread.status.get() == TaskStatus::Zombie {
        scheduler::forget_zombie(call.context, killer, &thread);
        return call.fail("already terminated");
    }
    let chain = thread.chain()?;
    if chain.iter().any(|task| Rc::ptr_eq(task, killer)) {
        return call.fail("killer runs in the thread");
    }
    if !chain.iter().all(|task| task.can_cancel()) {
        return call.fail("pending subrequests");
    }
    // What the thread waits for may belong to the call below which a finalizer runs.
    call.state.check_yieldable()?;
    scheduler::kill(call.context, &chain);
    call.succeed()
}
