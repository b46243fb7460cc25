//! The worker's end of a process's stdout or stderr.
//!
//! What has been read beyond what was asked for is kept for the next read. So is what had been read
//! for a task that was killed.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};

use codec::fallible;

use super::failure::PipeFailure;
use super::waiting::{PipeWait, Place};
use crate::nginx::event::descriptor::End;
use crate::runtime::{Task, scheduler};

/// What a read asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Want {
    /// Everything until the end.
    All,
    /// This many more bytes.
    Bytes(usize),
    /// Everything before the next newline; carriage returns are left out.
    Line,
    /// Whatever there is, up to this many bytes.
    Any(usize),
}

/// How far a read has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadProgress {
    /// The result is ready: the data, or a failure with the data before it.
    Done,
    /// The task has to yield.
    Waits,
}

/// The result of one attempt to read.
enum Attempt {
    /// The result is ready, a failure included.
    Done,
    /// There is nothing to read now.
    Empty,
    /// There may be more, but other events are to be handled first.
    More,
}

/// How many reads one attempt makes at most.
const ROUNDS: usize = 64;
/// The most that is read at a time: what a pipe holds by default on Linux.
const MOST: usize = 65536;

/// One stream of output.
pub struct Reader {
    end: RefCell<End<Weak<Reader>>>,
    /// The buffer that is read into, of the size that the caller chose.
    chunk: RefCell<Vec<u8>>,
    /// What has been read and not yet asked for.
    unread: RefCell<VecDeque<u8>>,
    eof: Cell<bool>,
    /// What the read still wants.
    want: Cell<Want>,
    /// The data of the result.
    taken: RefCell<Vec<u8>>,
    /// The failure of the result.
    failure: RefCell<Option<PipeFailure>>,
    waiting: PipeWait<Reader>,
}

impl Place for Reader {
    fn waiting(&self) -> &PipeWait<Reader> {
        &self.waiting
    }

    fn cancelled(&self) {
        let mut all = VecDeque::from(self.taken.take());
        let mut unread = self.unread.borrow_mut();
        // Usually nothing is unread: a read that waits has taken everything.
        if all.try_reserve(unread.len()).is_ok() {
            all.append(&mut unread);
        }
        *unread = all;
    }
}

/// A buffer for a reader that reads at most `size` bytes at a time.
pub fn buffer(size: usize) -> Result<Vec<u8>, PipeFailure> {
    fallible::zeroes(size.clamp(1, MOST)).map_err(|_| PipeFailure::NO_MEMORY)
}

impl Reader {
    /// Reads from `fd` into [`buffer`]'s buffer.
    pub fn new(fd: OwnedFd, chunk: Vec<u8>) -> Rc<Reader> {
        Rc::new_cyclic(|this| Reader {
            end: RefCell::new(End::Unused(fd)),
            chunk: RefCell::new(chunk),
            unread: RefCell::default(),
            eof: Cell::new(false),
            want: Cell::new(Want::All),
            taken: RefCell::default(),
            failure: RefCell::default(),
            waiting: PipeWait::new(this, time_out, look),
        })
    }

    /// Starts a read for `task`, which may have to yield, for at most that many milliseconds (0:
    /// for any time).
    pub fn read(
        self: &Rc<Self>,
        want: Want,
        task: &Rc<Task>,
        milliseconds: usize,
    ) -> Result<ReadProgress, PipeFailure> {
        if self.end.borrow().is_closed() {
            return Err(PipeFailure::CLOSED);
        }
        if self.waiting.is_busy() {
            return Err(PipeFailure::BUSY_READING);
        }
        self.end.borrow_mut().watch(|| Rc::downgrade(self), look)?;
        *self.failure.borrow_mut() = None;
        self.taken.borrow_mut().clear();
        self.want.set(want);
        let attempt = self.attempt();
        if matches!(attempt, Attempt::Done) {
            return Ok(ReadProgress::Done);
        }
        self.waiting.begin(self, task, milliseconds);
        self.keep_waiting(&attempt);
        Ok(ReadProgress::Waits)
    }

    /// Passes the result to `take`, and drops it if that returns true.
    pub fn result<R>(&self, take: impl FnOnce(&[u8], Option<&PipeFailure>) -> (R, bool)) -> R {
        let (result, taken) = take(&self.taken.borrow(), self.failure.borrow().as_ref());
        if taken {
            self.taken.take();
        }
        result
    }

    /// Closes the stream; a task that waits gets what there is, and `failure`.
    pub fn close(&self, failure: PipeFailure) {
        if self.waiting.is_busy() && !self.is_settled() {
            // What the process had written before is part of the result.
            if !matches!(self.attempt(), Attempt::Done) || self.failure.borrow().is_some() {
                *self.failure.borrow_mut() = Some(failure);
            }
            self.waiting.look_again();
        }
        let end = self.end.replace(End::Closed);
        drop(end);
    }

    /// Whether the result of the read for which a task waits is ready: the read has failed, or
    /// [`Reader::close`] has made the last attempt.
    fn is_settled(&self) -> bool {
        self.failure.borrow().is_some() || self.end.borrow().is_closed()
    }

    /// Reads until the result is ready, or there is nothing more to read for now.
    fn attempt(&self) -> Attempt {
        for _ in 0..ROUNDS {
            match self.gather() {
                Ok(true) => return Attempt::Done,
                Ok(false) => {}
                Err(failure) => return self.fail(failure),
            }
            let end = self.end.borrow();
            let Some(descriptor) = end.watched() else { return self.fail(PipeFailure::CLOSED) };
            let mut chunk = self.chunk.borrow_mut();
            match descriptor.read(&mut chunk) {
                Ok(0) => self.eof.set(true),
                Ok(n) => {
                    let mut unread = self.unread.borrow_mut();
                    if unread.try_reserve(n).is_err() {
                        return self.fail(PipeFailure::NO_MEMORY);
                    }
                    #[expect(clippy::disallowed_methods, reason = "the capacity is reserved")]
                    unread.extend(chunk.iter().take(n));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Attempt::Empty,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.fail(error.into()),
            }
        }
        Attempt::More
    }

    /// Makes `failure` the read's.
    fn fail(&self, failure: PipeFailure) -> Attempt {
        *self.failure.borrow_mut() = Some(failure);
        Attempt::Done
    }

    /// Moves what the read wants from what is unread; true once it has all of it.
    fn gather(&self) -> Result<bool, PipeFailure> {
        let mut unread = self.unread.borrow_mut();
        if unread.is_empty() {
            return match self.want.get() {
                _ if !self.eof.get() => Ok(false),
                Want::All => Ok(true),
                _ => Err(PipeFailure::CLOSED),
            };
        }
        let mut taken = self.taken.borrow_mut();
        let newline = || unread.iter().position(|&byte| byte == b'\n');
        let (n, done) = match self.want.get() {
            Want::All => (unread.len(), false),
            Want::Any(limit) => (unread.len().min(limit), true),
            Want::Bytes(missing) if unread.len() >= missing => (missing, true),
            Want::Bytes(missing) => {
                self.want.set(Want::Bytes(missing - unread.len()));
                (unread.len(), false)
            }
            Want::Line => newline().map_or((unread.len(), false), |at| (at, true)),
        };
        taken.try_reserve(n).map_err(|_| PipeFailure::NO_MEMORY)?;
        let is_line = self.want.get() == Want::Line;
        #[expect(clippy::disallowed_methods, reason = "the capacity is reserved")]
        taken.extend(unread.drain(..n).filter(|&byte| !is_line || byte != b'\r'));
        if is_line && done {
            unread.pop_front();
        }
        Ok(done)
    }

    /// An attempt has not completed the read: has nginx report when there is more, or has another
    /// attempt made after other events.
    fn keep_waiting(&self, attempt: &Attempt) {
        let waits = match attempt {
            Attempt::More => false,
            _ => self.end.borrow().watched().is_some_and(|end| end.wait_readable()),
        };
        if !waits {
            if !matches!(attempt, Attempt::More) {
                self.fail(PipeFailure::READ_EVENT);
            }
            self.waiting.look_again();
        }
    }

    /// Wakes the waiting task, which then asks for the result.
    fn finish(&self) {
        if let Some(task) = self.waiting.end() {
            scheduler::wake(&task, 0);
        }
    }
}

/// An event of the descriptor, or one that was posted: there is data, or the end of it.
fn look(reader: &Weak<Reader>) {
    let Some(reader) = reader.upgrade() else { return };
    if !reader.waiting.is_busy() {
        if let Some(descriptor) = reader.end.borrow().watched() {
            descriptor.leave_ready();
        }
        return;
    }
    if reader.is_settled() {
        return reader.finish();
    }
    match reader.attempt() {
        Attempt::Done => reader.finish(),
        attempt => reader.keep_waiting(&attempt),
    }
}

/// The read is not complete within the time that the task waits for it.
fn time_out(reader: &Weak<Reader>) {
    let Some(reader) = reader.upgrade() else { return };
    if !reader.is_settled() {
        reader.fail(PipeFailure::TIMEOUT);
    }
    reader.finish();
}
