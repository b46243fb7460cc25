//! Work for a response that would block the worker for too long: it is done in slices, between
//! which the event loop goes on.

use std::cell::Cell;
use std::rc::{Rc, Weak};

use codec::fallible::OutOfMemory;

use super::formats::{Answer, Done};
use crate::nginx::core::time;
use crate::nginx::event::alarm::{Timer, Waiter};

/// How long a slice takes, in nanoseconds.
const SLICE: u64 = 1_000_000;

/// What comes after a slice.
pub enum Next {
    /// Another slice, in the next round of the event loop.
    Round,
    /// Another slice, after so many milliseconds.
    After(usize),
    /// The work is done: its result.
    Answer(Answer),
}

/// The work. Dropping it cancels it.
pub trait Work: 'static {
    /// Does the next slice. An error ends the work.
    fn go_on(&self) -> Result<Next, OutOfMemory>;
}

/// Work, the timer of its next slice, and what gets the answer. Dropping it cancels the work;
/// `done` is not called then.
pub struct Slices<T: Work> {
    work: T,
    timer: Box<Timer<Wake<T>>>,
    done: Cell<Option<Done>>,
}

struct Wake<T: Work>(Weak<Slices<T>>);

impl<T: Work> Clone for Wake<T> {
    fn clone(&self) -> Wake<T> {
        Wake(self.0.clone())
    }
}

impl<T: Work> Waiter for Wake<T> {
    fn abandon(&self) {
        if let Some(done) = self.0.upgrade().and_then(|slices| slices.done.take()) {
            done(Err(OutOfMemory));
        }
    }
}

impl<T: Work> Slices<T> {
    pub fn new(work: T) -> Rc<Slices<T>> {
        Rc::new_cyclic(|slices: &Weak<Slices<T>>| Slices {
            work,
            timer: Timer::new(Wake(slices.clone()), |Wake(slices)| {
                if let Some(slices) = slices.upgrade() {
                    slices.go_on();
                }
            }),
            done: Cell::new(None),
        })
    }

    /// Does the work, and gives the answer to `done`; before it returns, if one slice is enough.
    pub fn start(&self, done: Done) {
        self.done.set(Some(done));
        self.go_on();
    }

    fn go_on(&self) {
        let result = match self.work.go_on() {
            Ok(Next::Round) => return self.timer.post_next(),
            Ok(Next::After(milliseconds)) => return self.timer.arm(milliseconds),
            Ok(Next::Answer(answer)) => Ok(answer),
            Err(error) => Err(error),
        };
        if let Some(done) = self.done.take() {
            done(result);
        }
    }
}

/// Calls `part` until the time of a slice is up, or until `part` returns true, which means that
/// nothing is left to do. Returns whether it did.
pub fn until_time_is_up<E>(mut part: impl FnMut() -> Result<bool, E>) -> Result<bool, E> {
    let end = time::nanoseconds().saturating_add(SLICE);
    while !part()? {
        if time::nanoseconds() >= end {
            return Ok(false);
        }
    }
    Ok(true)
}
