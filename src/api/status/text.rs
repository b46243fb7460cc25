//! The report for people: a line per number, with a column for the sum and one for each worker.

use std::fmt::{self, Display, Formatter, Write};

use codec::fallible::Shown;

use super::report::{Family, Report, Sample, SampleValue, Writer};

/// Displays a report.
pub struct Text<'a>(pub &'a Report<'a>);

/// The widths of the columns: that of the names, and those of the numbers.
const NAME: usize = 52;
const NUMBER: usize = 16;

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:NAME$}{:>NUMBER$}", "", "all")?;
        for (pid, _) in &self.0.workers {
            write!(f, "{pid:>NUMBER$}")?;
        }
        f.write_char('\n')?;
        self.0.write(&mut Lines { report: self.0, f })
    }
}

struct Lines<'a, 'f> {
    report: &'a Report<'a>,
    f: &'a mut Formatter<'f>,
}

impl Writer for Lines<'_, '_> {
    fn family(&mut self, _family: &Family) -> fmt::Result {
        Ok(())
    }

    fn sample(&mut self, family: &Family, sample: &Sample) -> fmt::Result {
        let mut width = family.name.len();
        self.f.write_str(family.name)?;
        for (_, label) in sample.labels {
            write!(self.f, " {}", Shown(label))?;
            width += 1 + label.len();
        }
        // At least one space, so that a long name does not run into the number.
        write!(self.f, "{:1$}", "", NAME.saturating_sub(width).max(1))?;
        match sample.value {
            SampleValue::Shared(number) => self.number(family, number)?,
            SampleValue::PerWorker(number) => {
                self.number(family, self.report.total(number))?;
                for (_, of) in &self.report.workers {
                    self.number(family, number(of))?;
                }
            }
        }
        self.f.write_char('\n')
    }
}

impl Lines<'_, '_> {
    fn number(&mut self, family: &Family, number: u64) -> fmt::Result {
        if family.is_time {
            const SECONDS: usize = NUMBER - ".000000".len();
            let (seconds, micros) = (number / 1_000_000_000, number % 1_000_000_000 / 1000);
            return write!(self.f, "{seconds:>SECONDS$}.{micros:06}");
        }
        write!(self.f, "{number:>NUMBER$}")
    }
}
