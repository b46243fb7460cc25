//! Rounds of nginx's event loop after its end: for code that may wait while a worker exits.

use std::cell::Cell;
use std::rc::Rc;

use super::alarm::{Timer, Waiter};
use crate::nginx::core::cycle::Cycle;
use crate::nginx::sys::{
    ngx_close_listening_sockets, ngx_process_events_and_timers, ngx_terminate,
};

/// Set once the time has expired.
#[derive(Clone, Default)]
struct Deadline(Rc<Cell<bool>>);

impl Waiter for Deadline {
    fn abandon(&self) {
        self.0.set(true);
    }
}

/// Runs rounds of the event loop until `done`, for `milliseconds` at most, or until the process is told
/// to terminate; returns whether it is done. The process accepts no connections from now on.
///
/// What else is open (after the signal TERM: requests too) goes on meanwhile.
pub fn run_until(cycle: Cycle, milliseconds: usize, done: impl Fn() -> bool) -> bool {
    let deadline = Deadline::default();
    let timer = Timer::new(deadline.clone(), Waiter::abandon);
    timer.arm(milliseconds);
    // SAFETY: the running cycle, in the process's main thread. nginx closes the sockets itself where it
    // exits gracefully, which is safe to repeat. The flag is a word that a signal handler writes.
    unsafe {
        let was_told = ngx_terminate != 0;
        ngx_close_listening_sockets(cycle.as_ptr());
        while !done() && !deadline.0.get() && (was_told || ngx_terminate == 0) {
            ngx_process_events_and_timers(cycle.as_ptr());
        }
    }
    done()
}
