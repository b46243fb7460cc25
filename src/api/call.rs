//! A call from Lua into the API: the coroutine that calls, its request, and whether the call is
//! allowed.

use std::ffi::{CStr, c_int};
use std::fmt;
use std::rc::Rc;

use codec::fallible;

use crate::lua::function::{self, wrap};
use crate::lua::{CFunction, LuaError, LuaResult, State, openresty};
use crate::nginx::Request;
use crate::runtime::{Context, Phase, PhaseSet, Task};

/// A function of the API under its Lua name. Its row says in which phases it may be called.
pub struct Row {
    pub name: &'static CStr,
    pub function: CFunction,
}

impl Row {
    /// A function for any place where Lua code runs.
    pub const fn anywhere<F>(name: &'static CStr, function: F) -> Row
    where
        F: Fn(State) -> LuaResult + Copy + 'static,
    {
        Row { name, function: wrap(function) }
    }

    /// A function for code that runs for a request (or a fake request), in the phases with the bits
    /// `PHASES`; elsewhere it raises "API disabled in the context of …".
    pub const fn in_phases<const PHASES: u32, F>(name: &'static CStr, function: F) -> Row
    where
        F: Fn(&Call) -> LuaResult + Copy + 'static,
    {
        Row { name, function: wrap_call::<PHASES, EARLY, F>(function) }
    }

    /// As [`Row::in_phases`], for a function that finds faults in its arguments first, as the C
    /// module's does: it asks for the phase by [`Call::check`].
    pub const fn late<const PHASES: u32, F>(name: &'static CStr, function: F) -> Row
    where
        F: Fn(&Call) -> LuaResult + Copy + 'static,
    {
        Row { name, function: wrap_call::<PHASES, LATE, F>(function) }
    }

    /// As [`Row::late`], for a function that looks at its arguments even where there is no request: it
    /// gets the phases, for [`Call::with`].
    pub const fn late_anywhere<const PHASES: u32, F>(name: &'static CStr, function: F) -> Row
    where
        F: Fn(State, PhaseSet) -> LuaResult + Copy + 'static,
    {
        let _ = function;
        Row { name, function: wrap(with_phases::<PHASES, F>) }
    }

    /// A function for real requests in any phase; in timers and worker hooks it raises
    /// "API disabled in the current context".
    pub const fn in_request<F>(name: &'static CStr, function: F) -> Row
    where
        F: Fn(&Call) -> LuaResult + Copy + 'static,
    {
        Row { name, function: wrap_call::<{ PhaseSet::OF_CLIENTS.0 }, CLIENT, F>(function) }
    }
}

/// Puts rows into the table on top of the stack.
pub fn set_functions(mut state: State, rows: &[Row]) {
    for row in rows {
        state.push_function(row.function);
        state.set_field(-2, row.name);
    }
}

/// Puts rows into the table `name` of the table on top of the stack, making it where missing.
pub fn set_functions_in(mut state: State, name: &CStr, rows: &[Row]) {
    state.get_field(-1, name);
    if state.is_nil_or_none(-1) {
        state.pop(1);
        state.new_table(0, rows.len() as i32);
        state.push_value(-1);
        state.set_field(-3, name);
    }
    set_functions(state, rows);
    state.pop(1);
}

/// The caller's coroutine and request.
pub struct Call<'a> {
    pub state: State,
    pub request: Request,
    pub context: &'a Rc<Context>,
    /// Where the function may be called.
    phases: PhaseSet,
}

impl Call<'_> {
    /// Does `work` for what runs on `state`, where [`Call::check`] lets `phases` pass.
    #[inline(always)]
    pub fn with<T>(
        state: State,
        phases: PhaseSet,
        work: impl FnOnce(&Call) -> Result<T, LuaError>,
    ) -> Result<T, LuaError> {
        let request = openresty::running_request(state);
        let request = request.ok_or_else(|| LuaError::text("no request found"))?;
        Context::with_caller(Some(request), |caller| {
            let (other, filter);
            let mut context = match caller {
                Some(context) => context,
                None => {
                    other = other_context(state, request)?;
                    &other
                }
            };
            if phases.is_of_tasks() && PhaseSet::FILTERS.has(context.phase.get()) {
                filter = tasks_of_filter(context)?;
                context = &filter;
            }
            // Called in one place, so that it becomes part of the caller.
            work(&Call { state, request, context, phases })
        })
    }

    /// The running task, for functions that wait: raises where the running code cannot yield.
    pub fn task(&self) -> Result<Rc<Task>, LuaError> {
        let task = self.running_task()?;
        self.state.check_yieldable()?;
        Ok(task)
    }

    /// As [`Call::task`], where nobody asks which task it is.
    #[inline(always)]
    pub fn check_task(&self) -> Result<(), LuaError> {
        if !self.context.runs_on(self.state) {
            self.running_task()?;
        }
        self.state.check_yieldable()
    }

    /// The running task, whether it can yield now or not. There is none in phases that cannot yield.
    pub fn running_task(&self) -> Result<Rc<Task>, LuaError> {
        let other = || Task::of(self.state).ok_or_else(|| LuaError::text("no co ctx found"));
        self.context.current_on(self.state).map_or_else(other, Ok)
    }

    /// Raises unless the function may be called in the running phase.
    #[inline(always)]
    pub fn check(&self) -> Result<(), LuaError> {
        self.check_phase(self.phases)
    }

    /// Raises unless the running phase is one of `phases`: what the function is asked for needs that.
    #[inline(always)]
    pub fn check_phase(&self, phases: PhaseSet) -> Result<(), LuaError> {
        let phase = self.context.phase.get();
        if phases.has(phase) {
            return Ok(());
        }
        Err(LuaError::text(format_args!("{}", refusal(phases, phase))))
    }

    /// `nil, text`.
    pub fn fail(&self, text: &str) -> LuaResult {
        self.state.push_nil();
        self.state.push_str(text);
        Ok(crate::lua::Returns::Values(2))
    }

    /// `nil, text` with a text that is made.
    pub fn fail_with(&self, text: fmt::Arguments<'_>) -> LuaResult {
        let text = fallible::format(text)?;
        self.fail(&text)
    }

    /// `1`.
    pub fn succeed(&self) -> LuaResult {
        self.state.push_integer(1);
        Ok(crate::lua::Returns::Values(1))
    }
}

/// What a function for `phases` says in `phase`, which is none of them.
#[cold]
pub fn refusal(phases: PhaseSet, phase: Phase) -> String {
    let instead = phases.instead_in(phase);
    fallible::text(format_args!("API disabled in the context of {}{instead}", phase.context_name()))
}

/// The context with the tasks of a filter's code, which sees `context`.
#[cold]
fn tasks_of_filter(context: &Rc<Context>) -> Result<Rc<Context>, LuaError> {
    if !context.can_wait() {
        let filter = context.phase.get().context_name();
        return Err(LuaError::text(format_args!(
            "API disabled in the context of {filter} for a response with status 101"
        )));
    }
    Ok(context.of_tasks()?)
}

/// The context of code that runs for `request` without being run by this module.
#[cold]
fn other_context(state: State, request: Request) -> Result<Rc<Context>, LuaError> {
    let context = match Task::of(state) {
        Some(task) => task.context(),
        None => Context::of(request),
    };
    context.ok_or_else(|| LuaError::text("no request ctx found"))
}

/// When a function's phase is checked: before it runs, or by itself.
const EARLY: u8 = 0;
const LATE: u8 = 1;
/// Before it runs, and in other words: whether there is a client's request.
const CLIENT: u8 = 2;

/// The C function that makes a [`Call`], checks it and runs `F`.
const fn wrap_call<const PHASES: u32, const CHECK: u8, F>(_function: F) -> CFunction
where
    F: Fn(&Call) -> LuaResult + Copy + 'static,
{
    wrap(checked::<PHASES, CHECK, F>)
}

fn checked<const PHASES: u32, const CHECK: u8, F>(state: State) -> LuaResult
where
    F: Fn(&Call) -> LuaResult + Copy + 'static,
{
    let function = function::instance::<F>();
    Call::with(state, PhaseSet(PHASES), |call| {
        if CHECK == CLIENT && call.context.fake {
            return Err(LuaError::text("API disabled in the current context"));
        }
        if CHECK == EARLY && PHASES != PhaseSet::ALL.0 {
            call.check()?;
        }
        function(call)
    })
}

fn with_phases<const PHASES: u32, F>(state: State) -> LuaResult
where
    F: Fn(State, PhaseSet) -> LuaResult + Copy + 'static,
{
    function::instance::<F>()(state, PhaseSet(PHASES))
}

/// The arguments that a function got.
impl Call<'_> {
    pub fn arguments(&self) -> c_int {
        self.state.top()
    }
}
