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

use codec::fallible::OutOfMemory;

use crate::nginx::core::allocator;
use crate::nginx::core::log::cycle_log;
use crate::nginx::event::alarm::{Timer, Waiter, is_stopping};
use crate::nginx::{Level, Request};
use crate::runtime::{Keyed, Operation, Task, scheduler};
use crate::{ngx_debug, ngx_log, per_thread};

/// Resources, and the tasks that wait for them.
struct Semaphore {
    resources: Cell<i32>,
    /// The waiting tasks, in the order of their arrival.
    waiting: RefCell<BTreeMap<u64, Weak<Task>>>,
    arrivals: Cell<u64>,
    /// Hands resources out once the running code has yielded.
    handing_out: Box<Timer<Weak<Semaphore>>>,
}

per_thread! {
    /// The semaphores of Lua's. Code in a thread of a thread pool may make some too, but cannot wait for them.
    static SEMAPHORES: Keyed<Rc<Semaphore>> = Keyed::new();
}

/// The key of a new semaphore.
fn create(resources: i32) -> Result<u64, OutOfMemory> {
    allocator::check()?;
    SEMAPHORES.with(Keyed::reserve)?;
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

fn find(key: u64) -> Option<Rc<Semaphore>> {
    SEMAPHORES.with(|semaphores| semaphores.get(key))
}

/// Lua's garbage collector found the semaphore unused.
fn collect(key: u64) {
    ngx_debug!(cycle_log(), "in lua gc, semaphore {key:016X}");
    let Some(semaphore) = SEMAPHORES.with(|semaphores| semaphores.remove(key)) else { return };
    if !is_stopping() && !semaphore.waiting.borrow().is_empty() {
        ngx_log!(
            cycle_log(),
            Level::Err,
            "in lua semaphore gc wait queue is not empty while the semaphore {key:016X} is being \
             destroyed"
        );
    }
}

impl Waiter for Weak<Semaphore> {
    /// Those who wait have timers of their own, and the next post hands out again.
    fn abandon(&self) {}
}

impl Semaphore {
    /// Adds `n` resources to this semaphore of that key.
    fn post(&self, key: u64, n: i32) {
        let resources = self.resources.get();
        ngx_debug!(
            cycle_log(),
            "http lua semaphore post: {key:016X}, n: {n}, resources: {resources}"
        );
        self.resources.set(resources.saturating_add(n));
        if !self.waiting.borrow().is_empty() {
            self.handing_out.post();
        }
    }

    /// Resources less those who wait for one.
    fn count(&self) -> i32 {
        let waiting = i32::try_from(self.waiting.borrow().len()).unwrap_or(i32::MAX);
        self.resources.get().saturating_sub(waiting)
    }

    /// Takes a resource, unless others have waited longer.
    fn take(&self) -> bool {
        if !self.waiting.borrow().is_empty() || self.resources.get() <= 0 {
            return false;
        }
        self.resources.set(self.resources.get() - 1);
        true
    }

    fn note_wait(&self, key: u64, milliseconds: usize) {
        ngx_debug!(
            cycle_log(),
            "http lua semaphore wait: {key:016X}, timeout: {milliseconds}, resources: {}, event \
             posted: {}",
            self.resources.get(),
            u8::from(self.handing_out.is_posted())
        );
    }

    /// `task` waits for a resource, for so many milliseconds.
    fn wait(self: &Rc<Self>, task: &Rc<Task>, request: Request, milliseconds: usize) {
        let arrival = self.arrivals.get();
        self.arrivals.set(arrival + 1);
        let timer = Timer::with_log(Rc::downgrade(task), time_out, request.log());
        timer.arm(milliseconds);
        self.waiting.borrow_mut().insert(arrival, Rc::downgrade(task));
        task.wait_for(Box::new(Wait { semaphore: Rc::downgrade(self), arrival, timer }));
        ngx_debug!(cycle_log(), "http lua semaphore wait yielding");
    }

    fn hand_out(&self) {
        ngx_debug!(
            cycle_log(),
            "semaphore handler: wait queue: {}empty, resource count: {}",
            if self.waiting.borrow().is_empty() { "" } else { "not " },
            self.resources.get()
        );
        while self.resources.get() > 0 {
            let next = self.waiting.borrow_mut().pop_first();
            let Some((_, task)) = next else { return };
            let Some(task) = task.upgrade() else { continue };
            self.resources.set(self.resources.get() - 1);
            scheduler::wake_with(&task, 2, |state| {
                state.push_bool(true);
                state.push_nil();
            });
        }
    }
}

/// A task waits for a resource; dropped, it has left the queue and its timer is gone.
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

fn time_out(task: &Weak<Task>) {
    if let Some(task) = task.upgrade() {
        scheduler::wake_with(&task, 2, |state| {
            state.push_bool(false);
            state.push_str("timeout");
        });
    }
}
