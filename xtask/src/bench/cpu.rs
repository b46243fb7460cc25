//! The worker's CPU time per request, user and system, under load from wrk.
//!
//! The modules run in turns, round after round, so that other load on the machine affects both; the
//! ratio is the median of the rounds' ratios.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use super::Subjects;
use super::place::{self, ADDRESS, C};
use super::results::Outcome;
use super::rows::{self, Row};
use crate::server::Subject;
use crate::shell;

/// The rows that are measured where none is named.
const ROWS: [&str; 5] = ["hello", "access", "shdict", "capture", "cosocket"];
pub const CONNECTIONS: [usize; 3] = [1, 50, 1000];
pub const ROUNDS: usize = 5;
/// How long wrk sends requests in a round, after a shorter run to warm up.
pub const SECONDS: usize = 2;
/// Clock ticks per second in /proc: `USER_HZ`, 100 on every Linux.
const TICKS: f64 = 100.0;

/// Measures the rows with these names, all of [`ROWS`] where none is named.
pub fn run(subjects: &Subjects, names: &[String]) -> Result<Vec<Outcome>> {
    let names = if names.is_empty() { ROWS.map(String::from).to_vec() } else { names.to_vec() };
    let mut outcomes = Vec::new();
    for row in rows::named(&names)? {
        for connections in CONNECTIONS {
            eprintln!("{}, {connections} connections", row.name);
            outcomes.push(measured(subjects, &row, connections)?);
        }
    }
    Ok(outcomes)
}

fn measured(subjects: &Subjects, row: &Row, connections: usize) -> Result<Outcome> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(microseconds(&subjects.ours, "this", row, connections)?);
        theirs.push(microseconds(&subjects.theirs, C, row, connections)?);
    }
    let ratios = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect();
    let measure = format!("{connections} connections");
    let (ours, theirs) = (Some(median(ours)), Some(median(theirs)));
    let outcome = Outcome::new("cpu", row.name, &measure, ours, theirs);
    Ok(Outcome { ratio: Some(median(ratios)), ..outcome })
}

/// The worker's CPU time per request of one round.
fn microseconds(subject: &Subject, label: &str, row: &Row, connections: usize) -> Result<f64> {
    let prefix = place::row_prefix(label, row)?;
    place::make_roomy(&prefix)?;
    let server = place::start(&place::roomy(subject), &prefix, ADDRESS)?;
    wrk(connections, 1)?;
    let before = ticks(server.pid())?;
    let requests = wrk(connections, SECONDS)?;
    let used = ticks(server.pid())? - before;
    drop(server);
    Ok(used / TICKS * 1e6 / requests)
}

/// Sends requests, and returns how many were answered.
fn wrk(connections: usize, seconds: usize) -> Result<f64> {
    let mut command = Command::new("prlimit");
    command.arg(format!("--nofile={}", place::DESCRIPTORS));
    command.args(["wrk", "-t", "1", "-c", &connections.to_string()]);
    command.arg("-d").arg(format!("{seconds}s")).arg(format!("http://{ADDRESS}/row?a=1"));
    let said = shell::output(&mut command)?;
    answered(&said).with_context(|| format!("wrk says\n{said}"))
}

/// `12345 requests in 2.00s, 1.23MB read`; nothing where some were not answered with 200.
fn answered(said: &str) -> Option<f64> {
    if said.contains("Non-2xx") || said.contains("Socket errors") {
        return None;
    }
    let line = said.lines().find(|line| line.contains(" requests in "))?;
    line.split_whitespace().next()?.parse().ok().filter(|count| *count > 0.0)
}

/// User and system time of a process, in clock ticks.
fn ticks(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    used_ticks(&stat).with_context(|| format!("no times in {stat:?}"))
}

/// Fields 14 and 15, counted from the end of the program's name, which may contain spaces.
fn used_ticks(stat: &str) -> Option<f64> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?)
}

/// The middle one of an odd number of values.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_counts_are_read() {
        let stat = "7 (nginx: a) b) S 1 7 7 0 -1 4194304 300 0 0 0 250 150 0 0 20 0 1 0 100";
        assert_eq!(used_ticks(stat), Some(400.0));
        let said = "  1 threads and 50 connections\n  12345 requests in 2.00s, 1.23MB read\n";
        assert_eq!(answered(said), Some(12345.0));
        assert_eq!(answered(&format!("{said}  Non-2xx or 3xx responses: 1\n")), None);
    }

    #[test]
    fn the_middle_is_the_median() {
        assert_eq!(median(vec![3.0, 9.0, 1.0]), 3.0);
    }
}
