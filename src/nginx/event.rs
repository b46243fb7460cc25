//! Timers and posted events that belong to one owner: dropping them takes them out of nginx.

use std::cell::UnsafeCell;
use std::ptr::addr_of_mut;

use crate::ngx_debug;

use super::guard::{fault_point, guard, panics};
use super::log::{Log, cycle_log};
use super::sys::{
    ngx_add_timer, ngx_del_timer, ngx_delete_posted_event, ngx_event_t, ngx_post_event,
    ngx_posted_events,
};

/// Milliseconds of a timer that stands for an event posted for the next round.
const KEEPS_WORKER: usize = 60_000;

/// A timer, or an event to run at the end of the current loop, that calls `F` on its owner's data.
///
/// The value must not move once armed: keep it in a `Box` or an `Rc`. Dropping it disarms it, so
/// a callback never runs for an owner that is gone.
pub struct Timer<T> {
    event: UnsafeCell<ngx_event_t>,
    data: T,
    on_fire: fn(&T),
    /// A debug line for when it is dropped before it fires.
    on_cancel: &'static str,
}

/// Who a timer is for.
pub trait Waiter: Clone + 'static {
    /// The timer's callback panicked: whoever relies on it must not wait forever.
    fn abandon(&self);
}

impl<T: Waiter> Timer<T> {
    /// A timer that is not armed yet; `on_fire` will get `data`.
    pub fn new(data: T, on_fire: fn(&T)) -> Box<Timer<T>> {
        Self::with_log(data, on_fire, cycle_log(), "")
    }

    /// As [`Timer::new`], with the log that debug lines about the timer go to; `on_cancel` is one
    /// for when it is dropped before it fires, if not empty.
    pub fn with_log(data: T, on_fire: fn(&T), log: Log, on_cancel: &'static str) -> Box<Timer<T>> {
        // SAFETY: all zero is a valid, unarmed ngx_event_t.
        let event: ngx_event_t = unsafe { std::mem::zeroed() };
        let timer = Box::new(Timer { event: UnsafeCell::new(event), data, on_fire, on_cancel });
        let event = timer.event.get();
        // SAFETY: the event is ours, and stays where it is in its box.
        unsafe {
            (*event).handler = Some(fire::<T>);
            (*event).data = std::ptr::from_ref::<Timer<T>>(&timer).cast_mut().cast();
            (*event).log = log.as_ptr();
        }
        timer
    }

    /// Fires after `milliseconds`; replaces what was set before.
    pub fn arm(&self, milliseconds: usize) {
        // SAFETY: the event is valid; this module runs in nginx's one thread.
        unsafe { ngx_add_timer(self.event.get(), milliseconds) }
    }

    /// Fires at the end of the current event loop round.
    pub fn post(&self) {
        // SAFETY: as in `arm`; ngx_posted_events is nginx's own queue.
        unsafe { ngx_post_event(self.event.get(), addr_of_mut!(ngx_posted_events)) }
    }

    /// Fires in the next round of the event loop, after pending I/O events had their turn.
    ///
    /// A timer is set as well: a worker that leaves looks for timers alone, and would not wait
    /// for a posted event.
    pub fn post_next(&self) {
        self.arm(KEEPS_WORKER);
        // SAFETY: as in `post`.
        unsafe {
            ngx_post_event(self.event.get(), addr_of_mut!(super::sys::ngx_posted_next_events));
        }
    }

    /// Whether the timer is armed.
    pub fn is_armed(&self) -> bool {
        // SAFETY: a plain flag of our event.
        unsafe { (*self.event.get()).timer_set() != 0 }
    }

    /// Takes it out of nginx's timers and posted events; safe to call twice.
    pub fn disarm(&self) {
        let event = self.event.get();
        // SAFETY: the flags say which of nginx's structures hold the event.
        unsafe {
            if (*event).timer_set() != 0 {
                ngx_del_timer(event);
            }
            if (*event).posted() != 0 {
                ngx_delete_posted_event(event);
            }
        }
    }
}

impl<T> Drop for Timer<T> {
    fn drop(&mut self) {
        let event = self.event.get_mut();
        // SAFETY: as in `disarm`.
        unsafe {
            if event.timer_set() != 0 {
                if !self.on_cancel.is_empty() {
                    ngx_debug!(Log::from_ptr(event.log), "{}", self.on_cancel);
                }
                ngx_del_timer(event);
            }
            if event.posted() != 0 {
                ngx_delete_posted_event(event);
            }
        }
    }
}

unsafe extern "C" fn fire<T: Waiter>(event: *mut ngx_event_t) {
    let fired = guard(None, || {
        // SAFETY: the data is the box that `with_log` made; it is alive, for dropping it disarms.
        let timer = unsafe { &*(*event).data.cast::<Timer<T>>() };
        // Posted and timed at once, it fires once.
        timer.disarm();
        // The callback may drop the timer: nothing of it is used after the call starts.
        Some((timer.data.clone(), timer.on_fire))
    });
    if let Some((data, on_fire)) = fired
        && panics(|| {
            fault_point::<T>();
            on_fire(&data);
        })
    {
        guard((), || data.abandon());
    }
}

/// Whether the worker is shutting down gracefully.
pub fn is_exiting() -> bool {
    // SAFETY: a plain word, written by signal handlers as a whole.
    unsafe { super::sys::ngx_exiting != 0 }
}

/// Whether the worker was told to quit or stop (`ngx_quit`, `ngx_exiting` or `ngx_terminate`).
pub fn is_stopping() -> bool {
    // SAFETY: as in `is_exiting`.
    unsafe {
        super::sys::ngx_quit != 0 || super::sys::ngx_exiting != 0 || super::sys::ngx_terminate != 0
    }
}
