//! A task that waits for something of a process: data to read, space to write, or its exit.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use crate::nginx::event::alarm::{Timer, Waiter};
use crate::runtime::{Operation, Task, scheduler};

/// Where at most one task waits: a part of a process or a stream (`T`). It has a timer for the
/// timeout, and an event that is posted to have `T` look again whether the wait has ended.
pub struct PipeWait<T> {
    task: RefCell<Option<Weak<Task>>>,
    timeout: Box<Timer<Weak<T>>>,
    again: Box<Timer<Weak<T>>>,
}

/// What a task can wait for: a process, or one of its streams.
pub trait Place: Sized + 'static {
    fn waiting(&self) -> &PipeWait<Self>;

    /// The task no longer waits, because it was killed or its request has ended.
    fn cancelled(&self) {}
}

impl<T: Place> PipeWait<T> {
    /// For `place`, with no task. `time_out` is called when the timer has expired, `look` after
    /// [`PipeWait::look_again`].
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

    /// Has `look` called once the running code has yielded or ended.
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
    /// Fails the request of the waiting task.
    fn abandon(&self) {
        let task = self.upgrade().and_then(|place| place.waiting().end());
        if let Some(task) = task {
            scheduler::fail_task(&task);
        }
    }
}

/// The operation of a task that waits. If it is dropped before the wait has ended, another task can
/// wait.
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
