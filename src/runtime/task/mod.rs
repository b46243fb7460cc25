//! A task: one Lua coroutine that the scheduler runs.
//!
//! Code that wakes a task has a `Weak` of it, so nothing wakes a dead task. A task owns its pending
//! operation: killing the task, ending the request or closing its pool drops the operation, and
//! dropping it cancels it.

mod family;
mod making;
mod operation;
mod records;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::co_ctx;
use super::context::Context;
use crate::lua::{State, Thread, ThreadAnchor};
use crate::nginx::Request;
use crate::nginx::core::option_cell::OptionCell;
use crate::nginx::core::rc_cell::RcCell;
use crate::nginx::event::alarm::Alarm;

pub use operation::Operation;
use operation::Pending;
pub(super) use records::GENERATIONS;
use records::RECORDS;
pub use records::Record;

/// The status of a coroutine; the names are those of `coroutine.status`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TaskStatus {
    Running,
    Suspended,
    /// It has resumed another one and waits for that to yield or end.
    Normal,
    Dead,
    /// A light thread that has ended and has not been waited for.
    Zombie,
}

impl TaskStatus {
    pub fn name(self) -> &'static str {
        match self {
            TaskStatus::Running => "running",
            TaskStatus::Suspended => "suspended",
            TaskStatus::Normal => "normal",
            TaskStatus::Dead => "dead",
            TaskStatus::Zombie => "zombie",
        }
    }
}

/// What kind of coroutine a task is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Runs a phase's code.
    Entry,
    /// Made by `ngx.thread.spawn`, or the handler of `ngx.on_abort`.
    LightThread,
    /// Made by `coroutine.create`.
    Coroutine,
    /// Made by `coroutine.wrap`: passes errors on to its resumer.
    Wrapped,
}

/// One Lua coroutine.
pub struct Task {
    state: Cell<State>,
    /// What keeps its coroutine in the registry; none for coroutines that Lua code keeps itself,
    /// or, while they run or wait, the stack of their resumer.
    anchor: Cell<Option<ThreadAnchor>>,
    /// Its place among the context's tasks.
    pub(super) place: Cell<usize>,
    role: Cell<Role>,
    key: Cell<u64>,
    /// Whether its coroutine no longer has its key.
    forgotten: Cell<bool>,
    /// `None` once the task has ended.
    context: RcCell<Context>,
    pub status: Cell<TaskStatus>,
    /// Whether its code is on the C stack, because the scheduler has resumed it.
    pub(super) runs: Cell<bool>,
    /// The task that spawned it, or, from its resume to its yield, the one that resumed it.
    parent: RcCell<Task>,
    /// The key of the coroutine that it resumed, until that yields or ends; 0 for none.
    resumed: Cell<u64>,
    pending: OptionCell<Pending>,
    /// When it was made, and when it began to wait: nginx's monotonic milliseconds.
    born: Cell<usize>,
    waits_since: Cell<usize>,
    /// When it last began to wait while `lua_profile` recorded something, by the system's
    /// nanoseconds; 0 for never. A reused task keeps it, because no recording counts what was
    /// before its own beginning.
    wait_recorded: Cell<u64>,
    /// Ends its sleep.
    alarm: Alarm,
    /// An error of a wrapped child, to be raised in this task when it runs next.
    pub propagates_error: Cell<bool>,
    /// Ended light threads of this task that have not been waited for.
    pub zombies: RefCell<Vec<Rc<Task>>>,
    /// Its place among its parent's, once it is one itself.
    zombie_place: Cell<usize>,
    /// The number of its last wait for light threads.
    thread_wait: Cell<u64>,
    /// The last wait of its parent that was for this light thread; 0 for none.
    awaited_in: Cell<u64>,
    /// Whether it waits in `ngx.flush(true)`.
    pub flushing: Cell<bool>,
    /// The key by which other modules know it; 0 for none.
    pub(super) co_ctx: Cell<u64>,
}

impl Task {
    /// Its coroutine.
    #[inline(always)]
    pub fn state(&self) -> State {
        self.state.get()
    }

    #[inline(always)]
    pub fn role(&self) -> Role {
        self.role.get()
    }

    /// The request's context, unless the task has ended.
    pub fn context(&self) -> Option<Rc<Context>> {
        self.context.get()
    }

    /// The request, unless the task has ended.
    pub fn request(&self) -> Option<Request> {
        self.context.get().map(|context| context.request())
    }

    /// The main coroutine of its VM, unless the task has ended.
    pub fn main_state(&self) -> Option<State> {
        self.context.get().map(|context| context.main_state())
    }

    /// Whether it is one of `context`'s.
    pub fn belongs_to(&self, context: &Rc<Context>) -> bool {
        self.context.holds(context)
    }

    /// The key by which it is known, never 0.
    #[inline(always)]
    pub fn key(&self) -> u64 {
        self.key.get()
    }

    /// Whether it can still run.
    pub fn is_alive(&self) -> bool {
        !matches!(self.status.get(), TaskStatus::Dead | TaskStatus::Zombie)
    }

    /// Whether its code is on the C stack, because the scheduler has resumed it.
    pub fn runs(&self) -> bool {
        self.runs.get()
    }

    /// Its code has stopped running.
    #[inline(always)]
    pub(super) fn stops(&self, context: &Context) {
        self.runs.set(false);
        if self.context.is_empty() {
            self.stops_late(context);
        }
    }

    /// As [`Task::stops`], of a task that has ended before.
    #[cold]
    fn stops_late(&self, context: &Context) {
        if let Some(anchor) = self.anchor.take() {
            context.vm().release_thread(Thread { state: self.state(), anchor });
        }
    }

    /// Has the registry keep the coroutine of this task, which has ended under its running code, until that stops.
    #[cold]
    pub(super) fn keep_until_it_stops(&self, anchor: ThreadAnchor) {
        self.anchor.set(Some(anchor));
    }

    /// Whether the registry keeps its coroutine.
    #[inline(always)]
    fn is_anchored(&self) -> bool {
        self.with_anchor(|anchor| anchor.is_some())
    }

    #[inline(always)]
    fn with_anchor<T>(&self, look: impl FnOnce(Option<&ThreadAnchor>) -> T) -> T {
        let anchor = self.anchor.take();
        let seen = look(anchor.as_ref());
        self.anchor.set(anchor);
        seen
    }

    /// Whether the scheduler runs it on its own: an entry or light thread.
    pub fn is_thread(&self) -> bool {
        matches!(self.role(), Role::Entry | Role::LightThread)
    }

    /// Whether it is a coroutine that waits for its next resume, and for nothing else.
    pub fn is_suspended_coroutine(&self) -> bool {
        self.status.get() == TaskStatus::Suspended
            && !self.is_thread()
            && self.has_nothing_to_wait_for()
    }

    /// When it was made, by nginx's monotonic milliseconds.
    pub fn born(&self) -> usize {
        self.born.get()
    }

    /// Ends the task: cancels what it waits for, and makes its coroutine forget it.
    ///
    /// Returns what keeps the coroutine in the registry, to be given up. Safe to call twice: the
    /// second time returns `None`.
    pub(super) fn detach(&self) -> Option<ThreadAnchor> {
        self.status.set(TaskStatus::Dead);
        self.drop_pending();
        if self.co_ctx.get() != 0 {
            co_ctx::forget(self.co_ctx.take());
        }
        if let Some(context) = self.context.take() {
            context.forget_current(self);
        }
        self.parent.set(None);
        self.resumed.set(0);
        let anchor = self.anchor.take()?;
        self.be_forgotten();
        Some(anchor)
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        RECORDS.remove(self.key.get());
    }
}
