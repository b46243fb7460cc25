//! Profiles of other workers: the worker that answers asks them, by a message, to record, and adds
//! the results that they send it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use codec::fallible::{self, OutOfMemory};
use codec::folded::{Folded, Lines};
use codec::message_ring::Message;

use super::{Profile, Wanted, Whose};
use crate::api::formats::Answer;
use crate::api::slices::Slices;
use crate::api::worker_events::{self, MessageKind, Refusal};
use crate::config::MainConf;
use crate::nginx::Status;
use crate::nginx::core::shared_memory::messages::PostError;
use crate::nginx::core::{time, worker};
use crate::nginx::event::alarm;
use crate::own_thread;

/// The first byte of a message: a question, a result, or that no result is wanted any more.
const ASK: u8 = b'?';
const RESULT: u8 = b'=';
const STOP: u8 = b'!';

/// The most bytes of stacks in a message.
const LONGEST: usize = 256 * 1024;
/// If a message does not get through, half as many bytes are tried, but no fewer than these.
const SHORTEST: usize = 1024;
/// How long results are waited for once the time is up, in nanoseconds.
const PATIENCE: u64 = 3_000_000_000;

own_thread! {
    /// How often this worker has asked others: part of the name of its questions.
    static NUMBER: Cell<u64> = Cell::new(0);
    /// What comes from others for this worker's answer; there is one at a time.
    static COMING: RefCell<Option<Coming>> = RefCell::new(None);
    /// What this worker records for another one, with the name of that one's question.
    static ASKED: RefCell<Option<(Vec<u8>, Rc<Slices<Profile>>)>> = RefCell::new(None);
}

struct Coming {
    /// The name of the question.
    id: String,
    /// How many results have not come yet.
    missing: usize,
    /// The sum of those that have.
    folded: Folded,
}

impl Coming {
    /// If results are missing, makes those that record them stop: nobody waits any more.
    fn stop_others(&self) {
        if self.missing > 0 {
            let _ = send(None, self.id.as_bytes(), &[STOP]);
        }
    }
}

/// The results of others that an answer waits for. Dropping it while some are missing makes the
/// others stop.
pub struct Awaited(());

/// Why others cannot be asked.
pub enum CannotAsk {
    /// The status and the text of the response, which is the reason.
    Refused(Status, &'static str),
    NoMemory,
}

impl From<OutOfMemory> for CannotAsk {
    fn from(_: OutOfMemory) -> CannotAsk {
        CannotAsk::NoMemory
    }
}

/// Whether `whose` is the code of one worker, and not of this one.
pub fn is_other(whose: Whose) -> bool {
    matches!(whose, Whose::Worker(number) if worker::worker_id() != Some(number))
}

/// Whether an answer of this worker waits for others.
pub fn awaits() -> bool {
    COMING.borrow().is_some()
}

/// Asks the other workers whose code is wanted; `None` if only this one's is. There must be no
/// answer that waits for others (see [`awaits`]).
pub fn ask(wanted: &Wanted) -> Result<Option<Awaited>, CannotAsk> {
    let (to, missing) = match wanted.whose {
        Whose::All => (None, usize::try_from(worker::worker_count() - 1).unwrap_or(0)),
        Whose::Worker(number) if is_other(wanted.whose) => (Some(number), 1),
        _ => return Ok(None),
    };
    NUMBER.set(NUMBER.get() + 1);
    let id = fallible::format(format_args!("{}-{}", worker::pid(), NUMBER.get()))?;
    let Wanted { mode, duration, interval, .. } = *wanted;
    let question = fallible::format(format_args!(
        "{}mode={}&seconds={}.{:03}&interval={interval}",
        char::from(ASK),
        mode.name(),
        duration / 1000,
        duration % 1000
    ))?;
    let name = fallible::copy(id.as_bytes())?;
    *COMING.borrow_mut() = Some(Coming { id, missing, folded: Folded::default() });
    let awaited = Awaited(());
    match send(to, &name, question.as_bytes()) {
        Ok(()) => Ok(Some(awaited)),
        Err(refusal) => Err(refused(refusal)),
    }
}

/// Why the question could not be sent.
fn refused(refusal: Refusal) -> CannotAsk {
    match refusal {
        Refusal::NotConfigured => CannotAsk::Refused(
            Status::HTTP_BAD_REQUEST,
            "other workers are asked by lua_worker_events, which is not in the configuration\n",
        ),
        Refusal::Zone(PostError::NoWorker) => {
            CannotAsk::Refused(Status::HTTP_BAD_REQUEST, "no such worker\n")
        }
        Refusal::Zone(PostError::Full | PostError::TooLong) => CannotAsk::Refused(
            Status::HTTP_SERVICE_UNAVAILABLE,
            "the queue of lua_worker_events is full\n",
        ),
    }
}

impl Awaited {
    /// Whether all results are there, or it is too late for more. `end` is when the time was up.
    pub fn are_there(&self, end: u64) -> bool {
        let missing = COMING.borrow().as_ref().map_or(0, |coming| coming.missing);
        missing == 0 || time::nanoseconds() > end.saturating_add(PATIENCE)
    }

    /// Takes the results that are there, and adds them. If some are missing, makes the others stop.
    pub fn add_to(&self, folded: &mut Folded) -> Result<(), OutOfMemory> {
        let Some(coming) = COMING.borrow_mut().take() else { return Ok(()) };
        coming.stop_others();
        for (stack, number) in coming.folded.sorted()? {
            folded.add(stack, number);
        }
        Ok(())
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        let coming = COMING.borrow_mut().take();
        if let Some(coming) = coming {
            coming.stop_others();
        }
    }
}

fn send(to: Option<i32>, id: &[u8], data: &[u8]) -> Result<(), Refusal> {
    MainConf::with_current(|main| worker_events::post(main, MessageKind::Profile, to, id, data))
        .unwrap_or(Err(Refusal::NotConfigured))
}

/// To be called with each message of the kind `Profile`.
pub fn receive(message: &Message) {
    let (from, id) = (message.head.from, &message.name);
    match message.data.split_first() {
        // No answer for all waits for a worker that exits: there is a new one in its place.
        Some((&ASK, _)) if message.head.to == 0 && alarm::is_stopping() => {}
        Some((&ASK, query)) if Some(from) != worker::worker_id() => record(from, id, query),
        Some((&RESULT, lines)) => {
            if let Some(coming) = COMING.borrow_mut().as_mut()
                && coming.id.as_bytes() == id.as_slice()
            {
                coming.missing = coming.missing.saturating_sub(1);
                coming.folded.add_lines(lines);
            }
        }
        Some((&STOP, _)) => {
            let stopped = ASKED.borrow_mut().take_if(|(asked, _)| asked == id);
            drop(stopped);
        }
        _ => {}
    }
}

/// Records for the worker `from`, whose question is called `id`. If that is not possible, the
/// result is empty.
fn record(from: i32, id: &[u8], query: &[u8]) {
    let begun = Wanted::by(query).ok().and_then(Result::ok).and_then(|wanted| {
        let (own, key) = (fallible::copy(id).ok()?, fallible::copy(id).ok()?);
        Some((own, key, Slices::new(Profile::start(wanted, None).ok()?)))
    });
    let Some((own, key, work)) = begun else { return reply(from, id, &[]) };
    *ASKED.borrow_mut() = Some((key, work.clone()));
    work.start(Box::new(move |answer: Result<Answer, OutOfMemory>| {
        let body = answer.map(|answer| answer.body).unwrap_or_default();
        reply(from, &own, &body);
        // Not the last reference to the work: what calls this closure has one.
        let done = ASKED.borrow_mut().take_if(|(asked, _)| *asked == own);
        drop(done);
    }));
}

/// Sends a result: of `lines` of folded stacks, those with the largest numbers, as many as a
/// message can carry. If none gets through, the worker that has asked waits in vain.
fn reply(to: i32, id: &[u8], lines: &[u8]) {
    let mut folded = Folded::default();
    folded.add_lines(lines);
    let mut longest = LONGEST;
    while longest >= SHORTEST {
        let text = folded.largest(usize::MAX, longest).and_then(|stacks| {
            fallible::format(format_args!("{}{}", char::from(RESULT), Lines(&stacks)))
        });
        let sent = text.map(|text| send(Some(to), id, text.as_bytes()));
        if let Ok(Ok(())) = sent {
            return;
        }
        longest /= 2;
    }
}

/// Ends what this worker records for another one, without a result.
pub fn stop() {
    let asked = ASKED.borrow_mut().take();
    drop(asked);
}
