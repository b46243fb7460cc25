//! A call from Lua into the API: the coroutine that calls, its request, and whether the call is
//! allowed.

use std::ffi::{CStr, c_int};
use std::fmt;
use std::rc::Rc;

use codec::fallible;

use crate::lua::function::wrap;
use crate::lua::{CFunction, LuaError, LuaResult, State, openresty};
use crate::nginx::Request;
use crate::runtime::{Context, Phase, PhaseSet, Task};

/// A function of the API under its Lua name. How the row is made says in which phases the function
/// may be called.
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
        RowOf::<FOUND>::in_phases::<PHASES, F>(name, function)
    }

    /// As [`Row::in_phases`], for a function that checks its arguments before the phase, as the C
    /// module's does: it calls [`Call::check`] itself.
    pub const fn late<const PHASES: u32, F>(name: &'static CStr, function: F) -> Row
    where
        F: Fn(&Call) -> LuaResult + Copy + 'static,
    {
        RowOf::<FOUND>::late::<PHASES, F>(name, function)
    }

    /// As [`Row::late`], for a function that checks its arguments even where there is no request:
    /// it is given the phases, and passes them to [`Call::with`].
    pub const fn late_anywhere<const PHASES: u32, F>(name: &'static CStr, function: F) -> Row
    where
        F: Fn(State, PhaseSet) -> LuaResult + Copy + 'static,
    {
        Row { name, function: wrap(move |state| function(state, PhaseSet(PHASES))) }
    }

    /// As [`RowOf::in_request`], for a function that checks its arguments before, as the C module's
    /// does: it calls [`Call::check_client`] itself.
    pub const fn late_in_request<F>(name: &'static CStr, function: F) -> Row
    where
        F: Fn(&Call) -> LuaResult + Copy + 'static,
    {
        RowOf::<FOUND>::late_in_request(name, function)
    }
}

/// As [`Row`]'s functions, for functions that say it in other words when the code runs for no
/// request: the C module's have three texts.
pub enum RowOf<const WORDS: u8> {}

/// "no request object found".
pub type ObjectRow = RowOf<OBJECT_FOUND>;
/// "request object not found".
pub type BodyRow = RowOf<OBJECT_NOT_FOUND>;

const FOUND: u8 = 0;
const OBJECT_FOUND: u8 = 1;
const OBJECT_NOT_FOUND: u8 = 2;

impl<const WORDS: u8> RowOf<WORDS> {
    /// As [`Row::in_phases`].
    pub const fn in_phases<const PHASES: u32, F>(name: &'static CStr, function: F) -> Row
    where
        F: Fn(&Call) -> LuaResult + Copy + 'static,
    {
        Row { name, function: wrap_call::<PHASES, EARLY, WORDS, F>(function) }
    }

    /// As [`Row::late`].
    pub const fn late<const PHASES: u32, F>(name: &'static CStr, function: F) -> Row
    where
        F: Fn(&Call) -> LuaResult + Copy + 'static,
    {
        Row { name, function: wrap_call::<PHASES, LATE, WORDS, F>(function) }
    }

    /// A function for real requests in any phase; in timers and worker hooks it raises
    /// "API disabled in the current context".
    pub const fn in_request<F>(name: &'static CStr, function: F) -> Row
    where
        F: Fn(&Call) -> LuaResult + Copy + 'static,
    {
        let function = wrap_call::<{ PhaseSet::OF_CLIENTS.0 }, CLIENT, WORDS, F>(function);
        Row { name, function }
    }

    /// As [`Row::late_in_request`].
    pub const fn late_in_request<F>(name: &'static CStr, function: F) -> Row
    where
        F: Fn(&Call) -> LuaResult + Copy + 'static,
    {
        let function = wrap_call::<{ PhaseSet::OF_CLIENTS.0 }, LATE, WORDS, F>(function);
        Row { name, function }
    }
}

/// The error of code that runs for no request.
#[cold]
fn no_request(words: u8) -> LuaError {
    LuaError::text(match words {
        OBJECT_FOUND => "no request object found",
        OBJECT_NOT_FOUND => "request object not found",
        _ => "no request found",
    })
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
    /// Calls `work` with the [`Call`] of the code that runs on `state`. The phase is not checked:
    /// `work` may do so by [`Call::check`], which accepts `phases`.
    ///
    /// # Errors
    /// The code runs for no request.
    #[inline(always)]
    pub fn with<T>(
        state: State,
        phases: PhaseSet,
        work: impl FnOnce(&Call) -> Result<T, LuaError>,
    ) -> Result<T, LuaError> {
        Call::with_words(state, phases, FOUND, work)
    }

    /// As [`Call::with`], with the words of [`RowOf`] where the code runs for no request.
    #[inline(always)]
    fn with_words<T>(
        state: State,
        phases: PhaseSet,
        words: u8,
        work: impl FnOnce(&Call) -> Result<T, LuaError>,
    ) -> Result<T, LuaError> {
        if !openresty::runs_for_request(state) {
            return Err(no_request(words));
        }
        Context::with_innermost(|running| {
            let running = running.ok_or_else(|| no_request(words))?;
            let other;
            let context = if phases.is_of_tasks() && PhaseSet::FILTERS.has(running.phase.get()) {
                other = tasks_of_filter(running)?;
                &other
            } else {
                running
            };
            // Called in one place only, so that the compiler inlines it.
            work(&Call { state, request: running.request(), context, phases })
        })
    }

    /// The running task, for functions that wait: raises where the running code cannot yield.
    pub fn task(&self) -> Result<Rc<Task>, LuaError> {
        let task = self.running_task()?;
        self.state.check_yieldable()?;
        Ok(task)
    }

    /// As [`Call::task`], for callers that do not need the task itself.
    #[inline(always)]
    pub fn check_task(&self) -> Result<(), LuaError> {
        if !self.context.runs_on(self.state) {
            self.running_task()?;
        }
        self.state.check_yieldable()
    }

    /// The running task, whether it can yield now or not. In phases that cannot yield, there is
    /// none, and this is an error. It also is where LuaJIT's own functions have resumed a task's coroutine: what that
    /// yields does not reach the scheduler.
    pub fn running_task(&self) -> Result<Rc<Task>, LuaError> {
        let other = || Task::of(self.state).filter(|task| task.runs());
        let task = self.context.current_on(self.state).or_else(other);
        task.ok_or_else(|| LuaError::text("no co ctx found"))
    }

    /// Raises unless the function may be called in the running phase.
    #[inline(always)]
    pub fn check(&self) -> Result<(), LuaError> {
        self.check_phase(self.phases)
    }

    /// Raises unless the code runs for a client's request.
    #[inline(always)]
    pub fn check_client(&self) -> Result<(), LuaError> {
        if self.context.is_fake() {
            return Err(LuaError::text("API disabled in the current context"));
        }
        Ok(())
    }

    /// As [`Call::check`], with other phases than the function's own, because some of its arguments
    /// are for those only.
    #[inline(always)]
    pub fn check_phase(&self, phases: PhaseSet) -> Result<(), LuaError> {
        let phase = self.context.phase.get();
        if phases.has(phase) {
            return Ok(());
        }
        Err(LuaError::text(format_args!("{}", refusal(phases, phase))))
    }

    /// Returns `nil, text` to Lua.
    #[cold]
    pub fn fail(&self, text: &str) -> LuaResult {
        self.state.push_nil();
        self.state.push_str(text);
        Ok(crate::lua::Returns::Values(2))
    }

    /// As [`Call::fail`], with a formatted text.
    #[cold]
    pub fn fail_with(&self, text: fmt::Arguments<'_>) -> LuaResult {
        let text = fallible::format(text)?;
        self.fail(&text)
    }

    /// Returns `1` to Lua.
    pub fn succeed(&self) -> LuaResult {
        self.state.push_integer(1);
        Ok(crate::lua::Returns::Values(1))
    }
}

/// The error of a function for `phases` that is called in `phase`, which is none of them.
#[cold]
pub fn refusal(phases: PhaseSet, phase: Phase) -> String {
    let instead = phases.instead_in(phase);
    fallible::text(format_args!("API disabled in the context of {}{instead}", phase.context_name()))
}

/// The context that has the tasks of a filter's code, which itself sees `context`.
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

/// When the phase is checked: before the function runs, or by the function.
const EARLY: u8 = 0;
const LATE: u8 = 1;
/// Before the function runs, and with another error text: only whether it runs for a client's
/// request.
const CLIENT: u8 = 2;

/// The C function that makes a [`Call`], checks it and runs `F`.
const fn wrap_call<const PHASES: u32, const CHECK: u8, const WORDS: u8, F>(function: F) -> CFunction
where
    F: Fn(&Call) -> LuaResult + Copy + 'static,
{
    wrap(move |state| checked::<PHASES, CHECK, WORDS, F>(state, function))
}

#[inline(always)]
fn checked<const PHASES: u32, const CHECK: u8, const WORDS: u8, F>(
    state: State,
    function: F,
) -> LuaResult
where
    F: Fn(&Call) -> LuaResult + Copy + 'static,
{
    Call::with_words(state, PhaseSet(PHASES), WORDS, |call| {
        if CHECK == CLIENT {
            call.check_client()?;
        }
        if CHECK == EARLY && PHASES != PhaseSet::ALL.0 {
            call.check()?;
        }
        function(call)
    })
}

/// The number of the function's arguments.
impl Call<'_> {
    pub fn arguments(&self) -> c_int {
        self.state.top()
    }
}
