//! Entry threads without a task: most code ends before anything asks for its task, so none is made
//! until then.
//!
//! Invariant: a context has such a thread only while its code is on the C stack.

use std::cell::Cell;
use std::rc::Rc;

use super::Context;
use crate::lua::{State, Thread, ThreadAnchor, openresty};
use crate::nginx::Level;
use crate::nginx::core::rc_cell::RcCell;
use crate::runtime::task::{Role, Task};

/// An entry thread without a task.
#[derive(Default)]
pub(super) struct Plain {
    /// Its coroutine, until it gets a task.
    state: Cell<Option<State>>,
    /// What keeps that coroutine.
    anchor: Cell<Option<ThreadAnchor>>,
    /// The task that it has been given, until its code stops.
    promoted: RcCell<Task>,
}

impl Plain {
    /// Whether code of such a thread runs.
    #[inline(always)]
    pub(super) fn runs(&self) -> bool {
        self.state.get().is_some()
    }

    /// Whether that code runs on `state`.
    #[inline(always)]
    pub(super) fn runs_on(&self, state: State) -> bool {
        self.state.get() == Some(state)
    }

    /// Whether no code of one has been started, or it has stopped.
    pub(super) fn is_empty(&self) -> bool {
        !self.runs() && self.promoted.is_empty()
    }

    /// Takes out what has no task.
    #[inline(always)]
    fn take(&self) -> Option<Thread> {
        let state = self.state.take()?;
        Some(Thread { state, anchor: self.anchor.take()? })
    }
}

/// How the code of such a thread has stopped.
pub(in crate::runtime) enum Stopped {
    /// It has no task.
    Plain(Thread),
    /// It has got one meanwhile.
    Task(Rc<Task>),
}

/// The code of an entry thread is on the C stack, until this is dropped.
pub(in crate::runtime) struct PlainRun<'a> {
    context: &'a Rc<Context>,
}

impl Context {
    /// Notes that the code on `thread` is about to run as the entry thread of a phase.
    #[inline(always)]
    pub(in crate::runtime) fn begin_plain(self: &Rc<Self>, thread: Thread) -> PlainRun<'_> {
        openresty::set_record(thread.state, 0);
        openresty::set_request(thread.state, self.request());
        self.tasks.plain.state.set(Some(thread.state));
        self.tasks.plain.anchor.set(Some(thread.anchor));
        PlainRun { context: self }
    }

    /// The task of the entry thread that runs on `state`, which is made now; `None` if there is no
    /// such thread.
    #[cold]
    pub(in crate::runtime) fn promote_on(state: State) -> Option<Rc<Task>> {
        let runs_on_it = |context: &Context| context.tasks.plain.runs_on(state);
        Context::find_running(runs_on_it)?.promote_running()
    }

    /// Gives the entry thread whose code runs a task, if it has none; `None` also without memory.
    #[cold]
    pub(in crate::runtime) fn promote(&self) -> Option<Rc<Task>> {
        self.tasks.plain.state.get()?;
        Context::find_running(|running| std::ptr::eq(running, self))?.promote_running()
    }

    #[inline(never)]
    pub(super) fn promote_running(self: &Rc<Self>) -> Option<Rc<Task>> {
        // Reserved before the code started; but code within it may have used that.
        Task::reserve_record().ok()?;
        let Thread { state, anchor } = self.tasks.plain.take()?;
        let task = Task::new(self, state, Some(anchor), Role::Entry);
        task.runs.set(true);
        self.set_entry(task.clone());
        self.set_current(Some(&task));
        self.tasks.plain.promoted.set(Some(task.clone()));
        Some(task)
    }
}

impl PlainRun<'_> {
    /// The code has stopped, by itself: it has `ended`, or needs a task.
    #[inline(always)]
    pub(in crate::runtime) fn stop(self, ended: bool) -> Option<Stopped> {
        if ended && let Some(thread) = self.context.tasks.plain.take() {
            return Some(Stopped::Plain(thread));
        }
        self.task().map(Stopped::Task)
    }

    /// Its task, made now if it has none yet. Without memory, the thread is given up.
    #[cold]
    fn task(&self) -> Option<Rc<Task>> {
        let (context, plain) = (self.context, &self.context.tasks.plain);
        if plain.runs() && context.promote_running().is_none() {
            let (vm, log) = (context.vm(), context.request().log());
            log.write(Level::Err, b"no memory to run Lua code");
            vm.release_memory_soon();
            if let Some(thread) = plain.take() {
                vm.give_back_thread(thread, false, log);
            }
        }
        plain.promoted.take()
    }
}

/// After a panic, the code counts as running: its coroutine is not used again.
impl Drop for PlainRun<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if !self.context.tasks.plain.is_empty() {
            self.task();
        }
    }
}
