//! The tasks of one context: its entry thread, the others, and those that are ready to run.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use codec::fallible::{self, OutOfMemory};

use super::Context;
use super::plain::Plain;
use crate::config::PhaseSet;
use crate::lua::{Outcome, State, Thread, ThreadAnchor};
use crate::nginx::core::option_cell::OptionCell;
use crate::nginx::core::rc_cell::RcCell;
use crate::runtime::task::{GENERATIONS, Role, Task, TaskStatus};

/// What a coroutine asks of the scheduler by yielding.
#[derive(Default)]
pub enum Switch {
    /// Wait for its pending operation.
    #[default]
    Wait,
    /// `coroutine.resume`: run that one, with this many of the yielded values.
    Resume(Rc<Task>, i32),
    /// `coroutine.yield`: back to the resumer, with this many values: all that were yielded.
    Yield(i32),
    /// `ngx.thread.spawn`: run that one first, with this many values on its stack.
    Spawn(Rc<Task>, i32),
}

/// The running task's key and coroutine.
#[derive(Clone, Copy)]
struct Current {
    key: u64,
    state: State,
}

/// The tasks of one context.
#[derive(Default)]
pub struct Tasks {
    entry: RcCell<Task>,
    /// All but the entry thread.
    others: RefCell<Vec<Rc<Task>>>,
    /// For how many of them all lists here have capacity.
    room: Cell<usize>,
    /// Whether there may be other tasks than the entry thread, or tasks in a queue.
    had_others: Cell<bool>,
    /// By what coroutines that have not been resumed know whose they are: a key of [`GENERATIONS`]; 0 if there are
    /// none.
    generation: Cell<u64>,
    current: Cell<Option<Current>>,
    /// The entry thread whose code runs, as long as it has no task.
    pub(super) plain: Plain,
    /// Threads that are ready to run, with the number of values on their stacks.
    posted: RefCell<VecDeque<(Rc<Task>, i32)>>,
    /// The tasks that events woke, until their phase handler has been entered again.
    woken: RefCell<VecDeque<(Rc<Task>, i32)>>,
    switch: Cell<Switch>,
    /// Whether a light thread runs below the code that has spawned it.
    pub spawns: Cell<bool>,
    /// The coroutine below running code that has stopped, and how, until its resumers have yielded.
    stopped_below: OptionCell<(Rc<Task>, Outcome)>,
    /// The handler of `ngx.on_abort`: suspended until the client leaves.
    pub on_abort: RcCell<Task>,
    /// Light threads that have not ended.
    pub light_threads: Cell<usize>,
}

/// The capacity of each list, in tasks or subrequests, that is kept for the next request.
pub(super) const KEPT: usize = 64;

impl Tasks {
    /// Resets it for the next request: removing the last task has reset all but the switch; short
    /// queues keep their capacity. Every field is named here, so that a forgotten one does not
    /// compile.
    #[inline(always)]
    pub(super) fn reset(&mut self) {
        let Tasks {
            entry,
            others,
            room: _,
            had_others,
            generation,
            current,
            plain,
            posted,
            woken,
            switch,
            spawns,
            stopped_below,
            on_abort,
            light_threads,
        } = self;
        debug_assert!(
            entry.is_empty() && current.get().is_none(),
            "a released context has no tasks"
        );
        debug_assert!(plain.is_empty(), "nor code that runs");
        debug_assert!(others.get_mut().is_empty() && !had_others.get(), "nor others");
        debug_assert_eq!(generation.get(), 0, "nor new coroutines");
        debug_assert!(posted.get_mut().is_empty() && woken.get_mut().is_empty(), "nor queues");
        debug_assert!(on_abort.is_empty() && light_threads.get() == 0, "nor threads");
        if !matches!(switch.get_mut(), Switch::Wait) {
            switch.set(Switch::Wait);
        }
        spawns.set(false);
        drop(stopped_below.take());
    }
}

impl Context {
    pub fn entry(&self) -> Option<Rc<Task>> {
        self.tasks.entry.get()
    }

    #[inline(always)]
    pub fn set_entry(&self, task: Rc<Task>) {
        self.tasks.entry.set(Some(task));
    }

    #[inline(always)]
    pub fn is_entry_alive(&self) -> bool {
        self.tasks.entry.is_some_and(Task::is_alive)
    }

    /// Reserves capacity for another task, in every queue; fails without memory.
    #[inline(always)]
    pub fn reserve_task(&self) -> Result<(), OutOfMemory> {
        Task::reserve()?;
        if self.tasks.others.borrow().len() < self.tasks.room.get() {
            return Ok(());
        }
        self.reserve_room()
    }

    #[inline(never)]
    fn reserve_room(&self) -> Result<(), OutOfMemory> {
        let mut others = self.tasks.others.borrow_mut();
        others.try_reserve(1)?;
        let mut room = others.capacity();
        // Each task, the entry thread and this one, may wait there once.
        let most = others.len() + 2;
        for queue in [&self.tasks.posted, &self.tasks.woken] {
            let mut queue = queue.borrow_mut();
            let missing = most.saturating_sub(queue.len());
            queue.try_reserve(missing)?;
            room = room.min(queue.capacity() - 1);
        }
        self.tasks.room.set(room);
        Ok(())
    }

    /// What a coroutine is marked with that code of this context makes now; fails without memory.
    #[inline(always)]
    pub(in crate::runtime) fn generation(&self) -> Result<u64, OutOfMemory> {
        match self.tasks.generation.get() {
            0 => self.begin_generation(),
            generation => Ok(generation),
        }
    }

    #[cold]
    fn begin_generation(&self) -> Result<u64, OutOfMemory> {
        GENERATIONS.reserve()?;
        self.tasks.generation.set(GENERATIONS.insert(()));
        Ok(self.tasks.generation.get())
    }

    /// The coroutines with that mark have ended.
    #[inline(always)]
    pub(super) fn end_generation(&self) {
        if self.tasks.generation.get() != 0 {
            GENERATIONS.remove(self.tasks.generation.take());
        }
    }

    /// Whether a coroutine with that mark is of this context.
    pub(in crate::runtime) fn has_generation(&self, generation: u64) -> bool {
        self.tasks.generation.get() == generation
    }

    /// A task for the coroutine `state`, which `anchor` keeps, if anything does. It has not been resumed, and
    /// [`Context::reserve_task`] has reserved what it needs.
    #[inline(always)]
    pub fn add_suspended(
        self: &Rc<Self>,
        state: State,
        anchor: Option<ThreadAnchor>,
        role: Role,
    ) -> Rc<Task> {
        let task = Task::new(self, state, anchor, role);
        task.status.set(TaskStatus::Suspended);
        self.tasks.had_others.set(true);
        let mut others = self.tasks.others.borrow_mut();
        task.place.set(others.len());
        #[expect(clippy::disallowed_methods, reason = "`reserve_task` has reserved the capacity")]
        others.push(task.clone());
        task
    }

    /// Takes the tasks that wait in `ngx.flush(true)`.
    pub fn take_flushing(&self) -> Result<Vec<Rc<Task>>, OutOfMemory> {
        let (entry, others) = (self.entry(), self.tasks.others.borrow());
        let all = entry.iter().chain(others.iter()).filter(|task| task.flushing.get());
        let waiting = fallible::collect(all.cloned())?;
        waiting.iter().for_each(|task| task.flushing.set(false));
        Ok(waiting)
    }

    /// The running task.
    pub fn current(self: &Rc<Self>) -> Option<Rc<Task>> {
        if PhaseSet::FILTERS.has(self.phase.get()) && !self.is_filter_run() {
            let run = self.of_tasks().ok().filter(|run| run.is_filter_run())?;
            return run.own_current();
        }
        self.own_current()
    }

    /// The running task, if the context itself has it: a filter's run has its own.
    pub fn own_current(&self) -> Option<Rc<Task>> {
        match self.tasks.current.get() {
            Some(current) => Task::with_key(current.key),
            None => self.promote(),
        }
    }

    /// The running task, if it is the one that runs on `state`.
    #[inline(always)]
    pub fn current_on(self: &Rc<Self>, state: State) -> Option<Rc<Task>> {
        if self.runs_on(state) {
            return self.own_current();
        }
        if self.tasks.plain.runs_on(state) { self.promote_running() } else { None }
    }

    /// Whether the running task is the one that runs on `state`.
    #[inline(always)]
    pub fn runs_on(&self, state: State) -> bool {
        self.tasks.current.get().is_some_and(|current| current.state == state)
    }

    #[inline(always)]
    pub fn set_current(&self, task: Option<&Task>) {
        let current = |task: &Task| Current { key: task.key(), state: task.state() };
        self.tasks.current.set(task.map(current));
    }

    /// `task` has ended: another one may get its key.
    #[inline(always)]
    pub fn forget_current(&self, task: &Task) {
        if self.tasks.current.get().is_some_and(|current| current.key == task.key()) {
            self.tasks.current.set(None);
        }
    }

    #[inline]
    pub fn set_switch(&self, switch: Switch) {
        let before = self.tasks.switch.replace(switch);
        debug_assert!(
            matches!(before, Switch::Wait),
            "the code has not yielded after the last one"
        );
        // It needs no drop, and no look at what it is.
        std::mem::forget(before);
    }

    pub fn take_switch(&self) -> Switch {
        self.tasks.switch.replace(Switch::Wait)
    }

    /// Takes the running coroutine's `coroutine.yield`, if that is what it has asked for, with at most this many values;
    /// returns their number.
    #[inline(always)]
    pub fn take_yield(&self, most: i32) -> Option<i32> {
        match self.take_switch() {
            Switch::Yield(values) if values <= most => Some(values),
            other => {
                self.set_switch(other);
                None
            }
        }
    }

    /// Whether the code that has yielded asks for nothing but to wait.
    #[inline(always)]
    pub fn asks_to_wait(&self) -> bool {
        let switch = self.take_switch();
        let waits = matches!(switch, Switch::Wait);
        self.set_switch(switch);
        waits
    }

    /// Notes that `task`, which ran below other code, has stopped, so that this code yields. Of several, the innermost is
    /// noted.
    #[inline(always)]
    pub fn set_stopped_below(&self, task: &Rc<Task>, outcome: Outcome) {
        if !self.tasks.stopped_below.is_some() {
            self.tasks.stopped_below.replace(Some((task.clone(), outcome)));
        }
    }

    #[inline(always)]
    pub fn has_stopped_below(&self) -> bool {
        self.tasks.stopped_below.is_some()
    }

    #[inline(always)]
    pub fn take_stopped_below(&self) -> Option<(Rc<Task>, Outcome)> {
        self.tasks.stopped_below.take()
    }

    pub fn post(&self, task: Rc<Task>, values: i32) {
        self.tasks.had_others.set(true);
        #[expect(clippy::disallowed_methods, reason = "`reserve_task` has reserved the capacity")]
        self.tasks.posted.borrow_mut().push_back((task, values));
    }

    /// As [`Context::post`], before all others.
    pub fn post_first(&self, task: Rc<Task>, values: i32) {
        self.tasks.had_others.set(true);
        #[expect(clippy::disallowed_methods, reason = "`reserve_task` has reserved the capacity")]
        self.tasks.posted.borrow_mut().push_front((task, values));
    }

    pub fn take_posted(&self) -> Option<(Rc<Task>, i32)> {
        self.tasks.posted.borrow_mut().pop_front()
    }

    pub fn has_posted(&self) -> bool {
        !self.tasks.posted.borrow().is_empty()
    }

    pub fn set_woken(&self, task: Rc<Task>, values: i32) {
        self.tasks.had_others.set(true);
        #[expect(clippy::disallowed_methods, reason = "`reserve_task` has reserved the capacity")]
        self.tasks.woken.borrow_mut().push_back((task, values));
    }

    pub fn take_woken(&self) -> Option<(Rc<Task>, i32)> {
        self.tasks.woken.borrow_mut().pop_front()
    }

    /// Whether `task` has yielded to wait, and has not been woken yet.
    pub fn is_waiting(&self, task: &Rc<Task>) -> bool {
        let queued = |queue: &RefCell<VecDeque<(Rc<Task>, i32)>>| {
            queue.borrow().iter().any(|(other, _)| Rc::ptr_eq(other, task))
        };
        task.status.get() == TaskStatus::Running
            && !task.runs.get()
            && !queued(&self.tasks.posted)
            && !queued(&self.tasks.woken)
    }

    /// Ends one task: cancels its operation, and gives its coroutine back to the VM.
    pub fn remove_task(&self, task: &Rc<Task>) {
        self.end_task(task);
        task.retire();
    }

    #[inline(always)]
    fn end_task(&self, task: &Rc<Task>) {
        if let Some(anchor) = task.detach() {
            if task.runs.get() && Context::any_runs() {
                // Its code, and what runs below that, still needs the coroutine.
                task.keep_until_it_stops(anchor);
            } else {
                // One that an error has ended from outside may still have its frames.
                let ended = !task.runs.get() && !task.propagates_error.get();
                let recycle = task.role() == Role::Entry && ended;
                let thread = Thread { state: task.state(), anchor };
                self.vm().give_back_thread(thread, recycle, self.request().log());
            }
        }
        if task.role() == Role::Entry {
            if self.tasks.entry.holds(task) {
                self.tasks.entry.set(None);
            }
            return;
        }
        let mut others = self.tasks.others.borrow_mut();
        let place = task.place.replace(usize::MAX);
        if place < others.len() {
            others.swap_remove(place);
            if let Some(moved) = others.get(place) {
                moved.place.set(place);
            }
        }
    }

    /// Ends all tasks, whatever they wait for, and coroutines that have not been resumed. Safe to call twice.
    #[inline(always)]
    pub fn remove_all_tasks(&self) {
        self.remove_tasks(false);
        self.end_generation();
    }

    /// Ends all threads, and whatever waits. Coroutines that have not been resumed, or have yielded, may go on in a
    /// later phase.
    #[inline(always)]
    pub fn end_threads(&self) {
        self.remove_tasks(true);
    }

    /// Before code of another phase starts: what that of the last one has left ends ([`Context::end_threads`]), and
    /// how it ended is forgotten.
    #[inline(always)]
    pub fn begin_phase(&self) {
        self.end_threads();
        self.restart();
    }

    #[inline(always)]
    fn remove_tasks(&self, keeps_suspended: bool) {
        if self.tasks.had_others.get() {
            self.remove_others(keeps_suspended);
        }
        if self.tasks.plain.runs() {
            self.promote();
        }
        if let Some(entry) = self.entry() {
            self.remove_entry(&entry);
        }
    }

    #[inline(never)]
    fn remove_entry(&self, entry: &Rc<Task>) {
        entry.zombies.borrow_mut().clear();
        self.remove_task(entry);
    }

    fn remove_others(&self, keeps_suspended: bool) {
        self.tasks.had_others.set(false);
        let mut room = self.tasks.room.take();
        for queue in [&self.tasks.posted, &self.tasks.woken] {
            let mut queue = queue.borrow_mut();
            queue.clear();
            if queue.capacity() > KEPT {
                *queue = VecDeque::new();
                room = 0;
            }
        }
        self.tasks.on_abort.set(None);
        if !self.tasks.others.borrow().is_empty() {
            let mut others = self.tasks.others.take();
            others.retain(|task| {
                task.zombies.borrow_mut().clear();
                let keeps = keeps_suspended && task.is_suspended_coroutine();
                if !keeps {
                    task.place.set(usize::MAX);
                    self.remove_task(task);
                }
                keeps
            });
            for (place, task) in others.iter().enumerate() {
                task.place.set(place);
            }
            self.tasks.had_others.set(!others.is_empty());
            if others.capacity() <= KEPT || !others.is_empty() {
                *self.tasks.others.borrow_mut() = others;
            } else {
                room = 0;
            }
        }
        self.tasks.room.set(room);
        self.tasks.light_threads.set(0);
        self.output.flushing.set(0);
    }
}
