//! Tasks that go on in the next round of the event loop, because other code runs now.

use std::rc::{Rc, Weak};

use super::{fail_task, wake};
use crate::nginx::core::log::Log;
use crate::nginx::event::alarm::{Timer, Waiter};
use crate::runtime::task::{Operation, Task};

/// Wakes `task` later, with the `values` that are on top of its stack now.
pub fn wake_later(task: &Rc<Task>, values: i32, log: Log) {
    let top = task.state().top();
    let resumption = Resumption { task: Rc::downgrade(task), values, top };
    let timer = Timer::with_log(resumption, Resumption::wake, log);
    timer.post();
    task.wait_for(Box::new(Later { _timer: timer }));
}

#[derive(Clone)]
struct Resumption {
    task: Weak<Task>,
    values: i32,
    /// The stack's top at that time: values above it are not results.
    top: i32,
}

impl Resumption {
    fn wake(&self) {
        if let Some(task) = self.task.upgrade() {
            task.state().set_top(self.top);
            wake(&task, self.values);
        }
    }
}

impl Waiter for Resumption {
    fn abandon(&self) {
        if let Some(task) = self.task.upgrade() {
            fail_task(&task);
        }
    }
}

/// A task that is about to be resumed.
struct Later {
    _timer: Box<Timer<Resumption>>,
}

impl Operation for Later {
    fn name(&self) -> &'static str {
        "its turn"
    }
}
