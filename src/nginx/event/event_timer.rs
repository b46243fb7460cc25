//! The timer of an event of a connection's: how long it may take until something can be read or written.

use std::marker::PhantomData;

use crate::nginx::event::alarm::{add_timer, remove_timer};
use crate::nginx::sys::ngx_event_t;

/// The timer of a live connection's event. When it runs out, the event's handler is called.
#[derive(Clone, Copy)]
pub struct EventTimer<'a> {
    event: *mut ngx_event_t,
    connection: PhantomData<&'a ngx_event_t>,
}

impl EventTimer<'_> {
    /// # Safety
    /// `event` must be that of a connection which lives as long as the value.
    pub(in crate::nginx) unsafe fn of(event: *mut ngx_event_t) -> Self {
        EventTimer { event, connection: PhantomData }
    }

    /// Has it run out after `milliseconds`.
    pub fn set(self, milliseconds: usize) {
        // SAFETY: the event is a live connection's, `of`'s contract; nginx removes the timer when it
        // closes that. So in every method.
        unsafe { add_timer(self.event, milliseconds) }
    }

    pub fn is_set(self) -> bool {
        // SAFETY: see `set`.
        unsafe { (*self.event).timer_set() != 0 }
    }

    pub fn clear(self) {
        // SAFETY: see `set`.
        unsafe { remove_timer(self.event) }
    }

    /// Whether it has run out; clears the mark.
    pub fn take_timeout(self) -> bool {
        // SAFETY: see `set`.
        unsafe {
            let timed_out = (*self.event).timedout() != 0;
            (*self.event).set_timedout(0);
            timed_out
        }
    }
}
