//! What a task waits for: at most one pending operation, which the task owns.

use std::rc::Rc;

use super::Task;
use crate::nginx::core::log::{Log, Shown};
use crate::nginx::core::time;
use crate::nginx::event::alarm::{Alarm, AlarmField, Sleeper};
use crate::runtime::{profile, scheduler};
use crate::{alarm_field, ngx_debug};

/// A pending operation. Dropping it cancels it: afterwards nginx has none of its events.
pub trait Operation {
    /// What is waited for, in a few words for people.
    fn name(&self) -> &'static str;

    /// Whether the operation can be cancelled; a subrequest under way cannot, and keeps
    /// `ngx.thread.kill` and `ngx.exit` from ending it.
    fn can_cancel(&self) -> bool {
        true
    }

    /// Whether another module waits for it, and resumes the task.
    fn is_foreign(&self) -> bool {
        false
    }
}

/// What a task waits for.
pub(super) enum Pending {
    Own(Box<dyn Operation>),
    Shared(Rc<dyn Operation>),
    /// Its own alarm.
    Sleep,
    /// Any of the light threads that have the number of its wait.
    Threads,
}

impl Task {
    /// Gives the task the operation that it now waits for.
    pub fn wait_for(&self, operation: Box<dyn Operation>) {
        self.set_pending(Pending::Own(operation));
    }

    /// As [`Task::wait_for`], for one that nginx has a share of.
    pub fn wait_for_shared(&self, operation: Rc<dyn Operation>) {
        self.set_pending(Pending::Shared(operation));
    }

    /// Begins a wait for light threads: [`Task::await_thread`] adds each, and [`Task::wait_for_threads`] ends the list.
    pub fn begin_thread_wait(&self) {
        self.thread_wait.set(self.thread_wait.get() + 1);
    }

    /// Adds a light thread to those that the task is about to wait for.
    pub fn await_thread(&self, thread: &Task) {
        thread.awaited_in.set(self.thread_wait.get());
    }

    /// The task now waits for those.
    pub fn wait_for_threads(&self) {
        self.set_pending(Pending::Threads);
    }

    /// Whether it waits for that light thread of its own.
    pub fn awaits_thread(&self, thread: &Task) -> bool {
        thread.awaited_in.get() == self.thread_wait.get()
            && self.pending.with(|pending| matches!(pending, Some(Pending::Threads)))
    }

    /// Has the running task sleep for `milliseconds`.
    pub fn sleep(self: &Rc<Self>, milliseconds: usize, log: Log) {
        Alarm::set(self, milliseconds, log);
        self.set_pending(Pending::Sleep);
    }

    #[inline(always)]
    fn set_pending(&self, pending: Pending) {
        self.waits_since.set(time::monotonic_milliseconds());
        if profile::is_on() {
            self.wait_recorded.set(profile::wait_begins());
        }
        // The old operation is dropped last, because dropping it may use the task.
        drop(self.pending.replace(Some(pending)));
    }

    /// Since when it waits, if it waits for something.
    pub fn waits_since(&self) -> usize {
        self.waits_since.get()
    }

    /// When it last began to wait while `lua_profile` recorded something, by the system's
    /// nanoseconds; 0 for never.
    pub fn wait_recorded(&self) -> u64 {
        self.wait_recorded.get()
    }

    /// What it waits for, if anything.
    pub fn awaited(&self) -> Option<&'static str> {
        let name = |pending: &Pending| match pending {
            Pending::Own(operation) => operation.name(),
            Pending::Shared(operation) => operation.name(),
            Pending::Sleep => "ngx.sleep",
            Pending::Threads => "ngx.thread.wait",
        };
        self.pending.with(|pending| pending.map(name))
    }

    /// Drops the pending operation, finished or not.
    #[inline(always)]
    pub fn drop_pending(&self) {
        if self.pending.is_some() {
            self.end_pending();
        }
    }

    fn end_pending(&self) {
        if profile::is_on() {
            profile::wait_ends(self);
        }
        // Taken out first, because dropping an operation may use the task.
        let operation = self.pending.take();
        if matches!(operation, Some(Pending::Sleep)) {
            self.alarm.cancel("lua clean up the timer for pending ngx.sleep");
        }
        drop(operation);
    }

    /// Whether what the task waits for (if anything) can be cancelled.
    pub fn can_cancel(&self) -> bool {
        let can = |pending: &Pending| match pending {
            Pending::Own(operation) => operation.can_cancel(),
            Pending::Shared(operation) => operation.can_cancel(),
            Pending::Sleep | Pending::Threads => true,
        };
        self.pending.with(|pending| pending.is_none_or(can))
    }

    /// Whether it has no pending operation: it runs, or its code has yielded by itself.
    pub fn waits_for_nothing(&self) -> bool {
        !self.pending.is_some()
    }

    /// Whether nothing will wake it: its code has yielded by itself, and no other module knows it.
    pub(in crate::runtime) fn has_nothing_to_wait_for(&self) -> bool {
        self.waits_for_nothing() && self.co_ctx.get() == 0
    }

    /// Whether it waits for another module's operation.
    pub fn waits_for_foreign(&self) -> bool {
        self.pending.with(
            |pending| matches!(pending, Some(Pending::Own(operation)) if operation.is_foreign()),
        )
    }
}

impl Sleeper for Task {
    const ALARM: AlarmField<Task> = alarm_field!(Task, alarm);

    fn wake(self: Rc<Self>) {
        let Some(request) = self.request() else { return };
        ngx_debug!(
            request.log(),
            "lua sleep timer expired: \"{}?{}\"",
            Shown(request.uri()),
            Shown(request.args())
        );
        scheduler::wake(&self, 0);
    }

    fn abandon(&self) {
        scheduler::fail_task(self);
    }
}
