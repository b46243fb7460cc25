//! The stack of code as `lua_profile` shows it: the block or the phase that it runs for, then the
//! frames of its coroutines, each below the one that it has resumed.

use codec::fallible::{Grow, OutOfMemory};

use crate::config::Phase;
use crate::lua::State;
use crate::lua::frames::{Outermost, fold_frames};
use crate::runtime::task::{Role, Task};

/// How many coroutines, each resumed by the one before, are shown.
const MAX_COROUTINES: usize = 16;

/// The root of code whose block is not known.
pub(super) fn root(phase: Option<Phase>) -> &'static [u8] {
    phase.map_or(b"[no phase]", |phase| phase.context_name().as_bytes())
}

/// Appends the stack of the code that runs on `state`, for `task`, if it is one's.
pub(super) fn append(
    phase: Option<Phase>,
    state: State,
    task: Option<&Task>,
    stack: &mut Vec<u8>,
) -> Result<(), OutOfMemory> {
    match task {
        Some(task) => append_task(phase, task, stack),
        None => append_entry(phase, Some(state), stack),
    }
}

/// Appends the stack of a task.
pub(super) fn append_task(
    phase: Option<Phase>,
    task: &Task,
    stack: &mut Vec<u8>,
) -> Result<(), OutOfMemory> {
    append_chain(phase, task, MAX_COROUTINES, stack)
}

fn append_chain(
    phase: Option<Phase>,
    task: &Task,
    depth: usize,
    stack: &mut Vec<u8>,
) -> Result<(), OutOfMemory> {
    let state = task.is_kept().then(|| task.state());
    if task.role() == Role::Entry {
        return append_entry(phase, state, stack);
    }
    let resumer = task.parent().filter(|_| task.role() != Role::LightThread);
    match resumer.filter(|parent| parent.is_alive() && depth > 0) {
        Some(resumer) => append_chain(phase, &resumer, depth - 1, stack)?,
        None => append_root(phase, task, stack)?,
    }
    if task.role() == Role::LightThread {
        stack.try_append(b";light thread")?;
    }
    state.map_or(Ok(()), |state| fold_frames(state, stack).map(drop))
}

/// Appends the frames of code that is the first of its phase. Its block, which names the phase, is
/// its root.
fn append_entry(
    phase: Option<Phase>,
    state: Option<State>,
    stack: &mut Vec<u8>,
) -> Result<(), OutOfMemory> {
    let from = stack.len();
    stack.try_append(root(phase))?;
    let Some(state) = state else { return Ok(()) };
    let end = stack.len();
    if fold_frames(state, stack)? == Outermost::Block {
        // The semicolon, too.
        stack.drain(from..=end);
    }
    Ok(())
}

/// Appends the root of the code that has made `task`.
fn append_root(phase: Option<Phase>, task: &Task, stack: &mut Vec<u8>) -> Result<(), OutOfMemory> {
    let from = stack.len();
    let entry = task.context().and_then(|context| context.entry());
    let entry = entry.filter(|entry| entry.is_alive() && entry.is_kept());
    append_entry(phase, entry.map(|entry| entry.state()), stack)?;
    let frames = stack.get(from..).unwrap_or_default();
    if let Some(end) = frames.iter().position(|byte| *byte == b';') {
        stack.truncate(from + end);
    }
    Ok(())
}
