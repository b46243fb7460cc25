//! `ngx.sleep`.

use std::rc::{Rc, Weak};

use crate::api::call::{Call, Row, set_functions};
use crate::lua::{LuaError, LuaResult, Returns, State};
use crate::nginx::event::Timer;
use crate::runtime::{Operation, PhaseSet, Task, scheduler};

/// Puts the function into the `ngx` table on top.
pub fn inject(state: State) {
    set_functions(state, &[Row::in_phases::<{ u32::MAX }, _>(c"sleep", sleep)]);
}

/// A sleep under way; dropped, its timer is gone.
struct Sleep {
    _timer: Box<Timer<Weak<Task>>>,
}

impl Operation for Sleep {}

fn sleep(call: &Call) -> LuaResult {
    let n = call.arguments();
    if n != 1 {
        return Err(LuaError::text(format!("attempt to pass {n} arguments, but accepted 1")));
    }
    let delay = (call.state.check_number(1)? * 1000.0) as i64;
    let milliseconds = usize::try_from(delay)
        .map_err(|_| LuaError::text(format!("invalid sleep duration \"{delay}\"")))?;
    call.check_phase(PhaseSet::YIELDABLE)?;
    let task = call.task()?;
    let timer = Timer::with_log(Rc::downgrade(task), over, call.request.log());
    if milliseconds == 0 {
        timer.post_next();
    } else {
        timer.arm(milliseconds);
    }
    task.wait_for(Box::new(Sleep { _timer: timer }));
    Ok(Returns::Yield(0))
}

fn over(task: &Weak<Task>) {
    if let Some(task) = task.upgrade() {
        scheduler::wake(&task, 0);
    }
}
