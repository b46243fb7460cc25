//! `ngx.sleep`.

use std::fmt::Display;

use crate::api::call::{Call, Row, set_functions};
use crate::lua::{LuaError, LuaResult, Returns, State};
use crate::ngx_debug;
use crate::runtime::PhaseSet;

/// Puts the function into the `ngx` table on top.
pub fn inject(state: State) {
    set_functions(state, &[Row::late::<{ PhaseSet::YIELDABLE.0 }, _>(c"sleep", sleep)]);
}

fn invalid(duration: impl Display) -> LuaError {
    LuaError::text(format_args!("invalid sleep duration \"{duration}\""))
}

fn sleep(call: &Call) -> LuaResult {
    let n = call.arguments();
    if n != 1 {
        return Err(LuaError::text(format_args!("attempt to pass {n} arguments, but accepted 1")));
    }
    let seconds = call.state.check_number(1)?;
    let delay = (seconds * 1000.0) as i64;
    let milliseconds = match usize::try_from(delay) {
        Ok(milliseconds) if seconds.is_finite() => milliseconds,
        Ok(_) => return Err(invalid(seconds)),
        Err(_) => return Err(invalid(delay)),
    };
    call.check()?;
    let task = call.running_task()?;
    ngx_debug!(call.request.log(), "lua ready to sleep for {milliseconds} ms");
    task.sleep(milliseconds, call.request.log());
    // Checked after the timer has been set, as in the C module: its debug log shows the timer's
    // clean-up if the code cannot wait.
    call.state.check_yieldable().inspect_err(|_| task.drop_pending())?;
    Ok(Returns::Yield(0))
}
