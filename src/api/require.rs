//! `require` and `dofile` in Lua (`lua/require.lua`), so that the code that they run may wait.

use std::iter::successors;
use std::rc::Rc;

use crate::lua::function::wrap;
use crate::lua::registry::REQUIRE_HOOK;
use crate::lua::{LuaResult, Outcome, Returns, State};
use crate::runtime::Task;
use crate::runtime::task::Record;

/// Replaces LuaJIT's own functions, with the `ngx` table on top of the stack.
pub fn inject(mut state: State) {
    let code = include_bytes!("../../lua/require.lua");
    if state.load(code, c"=require") == Outcome::Done {
        state.push_function(wrap(has_resumed_running));
        state.get_field(-3, c"sleep");
        state.call_raising(2, 1);
        state.register(REQUIRE_HOOK);
    }
}

/// `(coroutine)`: whether the task that runs in `coroutine`, of whichever request, has resumed the
/// running coroutine, directly or through others. Returns nothing if there is no task in it, or if
/// it has ended.
fn has_resumed_running(state: State) -> LuaResult {
    let task = match state.thread(1).map(Task::record) {
        Some(Record::Task(task)) if task.is_alive() => task,
        _ => return Ok(Returns::Values(0)),
    };
    state.push_bool(has_resumed(&task, state));
    Ok(Returns::Values(1))
}

fn has_resumed(resumer: &Rc<Task>, state: State) -> bool {
    let running = Task::of(state).filter(|task| !task.is_thread());
    let mut resumers = successors(running, |task| task.parent().filter(|task| !task.is_thread()));
    resumers.any(|task| task.parent().is_some_and(|parent| Rc::ptr_eq(&parent, resumer)))
}
