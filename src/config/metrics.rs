//! The table of what `lua_status` shows of a worker: one row per number, and some for each phase.
//! The numbers are in a zone of shared memory, in the order of these tables.

use super::phases::{INDEXES, Phase};
use super::pool_rows;
use crate::nginx::core::shared_memory::slots::{Counter, Numbers, OwnSlot, WorkerSlots};

/// Whether a number only grows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    Counter,
    Gauge,
}

/// The row of one number.
pub struct MetricRow {
    pub metric: Metric,
    /// What follows `nginx_lua_` in the name that is shown.
    pub name: &'static str,
    pub kind: MetricKind,
    pub help: &'static str,
}

macro_rules! metrics {
    ($($metric:ident, $name:literal, $kind:ident, $help:literal;)*) => {
        /// A number of a worker.
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub enum Metric {
            $(#[doc = $help] $metric,)*
        }

        /// Their table.
        pub const METRICS: &[MetricRow] = &[$(MetricRow {
            metric: Metric::$metric,
            name: $name,
            kind: MetricKind::$kind,
            help: $help,
        },)*];
    };
}

metrics! {
    Yields,         "yields_total",            Counter, "Times that Lua code yielded";
    CoroutinesMade, "coroutines_total",        Counter, "Coroutines that Lua code made";
    ThreadsMade,    "light_threads_total",     Counter, "Light threads that were spawned";
    TimersRun,      "timers_total",            Counter, "Timer handlers that were started";
    TimersLate,     "timers_late_total",       Counter, "Timers that expired 100 ms late, or later";
    TimersRefused,  "timers_refused_total",    Counter, "Timer handlers that could not be started";
    Connects,       "cosocket_connects_total", Counter, "Connections that TCP cosockets opened, or tried to";
    Reuses,         "cosocket_reuses_total",   Counter, "Connections that TCP cosockets took from a pool";
    Collections,    "vm_collections_total",    Counter, "Cycles of the VM's garbage collector";
    Traces,         "jit_traces_total",        Counter, "Traces that LuaJIT compiled";
    TraceAborts,    "jit_trace_aborts_total",  Counter, "Traces that LuaJIT gave up";
    TraceFlushes,   "jit_trace_flushes_total", Counter, "Times that LuaJIT dropped all traces";
    EntryThreads,   "entry_threads",           Gauge,   "Entry threads of phases, timers and hooks that have not ended";
    LightThreads,   "light_threads",           Gauge,   "Light threads that have not ended";
    Coroutines,     "coroutines",              Gauge,   "Coroutines of Lua code that have been resumed, and have not ended";
    TimersPending,  "timers_pending",          Gauge,   "Timers that have not expired";
    TimersRunning,  "timers_running",          Gauge,   "Timer handlers that have not ended";
    Pools,          "cosocket_pools",          Gauge,   "Pools of connections of TCP cosockets";
    PoolsUsed,      "cosocket_pool_used",      Gauge,   "Connections in use that count against the size of a pool";
    PoolsIdle,      "cosocket_pool_idle",      Gauge,   "Connections that rest in pools";
    PoolsQueued,    "cosocket_pool_queued",    Gauge,   "Connects that wait in the queue of a pool";
    VmBytes,        "vm_memory_bytes",         Gauge,   "Memory of the objects in the VM";
}

/// The kinds of an error that no code caught; the last one is for code that could not be loaded.
pub const ERROR_KINDS: [&str; 5] = ["runtime", "syntax", "memory", "handler", "load"];

/// A number of a phase.
#[derive(Clone, Copy)]
pub enum PhaseMetric {
    /// How often its code was started.
    Runs,
    /// How long its code ran.
    Nanoseconds,
    /// How often it failed, by the index in [`ERROR_KINDS`].
    Errors(usize),
}

/// How many numbers a phase has.
const PER_PHASE: usize = 2 + ERROR_KINDS.len();
/// How many numbers a worker has.
const ALL: usize = POOLS + pool_rows::ALL;
/// The index at which the rows of single pools begin, after the numbers of phases.
const POOLS: usize = METRICS.len() + INDEXES * PER_PHASE;

/// The numbers of a worker.
pub type Counters = Numbers<ALL>;
/// This worker's own.
pub type OwnCounters = OwnSlot<ALL>;
/// The zone with the numbers of all workers.
pub type StatusZone = WorkerSlots<ALL>;

/// Whether the number at that index outlasts its worker.
pub fn outlasts(index: usize) -> bool {
    index < POOLS && METRICS.get(index).is_none_or(|row| row.kind == MetricKind::Counter)
}

/// A number of a worker.
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "the numbers begin with one for each metric")]
pub fn of(counters: &Counters, metric: Metric) -> &Counter {
    &counters[metric as usize]
}

/// A number of a phase.
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "there are so many for each phase, behind the metrics")]
pub fn of_phase(counters: &Counters, phase: Phase, metric: PhaseMetric) -> &Counter {
    let offset = match metric {
        PhaseMetric::Runs => 0,
        PhaseMetric::Nanoseconds => 1,
        PhaseMetric::Errors(kind) => 2 + kind.min(ERROR_KINDS.len() - 1),
    };
    &counters[METRICS.len() + phase.index() * PER_PHASE + offset]
}

/// The rows of single pools, for [`pool_rows`].
pub fn of_pools(counters: &Counters) -> &[Counter] {
    &counters[POOLS..]
}
