//! A task's relations: the task that spawned or resumed it, and those that it resumed.

use std::iter::successors;
use std::rc::Rc;

use codec::fallible::{self, OutOfMemory};

use super::{Task, TaskStatus};

impl Task {
    pub fn parent(&self) -> Option<Rc<Task>> {
        self.parent.get()
    }

    /// Notes that the running task `parent` has made this light thread.
    ///
    /// The registry keeps `parent` from now on, because its light threads use it when they end,
    /// even if Lua code has forgotten the coroutine. Raises without memory.
    pub fn set_parent(&self, parent: &Rc<Task>) {
        if !parent.is_anchored()
            && let Some(context) = parent.context()
        {
            let mut state = parent.state();
            state.push_thread();
            parent.anchor.set(Some(context.vm().anchor_thread(&mut state)));
        }
        self.parent.set(Some(parent.clone()));
    }

    /// Keeps a light thread of this task that has ended, until its results are taken.
    pub fn keep_zombie(&self, thread: &Rc<Task>) {
        let mut zombies = self.zombies.borrow_mut();
        thread.zombie_place.set(zombies.len());
        #[expect(
            clippy::disallowed_methods,
            reason = "`reserve_thread` has reserved the capacity"
        )]
        zombies.push(thread.clone());
    }

    /// Lets go of such a thread.
    pub fn drop_zombie(&self, thread: &Rc<Task>) {
        let mut zombies = self.zombies.borrow_mut();
        let place = thread.zombie_place.get();
        if zombies.get(place).is_some_and(|zombie| Rc::ptr_eq(zombie, thread)) {
            zombies.swap_remove(place);
            if let Some(moved) = zombies.get(place) {
                moved.zombie_place.set(place);
            }
        }
    }

    /// The coroutine that it resumed and that has neither yielded nor ended.
    pub fn resumed(&self) -> Option<Rc<Task>> {
        Task::with_key(self.resumed.get())
    }

    /// This task and the coroutines that run on its behalf, innermost last.
    pub fn chain(self: &Rc<Self>) -> Result<Vec<Rc<Task>>, OutOfMemory> {
        fallible::collect(successors(Some(self.clone()), |task| task.resumed()))
    }

    /// Notes that `child` runs on this task's behalf from now on.
    #[inline(always)]
    pub fn resume(self: Rc<Self>, child: &Task) {
        self.status.set(TaskStatus::Normal);
        self.resumed.set(child.key());
        child.status.set(TaskStatus::Running);
        child.parent.set(Some(self));
    }

    /// Whether it runs on behalf of `task`, which can go on with its results.
    #[inline(always)]
    pub(in crate::runtime) fn is_resumed_by(&self, task: &Rc<Task>) -> bool {
        self.parent.holds(task) && task.is_alive()
    }

    /// Detaches this task, which has yielded or ended, from the task that resumed or spawned it,
    /// and returns that one; `None` if that one has ended.
    #[inline(always)]
    pub fn leave_parent(&self) -> Option<Rc<Task>> {
        let parent = self.parent.take().filter(|parent| parent.is_alive())?;
        parent.status.set(TaskStatus::Running);
        parent.resumed.set(0);
        Some(parent)
    }

    /// Whether something keeps its coroutine: the registry, or the stack of the one that resumed
    /// it. One that is suspended may be garbage, or freed already.
    pub fn is_kept(&self) -> bool {
        let runs = matches!(self.status.get(), TaskStatus::Running | TaskStatus::Normal);
        self.is_anchored() || (runs && self.parent().is_some_and(|parent| parent.is_alive()))
    }
}
