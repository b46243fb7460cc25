//! Runs of filters' code: of `header_filter_by_lua*`, or of `body_filter_by_lua*` for one chain.
//!
//! A filter runs inside an output call: nginx's, or one of this request's own code, whose tasks are
//! in the request's context, the *base*. So the tasks of a run are in a context of their own. It is
//! made when the code first calls a function of those that may wait; most code never does. All else
//! that the code sees is the base's.

mod outside;
mod waiting;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use codec::fallible::OutOfMemory;

use super::context::Context;
use super::{Role, Task, counters, scheduler};
use crate::config::{Phase, PhaseSet};
use crate::lua::{Outcome, Thread, openresty};
use crate::nginx::core::allocator;
use crate::nginx::core::rc_cell::RcCell;
use crate::nginx::event::alarm::Timer;
use crate::nginx::{Chain, Status};
use outside::Outside;
pub(super) use waiting::finalize;
use waiting::{Keeper, abandon};

/// What goes on once a run that has waited has ended.
pub type Then = Box<dyn FnOnce(&Rc<Context>, Ended)>;

/// How a run has ended.
#[derive(Clone, Copy)]
pub struct Ended {
    /// What the code has returned, 0 for nothing; `None` if it has failed, which has been logged.
    pub code: Option<i64>,
    /// What it has called `ngx.exit` with.
    pub exit: Option<isize>,
    /// The chain that it leaves.
    pub chain: Chain,
}

impl Ended {
    pub const FAILED: Ended = Ended { code: None, exit: None, chain: Chain::EMPTY };
}

/// The runs of one request, in its base.
#[derive(Default)]
pub struct FilterRuns {
    /// The coroutine of the innermost run on the C stack, as long as no task has it.
    thread: Cell<Option<Thread>>,
    /// The context of that run, once it has one.
    inner: RcCell<Context>,
    /// The run that waits.
    waiting: RcCell<Context>,
    /// Keeps nginx from closing the connection meanwhile.
    keeper: RefCell<Option<Box<Timer<Keeper>>>>,
}

/// What the context of a run knows of it.
#[derive(Default)]
pub struct FilterRun {
    base: RcCell<Context>,
    code: Cell<i64>,
    exit: Cell<Option<isize>>,
    chain: Cell<Chain>,
    then: Cell<Option<Then>>,
}

impl FilterRuns {
    /// For the next request, nothing has to be reset: the end of the last run has done so.
    #[inline(always)]
    pub(super) fn reset(&mut self) {
        let FilterRuns { thread, inner, waiting, keeper } = self;
        debug_assert!(thread.get_mut().is_none() && inner.is_empty(), "no run is on the C stack");
        debug_assert!(waiting.is_empty() && keeper.get_mut().is_none(), "none waits");
    }
}

impl FilterRun {
    /// The context of the request, until the run has ended.
    pub fn base(&self) -> Option<Rc<Context>> {
        self.base.get()
    }

    /// Does `work`, which runs code of the run, whose context is `context`.
    #[cold]
    pub(super) fn continue_code<R>(&self, context: &Rc<Context>, work: impl FnOnce() -> R) -> R {
        let base = match self.base.get() {
            Some(base) if !base.filter_runs.inner.holds(context) => base,
            _ => return work(),
        };
        let thread = None;
        let (phase, inner) = (context.phase.get(), Some(context.clone()));
        let outside = Outside::of(&base, phase, thread, inner, self.chain.get());
        let result = base.run_own_code(work);
        let (_, _, exit, chain) = outside.leave();
        self.chain.set(chain);
        if exit.is_some() {
            self.exit.set(exit);
        }
        result
    }

    /// Notes what the code has returned.
    pub(super) fn set_code(&self, code: i64) {
        self.code.set(code);
    }

    fn ended(&self, success: bool) -> Ended {
        Ended {
            code: success.then_some(self.code.get()),
            exit: self.exit.get(),
            chain: self.chain.get(),
        }
    }
}

/// How the first part of a run has gone, up to where it waits.
pub enum FirstPart {
    /// It has no tasks: `thread` is as the code has left it.
    Plain {
        outcome: Outcome,
        thread: Thread,
        exit: Option<isize>,
        chain: Chain,
    },
    Ended(Ended),
    Waits(Rc<Context>),
}

impl Context {
    /// Starts a run in `phase`: resumes `thread`, which has the code's function on its stack.
    #[inline(always)]
    pub fn start_filter(self: &Rc<Self>, phase: Phase, thread: Thread, chain: Chain) -> FirstPart {
        counters::count_run(phase);
        let mut state = thread.state;
        openresty::set_record(state, 0);
        openresty::set_request(state, self.request());
        let outside = Outside::of(self, phase, Some(thread), None, chain);
        let (outcome, rc) = self.run_code(|| {
            let outcome = state.resume(0);
            let has_tasks = outcome == Outcome::Yielded || !self.filter_runs.inner.is_empty();
            (outcome, if has_tasks { self.run_tasks(outcome) } else { None })
        });
        let (thread, inner, exit, chain) = outside.leave();
        if let Some(thread) = thread {
            return FirstPart::Plain { outcome, thread, exit, chain };
        }
        let Some(run) = inner else { return FirstPart::Ended(Ended::FAILED) };
        let Some(record) = run.filter_run.get() else { return FirstPart::Ended(Ended::FAILED) };
        record.exit.set(exit);
        record.chain.set(chain);
        if rc == Some(Status::DONE) {
            return FirstPart::Waits(run);
        }
        let ended = record.ended(rc == Some(Status::OK));
        abandon(&run);
        Context::retire(run);
        FirstPart::Ended(ended)
    }

    /// The coroutine of the innermost run has stopped, and has tasks, or has yielded all the same:
    /// the scheduler takes over. `DONE` if the run waits; `None` without memory, and where a run that
    /// cannot wait has yielded.
    #[cold]
    fn run_tasks(self: &Rc<Self>, outcome: Outcome) -> Option<Status> {
        // The base's own tasks are not this code's: its entry task may be below on the C stack.
        let run = self.of_tasks().ok().filter(|run| run.is_filter_run())?;
        let rc = scheduler::take_over(&run, run.entry()?, outcome);
        Some(scheduler::settle(&run, rc))
    }

    /// The context that has the tasks of the running code, which sees this one: this one itself,
    /// or, for a filter's code, the run's, which is made at the first call.
    #[inline]
    pub fn of_tasks(self: &Rc<Self>) -> Result<Rc<Context>, OutOfMemory> {
        if !PhaseSet::FILTERS.has(self.phase.get()) || self.is_filter_run() {
            return Ok(self.clone());
        }
        let inner = self.filter_runs.inner.get();
        inner.map_or_else(|| self.make_run(), Ok)
    }

    /// The running task, or the one of a filter's run, if that has any: none is made for it.
    pub(in crate::runtime) fn innermost_task(&self) -> Option<Rc<Task>> {
        if !PhaseSet::FILTERS.has(self.phase.get()) || self.is_filter_run() {
            return self.own_current();
        }
        self.filter_runs.inner.get()?.own_current()
    }

    #[cold]
    fn make_run(self: &Rc<Self>) -> Result<Rc<Context>, OutOfMemory> {
        allocator::check()?;
        Task::reserve()?;
        if !self.can_wait() {
            return Ok(self.clone());
        }
        let Some(thread) = self.filter_runs.thread.take() else { return Ok(self.clone()) };
        let run = Context::new(self.request(), self.vm().clone(), self.phase.get());
        let record = FilterRun::default();
        record.base.set(Some(self.clone()));
        run.filter_run.get_or_init(|| Box::new(record));
        let task = Task::new(&run, thread.state, Some(thread.anchor), Role::Entry);
        task.runs.set(true);
        run.set_entry(task.clone());
        run.set_current(Some(&task));
        self.filter_runs.inner.set(Some(run.clone()));
        Ok(run)
    }

    /// Whether the running code, if it is a filter's, can wait: not before nginx has connected the
    /// client with the server that has switched protocols, whose bytes no filter sees.
    pub fn can_wait(&self) -> bool {
        const SWITCHING_PROTOCOLS: usize = 101;
        self.phase.get() != Phase::HeaderFilter || self.request().status() != SWITCHING_PROTOCOLS
    }

    /// Whether the running code is a filter's that has subrequests under way.
    pub fn filter_captures(&self) -> bool {
        self.filter_runs.inner.is_some_and(|run| run.ending.no_abort.get())
    }
}
