//! `ngx.semaphore`: resources that threads of any request or timer of the worker post and wait for.
//!
//! The thread that has waited longest is served first. lua-resty-core has a key, not an address: a
//! key whose semaphore has been collected finds nothing. A wait is an operation of its task, so a
//! thread that is killed, or whose request ends, leaves the queue. If a semaphore is collected, the
//! threads that wait for it time out.

mod ffi;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use codec::fallible::{Grow, OutOfMemory};

use crate::nginx::core::allocator;
use crate::nginx::core::log::cycle_log;
use crate::nginx::event::alarm::{Timer, Waiter, is_stopping};
use crate::nginx::{Level, Request};
use crate::runtime::{Operation, Task, ThreadKeyed, scheduler};
use crate::{ngx_debug, ngx_log, own_thread, per_thread};

/// Resources, and the tasks that wait for them.
struct Semaphore {
    resources: Cell<i32>,
    /// The waiting tasks, in the order of their arrival.
    waiting: RefCell<BTreeMap<u64, Weak<Task>>>,
    arrivals: Cell<u64>,
    /// Posted to hand resources out once the running code has yielded.
    handing_out: Box<Timer<Weak<Semaphore>>>,
}

per_thread! {
    /// The semaphores by their keys. Code in a thread of a thread pool may make some too, but
    /// cannot wait for them; and its VM may be collected in another thread than the one that the
    /// code has run in.
    static SEMAPHORES: ThreadKeyed<Rc<Semaphore>> = ThreadKeyed::new();
    /// The value of `STRAYED` when this thread last looked for its own among the strays.
    static LOOKED: Cell<u64> = Cell::new(0);
}

own_thread! {
    /// Whether resources are being handed out, of whichever semaphore.
    static HANDING_OUT: Cell<bool> = Cell::new(false);
}

/// The keys of semaphores that were collected in another thread than their own, which forgets them
/// when it makes its next one.
static STRAYS: Mutex<Vec<u64>> = Mutex::new(Vec::new());
/// How many there have been: a thread looks only if there are new ones.
static STRAYED: AtomicU64 = AtomicU64::new(0);

/// Makes a semaphore; returns its key.
fn create(resources: i32) -> Result<u64, OutOfMemory> {
    allocator::check()?;
    let strayed = STRAYED.load(Ordering::Relaxed);
    if strayed > 0 && LOOKED.replace(strayed) != strayed {
        forget_strays();
    }
    SEMAPHORES.with(ThreadKeyed::reserve)?;
    let semaphore = Rc::new_cyclic(|this| Semaphore {
        resources: Cell::new(resources),
        waiting: RefCell::default(),
        arrivals: Cell::new(0),
        handing_out: Timer::new(this.clone(), |semaphore: &Weak<Semaphore>| {
            if let Some(semaphore) = semaphore.upgrade() {
                semaphore.hand_out();
            }
        }),
    });
    let key = SEMAPHORES.with(|semaphores| semaphores.insert(semaphore));
    ngx_debug!(cycle_log(), "http lua semaphore new: {key:016X}, resources: {resources}");
    Ok(key)
}

/// Returns what `look` makes of the semaphore, if there is one. `look` must not make or collect any.
#[inline(always)]
fn with<R>(key: u64, look: impl FnOnce(&Rc<Semaphore>) -> R) -> Option<R> {
    SEMAPHORES.with(|semaphores| semaphores.with(key, look))
}

fn find(key: u64) -> Option<Rc<Semaphore>> {
    with(key, Rc::clone)
}

/// Lua no longer refers to the semaphore: forgets it.
fn collect(key: u64) {
    ngx_debug!(cycle_log(), "in lua gc, semaphore {key:016X}");
    let removed = SEMAPHORES.with(|semaphores| semaphores.remove(key));
    let Some(semaphore) = removed else {
        let mut strays = STRAYS.lock().unwrap_or_else(PoisonError::into_inner);
        // Without memory, it is left where it is.
        let _ = strays.try_push(key);
        STRAYED.fetch_add(1, Ordering::Relaxed);
        return;
    };
    if !is_stopping() && !semaphore.waiting.borrow().is_empty() {
        ngx_log!(
            cycle_log(),
            Level::Err,
            "in lua semaphore gc wait queue is not empty while the semaphore {key:016X} is being \
             destroyed"
        );
    }
}

/// Forgets this thread's semaphores that other threads have collected.
#[cold]
fn forget_strays() {
    let mut strays = STRAYS.lock().unwrap_or_else(PoisonError::into_inner);
    SEMAPHORES.with(|own| strays.retain(|key| own.remove(*key).is_none()));
}

impl Waiter for Weak<Semaphore> {
    /// Nothing is to be done: waiting tasks have timers of their own, and the next post hands out
    /// again.
    fn abandon(&self) {}
}

impl Semaphore {
    /// Adds `n` resources to this semaphore, whose key is for the debug log.
    fn post(&self, key: u64, n: i32) {
        let resources = self.resources.get();
        ngx_debug!(
            cycle_log(),
            "http lua semaphore post: {key:016X}, n: {n}, resources: {resources}"
        );
        self.resources.set(resources.saturating_add(n));
        if self.waiting.borrow().is_empty() {
            return;
        }
        // Tasks that pass resources to each other without end must leave nginx its other events.
        if HANDING_OUT.get() {
            self.handing_out.post_next();
        } else {
            self.handing_out.post();
        }
    }

    /// The resources less the tasks that wait for one.
    fn count(&self) -> i32 {
        let waiting = i32::try_from(self.waiting.borrow().len()).unwrap_or(i32::MAX);
        self.resources.get().saturating_sub(waiting)
    }

    /// Takes a resource; false if there is none, or other tasks wait already.
    fn take(&self) -> bool {
        if !self.waiting.borrow().is_empty() || self.resources.get() <= 0 {
            return false;
        }
        self.resources.set(self.resources.get() - 1);
        true
    }

    /// Logs a call of `wait` at debug level.
    fn note_wait(&self, key: u64, milliseconds: usize) {
        ngx_debug!(
            cycle_log(),
            "http lua semaphore wait: {key:016X}, timeout: {milliseconds}, resources: {}, event \
             posted: {}",
            self.resources.get(),
            u8::from(self.handing_out.is_posted())
        );
    }

    /// Has `task` wait for a resource, for at most that many milliseconds.
    fn wait(self: &Rc<Self>, task: &Rc<Task>, request: Request, milliseconds: usize) {
        let arrival = self.arrivals.get();
        self.arrivals.set(arrival + 1);
        let timer = Timer::with_log(Rc::downgrade(task), time_out, request.log());
        timer.arm(milliseconds);
        self.waiting.borrow_mut().insert(arrival, Rc::downgrade(task));
        task.wait_for(Box::new(Wait { semaphore: Rc::downgrade(self), arrival, timer }));
        ngx_debug!(cycle_log(), "http lua semaphore wait yielding");
    }

    /// Wakes the tasks that wait now, the one that has waited longest first, as long as there are
    /// resources for them.
    fn hand_out(&self) {
        ngx_debug!(
            cycle_log(),
            "semaphore handler: wait queue: {}empty, resource count: {}",
            if self.waiting.borrow().is_empty() { "" } else { "not " },
            self.resources.get()
        );
        HANDING_OUT.set(true);
        let _turn = Turn;
        let count = self.waiting.borrow().len();
        for _ in 0..count {
            if self.resources.get() <= 0 {
                return;
            }
            let next = self.waiting.borrow_mut().pop_first();
            let Some((_, task)) = next else { return };
            let Some(task) = task.upgrade() else { continue };
            self.resources.set(self.resources.get() - 1);
            scheduler::wake_with(&task, 2, |state| {
                state.push_bool(true);
                state.push_nil();
            });
        }
        if self.resources.get() > 0 && !self.waiting.borrow().is_empty() {
            self.handing_out.post_next();
        }
    }
}

/// Dropping it ends the handing out of resources.
struct Turn;

impl Drop for Turn {
    fn drop(&mut self) {
        HANDING_OUT.set(false);
    }
}

/// The operation of a task that waits for a resource. Dropping it takes the task out of the queue,
/// and removes its timer.
struct Wait {
    semaphore: Weak<Semaphore>,
    arrival: u64,
    timer: Box<Timer<Weak<Task>>>,
}

impl Operation for Wait {
    fn name(&self) -> &'static str {
        "a semaphore"
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let Some(semaphore) = self.semaphore.upgrade() else { return };
        let waited = semaphore.waiting.borrow_mut().remove(&self.arrival).is_some();
        if waited && self.timer.is_armed() {
            ngx_debug!(cycle_log(), "http lua semaphore cleanup");
        }
    }
}

/// There was no resource for the task in time.
fn time_out(task: &Weak<Task>) {
    if let Some(task) = task.upgrade() {
        scheduler::wake_with(&task, 2, |state| {
            state.push_bool(false);
            state.push_str("timeout");
        });
    }
}
