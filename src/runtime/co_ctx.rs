//! Coroutines that other modules suspend: one of their C functions yields, and they resume it.
//!
//! They identify a task by a key, never by an address that is dereferenced: once the task has
//! ended, the key finds nothing. They own the operation that the task waits for, and set how it is
//! cancelled.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::null_mut;
use std::rc::{Rc, Weak};

use codec::fallible::OutOfMemory;

use super::{Context, Keyed, Operation, Task, scheduler};
use crate::lua::State;
use crate::nginx::Level;
use crate::nginx::core::allocator;
use crate::{ngx_log, own_thread};

own_thread! {
    static KNOWN: Keyed<Rc<CoCtx>> = Keyed::new();
}

/// How another module cancels its operation.
pub type Cancel = Box<dyn FnOnce()>;

/// A task that another module knows.
pub struct CoCtx {
    task: Weak<Task>,
    /// A word for the other module's use; never dereferenced here.
    pub data: Cell<*mut c_void>,
    cancel: Cell<Option<Cancel>>,
}

/// The key by which other modules know `task`, the same each time; it is not 0.
pub fn key_of(task: &Rc<Task>) -> Result<u64, OutOfMemory> {
    if task.co_ctx.get() == 0 {
        allocator::check()?;
        KNOWN.reserve()?;
        let (task_of, data) = (Rc::downgrade(task), Cell::new(null_mut()));
        let record = CoCtx { task: task_of, data, cancel: Cell::new(None) };
        task.co_ctx.set(KNOWN.insert(Rc::new(record)));
    }
    Ok(task.co_ctx.get())
}

/// The task of `key`; `None` once it has ended.
pub fn find(key: u64) -> Option<Rc<CoCtx>> {
    KNOWN.get(key)
}

/// Forgets the task of `key`, which has ended.
pub(super) fn forget(key: u64) {
    drop(KNOWN.remove(key));
}

/// The operation of a task that another module resumes. Dropping it before that cancels it.
struct Foreign(Rc<CoCtx>);

impl Operation for Foreign {
    fn name(&self) -> &'static str {
        "another module"
    }

    fn is_foreign(&self) -> bool {
        true
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl CoCtx {
    /// The task, unless it has ended.
    pub fn task(&self) -> Option<Rc<Task>> {
        self.task.upgrade().filter(|task| task.is_alive())
    }

    /// Its coroutine, which is still there while its operation is being cancelled.
    pub fn state(&self) -> Option<State> {
        self.task.upgrade().map(|task| task.state())
    }

    fn cancel(&self) {
        if let Some(cancel) = self.cancel.take() {
            cancel();
        }
    }

    /// Has `cancel` called, once, if the task's wait ends before it is resumed. Replaces the
    /// earlier one.
    pub fn set_cancel(self: &Rc<Self>, cancel: Option<Cancel>) {
        let Some(task) = self.task() else { return };
        if cancel.is_some() && !task.waits_for_foreign() {
            if !task.waits_for_nothing() {
                return complain(&task, "has no place for a cleanup");
            }
            task.wait_for(Box::new(Foreign(self.clone())));
        }
        self.cancel.set(cancel);
    }

    /// Cancels what the task waits for, even if it is not this module's.
    pub fn cancel_pending(&self) {
        if let Some(task) = self.task() {
            task.drop_pending();
        }
    }

    /// The operation has finished: the task continues with the top `values` of its stack. At once,
    /// or, if Lua code is running now, in the next round of the event loop.
    pub fn resume(&self, values: i32) {
        let Some(task) = self.task() else { return };
        let Some(context) = task.context() else { return };
        if !(task.waits_for_nothing() || task.waits_for_foreign()) || !context.is_waiting(&task) {
            return complain(&task, "is not waiting for it");
        }
        drop(self.cancel.take());
        let values = values.clamp(0, task.state().top());
        if !Context::any_runs() {
            return scheduler::wake(&task, values);
        }
        scheduler::wake_later(&task, values, context.request().log());
    }
}

#[cold]
fn complain(task: &Task, what: &str) {
    if let Some(request) = task.request() {
        ngx_log!(request.log(), Level::Alert, "lua co_ctx: another module's coroutine {what}");
    }
}
