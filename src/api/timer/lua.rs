//! The Lua functions of `ngx.timer`.

use super::{PendingTimer, TimerHandler};
use crate::api::call::{Call, Row, set_functions_in};
use crate::lua::{LuaError, LuaResult, Returns, State, openresty};
use crate::nginx::event::alarm;
use crate::nginx::http::configuration::Configuration;
use crate::nginx::http::fake;
use crate::runtime::{Phase, PhaseSet, fake_request};

/// Where timers may be made: not in `exit_worker_by_lua*`, after which nothing would run them.
const PHASES: u32 = PhaseSet::ALL.without(Phase::ExitWorker).0;

const FUNCTIONS: &[Row] = &[
    Row::late_anywhere::<PHASES, _>(c"at", at),
    Row::late_anywhere::<PHASES, _>(c"every", every),
    Row::anywhere(c"running_count", running_count),
    Row::anywhere(c"pending_count", pending_count),
];

/// Puts the functions into `ngx.timer`, of the `ngx` table on top.
pub fn inject(state: State) {
    set_functions_in(state, c"timer", FUNCTIONS);
}

fn at(state: State, phases: PhaseSet) -> LuaResult {
    make(state, phases, false)
}

fn every(state: State, phases: PhaseSet) -> LuaResult {
    make(state, phases, true)
}

/// Makes a timer for `(delay, function, arguments…)`, with the delay in seconds. Returns 1, or
/// nil and the reason.
fn make(state: State, phases: PhaseSet, repeats: bool) -> LuaResult {
    let arguments = state.top();
    if arguments < 2 {
        return Err(LuaError::text(format_args!(
            "expecting at least 2 arguments but got {arguments}"
        )));
    }
    // A negative delay or NaN becomes 0.
    let delay = (state.check_number(1)? * 1000.0) as usize;
    if repeats && delay == 0 {
        return Err(LuaError::text("delay cannot be zero"));
    }
    if !state.is_lua_function(2) {
        return Err(LuaError::argument(2, "Lua function expected"));
    }
    in_request(state, phases, |call| start(call, arguments, delay, repeats))
}

/// Arms a timer for the function and the arguments on the stack; `delay` is in milliseconds.
fn start(call: &Call, arguments: i32, delay: usize, repeats: bool) -> LuaResult {
    call.check()?;
    if alarm::is_exiting() && delay > 0 {
        return call.fail("process exiting");
    }
    let main = call.context.main_conf();
    if super::pending_count() >= main.max_pending_timers() {
        return call.fail("too many pending timers");
    }
    let handler = take_handler(call, arguments)?;
    let pending = PendingTimer {
        handler,
        origin: fake::Origin::of(call.request),
        configuration: Configuration::of(call.request),
        period: if repeats { delay } else { 0 },
        timer: None,
        due: 0,
    };
    match super::arm(pending, delay) {
        Ok(()) => call.succeed(),
        Err(reason) => call.fail(reason),
    }
}

/// Moves the function and its arguments from the stack to a coroutine of their own.
fn take_handler(call: &Call, arguments: i32) -> Result<TimerHandler, LuaError> {
    let handler = TimerHandler::new(call.context.vm()).map_err(LuaError::bytes)?;
    let values = arguments - 1;
    handler.state.reserve(values + 1)?;
    let mut state = call.state;
    state.move_to(handler.state, values);
    Ok(handler)
}

/// Does `work` for the calling code; raises "no request" if it runs for none.
fn in_request(state: State, phases: PhaseSet, work: impl FnOnce(&Call) -> LuaResult) -> LuaResult {
    if openresty::running_request(state).is_none() {
        return Err(LuaError::text("no request"));
    }
    Call::with(state, phases, work)
}

fn running_count(state: State) -> LuaResult {
    in_request(state, PhaseSet::ALL, |_| {
        state.push_integer(fake_request::running_timers() as i64);
        Ok(Returns::Values(1))
    })
}

fn pending_count(state: State) -> LuaResult {
    in_request(state, PhaseSet::ALL, |_| {
        state.push_integer(super::pending_count() as i64);
        Ok(Returns::Values(1))
    })
}
