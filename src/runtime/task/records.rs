//! Which task a coroutine belongs to: a word in the coroutine is the key of its task, or says what
//! has become of that.

use std::rc::{Rc, Weak};

use codec::fallible::OutOfMemory;

use super::{Role, Task};
use crate::lua::{State, openresty};
use crate::own_thread;
use crate::runtime::{Context, Keyed};

/// What is known of a Lua coroutine.
pub enum Record {
    /// It was not made by this module.
    None,
    /// It has not been resumed yet: it gets a task then.
    New(New),
    /// It can still run, or is a light thread whose results wait.
    Task(Rc<Task>),
    /// Its task has ended.
    Ended,
    /// Its task has ended, and was a light thread.
    EndedThread,
}

/// A coroutine that has not been resumed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct New {
    /// That of the context that made it.
    generation: u64,
    /// Whether `coroutine.wrap` made it.
    wrapped: bool,
}

impl New {
    /// Whether code of `context` has made it.
    pub fn belongs_to(self, context: &Context) -> bool {
        context.has_generation(self.generation)
    }

    fn word(self) -> u64 {
        self.generation | if self.wrapped { NEW | WRAPPED } else { NEW }
    }

    #[inline(always)]
    fn of_word(word: u64) -> Option<New> {
        let new = New { generation: word & !(NEW | WRAPPED), wrapped: word & WRAPPED != 0 };
        (word & NEW != 0).then_some(new)
    }
}

/// The bits of a word that say that the coroutine has not been resumed, and that it is wrapped. No key has them: the
/// lower half of a key is an index, and no memory has room for so many tasks.
const NEW: u64 = 1 << 31;
const WRAPPED: u64 = 1 << 30;

/// The word of an ended light thread's coroutine. No key equals this word or [`ENDED`], because
/// keys have a version in their upper half.
const ENDED_THREAD: u64 = 1;
/// The word of another coroutine whose task has ended.
const ENDED: u64 = 2;

impl Task {
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

    /// What is known of the coroutine `state`.
    #[inline(always)]
    pub fn record(state: State) -> Record {
        let word = openresty::record(state);
        if word <= ENDED {
            return match word {
                ENDED => Record::Ended,
                ENDED_THREAD => Record::EndedThread,
                _ => Context::promote_on(state).map_or(Record::None, Record::Task),
            };
        }
        if let Some(new) = New::of_word(word) {
            let lives = GENERATIONS.with(new.generation, |()| ()).is_some();
            return if lives { Record::New(new) } else { Record::Ended };
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

    /// Notes that code of `context` has made the coroutine `state`, which gets its task when it is resumed
    /// ([`Task::begin_new`]). Fails without memory.
    #[inline(always)]
    pub fn note_new(context: &Context, state: State, wrapped: bool) -> Result<(), OutOfMemory> {
        let new = New { generation: context.generation()?, wrapped };
        openresty::set_record(state, new.word());
        openresty::set_request(state, context.request());
        Ok(())
    }

    /// The task of the coroutine `state`, which is `new` and of `context`; fails without memory.
    pub fn begin_new(
        context: &Rc<Context>,
        state: State,
        new: New,
    ) -> Result<Rc<Task>, OutOfMemory> {
        context.reserve_task()?;
        let role = if new.wrapped { Role::Wrapped } else { Role::Coroutine };
        Ok(context.add_suspended(state, None, role))
    }

    /// Makes the coroutine, which must be alive, forget the task, which has ended.
    pub(in crate::runtime) fn be_forgotten(&self) {
        let word = if self.role() == Role::LightThread { ENDED_THREAD } else { ENDED };
        openresty::set_record(self.state(), word);
        self.forgotten.set(true);
    }

    /// Stores the task's key, and the request, in the coroutine.
    pub(super) fn mark(&self, context: &Context) {
        let (main, state, key) = (context.vm().main(), self.state(), self.key.get());
        self.with_anchor(|anchor| openresty::set_record_of(main, anchor, state, key));
        openresty::set_request(self.state(), context.request());
    }
}

own_thread! {
    /// The keys of the contexts whose code has made coroutines ([`Context::generation`]).
    pub(in crate::runtime) static GENERATIONS: Keyed<()> = Keyed::new();
    /// The tasks by the keys in their coroutines. A coroutine may outlive its request in a Lua
    /// variable: its key then finds nothing.
    pub(super) static RECORDS: Keyed<Weak<Task>> = Keyed::new();
}
