//! The bench in `cargo xtask ci`: no row's ratio may be worse than the committed one.
//!
//! Both modules are measured in the same run, so the machine, its compilers and its nginx are the
//! same for both; what is compared is how many times the C module's instructions this one takes.

use anyhow::{Context, Result, bail};

use super::results::{self, Outcome};
use super::rows::Row;
use super::{bodies, measure, rows, subjects};

/// The rows that are measured: what most users do, in a few minutes.
const ROWS: [&str; 5] = ["hello", "access", "shdict", "capture", "set"];
/// How much worse a ratio may be before it counts: the counts themselves vary by less.
const TOLERANCE: f64 = 1.03;

/// Measures, and compares with benches/results.tsv.
///
/// Errors: the rows that are worse.
pub fn run() -> Result<()> {
    let committed = results::read()?;
    let subjects = subjects(false)?;
    let mut worse = Vec::new();
    for row in rows::named_or(&[], &ROWS)? {
        let mut now = measure::ratio(&subjects, &row)?;
        let before = committed_ratio(&committed, &row)?;
        // Which parts of a script are JIT-compiled can differ from run to run: measure once more.
        if regression(row.name, before, now).is_some() {
            now = now.min(measure::ratio(&subjects, &row)?);
        }
        println!("{:>10}: {now:.3} of the C module's instructions, was {before:.3}", row.name);
        worse.extend(regression(row.name, before, now));
    }
    bodies::serve_peers()?;
    for row in bodies::ROWS.iter().filter(|row| row.is_steady) {
        let Some(before) = committed_body(&committed, row.name) else { continue };
        let measured = || bodies::counted(&subjects, row)?.ratio.context("no ratio");
        let mut now = measured()?;
        // It varies by some hundredths with how the pieces of the body come.
        if regression(row.name, before, now).is_some() {
            now = now.min(measured()?);
        }
        println!("{:>10}: {now:.3} of the C module's instructions, was {before:.3}", row.name);
        worse.extend(regression(row.name, before, now));
    }
    match worse.is_empty() {
        true => Ok(()),
        false => bail!("{}", worse.join("; ")),
    }
}

fn committed_ratio(committed: &[Outcome], row: &Row) -> Result<f64> {
    let mut requests = committed.iter().filter(|outcome| outcome.part == "requests");
    let outcome = requests.find(|outcome| outcome.row == row.name);
    let ratio = outcome.and_then(|outcome| outcome.ratio);
    ratio.with_context(|| format!("benches/results.tsv has no ratio for \"{}\"", row.name))
}

/// The committed ratio of instructions for a row of large bodies, if there is one.
fn committed_body(committed: &[Outcome], row: &str) -> Option<f64> {
    let mut bodies = committed.iter().filter(|o| o.part == "bodies" && o.measure == bodies::COUNT);
    bodies.find(|outcome| outcome.row == row)?.ratio
}

/// The message for a ratio that is worse than it was.
fn regression(row: &str, before: f64, now: f64) -> Option<String> {
    (now > before * TOLERANCE).then(|| {
        format!("{row} takes {now:.3} of the C module's instructions, more than {before:.3} and 3%")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worse_ratio_is_told() {
        assert_eq!(regression("hello", 1.0, 1.029), None);
        assert_eq!(regression("hello", 1.0, 0.5), None);
        let told = regression("hello", 1.0, 1.031).unwrap();
        assert_eq!(
            told,
            "hello takes 1.031 of the C module's instructions, more than 1.000 and 3%"
        );
    }

    #[test]
    fn a_body_is_compared_by_its_instructions() {
        let outcome = |part, measure| Outcome::new(part, "filter", measure, Some(3.0), Some(4.0));
        let committed = [outcome("bodies", "µs per MB"), outcome("calls", bodies::COUNT)];
        assert_eq!(committed_body(&committed, "filter"), None);
        assert_eq!(committed_body(&[outcome("bodies", bodies::COUNT)], "filter"), Some(0.75));
    }

    #[test]
    fn every_row_has_a_committed_ratio() {
        let committed = results::read().unwrap();
        for row in rows::named(&ROWS.map(String::from)).unwrap() {
            assert!(committed_ratio(&committed, &row).unwrap() > 0.0);
        }
        assert!(committed_ratio(&[], &rows::BASELINE).is_err());
    }
}
