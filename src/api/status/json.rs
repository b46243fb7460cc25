//! The report for programs: an object with the workers' process ids, and the families by their
//! names.

use std::fmt::{self, Display, Formatter};

use codec::json::Quoted;

use super::report::{Family, Number, Report, Sample, SampleValue, Writer};
use crate::config::metrics::MetricKind;

/// Displays a report.
pub struct Json<'a>(pub &'a Report<'a>);

impl Display for Json<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("{\"workers\":[")?;
        for (at, (pid, _)) in self.0.workers.iter().enumerate() {
            write!(f, "{}{pid}", comma(at))?;
        }
        f.write_str("],\"metrics\":{")?;
        let mut objects = Objects { report: self.0, f, families: 0, samples: 0 };
        self.0.write(&mut objects)?;
        f.write_str("]}}}\n")
    }
}

fn comma(at: usize) -> &'static str {
    if at == 0 { "" } else { "," }
}

struct Objects<'a, 'f> {
    report: &'a Report<'a>,
    f: &'a mut Formatter<'f>,
    /// How many families there have been, and how many samples of the last one.
    families: usize,
    samples: usize,
}

impl Writer for Objects<'_, '_> {
    fn family(&mut self, family: &Family) -> fmt::Result {
        let before = if self.families == 0 { "" } else { "]}," };
        let kind = if family.kind == MetricKind::Counter { "counter" } else { "gauge" };
        let (name, help) = (family.name, Quoted(family.help.as_bytes()));
        (self.families, self.samples) = (self.families + 1, 0);
        write!(
            self.f,
            "{before}\"nginx_lua_{name}\":{{\"type\":\"{kind}\",\"help\":{help},\"samples\":["
        )
    }

    fn sample(&mut self, family: &Family, sample: &Sample) -> fmt::Result {
        write!(self.f, "{}{{\"labels\":{{", comma(self.samples))?;
        self.samples += 1;
        for (at, (name, label)) in sample.labels.iter().enumerate() {
            write!(self.f, "{}\"{name}\":{}", comma(at), Quoted(label))?;
        }
        match sample.value {
            SampleValue::Shared(number) => {
                write!(self.f, "}},\"all\":{}}}", Number(family, number))
            }
            SampleValue::PerWorker(number) => {
                let all = Number(family, self.report.total(number));
                write!(self.f, "}},\"all\":{all},\"workers\":[")?;
                for (at, (_, of)) in self.report.workers.iter().enumerate() {
                    write!(self.f, "{}{}", comma(at), Number(family, number(of)))?;
                }
                self.f.write_str("]}")
            }
        }
    }
}
