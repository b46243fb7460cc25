//! The report for Prometheus, in its text format, version 0.0.4: sums over all workers, including
//! those that have exited, or the numbers of each worker.

use std::fmt::{self, Display, Formatter, Write};

use super::report::{Family, Number, Report, Sample, SampleValue, Writer};
use crate::config::metrics::MetricKind;

/// Displays a report.
pub struct Prometheus<'a> {
    pub report: &'a Report<'a>,
    pub by_worker: bool,
}

impl Display for Prometheus<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.report.write(&mut Lines { of: self, f })
    }
}

struct Lines<'a, 'f> {
    of: &'a Prometheus<'a>,
    f: &'a mut Formatter<'f>,
}

impl Writer for Lines<'_, '_> {
    fn family(&mut self, family: &Family) -> fmt::Result {
        let kind = if family.kind == MetricKind::Counter { "counter" } else { "gauge" };
        let Family { name, help, .. } = family;
        write!(self.f, "# HELP nginx_lua_{name} {help}.\n# TYPE nginx_lua_{name} {kind}\n")
    }

    fn sample(&mut self, family: &Family, sample: &Sample) -> fmt::Result {
        let report = self.of.report;
        match sample.value {
            SampleValue::Shared(number) => self.line(family, sample, None, number),
            SampleValue::PerWorker(number) if self.of.by_worker => report
                .workers
                .iter()
                .try_for_each(|(pid, of)| self.line(family, sample, Some(*pid), number(of))),
            SampleValue::PerWorker(number) => self.line(family, sample, None, report.total(number)),
        }
    }
}

impl Lines<'_, '_> {
    fn line(&mut self, of: &Family, sample: &Sample, pid: Option<i32>, number: u64) -> fmt::Result {
        write!(self.f, "nginx_lua_{}", of.name)?;
        let mut before = '{';
        for (name, label) in sample.labels {
            write!(self.f, "{before}{name}=\"{}\"", Label(label))?;
            before = ',';
        }
        if let Some(pid) = pid {
            write!(self.f, "{before}worker=\"{pid}\"")?;
            before = ',';
        }
        if before == ',' {
            self.f.write_char('}')?;
        }
        writeln!(self.f, " {}", Number(of, number))
    }
}

/// The value of a label, within quotes.
struct Label<'a>(&'a [u8]);

impl Display for Label<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\\' => f.write_str("\\\\")?,
                    '"' => f.write_str("\\\"")?,
                    '\n' => f.write_str("\\n")?,
                    c => f.write_char(c)?,
                }
            }
            if !chunk.invalid().is_empty() {
                f.write_char(char::REPLACEMENT_CHARACTER)?;
            }
        }
        Ok(())
    }
}
