//! What a request's instructions wait for: misses of the processor's first cache of instructions, and branches that it
//! guesses wrong, as callgrind simulates them. They do not depend on the machine. Misses of the cache of data do: there
//! are few, as many as the addresses of one run or another make.

use anyhow::Result;

use super::Subjects;
use super::measure::{self, REQUESTS};
use super::place::{self, ADDRESS, C};
use super::results::Outcome;
use super::rows::{self, Row};
use crate::server::Subject;

/// The rows that are measured where none is named.
const ROWS: [&str; 4] = ["hello", "access", "shdict", "cosocket"];
/// The sizes that are simulated: first caches of 32 KB, a last one of 2 MB.
const SIMULATION: [&str; 5] = [
    "--cache-sim=yes",
    "--branch-sim=yes",
    "--I1=32768,8,64",
    "--D1=32768,8,64",
    "--LL=2097152,16,64",
];
/// What is told, and the events of callgrind that it is the sum of.
const MEASURES: [(&str, &[&str]); 2] =
    [("misses of the instruction cache", &["I1mr"]), ("mispredicted branches", &["Bcm", "Bim"])];

/// Measures the rows with these names, all of [`ROWS`] where none is named.
pub fn run(subjects: &Subjects, names: &[String]) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for row in rows::named_or(names, &ROWS)? {
        let ours = counted(&subjects.ours, "this", &row)?;
        let theirs = counted(&subjects.theirs, C, &row)?;
        for ((measure, _), (this, c)) in MEASURES.iter().zip(ours.iter().zip(theirs)) {
            outcomes.push(Outcome::new("misses", row.name, measure, Some(*this), Some(c)));
        }
    }
    Ok(outcomes)
}

/// Each of [`MEASURES`], per request.
fn counted(subject: &Subject, label: &str, row: &Row) -> Result<Vec<f64>> {
    let mut totals = Vec::new();
    for requests in REQUESTS {
        let prefix = place::row_prefix(label, row)?;
        let ask = || measure::ask(row, requests);
        let counts = measure::counts(subject, &prefix, ADDRESS, &SIMULATION, ask)?;
        let sum = |events: &[&str]| events.iter().map(|event| counts[*event]).sum::<u64>() as f64;
        totals.push(MEASURES.map(|(_, events)| sum(events)));
    }
    let per_request = |(few, many): (&f64, &f64)| (many - few) / (REQUESTS[1] - REQUESTS[0]) as f64;
    Ok(totals[0].iter().zip(&totals[1]).map(per_request).collect())
}

/// How it is measured, for the document.
pub fn method() -> String {
    format!(
        "## What instructions wait for (`--misses`)\n\n\
         Misses of a first cache of instructions of 32 KB, and branches that are guessed wrong, for one\n\
         request, as `valgrind --tool=callgrind` simulates them; counted as the instructions of a request\n\
         are: {few} and {many} requests.",
        few = REQUESTS[0],
        many = REQUESTS[1],
    )
}
