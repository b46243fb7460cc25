//! A task that waits for one event of a process: data to read, space to write, or its end.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use crate::nginx::event::alarm::{Timer, Waiter};
use crate::runtime::{Operation, Task, scheduler};

/// A place where at most one task waits, with a timer and an event after which it looks again.
pub struct PipeWait<T> {
    task: RefCell<Option<Weak<Task>>>,
    timeout: Box<Timer<Weak<T>>>,
    again: Box<Timer<Weak<T>>>,
}

/// What a task can wait at.
pub trait Place: Sized + 'static {
    fn waiting(&self) -> &PipeWait<Self>;

    /// The task does not wait any more, and nothing was ready.
    fn cancelled(&self) {}
}

impl<T: Place> PipeWait<T> {
    /// A place where no task waits. The functions are called when the timer has expired, and when the place has
    /// been told to look again.
    pub fn new(place: &Weak<T>, time_out: fn(&Weak<T>), look: fn(&Weak<T>)) -> PipeWait<T> {
        PipeWait {
            task: RefCell::default(),
            timeout: Timer::new(place.clone(), time_out),
            again: Timer::new(place.clone(), look),
        }
    }

    pub fn is_busy(&self) -> bool {
        self.task.borrow().is_some()
    }

    /// `task` waits from now on, for at most that many milliseconds (0: for any time).
    pub fn begin(&self, place: &Rc<T>, task: &Rc<Task>, milliseconds: usize) {
        *self.task.borrow_mut() = Some(Rc::downgrade(task));
        if milliseconds > 0 {
            self.timeout.arm(milliseconds);
        }
        task.wait_for(Box::new(Wait(place.clone())));
    }

    /// Makes the place look again, once the running code has yielded or ended.
    pub fn look_again(&self) {
        self.again.post();
    }

    /// Takes the waiting task, which then no longer waits.
    pub fn end(&self) -> Option<Rc<Task>> {
        self.timeout.disarm();
        self.again.disarm();
        self.task.borrow_mut().take()?.upgrade()
    }
}

impl<T: Place> Waiter for Weak<T> {
    /// The request of the waiting task ends.
    fn abandon(&self) {
        let task = self.upgrade().and_then(|place| place.waiting().end());
        if let Some(task) = task {
            scheduler::fail_task(&task);
        }
    }
}

/// A task's wait at a place. If it is dropped before anything is ready, the place is free again.
struct Wait<T: Place>(Rc<T>);

impl<T: Place> Operation for Wait<T> {
    fn name(&self) -> &'static str {
        "ngx.pipe"
    }
}

impl<T: Place> Drop for Wait<T> {
    fn drop(&mut self) {
        if self.0.waiting().is_busy() {
            self.0.waiting().end();
            self.0.cancelled();
        }
    }
}
