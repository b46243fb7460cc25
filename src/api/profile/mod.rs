//! `lua_profile`: where the Lua code of workers takes CPU time, or waits, and what holds the memory
//! of the VM.

mod memory;
mod others;
mod svg;
mod wanted;

use std::cell::RefCell;

use codec::fallible::{self, Grow, OutOfMemory};
use codec::folded::Lines;

use crate::api::formats::{Answer, Format};
use crate::api::slices::{self, Next, Work};
use crate::config::MainConf;
use crate::nginx::Status;
use crate::nginx::core::{time, worker};
use crate::nginx::event::alarm;
use crate::runtime::Task;
use crate::runtime::profile::{self, Mode, Recording, Refusal};
pub use memory::Memory;
pub use others::{Awaited, CannotAsk, ask, awaits, receive, stop};
pub use wanted::{REFUSAL, Wanted, Whose};

/// While it records, the worker looks so often whether it has been told to exit, in milliseconds.
const LOOK: usize = 100;
/// Afterwards, it looks so often whether the others' results are there, in milliseconds.
const SOON: usize = 20;
/// How many tasks are counted between two looks at the clock.
const BETWEEN: usize = 16;

/// What is being recorded for one answer. Dropping it ends the recording, and that of other
/// workers.
pub struct Profile {
    wanted: Wanted,
    /// When the time is up, by the clock of `time::nanoseconds`.
    end: u64,
    /// This worker's part, if it has one, until its result has been taken.
    recording: RefCell<Option<Recording>>,
    /// What other workers record, if they have been asked.
    awaited: Option<Awaited>,
    /// The keys of the tasks that there were when the time was up: those whose waits have still to
    /// be counted.
    keys: RefCell<Option<Vec<u64>>>,
}

impl Work for Profile {
    fn go_on(&self) -> Result<Next, OutOfMemory> {
        let left = self.end.saturating_sub(time::nanoseconds()).div_ceil(1_000_000);
        if left > 0 && !alarm::is_stopping() {
            return Ok(Next::After(usize::try_from(left).map_or(LOOK, |left| left.min(LOOK))));
        }
        self.pause();
        let is_waiting = self.wanted.mode == Mode::Wait;
        if is_waiting && !slices::until_time_is_up(|| self.count_some())? {
            return Ok(Next::Round);
        }
        let awaited = self.awaited.as_ref().filter(|_| !alarm::is_stopping());
        if awaited.is_some_and(|awaited| !awaited.are_there(self.end)) {
            return Ok(Next::After(SOON));
        }
        self.answer().map(Next::Answer)
    }
}

impl Profile {
    /// Begins to record what `wanted` asks of this worker, and to wait for what others record.
    pub fn start(wanted: Wanted, awaited: Option<Awaited>) -> Result<Profile, Refusal> {
        let recording = match others::is_other(wanted.whose) {
            true => None,
            false => {
                let vm = MainConf::with_current(MainConf::vm).flatten().ok_or(Refusal::NoMemory)?;
                Some(profile::start(vm, wanted.mode, wanted.interval)?)
            }
        };
        let end = time::nanoseconds().saturating_add(wanted.duration as u64 * 1_000_000);
        let (recording, keys) = (RefCell::new(recording), RefCell::new(None));
        Ok(Profile { wanted, end, recording, awaited, keys })
    }

    fn pause(&self) {
        if let Some(recording) = self.recording.borrow().as_ref() {
            recording.pause();
        }
    }

    /// Counts the waits of some tasks that are still waiting; true if there are no more.
    fn count_some(&self) -> Result<bool, OutOfMemory> {
        let mut keys = self.keys.borrow_mut();
        let keys = match &mut *keys {
            Some(keys) => keys,
            none => none.insert(Task::keys()?),
        };
        for key in keys.drain(keys.len().saturating_sub(BETWEEN)..) {
            if let Some(task) = Task::with_key(key) {
                profile::count_wait(&task);
            }
        }
        Ok(keys.is_empty())
    }

    fn answer(&self) -> Result<Answer, OutOfMemory> {
        let recording = self.recording.borrow_mut().take();
        let mut folded = recording.map(|recording| recording.take()).unwrap_or_default();
        if let Some(awaited) = &self.awaited {
            awaited.add_to(&mut folded)?;
        }
        let body = match self.wanted.format {
            Format::Svg => {
                let (title, unit) = self.words()?;
                svg::draw(&folded, title, unit)?
            }
            _ => fallible::format(format_args!("{}", Lines(&folded.sorted()?)))?.into_bytes(),
        };
        Ok(Answer::new(self.wanted.format, body))
    }

    /// The picture's title, and the unit of its numbers.
    fn words(&self) -> Result<(String, &'static str), OutOfMemory> {
        let Wanted { interval, duration, whose, .. } = self.wanted;
        let of = match whose {
            Whose::Own => fallible::format(format_args!("worker {}", worker::pid()))?,
            Whose::Worker(number) => fallible::format(format_args!("worker number {number}"))?,
            Whose::All => fallible::format(format_args!("all workers"))?,
        };
        let seconds = duration as f64 / 1000.0;
        Ok(match self.wanted.mode {
            Mode::Cpu => (
                fallible::format(format_args!(
                    "CPU time in Lua, {of}, {seconds} s, a sample per {interval} ms"
                ))?,
                "samples",
            ),
            Mode::Wait => (
                fallible::format(format_args!("Waiting in Lua, {of}, {seconds} s"))?,
                "microseconds",
            ),
        })
    }
}

/// The response to a request that is refused.
pub fn refuse(status: Status, reason: &str) -> Result<Answer, OutOfMemory> {
    let mut body = Vec::new();
    body.try_append(reason.as_bytes())?;
    Ok(Answer { status, format: Format::Text, body })
}
