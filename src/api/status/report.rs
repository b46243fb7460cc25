//! The families of numbers. Each has a sample for each phase, pool or shared dictionary, or just
//! one.

use std::fmt;

use codec::fallible::{self, Grow, OutOfMemory};

use super::publish::publish;
use crate::config::metrics::{
    self, Counters, ERROR_KINDS, METRICS, MetricKind, PhaseMetric, StatusZone,
};
use crate::config::phases::{PHASES, PhaseRow};
use crate::config::pool_rows::{self, PoolNumber, PoolRow};
use crate::config::{MainConf, Phase};
use crate::nginx::core::shared_memory::{Dict, Locked};

/// Numbers of one kind: what Prometheus calls a metric family.
pub struct Family {
    /// Without `nginx_lua_`, with which the name begins in some formats.
    pub name: &'static str,
    pub kind: MetricKind,
    pub help: &'static str,
    /// Whether its numbers are nanoseconds, shown as seconds.
    pub is_time: bool,
}

/// One number, or one for each worker, with its labels.
pub struct Sample<'a> {
    pub labels: &'a [(&'static str, &'a [u8])],
    pub value: SampleValue<'a>,
}

pub enum SampleValue<'a> {
    PerWorker(&'a dyn Fn(&Counters) -> u64),
    Shared(u64),
}

/// What writes a report. A family comes before its samples.
pub trait Writer {
    fn family(&mut self, family: &Family) -> fmt::Result;
    fn sample(&mut self, family: &Family, sample: &Sample) -> fmt::Result;
}

const fn family(name: &'static str, kind: MetricKind, help: &'static str) -> Family {
    Family { name, kind, help, is_time: false }
}

const RUNS: Family =
    family("phase_runs_total", MetricKind::Counter, "Times that the code of a phase was started");
const SECONDS: Family = Family {
    is_time: true,
    ..family("phase_seconds_total", MetricKind::Counter, "Time that the code of a phase ran")
};
const ERRORS: Family =
    family("errors_total", MetricKind::Counter, "Errors that no code caught, by phase and kind");

/// A row per family: name, kind, help, and where its numbers come from.
macro_rules! families {
    ($($name:literal, $kind:ident, $help:literal, $numbers:expr;)*) => {
        &[$((family($name, MetricKind::$kind, $help), $numbers),)*]
    };
}

/// The families of pools: each has a sample per number, which the label `state` names, if there are
/// more than one.
const POOLS: &[(Family, &[(&str, PoolNumber)])] = families! {
    "cosocket_pool_size", Gauge, "Connections that a pool of TCP cosockets is for, by pool",
        &[("", PoolNumber::Size)];
    "cosocket_pool_connections", Gauge, "Connections of a pool, in use and at rest",
        &[("used", PoolNumber::Used), ("idle", PoolNumber::Idle)];
    "cosocket_pool_waiting_connects", Gauge, "Connects that wait for a place in a pool",
        &[("", PoolNumber::Queued)];
    "cosocket_pool_reuses", Gauge, "Connections that were taken from a pool since it was made",
        &[("", PoolNumber::Reuses)];
};

type DictNumber = fn(&Dict) -> u64;

/// The families of shared dictionaries.
const DICTS: &[(Family, DictNumber)] = families! {
    "shared_dict_capacity_bytes", Gauge, "Size of a shared dictionary's zone",
        |dict| dict.capacity() as u64;
    "shared_dict_free_bytes", Gauge, "Memory in pages of the zone that hold nothing",
        |dict| locked(dict, |dict| dict.free_space() as u64);
    "shared_dict_largest_free_bytes", Gauge, "The largest piece of the memory in pages that hold nothing",
        |dict| locked(dict, |dict| dict.free_runs().largest as u64);
    "shared_dict_free_fragments", Gauge, "Pieces that the memory in pages that hold nothing is in",
        |dict| locked(dict, |dict| dict.free_runs().count as u64);
    "shared_dict_evictions_total", Counter, "Entries of a shared dictionary that had to go for others before they expired",
        |dict| locked(dict, |dict| dict.evictions());
};

fn locked(dict: &Dict, number: fn(&Locked) -> u64) -> u64 {
    dict.lock().map_or(0, |dict| number(&dict))
}

/// The numbers of all workers.
pub struct Report<'z> {
    /// The process id and the numbers of each worker.
    pub workers: Vec<(i32, &'z Counters)>,
    /// The sums of the workers that have exited.
    gone: &'z Counters,
    /// Those that the configuration uses, or in which code has run.
    phases: Vec<&'static PhaseRow>,
    dicts: Vec<Dict>,
    /// The rows of single pools, each with the numbers of the worker that has it.
    pools: Vec<(&'z Counters, PoolRow)>,
}

impl<'z> Report<'z> {
    /// The numbers as they are now; those of other workers that are looked up may be a second old.
    pub fn new(main: &MainConf, zone: &'z StatusZone) -> Result<Report<'z>, OutOfMemory> {
        publish();
        let gone = zone.gone().ok_or(OutOfMemory)?;
        let mut workers = fallible::collect(zone.workers())?;
        workers.sort_unstable_by_key(|(pid, _)| *pid);
        let dicts = main.zones.dicts();
        let pools = pools_of(&workers)?;
        let mut report = Report { workers, gone, phases: Vec::new(), dicts, pools };
        let runs =
            |phase| report.total(&|of| metrics::of_phase(of, phase, PhaseMetric::Runs).get());
        let shown = PHASES.iter().filter(|row| main.used().has(row.phase) || runs(row.phase) > 0);
        report.phases = fallible::collect(shown)?;
        Ok(report)
    }

    /// A number, summed over the workers, including those that have exited.
    pub fn total(&self, number: &dyn Fn(&Counters) -> u64) -> u64 {
        self.workers.iter().map(|(_, of)| number(of)).sum::<u64>() + number(self.gone)
    }

    /// Gives all families and samples to `writer`, in the order of the report.
    pub fn write(&self, writer: &mut dyn Writer) -> fmt::Result {
        self.write_phases(writer, &RUNS, PhaseMetric::Runs)?;
        self.write_phases(writer, &SECONDS, PhaseMetric::Nanoseconds)?;
        self.write_errors(writer)?;
        for row in METRICS {
            let family = family(row.name, row.kind, row.help);
            writer.family(&family)?;
            let value = SampleValue::PerWorker(&|of| metrics::of(of, row.metric).get());
            writer.sample(&family, &Sample { labels: &[], value })?;
        }
        POOLS.iter().try_for_each(|(family, numbers)| self.write_pools(writer, family, numbers))?;
        DICTS.iter().try_for_each(|(family, number)| self.write_dicts(writer, family, *number))
    }

    fn write_phases(
        &self,
        writer: &mut dyn Writer,
        family: &Family,
        metric: PhaseMetric,
    ) -> fmt::Result {
        writer.family(family)?;
        self.phases.iter().try_for_each(|row| {
            let value =
                SampleValue::PerWorker(&|of| metrics::of_phase(of, row.phase, metric).get());
            let labels = [("phase", name(row.phase))];
            writer.sample(family, &Sample { labels: &labels, value })
        })
    }

    fn write_errors(&self, writer: &mut dyn Writer) -> fmt::Result {
        writer.family(&ERRORS)?;
        for row in &self.phases {
            for (at, kind) in ERROR_KINDS.iter().enumerate() {
                let metric = PhaseMetric::Errors(at);
                let value =
                    SampleValue::PerWorker(&|of| metrics::of_phase(of, row.phase, metric).get());
                let labels = [("phase", name(row.phase)), ("kind", kind.as_bytes())];
                writer.sample(&ERRORS, &Sample { labels: &labels, value })?;
            }
        }
        Ok(())
    }

    fn write_pools(
        &self,
        writer: &mut dyn Writer,
        family: &Family,
        numbers: &[(&str, PoolNumber)],
    ) -> fmt::Result {
        writer.family(family)?;
        for rows in self.pools.chunk_by(|(_, a), (_, b)| a.name() == b.name()) {
            let Some((_, row)) = rows.first() else { continue };
            for (state, number) in numbers {
                let of_worker = |of: &Counters| {
                    let its = rows.iter().filter(|(whose, _)| std::ptr::eq(*whose, of));
                    its.map(|(_, row)| row.get(*number)).sum()
                };
                let labels = [("pool", row.name()), ("state", state.as_bytes())];
                let labels = if state.is_empty() { &labels[..1] } else { &labels[..] };
                let value = SampleValue::PerWorker(&of_worker);
                writer.sample(family, &Sample { labels, value })?;
            }
        }
        Ok(())
    }

    fn write_dicts(
        &self,
        writer: &mut dyn Writer,
        family: &Family,
        number: DictNumber,
    ) -> fmt::Result {
        writer.family(family)?;
        self.dicts.iter().try_for_each(|dict| {
            let labels = [("dict", dict.name())];
            writer.sample(
                family,
                &Sample { labels: &labels, value: SampleValue::Shared(number(dict)) },
            )
        })
    }
}

/// The rows of all workers; those of a pool are next to each other.
fn pools_of<'z>(
    workers: &[(i32, &'z Counters)],
) -> Result<Vec<(&'z Counters, PoolRow)>, OutOfMemory> {
    let mut pools: Vec<(&'z Counters, PoolRow)> = Vec::new();
    for (_, of) in workers {
        for row in pool_rows::read(metrics::of_pools(of))? {
            pools.try_push((*of, row))?;
        }
    }
    pools.sort_unstable_by(|(_, a), (_, b)| a.name().cmp(b.name()));
    Ok(pools)
}

/// A phase's label: `content` for `content_by_lua*`.
fn name(phase: Phase) -> &'static [u8] {
    let name = phase.context_name();
    name.strip_suffix("_by_lua*").unwrap_or(name).as_bytes()
}

/// A number of a family: `12`, or `0.000000012` for nanoseconds.
pub struct Number<'a>(pub &'a Family, pub u64);

impl fmt::Display for Number<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Number(family, number) = self;
        if family.is_time {
            let (seconds, rest) = (number / 1_000_000_000, number % 1_000_000_000);
            return write!(f, "{seconds}.{rest:09}");
        }
        write!(f, "{number}")
    }
}
