//! The families of numbers, with a sample for each phase, each shared dictionary, or just one.

use std::fmt;

use codec::fallible::{self, OutOfMemory};

use super::publish::publish;
use crate::config::metrics::{self, Counters, ERROR_KINDS, Kind, METRICS, PhaseMetric, StatusZone};
use crate::config::phases::{PHASES, PhaseRow};
use crate::config::{MainConf, Phase};
use crate::nginx::core::shared_memory::Dict;

/// Numbers of one kind.
pub struct Family {
    /// Behind `nginx_lua_`.
    pub name: &'static str,
    pub kind: Kind,
    pub help: &'static str,
    /// Whether its numbers are nanoseconds, shown as seconds.
    pub is_time: bool,
}

/// One number, or one for each worker.
pub struct Sample<'a> {
    pub labels: &'a [(&'static str, &'a [u8])],
    pub value: Value<'a>,
}

pub enum Value<'a> {
    PerWorker(&'a dyn Fn(&Counters) -> u64),
    Shared(u64),
}

/// What writes a report. A family comes before its samples.
pub trait Writer {
    fn family(&mut self, family: &Family) -> fmt::Result;
    fn sample(&mut self, family: &Family, sample: &Sample) -> fmt::Result;
}

const fn family(name: &'static str, kind: Kind, help: &'static str) -> Family {
    Family { name, kind, help, is_time: false }
}

const RUNS: Family =
    family("phase_runs_total", Kind::Counter, "Times that the code of a phase was started");
const SECONDS: Family = Family {
    is_time: true,
    ..family("phase_seconds_total", Kind::Counter, "Time that the code of a phase ran")
};
const ERRORS: Family =
    family("errors_total", Kind::Counter, "Errors that no code caught, by phase and kind");
const CAPACITY: Family =
    family("shared_dict_capacity_bytes", Kind::Gauge, "Size of a shared dictionary's zone");
const FREE: Family =
    family("shared_dict_free_bytes", Kind::Gauge, "Memory in pages of the zone that hold nothing");
const EVICTIONS: Family = family(
    "shared_dict_evictions_total",
    Kind::Counter,
    "Entries of a shared dictionary that had to go for others before they expired",
);

/// The numbers of all workers.
pub struct Report {
    pub workers: Vec<(i32, &'static Counters)>,
    gone: &'static Counters,
    phases: Vec<&'static PhaseRow>,
    dicts: Vec<Dict>,
}

impl Report {
    /// The numbers of now; those of other workers that are looked up may be a second old.
    pub fn new(main: &MainConf, zone: StatusZone) -> Result<Report, OutOfMemory> {
        publish();
        let gone = zone.gone().ok_or(OutOfMemory)?;
        let mut workers = fallible::collect(zone.workers())?;
        workers.sort_unstable_by_key(|(pid, _)| *pid);
        let mut report = Report { workers, gone, phases: Vec::new(), dicts: main.zones.dicts() };
        let runs =
            |phase| report.total(&|of| metrics::of_phase(of, phase, PhaseMetric::Runs).get());
        let shown = PHASES.iter().filter(|row| main.used().has(row.phase) || runs(row.phase) > 0);
        report.phases = fallible::collect(shown)?;
        Ok(report)
    }

    /// A number, summed over the workers and those that are gone.
    pub fn total(&self, number: &dyn Fn(&Counters) -> u64) -> u64 {
        self.workers.iter().map(|(_, of)| number(of)).sum::<u64>() + number(self.gone)
    }

    /// Has `writer` write everything.
    pub fn write(&self, writer: &mut dyn Writer) -> fmt::Result {
        self.write_phases(writer, &RUNS, PhaseMetric::Runs)?;
        self.write_phases(writer, &SECONDS, PhaseMetric::Nanoseconds)?;
        self.write_errors(writer)?;
        for row in METRICS {
            let family = family(row.name, row.kind, row.help);
            writer.family(&family)?;
            let value = Value::PerWorker(&|of| metrics::of(of, row.metric).get());
            writer.sample(&family, &Sample { labels: &[], value })?;
        }
        let locked = |dict: &Dict, look: fn(&crate::nginx::core::shared_memory::Locked) -> u64| {
            dict.lock().map_or(0, |dict| look(&dict))
        };
        self.write_dicts(writer, &CAPACITY, &|dict| dict.capacity() as u64)?;
        self.write_dicts(writer, &FREE, &|dict| locked(dict, |dict| dict.free_space() as u64))?;
        self.write_dicts(writer, &EVICTIONS, &|dict| locked(dict, |dict| dict.evictions()))
    }

    fn write_phases(
        &self,
        writer: &mut dyn Writer,
        family: &Family,
        metric: PhaseMetric,
    ) -> fmt::Result {
        writer.family(family)?;
        self.phases.iter().try_for_each(|row| {
            let value = Value::PerWorker(&|of| metrics::of_phase(of, row.phase, metric).get());
            let labels = [("phase", name(row.phase))];
            writer.sample(family, &Sample { labels: &labels, value })
        })
    }

    fn write_errors(&self, writer: &mut dyn Writer) -> fmt::Result {
        writer.family(&ERRORS)?;
        for row in &self.phases {
            for (at, kind) in ERROR_KINDS.iter().enumerate() {
                let metric = PhaseMetric::Errors(at);
                let value = Value::PerWorker(&|of| metrics::of_phase(of, row.phase, metric).get());
                let labels = [("phase", name(row.phase)), ("kind", kind.as_bytes())];
                writer.sample(&ERRORS, &Sample { labels: &labels, value })?;
            }
        }
        Ok(())
    }

    fn write_dicts(
        &self,
        writer: &mut dyn Writer,
        family: &Family,
        number: &dyn Fn(&Dict) -> u64,
    ) -> fmt::Result {
        writer.family(family)?;
        self.dicts.iter().try_for_each(|dict| {
            let labels = [("dict", dict.name())];
            writer.sample(family, &Sample { labels: &labels, value: Value::Shared(number(dict)) })
        })
    }
}

/// `content` for `content_by_lua*`.
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
