//! Tracebacks through a chain of coroutines, innermost first, in the C module's format.

use std::rc::Rc;

use codec::fallible;

use super::task::{Task, TaskStatus};
use crate::lua::frames::describe_frames;
use crate::nginx::core::log::Line;

/// How many coroutines of a chain are shown.
const MAX_COROUTINES: usize = 5;

/// `stack traceback:`, as much as fits a line of the log, with one section per coroutine, from
/// `task` up to its thread.
pub fn of(task: &Rc<Task>) -> Vec<u8> {
    let mut line = Line::new();
    line.append(b"stack traceback:");
    let mut next = Some(task.clone());
    for number in 0..MAX_COROUTINES {
        let Some(task) = next else { break };
        line.add(format_args!("\ncoroutine {number}:"));
        describe_frames(task.state(), &mut line);
        next = task.parent().filter(|parent| parent.status.get() != TaskStatus::Dead);
    }
    fallible::copy(line.bytes()).unwrap_or_default()
}
