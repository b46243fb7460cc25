//! `coroutine.*` for code that runs for a request.
//!
//! Code for a request gets the functions here (`coroutine.__create` …), filters, and code for no request, LuaJIT's own
//! (`coroutine._create` …). lua-resty-core's functions choose between them, and so do those that take their place
//! ([`complete`]).
//!
//! A coroutine made here that waits suspends the whole chain up to its light thread, while `coroutine.yield` reaches its
//! resumer only.

use std::ffi::CStr;
use std::rc::Rc;

use codec::fallible;

use crate::api::call::{Call, Row, set_functions};
use crate::config::metrics::Metric;
use crate::lua::function::wrap as lua_function;
use crate::lua::state::{GLOBALS, MULTRET, REGISTRY, upvalue};
use crate::lua::yieldable::UNNAMED_COROUTINE;
use crate::lua::{
    CFunction, Kind, LuaError, LuaResult, Outcome, Returns, State, Thread, openresty,
};
use crate::nginx::core::c_stack;
use crate::runtime::context::{Context, Switch};
use crate::runtime::task::Record;
use crate::runtime::{PhaseSet, Role, Task, TaskStatus, counters, scheduler};

const YIELDABLE: u32 = PhaseSet::YIELDABLE.0;

const FUNCTIONS: &[Row] = &[
    Row::late::<YIELDABLE, _>(c"__create", create),
    Row::late::<YIELDABLE, _>(c"__wrap", wrap),
    Row::late::<YIELDABLE, _>(c"__resume", resume),
    Row::in_phases::<YIELDABLE, _>(c"__yield", yield_values),
    Row::late::<YIELDABLE, _>(c"__status", status),
];

/// What code finds in the table once lua-resty-core has been loaded: its name, the one that LuaJIT's own function gets, and
/// what chooses between that and the one here.
const CHOSEN: [(&CStr, &CStr, CFunction); 5] = [
    (c"create", c"_create", choose(create)),
    (c"wrap", c"_wrap", choose(wrap)),
    (c"resume", c"_resume", choose(resume)),
    (c"yield", c"_yield", lua_function(yield_here)),
    (c"status", c"_status", choose(status)),
];

/// Puts the functions beside LuaJIT's own, which get a second name.
pub fn inject(mut state: State) {
    state.get_field(GLOBALS, c"coroutine");
    for (name, own_name, _) in CHOSEN {
        state.get_field(-1, name);
        state.set_field(-2, own_name);
    }
    set_functions(state, FUNCTIONS);
    check_own(state, "_resume", "_wrap", lua_function(refusal_of_own));
    // LuaJIT's own would not know of the scheduler, and the C module's table has none.
    state.push_nil();
    state.set_field(-2, c"isyieldable");
    state.pop(1);
}

/// Puts `lua/coroutine_functions.lua` into the places of lua-resty-core's functions, where it has some.
pub fn complete(mut state: State) {
    let top = state.top();
    state.get_field(REGISTRY, c"_LOADED");
    state.get_field(-1, c"resty.core.coroutine");
    let has_core = !state.is_nil_or_none(-1);
    state.get_field(GLOBALS, c"coroutine");
    if has_core && state.kind(-1) == Kind::Table {
        state.new_table(0, CHOSEN.len() as i32);
        for (name, own_name, function) in CHOSEN {
            state.get_field(-2, own_name);
            state.push_closure(function, 1);
            state.set_field(-2, name);
        }
        state.push_value(-1);
        state.set_field(REGISTRY, UNNAMED_COROUTINE);
        let code = include_bytes!("../../lua/coroutine_functions.lua");
        if state.load(code, c"=coroutine") == Outcome::Done {
            state.insert(-2);
            state.call_raising(1, 0);
        }
    }
    state.set_top(top);
}

/// A function that does what `ours` does where the scheduler runs the code; elsewhere, what LuaJIT's own does, which is
/// its upvalue.
const fn choose<F>(ours: F) -> CFunction
where
    F: Fn(&Call) -> LuaResult + Copy + 'static,
{
    lua_function(move |state| {
        if is_scheduled(state) {
            return Call::with(state, PhaseSet::YIELDABLE, ours);
        }
        call_own(state)
    })
}

fn yield_here(state: State) -> LuaResult {
    if is_scheduled(state) {
        return Call::with(state, PhaseSet::YIELDABLE, |call| {
            call.check()?;
            yield_values(call)
        });
    }
    if state.check_yieldable().is_ok() {
        return Ok(Returns::Yield(state.top()));
    }
    // It says why it cannot.
    call_own(state)
}

/// Whether lua-resty-core would take the functions here: everywhere in code for a request, except in filters.
#[inline(always)]
fn is_scheduled(state: State) -> bool {
    let in_filter = |context: &Rc<Context>| PhaseSet::FILTERS.has(context.phase.get());
    openresty::runs_for_request(state)
        && Context::with_innermost(|context| context.is_some_and(|context| !in_filter(context)))
}

/// Calls LuaJIT's own function with the arguments.
fn call_own(mut state: State) -> LuaResult {
    let arguments = state.top();
    state.push_value(upvalue::<1>());
    state.insert(1);
    state.call_raising(arguments, MULTRET);
    Ok(Returns::Values(state.top()))
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
    // The coroutine itself stays on the stack, below its arguments: while it runs or waits, this stack may be all that
    // refers to it.
    let values = state.top() - 1;
    if scheduler::can_run_below(call.context, values) {
        return scheduler::resume_below(call.context, &call.running_task()?, &task, values);
    }
    call.context.set_switch(Switch::Resume(task, values));
    Ok(Returns::Yield(values + 1))
}

/// As [`inject`], for a VM without a scheduler: `coroutine` has LuaJIT's own functions there.
pub fn inject_own(mut state: State) {
    state.get_field(GLOBALS, c"coroutine");
    check_own(state, "resume", "wrap", lua_function(refusal_for_depth));
    state.pop(1);
}

/// Has LuaJIT's own functions, which the table on top has under these names, call `check` before each resume.
fn check_own(mut state: State, resume: &str, wrap: &str, check: CFunction) {
    let code = include_bytes!("../../lua/coroutine_own.lua");
    if state.load(code, c"=coroutine") == Outcome::Done {
        state.push_value(-2);
        state.push_str(resume);
        state.push_str(wrap);
        state.push_function(check);
        state.call_raising(4, 0);
    }
}

/// `(coroutine)`: why LuaJIT's own function must not resume it; nothing where it may. The scheduler will resume a task
/// that waits, and takes the results of a thread that has ended. LuaJIT's words are those for one that runs.
fn refusal_of_own(state: State) -> LuaResult {
    match state.thread(1).map(Task::record) {
        Some(Record::Task(task)) if task.status.get() != TaskStatus::Suspended => {
            state.push_str("cannot resume non-suspended coroutine");
            Ok(Returns::Values(1))
        }
        _ => refusal_for_depth(state),
    }
}

/// The same, where only the C stack may forbid it.
fn refusal_for_depth(state: State) -> LuaResult {
    if c_stack::is_deep() {
        state.push_str("C stack overflow");
        return Ok(Returns::Values(1));
    }
    Ok(Returns::Values(0))
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
