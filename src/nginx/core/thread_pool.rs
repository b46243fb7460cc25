//! nginx's thread pools (`thread_pool`): work that runs beside the event loop.
//!
//! The work and its continuation are two values: the thread sees only the work, which is `Send`;
//! the continuation stays with the event loop, which also frees both.

use std::ptr::{NonNull, addr_of_mut};

use export::callback;

use crate::nginx::core::log::cycle_log;
use crate::nginx::event::alarm::{add_timer, remove_timer};
use crate::nginx::sys::{
    ngx_cycle, ngx_event_t, ngx_log_t, ngx_str_t, ngx_thread_pool_get, ngx_thread_pool_t,
    ngx_thread_task_post, ngx_thread_task_t,
};

/// The timer of work under way, in milliseconds; tests with injected faults have it expire. A
/// worker that exits waits for timers only, so without one it would not wait for the thread.
const KEEPS_WORKER: usize = if cfg!(feature = "fault-injection") { 500 } else { 60_000 };

/// What a thread of a pool does.
pub trait Work: Send + 'static {
    fn run(&mut self);
}

/// A pool of the configuration; copies are the same pool.
#[derive(Clone, Copy)]
pub struct ThreadPool(NonNull<ngx_thread_pool_t>);

/// Work under way: nginx's task, the work, and its continuation on the event loop. The task comes first, because
/// nginx's debug lines about its timer take this for a connection (see `event/alarm.rs`).
#[repr(C)]
struct Posted<W, F> {
    task: ngx_thread_task_t,
    work: W,
    after: F,
}

impl ThreadPool {
    /// The pool that the configuration calls `name`.
    pub fn find(name: &[u8]) -> Option<ThreadPool> {
        let mut name = ngx_str_t { len: name.len(), data: name.as_ptr().cast_mut() };
        // SAFETY: nginx compares the name only, and keeps the pools for the cycle's life.
        NonNull::new(unsafe { ngx_thread_pool_get(ngx_cycle, &mut name) }).map(ThreadPool)
    }

    /// Has a thread run `work`, and the event loop `after` with it; gives `work` back where the
    /// pool's queue is full.
    pub fn post<W: Work, F: FnOnce(W) + 'static>(self, work: W, after: F) -> Result<(), W> {
        // SAFETY: all zero is a valid, inactive ngx_thread_task_t.
        let task: ngx_thread_task_t = unsafe { std::mem::zeroed() };
        let posted = Box::into_raw(Box::new(Posted { task, work, after }));
        // SAFETY: the box is live, and ours until the post succeeds; then nginx holds the task
        // until it calls `complete`, which takes the box back.
        unsafe {
            let task = addr_of_mut!((*posted).task);
            (*task).ctx = posted.cast();
            (*task).handler = Some(run::<W, F>);
            (*task).event.data = posted.cast();
            (*task).event.handler = Some(complete::<W, F>);
            // nginx asks it, when the timer expires, whether to log that.
            (*task).event.log = cycle_log().as_ptr();
            if ngx_thread_task_post(self.0.as_ptr(), task) == 0 {
                add_timer(addr_of_mut!((*task).event), KEEPS_WORKER);
                return Ok(());
            }
            Err(Box::from_raw(posted).work)
        }
    }
}

/// Called by nginx in a thread of the pool.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback]
unsafe extern "C" fn run<W: Work, F>(data: *mut std::ffi::c_void, _log: *mut ngx_log_t) {
    // SAFETY: the box that `post` made; the event loop does not touch it before `complete`, so
    // the work is this thread's alone.
    unsafe { (*addr_of_mut!((*data.cast::<Posted<W, F>>()).work)).run() }
}

/// Called by the event loop: the work is done, or its timer has expired and is set again.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback]
unsafe extern "C" fn complete<W: Work, F: FnOnce(W)>(event: *mut ngx_event_t) {
    // SAFETY: the event of a task of ours; a thread may still run the work, but does not touch
    // the event.
    unsafe {
        if (*event).timedout() != 0 {
            (*event).set_timedout(0);
            add_timer(event, KEEPS_WORKER);
            return;
        }
        remove_timer(event);
    }
    // SAFETY: the box that `post` made; nginx is done with its task.
    let posted = unsafe { Box::from_raw((*event).data.cast::<Posted<W, F>>()) };
    let Posted { work, after, .. } = *posted;
    after(work);
}
