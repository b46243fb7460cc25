//! `ngx.timer`: handlers that run later, without a request.
//!
//! A pending timer owns the coroutine that its handler will run in, and a share of the VM that the
//! coroutine belongs to. When it expires, a fake request is made, and the handler runs as its entry
//! thread. When the worker exits, pending timers expire at once, and their handlers are called with
//! `premature` true.

mod lua;

use std::rc::Rc;

use codec::fallible;

pub use lua::inject;

use crate::config::MainConf;
use crate::config::metrics::Metric;
use crate::lua::vm::Owner;
use crate::lua::{State, Thread, Vm};
use crate::nginx::Level;
use crate::nginx::core::allocator;
use crate::nginx::core::log::{Shown, cycle_log};
use crate::nginx::core::time;
use crate::nginx::event::NoConnection;
use crate::nginx::event::alarm;
use crate::nginx::event::alarm::{Timer, Waiter};
use crate::nginx::event::exit_watcher;
use crate::nginx::http::configuration::Configuration;
use crate::nginx::http::{fake, log_context};
use crate::runtime::{Context, Keyed, Phase, Task, counters, fake_request, scheduler};
use crate::{ngx_debug, ngx_log, own_thread};

/// A handler with its arguments, on the stack of the coroutine that it will run in.
pub struct TimerHandler {
    vm: Owner,
    /// The coroutine; `None` once a task owns it.
    thread: Option<Thread>,
    /// The coroutine's stack.
    pub state: State,
}

impl TimerHandler {
    /// Makes a coroutine in `vm`, whose stack is still empty. An error is the text for Lua or the
    /// log.
    pub fn new(vm: &Rc<Vm>) -> Result<TimerHandler, Vec<u8>> {
        allocator::check().map_err(|_| fallible::NO_MEMORY)?;
        let thread = vm.take_thread(cycle_log())?;
        let state = thread.state;
        Ok(TimerHandler { vm: Owner::new(vm.clone()), thread: Some(thread), state })
    }

    /// Runs the handler until it waits or ends. `begin` completes its arguments on the coroutine's
    /// stack, and returns their number. An error is the reason why it cannot start, for the log.
    pub fn start(
        &mut self,
        origin: &fake::Origin,
        main: &MainConf,
        begin: impl FnOnce(State) -> i32,
    ) -> Result<(), String> {
        let vm = self.vm.vm();
        if Task::reserve().is_err() {
            vm.release_memory_soon();
            return Err(fallible::NO_MEMORY.into());
        }
        let max = main.max_running_timers();
        if fake_request::running_timers() >= max {
            return Err(fallible::text(format_args!(
                "{max} lua_max_running_timers are not enough"
            )));
        }
        let request = fake::create(origin, Some(log_context::timer))
            .map_err(|_| "could not create fake connection")?;
        let context = fake_request::begin(request, vm.clone(), Phase::Timer)
            .map_err(|_| "could not create ctx")?;
        let thread = self.thread.take().ok_or("no coroutine")?;
        fake_request::timer_started();
        counters::count(Metric::TimersRun);
        scheduler::start_fake(&context, thread, || begin(self.state));
        Context::retire(context);
        Ok(())
    }

    /// A handler with the same function and arguments, in a coroutine of its own.
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
    configuration: Configuration,
    /// For `ngx.timer.every`: the milliseconds between runs; otherwise 0.
    period: usize,
    /// nginx's timer; `None` until it is armed.
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

/// Lets `pending` expire after `delay` milliseconds. An error is the text for Lua.
fn arm(mut pending: PendingTimer, delay: usize) -> Result<(), &'static str> {
    exit_watcher::watch(abort_pending).map_err(|NoConnection| NoConnection::TEXT)?;
    PENDING.reserve().map_err(|_| fallible::NO_MEMORY)?;
    PENDING.insert_with(|key| {
        let timer = Timer::new(TimerKey(key), expired);
        timer.arm(delay);
        pending.due = time::monotonic_milliseconds().saturating_add(delay);
        pending.timer = Some(timer);
        pending
    });
    Ok(())
}

/// The key of a pending timer in [`PENDING`].
#[derive(Clone, Copy)]
struct TimerKey(u64);

impl Waiter for TimerKey {
    /// Drops the timer, if it is still pending.
    fn abandon(&self) {
        drop(PENDING.remove(self.0));
    }
}

/// nginx's timer has expired.
fn expired(key: &TimerKey) {
    if let Some(pending) = PENDING.remove(key.0) {
        if time::monotonic_milliseconds().saturating_sub(pending.due) >= LATE {
            counters::count(Metric::TimersLate);
        }
        expire(pending, false);
    }
}

/// The worker exits: has all pending timers expire now, prematurely.
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

/// Arms a timer of `ngx.timer.every` again, and runs the handler.
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

/// Makes and arms the timer for the next run of `ngx.timer.every`.
fn arm_again(pending: &PendingTimer) -> Result<(), ()> {
    let next = PendingTimer {
        handler: pending.handler.copy().map_err(drop)?,
        origin: pending.origin.clone(),
        configuration: pending.configuration,
        period: pending.period,
        timer: None,
        due: 0,
    };
    arm(next, pending.period).map_err(|_| ())
}

/// Runs a handler until it waits or ends. If it cannot start, returns it with the reason.
fn run(pending: PendingTimer, premature: bool) -> Result<(), (TimerHandler, String)> {
    let PendingTimer { mut handler, origin, configuration, .. } = pending;
    let started = handler.start(&origin, MainConf::of(&configuration), |state| {
        state.push_bool(premature);
        let values = state.top();
        if values > 2 {
            state.insert(2);
        }
        values - 1
    });
    started.map_err(|reason| (handler, reason))
}

/// Logs why a handler could not start, with the place where its function is defined.
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
