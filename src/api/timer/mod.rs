//! `ngx.timer`: handlers that run later, without a request.
//!
//! A pending timer owns the coroutine that its handler will run in, and the VM that the coroutine
//! belongs to. When it expires, a fake request is made, and the handler runs as that one's entry
//! thread. When the worker exits, pending timers expire, and their handlers are told so.

mod lua;

use std::rc::Rc;

use codec::fallible;

pub use lua::inject;

use crate::config::MainConf;
use crate::config::metrics::Metric;
use crate::lua::vm::{Owner, Thread};
use crate::lua::{State, Vm};
use crate::nginx::Level;
use crate::nginx::core::allocator;
use crate::nginx::core::log::{Shown, cycle_log};
use crate::nginx::core::time;
use crate::nginx::event::NoConnection;
use crate::nginx::event::alarm;
use crate::nginx::event::alarm::{Timer, Waiter};
use crate::nginx::event::exit_watcher;
use crate::nginx::http::{fake, log_context};
use crate::runtime::{Context, Keyed, Phase, Task, counters, fake_request, scheduler};
use crate::{ngx_debug, ngx_log, own_thread};

/// A handler with its arguments, on the stack of the coroutine that it will run in.
struct TimerHandler {
    vm: Owner,
    /// The coroutine, until a task owns it.
    thread: Option<Thread>,
    state: State,
}

impl TimerHandler {
    /// Makes a coroutine for a handler in `vm`.
    fn new(vm: &Rc<Vm>) -> Result<TimerHandler, Vec<u8>> {
        allocator::check().map_err(|_| fallible::NO_MEMORY)?;
        let thread = vm.take_thread(cycle_log())?;
        let state = thread.state;
        Ok(TimerHandler { vm: Owner::new(vm.clone()), thread: Some(thread), state })
    }

    /// The same function and arguments, in a coroutine of their own.
    fn copy(&self) -> Result<TimerHandler, Vec<u8>> {
        let copy = TimerHandler::new(self.vm.vm())?;
        let mut state = self.state;
        let values = state.top();
        if state.reserve(values).is_err() || copy.state.reserve(values + 1).is_err() {
            return Err(b"stack overflow".into());
        }
        for index in 1..=values {
            state.push_value(index);
        }
        state.move_to(copy.state, values);
        Ok(copy)
    }
}

impl Drop for TimerHandler {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.vm.vm().give_back_thread(thread, true, cycle_log());
        }
    }
}

/// From how many milliseconds on a timer counts as late.
const LATE: usize = 100;

/// A timer that has not expired.
struct PendingTimer {
    handler: TimerHandler,
    origin: fake::Origin,
    main: &'static MainConf,
    /// Milliseconds between runs; 0 for one run only.
    period: usize,
    timer: Option<Box<Timer<TimerKey>>>,
    /// When it is to expire, by nginx's monotonic clock.
    due: usize,
}

own_thread! {
    static PENDING: Keyed<PendingTimer> = Keyed::new();
}

/// How many timers of this worker have not expired.
pub fn pending_count() -> usize {
    PENDING.len()
}

/// Lets `pending` expire after `delay` milliseconds.
fn arm(mut pending: PendingTimer, delay: usize) -> Result<(), NoConnection> {
    exit_watcher::watch(abort_pending)?;
    PENDING.reserve().map_err(|_| NoConnection)?;
    PENDING.insert_with(|key| {
        let timer = Timer::new(TimerKey(key), expired);
        timer.arm(delay);
        pending.due = time::monotonic_milliseconds().saturating_add(delay);
        pending.timer = Some(timer);
        pending
    });
    Ok(())
}

/// The place of a pending timer.
#[derive(Clone, Copy)]
struct TimerKey(u64);

impl Waiter for TimerKey {
    fn abandon(&self) {
        drop(PENDING.remove(self.0));
    }
}

fn expired(key: &TimerKey) {
    if let Some(pending) = PENDING.remove(key.0) {
        if time::monotonic_milliseconds().saturating_sub(pending.due) >= LATE {
            counters::count(Metric::TimersLate);
        }
        expire(pending, false);
    }
}

/// The worker exits: what is pending expires now, prematurely.
fn abort_pending() {
    ngx_debug!(cycle_log(), "lua abort pending timers");
    let Ok(keys) = PENDING.keys() else {
        return drop_pending();
    };
    if keys.is_empty() {
        return;
    }
    ngx_debug!(cycle_log(), "lua found {} pending timers to be aborted prematurely", keys.len());
    for key in keys {
        if let Some(pending) = PENDING.remove(key) {
            expire(pending, true);
        }
    }
}

/// Drops what is pending; at the end of the process, when no handler may run any more.
pub fn drop_pending() {
    PENDING.take().for_each(drop);
}

fn expire(pending: PendingTimer, premature: bool) {
    ngx_debug!(cycle_log(), "lua ngx.timer expired");
    if pending.period > 0 && !alarm::is_exiting() && arm_again(&pending).is_err() {
        ngx_log!(
            cycle_log(),
            Level::Alert,
            "failed to create the next timer of delay {} ms",
            pending.period
        );
    }
    if let Err((handler, reason)) = run(pending, premature) {
        counters::count(Metric::TimersRefused);
        log_failure(&handler, &reason);
    }
}

fn arm_again(pending: &PendingTimer) -> Result<(), ()> {
    let next = PendingTimer {
        handler: pending.handler.copy().map_err(drop)?,
        origin: pending.origin.clone(),
        main: pending.main,
        period: pending.period,
        timer: None,
        due: 0,
    };
    arm(next, pending.period).map_err(drop)
}

/// Runs a handler until it waits or ends; gives it back with the reason where it cannot start.
fn run(pending: PendingTimer, premature: bool) -> Result<(), (TimerHandler, String)> {
    let PendingTimer { mut handler, origin, main, .. } = pending;
    if Task::reserve().is_err() {
        handler.vm.vm().release_memory_soon();
        return Err((handler, fallible::NO_MEMORY.into()));
    }
    let max = main.max_running_timers();
    if fake_request::running_timers() >= max {
        return Err((
            handler,
            fallible::text(format_args!("{max} lua_max_running_timers are not enough")),
        ));
    }
    let Ok(request) = fake::create(&origin, Some(log_context::timer)) else {
        return Err((handler, "could not create fake connection".into()));
    };
    let Ok(context) = fake_request::begin(request, handler.vm.vm().clone(), Phase::Timer) else {
        return Err((handler, "could not create ctx".into()));
    };
    let Some(thread) = handler.thread.take() else {
        return Err((handler, "no coroutine".into()));
    };
    fake_request::timer_started();
    counters::count(Metric::TimersRun);
    scheduler::start_fake(&context, thread, || {
        handler.state.push_bool(premature);
        let values = handler.state.top();
        if values > 2 {
            handler.state.insert(2);
        }
        values - 1
    });
    Context::retire(context);
    Ok(())
}

fn log_failure(handler: &TimerHandler, reason: &str) {
    let (source, line) = handler.state.definition(1);
    let source = Shown(&source);
    let log = cycle_log();
    ngx_log!(
        log,
        Level::Alert,
        "lua failed to run timer with function defined at {source}:{line}: {reason}"
    );
}
