//! Making tasks. Ended ones are used again, where there are any.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use codec::fallible::OutOfMemory;

use super::records::RECORDS;
use super::{Role, Task, TaskStatus};
use crate::lua::{State, ThreadAnchor};
use crate::nginx::core::allocator;
use crate::nginx::core::free_list::FreeList;
use crate::nginx::core::option_cell::OptionCell;
use crate::nginx::core::rc_cell::RcCell;
use crate::nginx::core::time;
use crate::nginx::event::alarm::Alarm;
use crate::own_thread;
use crate::runtime::Context;

/// The most tasks that the free list keeps.
const MAX_SPARE: usize = 256;
/// The most ended light threads for which a task in the free list keeps room.
const MAX_ZOMBIES: usize = 64;

impl Task {
    #[inline(always)]
    pub fn new(
        context: &Rc<Context>,
        state: State,
        anchor: Option<ThreadAnchor>,
        role: Role,
    ) -> Rc<Task> {
        if let Some(spare) = SPARE.take()
            && spare.is_unshared()
            && spare.zombies.borrow().is_empty()
        {
            spare.begin(context, state, anchor, role);
            return spare;
        }
        Task::fresh(context, state, anchor, role)
    }

    /// Reserves what another task needs; fails without memory.
    #[inline(always)]
    pub fn reserve() -> Result<(), OutOfMemory> {
        if RESERVED.get() && !allocator::is_in_reserve() {
            return Ok(());
        }
        Task::reserve_more()
    }

    #[cold]
    fn reserve_more() -> Result<(), OutOfMemory> {
        allocator::check()?;
        Task::reserve_record()
    }

    /// As [`Task::reserve`], for code that has begun already: it may be what has used the memory up.
    pub(in crate::runtime) fn reserve_record() -> Result<(), OutOfMemory> {
        // Also where the free list has a task, which has a record: it may turn out to be shared.
        if !RESERVED.get() {
            RECORDS.reserve()?;
            RESERVED.set(true);
        }
        Ok(())
    }

    /// As [`Task::reserve`], for a light thread that this task spawns, which may become a zombie.
    pub fn reserve_thread(&self, running: usize) -> Result<(), OutOfMemory> {
        Ok(self.zombies.borrow_mut().try_reserve(running + 1)?)
    }

    #[cold]
    fn fresh(
        context: &Rc<Context>,
        state: State,
        anchor: Option<ThreadAnchor>,
        role: Role,
    ) -> Rc<Task> {
        let task = Rc::new(Task {
            state: Cell::new(state),
            anchor: Cell::new(anchor),
            place: Cell::new(usize::MAX),
            role: Cell::new(role),
            key: Cell::new(0),
            forgotten: Cell::new(false),
            context: RcCell::new(Some(context.clone())),
            status: Cell::new(TaskStatus::Running),
            runs: Cell::new(false),
            parent: RcCell::default(),
            resumed: Cell::new(0),
            pending: OptionCell::default(),
            born: Cell::new(time::monotonic_milliseconds()),
            waits_since: Cell::new(0),
            wait_recorded: Cell::new(0),
            alarm: Alarm::default(),
            propagates_error: Cell::new(false),
            zombies: RefCell::default(),
            zombie_place: Cell::new(usize::MAX),
            thread_wait: Cell::new(0),
            awaited_in: Cell::new(0),
            flushing: Cell::new(false),
            co_ctx: Cell::new(0),
        });
        RESERVED.set(false);
        task.key.set(RECORDS.insert(Rc::downgrade(&task)));
        task.mark(context);
        task
    }

    /// Resets a task from the free list to what [`Task::fresh`] makes. Every field is named here,
    /// so that a forgotten one does not compile.
    #[inline(always)]
    fn begin(&self, of: &Rc<Context>, on: State, kept_by: Option<ThreadAnchor>, kind: Role) {
        let Task {
            state,
            anchor,
            place,
            role,
            key: _,
            forgotten,
            context,
            status,
            runs,
            parent: _,
            resumed: _,
            pending: _,
            born,
            waits_since: _,
            wait_recorded: _,
            alarm: _,
            propagates_error,
            zombies: _,
            zombie_place: _,
            thread_wait: _,
            awaited_in,
            flushing,
            co_ctx: _,
        } = self;
        state.set(on);
        role.set(kind);
        anchor.set(kept_by);
        place.set(usize::MAX);
        born.set(time::monotonic_milliseconds());
        context.set(Some(of.clone()));
        status.set(TaskStatus::Running);
        for flag in [forgotten, runs, propagates_error, flushing] {
            flag.set(false);
        }
        awaited_in.set(0);
        self.mark(of);
    }

    /// Whether nothing refers to the task except this share and its record.
    fn is_unshared(self: &Rc<Self>) -> bool {
        Rc::strong_count(self) == 1 && Rc::weak_count(self) == 1
    }

    /// Puts an ended task into the free list, if its coroutine does not refer to it any more.
    /// Whether others do is checked when it is taken out.
    #[inline(always)]
    pub(in crate::runtime) fn retire(self: &Rc<Self>) {
        if self.forgotten.get() {
            let was_long = self.zombies.borrow().capacity() > MAX_ZOMBIES;
            if was_long && self.zombies.borrow().is_empty() {
                drop(self.zombies.take());
            }
            drop(SPARE.keep(self.clone()));
        }
    }
}

own_thread! {
    /// Whether there is room for the record of another task.
    static RESERVED: Cell<bool> = Cell::new(false);
    /// The free list of tasks, filled by [`Task::retire`]. Their coroutines have forgotten their
    /// keys.
    static SPARE: FreeList<Rc<Task>> = FreeList::new(MAX_SPARE);
}
