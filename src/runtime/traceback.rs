//! Tracebacks through a chain of coroutines, innermost first, in upstream's format.

use std::rc::Rc;

use super::task::{Task, TaskStatus};
use crate::lua::frames::describe_frames;

/// How many coroutines of a chain are shown.
const MAX_COROUTINES: usize = 5;

/// `stack traceback:` with one section per coroutine, from `task` up to its thread.
pub fn of(task: &Rc<Task>) -> Vec<u8> {
    let mut text = b"stack traceback:".to_vec();
    let mut next = Some(task.clone());
    for number in 0..MAX_COROUTINES {
        let Some(task) = next else { break };
        text.extend_from_slice(format!("\ncoroutine {number}:").as_bytes());
        describe_frames(task.state, &mut text);
        next = task.parent().filter(|parent| parent.status.get() != TaskStatus::Dead);
    }
    text
}
