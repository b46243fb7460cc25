//! What a worker counts where `lua_status` is in its configuration. Without it, nothing is counted.

use std::cell::Cell;

use super::watch;
use crate::config::Phase;
use crate::config::metrics::{self, Metric, OwnCounters, PhaseMetric, StatusZone};
use crate::lua::function::wrap;
use crate::lua::{CFunction, LuaFailure, LuaResult, Returns};
use crate::nginx::core::time;
use crate::own_thread;

own_thread! {
    /// This worker's numbers, and the zone that they are in.
    static OWN: Cell<Option<OwnCounters>> = Cell::new(None);
    static ZONE: Cell<Option<StatusZone>> = Cell::new(None);
    /// How many nanoseconds code ran within the code that runs now: a filter's, within a handler
    /// that makes output.
    static WITHIN: Cell<u64> = Cell::new(0);
}

/// Counts in `zone` from now on, or, without one, no more. False where all slots of the zone are
/// taken.
pub fn attach(zone: Option<StatusZone>) -> bool {
    OWN.set(None);
    if let Some(old) = ZONE.replace(zone) {
        old.release();
    }
    OWN.set(zone.and_then(|zone| zone.claim()));
    watch::update();
    OWN.get().is_some() || zone.is_none()
}

/// Whether this process has been given a zone.
pub fn is_attached() -> bool {
    ZONE.get().is_some()
}

/// This worker's numbers, if it counts.
#[inline(always)]
pub fn own() -> Option<OwnCounters> {
    OWN.get()
}

/// Adds one to a number of this worker.
#[inline(always)]
pub fn count(metric: Metric) {
    if let Some(own) = own() {
        metrics::of(&own, metric).add(1);
    }
}

/// The code of `phase` starts.
#[inline(always)]
pub fn count_run(phase: Phase) {
    if let Some(own) = own() {
        metrics::of_phase(&own, phase, PhaseMetric::Runs).add(1);
    }
}

/// The code of `phase` has failed with an error that nothing caught.
pub fn count_failure(phase: Phase, failure: LuaFailure) {
    count_error(
        phase,
        match failure {
            LuaFailure::Runtime => 0,
            LuaFailure::Syntax => 1,
            LuaFailure::Memory => 2,
            LuaFailure::Handler => 3,
        },
    );
}

/// The code of `phase` could not be loaded.
pub fn count_load_error(phase: Phase) {
    count_error(phase, metrics::ERROR_KINDS.len() - 1);
}

/// The functions for [`Vm::tell_of_events`](crate::lua::Vm::tell_of_events).
pub const VM_EVENTS: [CFunction; 4] = [
    wrap(|_| count_event(Metric::Collections)),
    wrap(|_| count_event(Metric::Traces)),
    wrap(|_| count_event(Metric::TraceAborts)),
    wrap(|_| count_event(Metric::TraceFlushes)),
];

fn count_event(metric: Metric) -> LuaResult {
    count(metric);
    Ok(Returns::Values(0))
}

fn count_error(phase: Phase, kind: usize) {
    if let Some(own) = own() {
        metrics::of_phase(&own, phase, PhaseMetric::Errors(kind)).add(1);
    }
}

/// Measures how long code runs, without other code that runs within it.
#[derive(Clone, Copy)]
pub struct Stopwatch {
    /// When it began, by the system's nanoseconds.
    start: u64,
    /// How long code has run within the code that runs around this one.
    within_before: u64,
}

impl Stopwatch {
    /// One that measures nothing.
    pub const NONE: Stopwatch = Stopwatch { start: 0, within_before: 0 };

    /// Code runs from now on.
    #[inline(always)]
    pub fn start() -> Stopwatch {
        Stopwatch { start: time::nanoseconds(), within_before: WITHIN.take() }
    }

    /// The code, of `phase`, has stopped: adds its time to that of the phase.
    #[inline(never)]
    pub fn stop(self, phase: Phase) {
        let elapsed = time::nanoseconds().wrapping_sub(self.start);
        let within = WITHIN.replace(self.within_before.wrapping_add(elapsed));
        if let Some(own) = own() {
            let nanoseconds = elapsed.saturating_sub(within);
            metrics::of_phase(&own, phase, PhaseMetric::Nanoseconds).add(nanoseconds);
        }
    }
}
