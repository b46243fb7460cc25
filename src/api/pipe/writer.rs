//! The worker's end of a process's stdin.

use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};

use codec::fallible::Grow;

use super::failure::PipeFailure;
use super::waiting::{PipeWait, Place};
use crate::nginx::event::descriptor::End;
use crate::runtime::{Task, scheduler};

/// The stream of input.
pub struct Writer {
    end: RefCell<End<Weak<Writer>>>,
    /// The data that a task waits to write, and how much of it has been written.
    unsent: RefCell<Vec<u8>>,
    sent: Cell<usize>,
    /// The result of the write: how many bytes, or why it failed.
    outcome: RefCell<Result<usize, PipeFailure>>,
    waiting: PipeWait<Writer>,
}

impl Place for Writer {
    fn waiting(&self) -> &PipeWait<Writer> {
        &self.waiting
    }
}

impl Writer {
    pub fn new(fd: OwnedFd) -> Rc<Writer> {
        Rc::new_cyclic(|this| Writer {
            end: RefCell::new(End::Unused(fd)),
            unsent: RefCell::default(),
            sent: Cell::new(0),
            outcome: RefCell::new(Ok(0)),
            waiting: PipeWait::new(this, time_out, look),
        })
    }

    /// Writes all of `data`, and returns its length; `None` if `task` has to yield, for at most
    /// that many milliseconds (0: for any time).
    pub fn write(
        self: &Rc<Self>,
        data: &[u8],
        task: &Rc<Task>,
        milliseconds: usize,
    ) -> Result<Option<usize>, PipeFailure> {
        if self.end.borrow().is_closed() {
            return Err(PipeFailure::CLOSED);
        }
        if self.waiting.is_busy() {
            return Err(PipeFailure::BUSY_WRITING);
        }
        self.end.borrow_mut().watch(|| Rc::downgrade(self), look)?;
        let sent = self.send(data)?;
        if sent == data.len() {
            return Ok(Some(sent));
        }
        let rest = data.get(sent..).unwrap_or_default();
        let mut unsent = self.unsent.borrow_mut();
        unsent.clear();
        unsent.try_append(rest).map_err(|_| PipeFailure::NO_MEMORY)?;
        self.sent.set(0);
        *self.outcome.borrow_mut() = Ok(data.len());
        self.wait_writable()?;
        self.waiting.begin(self, task, milliseconds);
        Ok(None)
    }

    /// The result of the write that a task waited for.
    pub fn outcome(&self) -> Result<usize, PipeFailure> {
        self.outcome.borrow().clone()
    }

    /// Closes the stream; a task that waits gets `failure`.
    pub fn close(&self, failure: PipeFailure) {
        if self.waiting.is_busy() && self.outcome.borrow().is_ok() {
            *self.outcome.borrow_mut() = Err(failure);
            self.waiting.look_again();
        }
        let end = self.end.replace(End::Closed);
        drop(end);
    }

    /// Writes as much as fits, and returns how much that was.
    fn send(&self, data: &[u8]) -> Result<usize, PipeFailure> {
        let end = self.end.borrow();
        let descriptor = end.watched().ok_or(PipeFailure::CLOSED)?;
        let mut sent = 0;
        while let Some(rest) = data.get(sent..).filter(|rest| !rest.is_empty()) {
            match descriptor.write(rest) {
                Ok(n) => sent += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(sent)
    }

    /// Has nginx report when more can be written.
    fn wait_writable(&self) -> Result<(), PipeFailure> {
        let waits = self.end.borrow().watched().is_some_and(|end| end.wait_writable());
        waits.then_some(()).ok_or(PipeFailure::WRITE_EVENT)
    }

    /// Writes more of what is left; true once everything is written.
    fn go_on(&self) -> Result<bool, PipeFailure> {
        let unsent = self.unsent.borrow();
        let sent = self.sent.get();
        self.sent.set(sent + self.send(unsent.get(sent..).unwrap_or_default())?);
        if self.sent.get() == unsent.len() {
            return Ok(true);
        }
        self.wait_writable().map(|()| false)
    }

    /// Wakes the waiting task, which then asks for the outcome.
    fn finish(&self) {
        self.unsent.take();
        if let Some(task) = self.waiting.end() {
            scheduler::wake(&task, 0);
        }
    }
}

/// An event of the descriptor, or one that was posted: more can be written, or nobody reads any
/// more.
fn look(writer: &Weak<Writer>) {
    let Some(writer) = writer.upgrade() else { return };
    if !writer.waiting.is_busy() {
        if let Some(descriptor) = writer.end.borrow().watched() {
            descriptor.leave_ready();
        }
        return;
    }
    if writer.outcome.borrow().is_err() {
        return writer.finish();
    }
    match writer.go_on() {
        Ok(true) => writer.finish(),
        Ok(false) => {}
        Err(failure) => {
            *writer.outcome.borrow_mut() = Err(failure);
            writer.finish();
        }
    }
}

/// Not everything could be written within the time that the task waits for it.
fn time_out(writer: &Weak<Writer>) {
    let Some(writer) = writer.upgrade() else { return };
    *writer.outcome.borrow_mut() = Err(PipeFailure::TIMEOUT);
    writer.finish();
}
