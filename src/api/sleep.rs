//! `ngx.sleep`.

use std::rc::{Rc, Weak};

use crate::api::call::{Call, Row, set_functions};
use crate::lua::{LuaError, LuaResult, Returns, State};
use crate::nginx::event::Timer;
use crate::nginx::log::Shown;
use crate::ngx_debug;
use crate::runtime::{PhaseSet, Task, scheduler};

/// Puts the function into the `ngx` table on top.
pub fn inject(state: State) {
    set_functions(state, &[Row::in_phases::<{ u32::MAX }, _>(c"sleep", sleep)]);
}

fn sleep(call: &Call) -> LuaResult {
    let n = call.arguments();
    if n != 1 {
        return Err(LuaError::text(format!("attempt to pass {n} arguments, but accepted 1")));
    }
    let delay = (call.state.check_number(1)? * 1000.0) as i64;
    let milliseconds = usize::try_from(delay)
        .map_err(|_| LuaError::text(format!("invalid sleep duration \"{delay}\"")))?;
    call.check_phase(PhaseSet::YIELDABLE)?;
    let task = call.running_task()?;
    ngx_debug!(call.request.log(), "lua ready to sleep for {milliseconds} ms");
    let cancelled = "lua clean up the timer for pending ngx.sleep";
    let timer = Timer::with_log(Rc::downgrade(task), over, call.request.log(), cancelled);
    if milliseconds == 0 {
        timer.post_next();
    } else {
        timer.arm(milliseconds);
    }
    // Only now: the timer is told to be cleaned up where the code cannot wait for it.
    call.state.check_yieldable()?;
    task.wait_for(timer);
    Ok(Returns::Yield(0))
}

fn over(task: &Weak<Task>) {
    let Some(task) = task.upgrade() else { return };
    let Some(request) = task.request() else { return };
    ngx_debug!(
        request.log(),
        "lua sleep timer expired: \"{}?{}\"",
        Shown(request.uri()),
        Shown(request.args())
    );
    scheduler::wake(&task, 0);
}
