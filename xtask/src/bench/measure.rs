//! User-space instructions per request, counted by callgrind.
//!
//! nginx runs twice, for few and for many requests; the difference is theirs alone: starting,
//! compiling and stopping are in both.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::Subjects;
use super::place::{self, ADDRESS, C, NJS};
use super::results::Outcome;
use super::rows::{self, BASELINE, Row};
use crate::server::Subject;
use crate::soak::client::Connection;

/// How many requests the two runs make. The first covers what happens once: LuaJIT's compiling.
pub const REQUESTS: [u64; 2] = [1000, 3000];
/// The requests go over so many connections in turns: with one, it would be chance whether nginx
/// finds the next request while it still ends the last one.
pub const CONNECTIONS: usize = 4;
const REQUEST: &[u8] = b"GET /row?a=1 HTTP/1.1\r\nHost: localhost\r\nUser-Agent: xtask\r\n\r\n";
/// The row whose script is so long that the count differs from run to run, with what LuaJIT compiles.
const VARYING: &str = "headers";
/// Of how many counts of that row the least is taken.
pub const COUNTS: usize = 5;
/// How long work that outlives its answer has to end.
const SETTLE: Duration = Duration::from_millis(300);

/// Measures the rows with these names, all where none is named, and the baseline.
pub fn run(subjects: &Subjects, names: &[String]) -> Result<Vec<Outcome>> {
    let rows = rows::named(names)?;
    let all = std::iter::once(BASELINE).chain(rows);
    Ok(all.map(|row| measured(subjects, &row, &subjects.njs)).collect())
}

/// One row. What a module cannot do is told, and left out.
fn measured(subjects: &Subjects, row: &Row, njs: &Subject) -> Outcome {
    let count = |subject, label| {
        let count = instructions(subject, label, row);
        count.inspect_err(|error| eprintln!("{}, {label}: {error:#}", row.name)).ok()
    };
    let (ours, theirs) = (count(&subjects.ours, "this"), count(&subjects.theirs, C));
    let mut outcome = Outcome::new("requests", row.name, "instructions", ours, theirs);
    outcome.njs = place::njs_runs(row).then(|| count(njs, NJS)).flatten();
    outcome
}

/// This module's instructions for `row` over the C module's, now.
pub fn ratio(subjects: &Subjects, row: &Row) -> Result<f64> {
    let ours = instructions(&subjects.ours, "this", row)?;
    Ok(ours / instructions(&subjects.theirs, C, row)?)
}

/// Instructions per request for `row` on `subject`; `label` names the module in `target/bench`.
///
/// Errors: nginx does not start, or answers differently from what the row says.
fn instructions(subject: &Subject, label: &str, row: &Row) -> Result<f64> {
    let counts = if row.name == VARYING { COUNTS } else { 1 };
    (0..counts).try_fold(f64::INFINITY, |least, _| Ok(least.min(counted(subject, label, row)?)))
}

fn counted(subject: &Subject, label: &str, row: &Row) -> Result<f64> {
    let few = total(subject, label, row, REQUESTS[0])?;
    let many = total(subject, label, row, REQUESTS[1])?;
    let more = many.checked_sub(few).context("more requests took fewer instructions")?;
    Ok(more as f64 / (REQUESTS[1] - REQUESTS[0]) as f64)
}

/// All instructions of an nginx that answers `requests` requests.
fn total(subject: &Subject, label: &str, row: &Row, requests: u64) -> Result<u64> {
    let prefix = place::row_prefix(label, row)?;
    collect(subject, &prefix, ADDRESS, || ask(row, requests))
}

/// All instructions of an nginx in `prefix`, from its start to its end, which answers what `ask` asks of it.
pub fn collect(
    subject: &Subject,
    prefix: &Path,
    address: SocketAddr,
    ask: impl FnOnce() -> Result<()>,
) -> Result<u64> {
    Ok(counts(subject, prefix, address, &[], ask)?[INSTRUCTIONS])
}

/// As [`collect`], all that callgrind counts with these options of it, by its names.
pub fn counts(
    subject: &Subject,
    prefix: &Path,
    address: SocketAddr,
    options: &[&str],
    ask: impl FnOnce() -> Result<()>,
) -> Result<HashMap<String, u64>> {
    let log = prefix.join("callgrind.log");
    let mut wrapper = vec![
        "valgrind".to_string(),
        "--tool=callgrind".into(),
        format!("--callgrind-out-file={}/callgrind.out", prefix.display()),
        format!("--log-file={}", log.display()),
    ];
    wrapper.extend(options.iter().map(|option| option.to_string()));
    let server = place::start(&Subject { wrapper, ..subject.clone() }, prefix, address)?;
    let asked = ask();
    drop(server);
    asked.with_context(|| format!("see {}", prefix.join("logs/error.log").display()))?;
    let text = fs::read_to_string(&log).with_context(|| format!("{}", log.display()))?;
    collected(&text).with_context(|| format!("no count in {}", log.display()))
}

pub fn ask(row: &Row, requests: u64) -> Result<()> {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(Connection::open(ADDRESS)?);
    }
    for turn in 0..requests {
        let connection = &mut connections[turn as usize % CONNECTIONS];
        connection.send(REQUEST)?;
        let answer = connection.answer()?;
        if answer.status != 200 {
            bail!("it answers {}", answer.status);
        }
        if answer.body != row.body.as_bytes() {
            bail!("it answers {:?}", String::from_utf8_lossy(&answer.body));
        }
    }
    sleep(SETTLE);
    Ok(())
}

/// callgrind's name of an instruction.
const INSTRUCTIONS: &str = "Ir";

/// The counts in callgrind's log: `==7== Events    : Ir Bc` and `==7== Collected : 123456 789`.
fn collected(log: &str) -> Option<HashMap<String, u64>> {
    let line = |mark| log.lines().find_map(|line| Some(line.split_once(mark)?.1));
    let names = line("Events    : ")?.split_whitespace().map(String::from);
    let counts = line("Collected : ")?.split_whitespace().map_while(|count| count.parse().ok());
    let all: HashMap<String, u64> = names.zip(counts).collect();
    all.contains_key(INSTRUCTIONS).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found() {
        let log = "==7== Events    : Ir\n==7== Collected : 81234567\n==7== \n";
        assert_eq!(collected(log).unwrap()["Ir"], 81234567);
        let several = "==7== Events    : Ir Bc\n==7== Collected : 12 3\n";
        assert_eq!(collected(several).unwrap()["Bc"], 3);
        assert!(collected("==7== Events    : Ir\n").is_none());
    }
}
