//! What was measured, as benches/results.tsv keeps it: the tables and the plot are made of it, and
//! `cargo xtask ci` compares with it.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::paths;

const HEAD: &str = "part\trow\tmeasure\tthis\tC\tnjs\tratio";

/// One measure of one row, with each module; none where a module cannot do the row's work.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// One of [`PARTS`].
    pub part: &'static str,
    pub row: String,
    /// What the numbers count: `instructions`, `ns`, …
    pub measure: String,
    pub this: Option<f64>,
    pub c: Option<f64>,
    pub njs: Option<f64>,
    /// This module's number over the C module's. Where rounds were compared in pairs, their median.
    pub ratio: Option<f64>,
}

impl Outcome {
    /// An outcome whose ratio is that of its numbers.
    pub fn new(
        part: &'static str,
        row: &str,
        measure: &str,
        this: Option<f64>,
        c: Option<f64>,
    ) -> Self {
        let ratio = match (this, c) {
            (Some(this), Some(c)) if c > 0.0 => Some(this / c),
            _ => None,
        };
        let (row, measure) = (row.to_string(), measure.to_string());
        Self { part, row, measure, this, c, njs: None, ratio }
    }
}

/// The names of the parts.
pub const PARTS: [&str; 7] =
    ["requests", "calls", "cpu", "misses", "growth", "contention", "bodies"];

fn file() -> PathBuf {
    paths::root().join("benches/results.tsv")
}

/// What benches/results.tsv has; nothing where there is no such file.
pub fn read() -> Result<Vec<Outcome>> {
    match file().exists() {
        true => parse(&fs::read_to_string(file())?),
        false => Ok(Vec::new()),
    }
}

/// Writes `outcomes` in the order of the parts.
pub fn write(outcomes: &[Outcome]) -> Result<()> {
    fs::write(file(), text(outcomes)).context("cannot write benches/results.tsv")
}

fn text(outcomes: &[Outcome]) -> String {
    let cell = |number: Option<f64>, digits| match number {
        Some(number) => format!("{number:.digits$}"),
        None => "-".into(),
    };
    let mut text = format!("{HEAD}\n");
    for part in PARTS {
        for outcome in outcomes.iter().filter(|outcome| outcome.part == part) {
            let Outcome { part, row, measure, this, c, njs, ratio } = outcome;
            let numbers = [cell(*this, 1), cell(*c, 1), cell(*njs, 1), cell(*ratio, 4)];
            text.push_str(&format!("{part}\t{row}\t{measure}\t{}\n", numbers.join("\t")));
        }
    }
    text
}

fn parse(text: &str) -> Result<Vec<Outcome>> {
    text.lines().skip(1).map(|line| parse_line(line).with_context(|| line.to_string())).collect()
}

fn parse_line(line: &str) -> Result<Outcome> {
    let cells: Vec<&str> = line.split('\t').collect();
    let [part, row, measure, this, c, njs, ratio] = cells[..] else { bail!("not seven cells") };
    let part = PARTS.into_iter().find(|name| *name == part).context("no such part")?;
    let number = |cell: &str| match cell {
        "-" => Ok(None),
        cell => cell.parse().map(Some),
    };
    let (row, measure) = (row.to_string(), measure.to_string());
    let (this, c, njs, ratio) = (number(this)?, number(c)?, number(njs)?, number(ratio)?);
    Ok(Outcome { part, row, measure, this, c, njs, ratio })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let outcomes = [
            Outcome::new("requests", "hello", "instructions", Some(90.0), Some(120.0)),
            Outcome::new("calls", "say", "ns", None, Some(7.5)),
        ];
        let text = text(&outcomes);
        assert!(text.contains("requests\thello\tinstructions\t90.0\t120.0\t-\t0.7500\n"), "{text}");
        assert_eq!(parse(&text).unwrap(), outcomes);
    }

    #[test]
    fn a_broken_line_is_named() {
        let error = parse("head\nrequests\thello\n").unwrap_err();
        assert!(format!("{error:#}").contains("requests\thello"), "{error:#}");
    }

    #[test]
    fn the_committed_file_is_sound() {
        assert!(read().unwrap().iter().all(|outcome| !outcome.row.is_empty()));
    }
}
