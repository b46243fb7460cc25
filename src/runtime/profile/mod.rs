//! What `lua_profile` records, for as long as it does: which code takes CPU time, or what waits.
//!
//! Where it records nothing, all of it is a test of a word where a task begins to wait, and where
//! it stops.

mod stack;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use codec::fallible::{Grow, OutOfMemory};
use codec::folded::Folded;

use super::context::Context;
use super::task::Task;
use super::watch;
use crate::lua::profiler::{self, Doing, Sampling};
use crate::lua::{State, Vm};
use crate::nginx::core::time;
use crate::own_thread;

pub use crate::lua::profiler::Refusal;

/// What is recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// Samples of what takes CPU time.
    #[default]
    Cpu,
    /// Microseconds that tasks wait.
    Wait,
}

impl Mode {
    /// As an argument names it.
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Cpu => "cpu",
            Mode::Wait => "wait",
        }
    }
}

own_thread! {
    static ON: Cell<bool> = Cell::new(false);
    static RECORD: RefCell<Option<Record>> = RefCell::new(None);
}

struct Record {
    mode: Mode,
    folded: Folded,
    /// When it began, and when it ended (the maximum while it goes on), by the system's
    /// nanoseconds.
    from: u64,
    until: u64,
    sampling: Option<Sampling>,
}

/// Whether something is recorded.
#[inline(always)]
pub fn is_on() -> bool {
    ON.get()
}

/// Whether something is recorded, or has been and is still to be taken: nobody else can begin then.
pub fn is_recording() -> bool {
    RECORD.borrow().is_some()
}

/// Whether CPU time is recorded.
pub fn takes_samples() -> bool {
    is_on() && RECORD.borrow().as_ref().is_some_and(|record| record.mode == Mode::Cpu)
}

/// Begins to record; CPU time by a sample per `interval` milliseconds.
pub fn start(vm: Rc<Vm>, mode: Mode, interval: usize) -> Result<Recording, Refusal> {
    if RECORD.borrow().is_some() {
        return Err(Refusal::InUse);
    }
    let sampling = match mode {
        Mode::Cpu => Some(profiler::start(vm, interval, on_sample)?),
        Mode::Wait => None,
    };
    let (folded, from) = (Folded::default(), time::nanoseconds());
    let record = Record { mode, folded, from, until: u64::MAX, sampling };
    *RECORD.borrow_mut() = Some(record);
    ON.set(true);
    watch::update();
    Ok(Recording(()))
}

/// The one who has begun to record. Dropping it ends that.
pub struct Recording(());

impl Recording {
    /// Ends the time that is recorded: what still waits can be [counted](count_wait) afterwards.
    pub fn pause(&self) {
        pause();
    }

    /// Takes what has been recorded.
    pub fn take(&self) -> Folded {
        pause();
        RECORD.borrow_mut().take().map(|record| record.folded).unwrap_or_default()
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        stop();
    }
}

fn pause() {
    ON.set(false);
    watch::update();
    let sampling = RECORD.borrow_mut().as_mut().and_then(|record| {
        record.until = record.until.min(time::nanoseconds());
        record.sampling.take()
    });
    if sampling.is_some() {
        // LuaJIT may call Lua functions that want to know when it drops compiled code.
        drop(sampling);
        add(profiler::take_outside(), |stack| stack.try_append(OUTSIDE));
    }
}

/// Records nothing any more.
pub fn stop() {
    pause();
    RECORD.borrow_mut().take();
}

/// The name for the CPU time that no code of the VM takes.
const OUTSIDE: &[u8] = b"[outside of Lua]";

/// LuaJIT's profiler has interrupted the code that runs.
fn on_sample(state: State, doing: Doing, samples: u64) {
    Context::with_innermost(|context| {
        let phase = context.map(|context| context.phase.get());
        let leaf: &[u8] = match doing {
            Doing::Lua => b"",
            Doing::CFunction => b";[C function]",
            Doing::GarbageCollection => b";[garbage collection]",
            Doing::Compilation => b";[compilation]",
        };
        // To ask for the task of `state` may push values, for which the interrupted code may have no room.
        let running = context.and_then(|context| context.innermost_task());
        let task = running.filter(|task| task.state() == state);
        add(samples, |stack| {
            stack::append(phase, state, task.as_deref(), stack)?;
            stack.try_append(leaf)
        });
    });
}

/// The code that runs now stops, or other code is run within a C function that it has called:
/// samples of it that nobody has taken are its own.
pub fn settle() {
    let samples = profiler::take_inside();
    if samples > 0 {
        Context::with_innermost(|context| {
            let phase = context.map(|context| context.phase.get());
            add(samples, |stack| {
                match context.and_then(|context| context.innermost_task()) {
                    Some(task) => stack::append_task(phase, &task, stack)?,
                    None => stack.try_append(stack::root(phase))?,
                }
                stack.try_append(b";[C function]")
            });
        });
    }
}

/// To be called when a task begins to wait: returns the time, in nanoseconds.
#[cold]
pub fn wait_begins() -> u64 {
    settle();
    time::nanoseconds()
}

/// To be called when a task stops waiting: counts the part of its wait that is within the recorded
/// time.
#[cold]
pub fn wait_ends(task: &Task) {
    count_wait(task);
}

/// Counts how long a task has waited by now, if it waits.
pub fn count_wait(task: &Task) {
    let (Some(what), Some(context)) = (task.awaited(), task.context()) else { return };
    let waited = match RECORD.borrow().as_ref() {
        Some(record) if record.mode == Mode::Wait => time::nanoseconds()
            .min(record.until)
            .saturating_sub(task.wait_recorded().max(record.from)),
        _ => return,
    };
    add(waited / 1000, |stack| {
        stack::append_task(Some(context.phase.get()), task, stack)?;
        stack.try_append(b";[waits for ")?;
        codec::folded::append_piece(what.as_bytes(), stack)?;
        stack.try_push(b']')
    });
}

/// Adds `number` to that of the stack that `append` makes.
fn add(number: u64, append: impl FnOnce(&mut Vec<u8>) -> Result<(), OutOfMemory>) {
    if number == 0 {
        return;
    }
    let mut stack = Vec::new();
    let stack = match append(&mut stack) {
        Ok(()) => &stack[..],
        Err(OutOfMemory) => codec::folded::OTHERS,
    };
    if let Some(record) = RECORD.borrow_mut().as_mut() {
        record.folded.add(stack, number);
    }
}
