//! `ngx.sleep`.

use std::rc::{Rc, Weak};

use crate::api::call::{Call, Row, set_functions};
use crate::lua::{LuaError, LuaResult, Returns, State};
use crate::nginx::event::Timer;
use crate::nginx::log::Shown;
use crate::ngx_debug;
use crate::runtime::{Operation, PhaseSet, Task, scheduler};

/// Puts the function into the `ngx` table on top.
pub fn inject(state: State) {
    set_functions(state, &[Row::in_phases::<{ u32::MAX }, _>(c"sleep", sleep)]);
}

/// A sleep under way; dropped, its timer is gone.
struct Sleep {
    timer: Box<Timer<Weak<Task>>>,
}

impl Operation for Sleep {}

impl Drop for Sleep {
    fn drop(&mut self) {
        if self.timer.is_armed() {
            ngx_debug!(self.timer.log(), "lua clean up the timer for pending ngx.sleep");
        }
    }
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
    let timer = Timer::with_log(Rc::downgrade(task), over, call.request.log());
    if milliseconds == 0 {
        timer.post_next();
    } else {
        timer.arm(milliseconds);
    }
    let sleep = Sleep { timer };
    // Where the code cannot yield, the timer goes again.
    call.state.check_yieldable()?;
    task.wait_for(Box::new(sleep));
    Ok(Returns::Yield(0))
}

fn over(task: &Weak<Task>) {
    if let Some(task) = task.upgrade()
        && let Some(context) = task.context()
    {
        let request = context.request();
        ngx_debug!(
            request.log(),
            "lua sleep timer expired: \"{}?{}\"",
            Shown(request.uri()),
            Shown(request.args())
        );
        scheduler::wake(&task, 0);
    }
}
