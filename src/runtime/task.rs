//! A task: one Lua coroutine that the scheduler runs.
//!
//! Code that wakes a task has a `Weak` of it, so nothing wakes a dead task. A task owns its pending
//! operation: killing the task, ending the request or closing its pool drops the operation, and
//! dropping it cancels it.

use std::cell::{Cell, RefCell};
use std::iter::successors;
use std::rc::{Rc, Weak};

use codec::fallible::{self, OutOfMemory};
use smallvec::SmallVec;

use super::context::Context;
use super::keyed::Keyed;
use super::{co_ctx, counters, scheduler};
use crate::lua::state::{NOREF, REGISTRY};
use crate::lua::vm::Thread;
use crate::lua::{State, openresty};
use crate::nginx::Request;
use crate::nginx::core::allocator;
use crate::nginx::core::free_list::FreeList;
use crate::nginx::core::log::{Log, Shown};
use crate::nginx::core::rc_cell::RcCell;
use crate::nginx::core::time;
use crate::nginx::event::alarm::{Alarm, AlarmField, Sleeper};
use crate::{alarm_field, ngx_debug, own_thread};

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
enum Pending {
    Own(Box<dyn Operation>),
    Shared(Rc<dyn Operation>),
    /// Its own alarm.
    Sleep,
    /// Any of its light threads.
    Threads {
        _joined: Join,
    },
}

/// The light threads that their parent waits for; they are marked so as long as this value lives.
#[derive(Default)]
pub struct Join(SmallVec<[Weak<Task>; 2]>);

impl Join {
    pub fn add(&mut self, thread: &Rc<Task>) {
        thread.waited_by_parent.set(true);
        self.0.push(Rc::downgrade(thread));
    }
}

impl Drop for Join {
    fn drop(&mut self) {
        for thread in self.0.iter().filter_map(Weak::upgrade) {
            thread.waited_by_parent.set(false);
        }
    }
}

/// What is known of a Lua coroutine.
pub enum Record {
    /// It was not made by this module.
    None,
    /// It can still run, or is a light thread whose results wait.
    Task(Rc<Task>),
    /// Its task has ended.
    Ended,
    /// Its task has ended, and was a light thread.
    EndedThread,
}

/// The word of an ended light thread's coroutine. No key equals it, or the next one, because keys
/// have a version in their upper half.
const ENDED_THREAD: u64 = 1;
/// The word of another coroutine whose task has ended.
const ENDED: u64 = 2;

/// The most tasks that the free list keeps.
const MAX_SPARE: usize = 256;

/// One Lua coroutine.
pub struct Task {
    state: Cell<State>,
    /// Its anchor in the registry; `NOREF` for coroutines that Lua code anchors itself, or, while
    /// they run or wait, the stack of their resumer.
    reference: Cell<i32>,
    /// Its place among the context's tasks.
    pub(super) place: Cell<usize>,
    role: Cell<Role>,
    key: Cell<u64>,
    /// Whether its coroutine no longer has its key.
    forgotten: Cell<bool>,
    /// `None` once the task has ended.
    context: RcCell<Context>,
    pub status: Cell<TaskStatus>,
    /// Whether its code is on the C stack.
    pub(super) runs: Cell<bool>,
    /// The task that spawned it, or, from its resume to its yield, the one that resumed it.
    parent: RcCell<Task>,
    /// The key of the coroutine that it resumed, until that yields or ends; 0 for none.
    resumed: Cell<u64>,
    pending: RefCell<Option<Pending>>,
    /// When it was made, and when it began to wait: nginx's monotonic milliseconds.
    born: Cell<usize>,
    waits_since: Cell<usize>,
    /// Ends its sleep.
    alarm: Alarm,
    /// An error of a wrapped child, to be raised in this task when it runs next.
    pub propagates_error: Cell<bool>,
    /// Ended light threads of this task that have not been waited for.
    pub zombies: RefCell<Vec<Rc<Task>>>,
    /// Whether the parent waits for this one in `ngx.thread.wait`.
    pub waited_by_parent: Cell<bool>,
    /// Whether it waits in `ngx.flush(true)`.
    pub flushing: Cell<bool>,
    /// The key by which other modules know it; 0 for none.
    pub(super) co_ctx: Cell<u64>,
}

impl Task {
    #[inline(always)]
    pub fn new(context: &Rc<Context>, state: State, reference: i32, role: Role) -> Rc<Task> {
        if let Some(spare) = SPARE.take()
            && spare.is_unshared()
            && spare.zombies.borrow().is_empty()
        {
            spare.begin(context, state, reference, role);
            return spare;
        }
        Task::fresh(context, state, reference, role)
    }

    /// Reserves what another task needs; fails without memory.
    #[inline(always)]
    pub fn reserve() -> Result<(), OutOfMemory> {
        allocator::check()?;
        if SPARE.is_empty() {
            // A task from the free list has a record already.
            RECORDS.reserve()?;
        }
        Ok(())
    }

    /// As [`Task::reserve`], for a light thread that this task spawns, which may become a zombie.
    pub fn reserve_thread(&self, running: usize) -> Result<(), OutOfMemory> {
        Ok(self.zombies.borrow_mut().try_reserve(running + 1)?)
    }

    #[cold]
    fn fresh(context: &Rc<Context>, state: State, reference: i32, role: Role) -> Rc<Task> {
        let task = Rc::new(Task {
            state: Cell::new(state),
            reference: Cell::new(reference),
            place: Cell::new(usize::MAX),
            role: Cell::new(role),
            key: Cell::new(0),
            forgotten: Cell::new(false),
            context: RcCell::new(Some(context.clone())),
            status: Cell::new(TaskStatus::Running),
            runs: Cell::new(false),
            parent: RcCell::default(),
            resumed: Cell::new(0),
            pending: RefCell::new(None),
            born: Cell::new(time::monotonic_milliseconds()),
            waits_since: Cell::new(0),
            alarm: Alarm::default(),
            propagates_error: Cell::new(false),
            zombies: RefCell::default(),
            waited_by_parent: Cell::new(false),
            flushing: Cell::new(false),
            co_ctx: Cell::new(0),
        });
        task.key.set(RECORDS.insert(Rc::downgrade(&task)));
        task.mark(context);
        task
    }

    /// Resets a task from the free list to what [`Task::fresh`] makes. Every field is named here,
    /// so that a forgotten one does not compile.
    #[inline(always)]
    fn begin(&self, of: &Rc<Context>, on: State, anchor: i32, kind: Role) {
        let Task {
            state,
            reference,
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
            alarm: _,
            propagates_error,
            zombies: _,
            waited_by_parent,
            flushing,
            co_ctx: _,
        } = self;
        state.set(on);
        role.set(kind);
        reference.set(anchor);
        place.set(usize::MAX);
        born.set(time::monotonic_milliseconds());
        context.set(Some(of.clone()));
        status.set(TaskStatus::Running);
        for flag in [forgotten, runs, propagates_error, waited_by_parent, flushing] {
            flag.set(false);
        }
        self.mark(of);
    }

    /// Whether nothing refers to the task except this share and its record.
    fn is_unshared(self: &Rc<Self>) -> bool {
        Rc::strong_count(self) == 1 && Rc::weak_count(self) == 1
    }

    /// Its coroutine.
    #[inline(always)]
    pub fn state(&self) -> State {
        self.state.get()
    }

    #[inline(always)]
    pub fn role(&self) -> Role {
        self.role.get()
    }

    /// Puts an ended task into the free list, if its coroutine does not refer to it any more.
    /// Whether others do is checked when it is taken out.
    #[inline(always)]
    pub(super) fn retire(self: &Rc<Self>) {
        if self.forgotten.get() {
            drop(SPARE.keep(self.clone()));
        }
    }

    /// Makes the coroutine, which must be alive, forget the task, which has ended.
    pub(super) fn be_forgotten(&self) {
        let word = if self.role() == Role::LightThread { ENDED_THREAD } else { ENDED };
        openresty::set_record(self.state(), word);
        self.forgotten.set(true);
    }

    /// Stores the task's key, and the request, in the coroutine.
    fn mark(&self, context: &Context) {
        let (main, reference) = (context.vm().main(), self.reference.get());
        openresty::set_record_of(main, reference, self.state(), self.key.get());
        openresty::set_request(self.state(), context.request());
    }

    /// A task for the code of a phase or a timer, in a coroutine of the VM.
    #[inline(always)]
    pub fn entry(context: &Rc<Context>, thread: Thread) -> Rc<Task> {
        counters::count_run(context.phase.get());
        Task::new(context, thread.state, thread.reference, Role::Entry)
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

    /// The task that runs on `state`, if there is one and it has not ended.
    pub fn of(state: State) -> Option<Rc<Task>> {
        match Task::record(state) {
            Record::Task(task) => Some(task),
            _ => None,
        }
    }

    /// The task with this key, if there is one.
    pub fn with_key(key: u64) -> Option<Rc<Task>> {
        RECORDS.with(key, Weak::upgrade).flatten()
    }

    /// The keys of all tasks of this worker; some may have ended.
    pub fn keys() -> Result<Vec<u64>, OutOfMemory> {
        RECORDS.keys()
    }

    /// How many tasks of each role have not ended: entry threads, light threads, coroutines.
    pub fn count_alive() -> [u64; 3] {
        let mut alive = [0, 0, 0];
        RECORDS.for_each(|task| {
            let Some(task) = task.upgrade().filter(|task| !task.context.is_empty()) else { return };
            let [entries, light_threads, coroutines] = &mut alive;
            if task.is_alive() {
                match task.role() {
                    Role::Entry => *entries += 1,
                    Role::LightThread => *light_threads += 1,
                    Role::Coroutine | Role::Wrapped => *coroutines += 1,
                }
            }
        });
        alive
    }

    /// The key by which it is known, never 0.
    #[inline(always)]
    pub fn key(&self) -> u64 {
        self.key.get()
    }

    /// What is known of the coroutine `state`.
    #[inline(always)]
    pub fn record(state: State) -> Record {
        let word = openresty::record(state);
        match word {
            0 => return Record::None,
            ENDED_THREAD => return Record::EndedThread,
            ENDED => return Record::Ended,
            _ => {}
        }
        let Some(task) = Task::with_key(word) else { return Record::Ended };
        if task.state() != state {
            // A coroutine made by LuaJIT itself, which has copied the word from its creator.
            return Record::None;
        }
        if task.context.is_empty() {
            return Record::Ended;
        }
        Record::Task(task)
    }

    pub fn parent(&self) -> Option<Rc<Task>> {
        self.parent.get()
    }

    /// Notes that the running task `parent` has made this light thread.
    ///
    /// The registry keeps `parent` from now on, because its light threads use it when they end,
    /// even if Lua code has forgotten the coroutine. Raises without memory.
    pub fn set_parent(&self, parent: &Rc<Task>) {
        if parent.reference.get() < 0 {
            parent.state().push_thread();
            parent.reference.set(parent.state().new_ref(REGISTRY));
        }
        self.parent.set(Some(parent.clone()));
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

    /// Detaches this task, which has yielded or ended, from the task that resumed or spawned it,
    /// and returns that one; `None` if that one has ended.
    #[inline(always)]
    pub fn leave_parent(&self) -> Option<Rc<Task>> {
        let parent = self.parent.take().filter(|parent| parent.is_alive())?;
        parent.status.set(TaskStatus::Running);
        parent.resumed.set(0);
        Some(parent)
    }

    /// Whether it can still run.
    pub fn is_alive(&self) -> bool {
        !matches!(self.status.get(), TaskStatus::Dead | TaskStatus::Zombie)
    }

    /// Whether something keeps its coroutine: the registry, or the stack of the one that resumed it. One that
    /// is suspended may be garbage, or freed already.
    pub fn is_kept(&self) -> bool {
        let runs = matches!(self.status.get(), TaskStatus::Running | TaskStatus::Normal);
        self.reference.get() >= 0 || (runs && self.parent().is_some_and(|parent| parent.is_alive()))
    }

    /// Whether the scheduler runs it on its own: an entry or light thread.
    pub fn is_thread(&self) -> bool {
        matches!(self.role(), Role::Entry | Role::LightThread)
    }

    /// Gives the task the operation that it now waits for.
    pub fn wait_for(&self, operation: Box<dyn Operation>) {
        self.set_pending(Pending::Own(operation));
    }

    /// As [`Task::wait_for`], for one that nginx has a share of.
    pub fn wait_for_shared(&self, operation: Rc<dyn Operation>) {
        self.set_pending(Pending::Shared(operation));
    }

    /// Gives the task the light threads that it now waits for.
    pub fn wait_for_threads(&self, threads: Join) {
        self.set_pending(Pending::Threads { _joined: threads });
    }

    /// Has the running task sleep for `milliseconds`.
    pub fn sleep(self: &Rc<Self>, milliseconds: usize, log: Log) {
        Alarm::set(self, milliseconds, log);
        self.set_pending(Pending::Sleep);
    }

    #[inline(always)]
    fn set_pending(&self, pending: Pending) {
        self.waits_since.set(time::monotonic_milliseconds());
        // The old operation is dropped last, because dropping it may use the task.
        drop(self.pending.replace(Some(pending)));
    }

    /// When it was made, by nginx's monotonic milliseconds.
    pub fn born(&self) -> usize {
        self.born.get()
    }

    /// Since when it waits, if it waits for something.
    pub fn waits_since(&self) -> usize {
        self.waits_since.get()
    }

    /// What it waits for, if anything.
    pub fn awaited(&self) -> Option<&'static str> {
        self.pending.borrow().as_ref().map(|pending| match pending {
            Pending::Own(operation) => operation.name(),
            Pending::Shared(operation) => operation.name(),
            Pending::Sleep => "ngx.sleep",
            Pending::Threads { .. } => "ngx.thread.wait",
        })
    }

    /// Drops the pending operation, finished or not.
    #[inline(always)]
    pub fn drop_pending(&self) {
        if self.pending.borrow().is_some() {
            self.end_pending();
        }
    }

    fn end_pending(&self) {
        // Taken out first, because dropping an operation may use the task.
        let operation = self.pending.borrow_mut().take();
        if matches!(operation, Some(Pending::Sleep)) {
            self.alarm.cancel("lua clean up the timer for pending ngx.sleep");
        }
        drop(operation);
    }

    /// Whether what the task waits for (if anything) can be cancelled.
    pub fn can_cancel(&self) -> bool {
        self.pending.borrow().as_ref().is_none_or(|pending| match pending {
            Pending::Own(operation) => operation.can_cancel(),
            Pending::Shared(operation) => operation.can_cancel(),
            Pending::Sleep | Pending::Threads { .. } => true,
        })
    }

    /// Whether it has no pending operation: it runs, or its code has yielded by itself.
    pub fn waits_for_nothing(&self) -> bool {
        self.pending.borrow().is_none()
    }

    /// Whether nothing will wake it: its code has yielded by itself, and no other module knows it.
    pub(super) fn has_nothing_to_wait_for(&self) -> bool {
        self.waits_for_nothing() && self.co_ctx.get() == 0
    }

    /// Whether it waits for another module's operation.
    pub fn waits_for_foreign(&self) -> bool {
        let pending = self.pending.borrow();
        matches!(&*pending, Some(Pending::Own(operation)) if operation.is_foreign())
    }

    /// Ends the task: cancels what it waits for, and makes its coroutine forget it.
    ///
    /// Returns the coroutine's anchor in the registry, which the caller must release. Safe to call
    /// twice: the second time returns `None`.
    pub(super) fn detach(&self) -> Option<i32> {
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
        let reference = self.reference.replace(NOREF);
        if reference < 0 {
            return None;
        }
        self.be_forgotten();
        Some(reference)
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

impl Drop for Task {
    fn drop(&mut self) {
        RECORDS.remove(self.key.get());
    }
}

own_thread! {
    /// The tasks by the keys in their coroutines. A coroutine may outlive its request in a Lua
    /// variable: its key then finds nothing.
    static RECORDS: Keyed<Weak<Task>> = Keyed::new();

    /// The free list of tasks, filled by [`Task::retire`]. Their coroutines have forgotten their
    /// keys.
    static SPARE: FreeList<Rc<Task>> = FreeList::new(MAX_SPARE);
}
