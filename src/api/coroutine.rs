//! `coroutine.*` for code that runs for a request.
//!
//! lua-resty-core's `coroutine.create` and similar functions choose between LuaJIT's own functions,
//! which stay under `coroutine._create` …, and the ones here (`coroutine.__create` …). A coroutine
//! made here is resumed by the scheduler, never by another coroutine: so one that waits suspends
//! the whole chain up to its light thread, while `coroutine.yield` reaches its resumer only.

use std::rc::Rc;

use codec::fallible;

use crate::api::call::{Call, Row, set_functions};
use crate::config::metrics::Metric;
use crate::lua::function::wrap as lua_function;
use crate::lua::state::{GLOBALS, upvalue};
use crate::lua::{LuaError, LuaResult, Outcome, Returns, State, Thread};
use crate::runtime::context::Switch;
use crate::runtime::task::Record;
use crate::runtime::{PhaseSet, Role, Task, TaskStatus, counters};

const YIELDABLE: u32 = PhaseSet::YIELDABLE.0;

const FUNCTIONS: &[Row] = &[
    Row::late::<YIELDABLE, _>(c"__create", create),
    Row::late::<YIELDABLE, _>(c"__wrap", wrap),
    Row::late::<YIELDABLE, _>(c"__resume", resume),
    Row::in_phases::<YIELDABLE, _>(c"__yield", yield_values),
    Row::late::<YIELDABLE, _>(c"__status", status),
];

/// Puts the functions beside LuaJIT's own, which get a second name.
pub fn inject(mut state: State) {
    state.get_field(GLOBALS, c"coroutine");
    for (name, own_name) in [
        (c"create", c"_create"),
        (c"wrap", c"_wrap"),
        (c"resume", c"_resume"),
        (c"yield", c"_yield"),
        (c"status", c"_status"),
    ] {
        state.get_field(-1, name);
        state.set_field(-2, own_name);
    }
    set_functions(state, FUNCTIONS);
    let code = include_bytes!("../../lua/coroutine_resume.lua");
    if state.load(code, c"=coroutine.resume") == Outcome::Done {
        state.push_value(-2);
        state.push_function(lua_function(refusal_of_own));
        state.call_raising(2, 0);
    }
    // LuaJIT's own would not know of the scheduler, and the C module's table has none.
    state.push_nil();
    state.set_field(-2, c"isyieldable");
    state.pop(1);
}

/// Checks that argument 1 is a function that a coroutine can run, and that one may be made here.
pub fn check_function(call: &Call) -> Result<(), LuaError> {
    if !call.state.is_lua_function(1) {
        return Err(LuaError::argument(1, "Lua function expected"));
    }
    call.check()
}

/// A light thread of the running request for the function that is argument 1: its coroutine is left on the
/// stack, and kept by the registry until its task is removed. [`check_function`] has passed the function.
pub fn make_thread(call: &Call) -> Result<Rc<Task>, LuaError> {
    // Three values at most, far fewer than the LUA_MINSTACK free slots.
    let mut state = call.state;
    let thread = state.new_thread();
    state.push_value(-1);
    let vm = call.context.vm();
    let anchor = vm.anchor_thread(&mut state);
    // Not before: to make a coroutine may run a finalizer, which may make others.
    if let Err(error) = call.context.reserve_task() {
        vm.release_thread(Thread { state: thread, anchor });
        return Err(error.into());
    }
    state.push_value(1);
    state.move_to(thread, 1);
    Ok(call.context.add_suspended(thread, Some(anchor), Role::LightThread))
}

/// As [`make_thread`], for a coroutine that the scheduler gets to know when it is first resumed. Lua code that
/// refers to it keeps it, and the stack of its resumer while it runs or waits.
fn make_coroutine(call: &Call, wrapped: bool) -> Result<(), LuaError> {
    check_function(call)?;
    let mut state = call.state;
    let thread = state.new_thread();
    state.push_value(1);
    state.move_to(thread, 1);
    Task::note_new(call.context, thread, wrapped)?;
    counters::count(Metric::CoroutinesMade);
    Ok(())
}

fn create(call: &Call) -> LuaResult {
    make_coroutine(call, false)?;
    Ok(Returns::Values(1))
}

fn wrap(call: &Call) -> LuaResult {
    make_coroutine(call, true)?;
    call.state.push_closure(lua_function(resume_wrapped), 1);
    Ok(Returns::Values(1))
}

/// A call of what `coroutine.wrap` returned.
fn resume_wrapped(state: State) -> LuaResult {
    state.push_value(upvalue::<1>());
    state.insert(1);
    Call::with(state, PhaseSet::YIELDABLE, resume)
}

#[inline(always)]
fn resume(call: &Call) -> LuaResult {
    let state = call.state;
    let target = state.thread(1).ok_or_else(|| LuaError::argument(1, "coroutine expected"))?;
    call.check()?;
    let task = match Task::record(target) {
        Record::Task(task) if task.belongs_to(call.context) => {
            if task.status.get() != TaskStatus::Suspended {
                return refuse(state, task.status.get());
            }
            call.check_task()?;
            // LuaJIT's own `resume` may have run it.
            if !target.has_yielded() {
                return refuse(state, TaskStatus::Dead);
            }
            task
        }
        Record::New(new) if new.belongs_to(call.context) => {
            call.check_task()?;
            // As above.
            if !target.can_be_resumed() {
                return refuse(state, TaskStatus::Dead);
            }
            Task::begin_new(call.context, target, new)?
        }
        Record::Ended | Record::EndedThread => return refuse(state, TaskStatus::Dead),
        // Another request's, or not made here.
        Record::Task(_) | Record::New(_) | Record::None => {
            return Err(LuaError::text("no co ctx found"));
        }
    };
    let values = state.top();
    call.context.set_switch(Switch::Resume(task, values - 1));
    // The coroutine itself is yielded too, below its arguments: while it runs or waits, this stack may be all
    // that refers to it.
    Ok(Returns::Yield(values))
}

/// `(coroutine)`: why LuaJIT's own function must not resume it; nothing where it may. The scheduler will resume a task
/// that waits, and takes the results of a thread that has ended. LuaJIT's words are those for one that runs.
fn refusal_of_own(state: State) -> LuaResult {
    match state.thread(1).map(Task::record) {
        Some(Record::Task(task)) if task.status.get() != TaskStatus::Suspended => {
            state.push_str("cannot resume non-suspended coroutine");
            Ok(Returns::Values(1))
        }
        _ => Ok(Returns::Values(0)),
    }
}

#[cold]
fn refuse(state: State, status: TaskStatus) -> LuaResult {
    state.push_bool(false);
    state.push_str(&fallible::text(format_args!("cannot resume {} coroutine", status.name())));
    Ok(Returns::Values(2))
}

fn yield_values(call: &Call) -> LuaResult {
    call.check_task()?;
    let values = call.arguments();
    call.context.set_switch(Switch::Yield(values));
    Ok(Returns::Yield(values))
}

fn status(call: &Call) -> LuaResult {
    let target = call.state.thread(1).ok_or_else(|| LuaError::argument(1, "coroutine expected"))?;
    call.check()?;
    let status = match Task::record(target) {
        Record::Task(task) => task.status.get(),
        Record::New(_) => TaskStatus::Suspended,
        Record::Ended | Record::EndedThread | Record::None => TaskStatus::Dead,
    };
    call.state.push_str(status.name());
    Ok(Returns::Values(1))
}
