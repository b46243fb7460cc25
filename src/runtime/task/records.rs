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
    /// It can still run, or is a light thread whose results wait.
    Task(Rc<Task>),
    /// Its task has ended.
    Ended,
    /// Its task has ended, and was a light thread.
    EndedThread,
}

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
    /// The tasks by the keys in their coroutines. A coroutine may outlive its request in a Lua
    /// variable: its key then finds nothing.
    pub(super) static RECORDS: Keyed<Weak<Task>> = Keyed::new();
}
