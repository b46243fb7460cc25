//! The worker's CPU time per request, user and system, under load from wrk.
//!
//! An nginx with each module runs all the time, and wrk loads them in turns, round after round, so
//! that other load on the machine affects both; the ratio is the median of the rounds' ratios.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context, Result};

use super::Subjects;
use super::place::{self, ADDRESS, C};
use super::results::Outcome;
use super::rounds;
use super::rows::{self, Row};
use crate::server::{Server, Subject};
use crate::shell;

/// The rows that are measured where none is named.
const ROWS: [&str; 5] = ["hello", "access", "shdict", "capture", "cosocket"];
pub const CONNECTIONS: [usize; 3] = [1, 50, 1000];
pub const ROUNDS: usize = 15;
/// How long wrk sends requests to an nginx in a round; a round before the first one warms up.
pub const SECONDS: usize = 1;
/// Where the C module's nginx listens, beside this module's.
const OTHER_ADDRESS: SocketAddr = place::local(18397);

/// Measures the rows with these names, all of [`ROWS`] where none is named.
pub fn run(subjects: &Subjects, names: &[String]) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for row in rows::named_or(names, &ROWS)? {
        for connections in CONNECTIONS {
            eprintln!("{}, {connections} connections", row.name);
            outcomes.push(measured(subjects, &row, connections)?);
        }
    }
    Ok(outcomes)
}

fn measured(subjects: &Subjects, row: &Row, connections: usize) -> Result<Outcome> {
    let this = Loaded::start(&subjects.ours, "this", row, ADDRESS)?;
    let c = Loaded::start(&subjects.theirs, C, row, OTHER_ADDRESS)?;
    let round = || Ok((this.microseconds(connections)?, c.microseconds(connections)?));
    let rounds = rounds::after_warm_up(ROUNDS, round)?;
    Ok(rounds::medians("cpu", row.name, &format!("{connections} connections"), &rounds))
}

/// An nginx that wrk loads.
struct Loaded {
    server: Server,
    address: SocketAddr,
}

impl Loaded {
    fn start(subject: &Subject, label: &str, row: &Row, address: SocketAddr) -> Result<Loaded> {
        let prefix = place::row_prefix(label, row)?;
        place::make_roomy(&prefix)?;
        place::listen_at(&prefix, address)?;
        let server = place::start(&place::roomy(subject), &prefix, address)?;
        Ok(Loaded { server, address })
    }

    /// Its CPU time per request of one turn.
    fn microseconds(&self, connections: usize) -> Result<f64> {
        let before = nanoseconds(self.server.pid())?;
        let requests = self.wrk(connections)?;
        let used = nanoseconds(self.server.pid())? - before;
        Ok(used / 1e3 / requests)
    }

    /// Sends requests, and returns how many were answered.
    fn wrk(&self, connections: usize) -> Result<f64> {
        let mut command = Command::new("prlimit");
        command.arg(format!("--nofile={}", place::DESCRIPTORS));
        command.args(["wrk", "-t", "1", "-c", &connections.to_string()]);
        command.arg("-d").arg(format!("{SECONDS}s"));
        command.arg(format!("http://{}/row?a=1", self.address));
        let said = shell::output(&mut command)?;
        answered(&said).with_context(|| format!("wrk says\n{said}"))
    }
}

/// `12345 requests in 2.00s, 1.23MB read`; nothing where some were not answered with 200.
fn answered(said: &str) -> Option<f64> {
    if said.contains("Non-2xx") || said.contains("Socket errors") {
        return None;
    }
    let line = said.lines().find(|line| line.contains(" requests in "))?;
    line.split_whitespace().next()?.parse().ok().filter(|count| *count > 0.0)
}

/// The CPU time of a process's first thread, user and system.
pub fn nanoseconds(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/schedstat");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    on_cpu(&text).with_context(|| format!("no times in {text:?}"))
}

/// The first field: nanoseconds on a CPU.
fn on_cpu(schedstat: &str) -> Option<f64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_counts_are_read() {
        assert_eq!(on_cpu("2534126 4242 77\n"), Some(2534126.0));
        assert_eq!(on_cpu(""), None);
        let said = "  1 threads and 50 connections\n  12345 requests in 2.00s, 1.23MB read\n";
        assert_eq!(answered(said), Some(12345.0));
        assert_eq!(answered(&format!("{said}  Non-2xx or 3xx responses: 1\n")), None);
    }
}
