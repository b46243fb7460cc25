//! A shared dictionary that all workers use at once: CPU time for an operation, how often a worker waits for
//! another one, and how long an operation takes at most.
//!
//! An nginx with each module runs all the time, and its workers do a job at once, the modules in turns.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};

use super::Subjects;
use super::place::{self, C, local};
use super::results::Outcome;
use super::rounds::{self, median};
use crate::server::{Server, Subject};
use crate::soak::client::Connection;

/// The address in benches/contention/nginx.conf, and where the C module's nginx listens beside it.
const ADDRESS: SocketAddr = local(18395);
const OTHER_ADDRESS: SocketAddr = local(18397);
const WORKERS: [usize; 3] = [2, 4, 8];
/// How often each job is done, and those of which the best round counts.
const ROUNDS: usize = 7;
const ROUNDS_BESIDE: usize = 15;

/// A job of benches/contention/worker.lua.
struct Job {
    name: &'static str,
    measures: &'static [Measure],
    /// Measured with two workers only: with more of them than processors, how long a worker waits for a
    /// processor would be measured.
    only_two: bool,
}

/// What is measured.
struct Measure {
    words: &'static str,
    of: fn(&[Did]) -> f64,
    /// Which of the rounds counts.
    chosen: fn(Vec<f64>) -> f64,
}

const CPU: Measure =
    Measure { words: "ns", of: |workers| per_turn(workers, |did| did.used), chosen: median };
const WAITS: Measure = Measure {
    words: "waits in a million",
    of: |workers| per_turn(workers, |did| did.waits * 1e6),
    chosen: median,
};
/// Whatever else the machine does makes some turn slow, in most rounds.
const SLOWEST: Measure = Measure {
    words: "µs, slowest",
    of: |workers| workers.iter().map(|did| did.slowest / 1e3).fold(0.0, f64::max),
    chosen: |rounds| rounds.into_iter().fold(f64::INFINITY, f64::min),
};
/// The first worker does what the others wait for.
const FIRST: Measure = Measure {
    words: "µs, the call itself",
    of: |workers| workers.first().map_or(f64::NAN, |did| did.used / 1e3),
    chosen: median,
};

const fn job(name: &'static str) -> Job {
    Job { name, measures: &[CPU, WAITS], only_two: false }
}

const fn beside(name: &'static str) -> Job {
    Job { name, measures: &[SLOWEST, FIRST], only_two: true }
}

const JOBS: &[Job] = &[
    job("get"),
    job("set"),
    job("incr"),
    job("mixed"),
    job("large"),
    beside("get_keys"),
    beside("flush_all"),
    beside("flush_expired"),
];

/// What a worker did in a job.
#[derive(Debug, PartialEq)]
struct Did {
    turns: f64,
    /// Nanoseconds of CPU time.
    used: f64,
    /// How often it gave up its processor.
    waits: f64,
    /// Nanoseconds of the slowest turn.
    slowest: f64,
}

fn per_turn(workers: &[Did], number: fn(&Did) -> f64) -> f64 {
    let turns: f64 = workers.iter().map(|did| did.turns).sum();
    workers.iter().map(number).sum::<f64>() / turns
}

/// Measures the jobs with these names, all where none is named.
pub fn run(subjects: &Subjects, names: &[String]) -> Result<Vec<Outcome>> {
    if let Some(name) = names.iter().find(|name| JOBS.iter().all(|job| job.name != **name)) {
        bail!("no row \"{name}\"");
    }
    let wanted = |job: &&Job| names.is_empty() || names.iter().any(|name| job.name == name);
    let mut outcomes = Vec::new();
    for workers in WORKERS {
        let mut this = Workers::start(&subjects.ours, "this", workers, ADDRESS)?;
        let mut c = Workers::start(&subjects.theirs, C, workers, OTHER_ADDRESS)?;
        for job in JOBS.iter().filter(wanted).filter(|job| !job.only_two || workers == 2) {
            eprintln!("{}, {workers} workers", job.name);
            outcomes.extend(measured(job, &mut this, &mut c)?);
        }
    }
    Ok(outcomes)
}

fn measured(job: &Job, this: &mut Workers, c: &mut Workers) -> Result<Vec<Outcome>> {
    let count = if job.only_two { ROUNDS_BESIDE } else { ROUNDS };
    let round = || Ok((this.do_job(job.name)?, c.do_job(job.name)?));
    let rounds = rounds::after_warm_up(count, round)?;
    let outcome = |Measure { words, of, chosen }: &Measure| {
        let ours: Vec<f64> = rounds.iter().map(|(this, _)| of(this)).collect();
        let theirs: Vec<f64> = rounds.iter().map(|(_, c)| of(c)).collect();
        let measure = format!("{words}, {} workers", this.count);
        Outcome::new("contention", job.name, &measure, Some(chosen(ours)), Some(chosen(theirs)))
    };
    Ok(job.measures.iter().map(outcome).collect())
}

/// An nginx with its workers.
struct Workers {
    _server: Server,
    connection: Connection,
    count: usize,
    turn: usize,
}

impl Workers {
    fn start(subject: &Subject, label: &str, count: usize, address: SocketAddr) -> Result<Workers> {
        let files = ["contention/nginx.conf", "contention/worker.lua"];
        let prefix = place::prefix(label, "contention", &files)?;
        let processes = format!("worker_processes    {count};");
        place::replace(&prefix, "worker_processes    2;", &processes)?;
        place::replace(&prefix, &ADDRESS.to_string(), &address.to_string())?;
        let server = place::start(subject, &prefix, address)?;
        let connection = Connection::open(address)?;
        Ok(Workers { _server: server, connection, count, turn: 0 })
    }

    /// Has all workers do a job at once.
    fn do_job(&mut self, name: &str) -> Result<Vec<Did>> {
        self.turn += 1;
        let request =
            format!("GET /run?job={name}&turn={} HTTP/1.1\r\nHost: localhost\r\n\r\n", self.turn);
        self.connection.send(request.as_bytes())?;
        let answer = self.connection.answer()?;
        let text = String::from_utf8_lossy(&answer.body);
        let all: Option<Vec<Did>> = text.lines().map(did).collect();
        let all = all.filter(|all| all.len() == self.count);
        all.with_context(|| format!("{name}: status {}, {text:?}", answer.status))
    }
}

/// `turns used waits slowest`
fn did(line: &str) -> Option<Did> {
    let numbers: Option<Vec<f64>> = line.split(' ').map(|word| word.parse().ok()).collect();
    match numbers?[..] {
        [turns, used, waits, slowest] => Some(Did { turns, used, waits, slowest }),
        _ => None,
    }
}

/// How it is measured, for the document.
pub fn method() -> String {
    format!(
        "## A shared dictionary that many workers use (`--contention`)\n\n\
             All workers use one dictionary at once, without a pause, for a quarter of a second: user and system time\n\
             in nanoseconds for an operation, and how often a worker gives its processor up to wait for another one, in\n\
             a million operations. `get`, `set` and `incr` are of 4,096 keys; `mixed` has 14 gets to a set and an incr;\n\
             of `large`, one in 128 reads a value of 1 MB, or stores it. The medians of {rounds} rounds, an nginx with\n\
             each module in turns. In the other rows, one of two workers calls the function once, of a dictionary with\n\
             100,000 keys (all have expired for `flush_expired`), and the other one reads 4,096 other ones: its slowest\n\
             operation, in that of {beside} rounds in which that took the least time, because what else the machine does\n\
             makes some slow; and the CPU time of the call (benches/contention).",
        rounds = ROUNDS,
        beside = ROUNDS_BESIDE,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_workers_did_is_added_up() {
        let workers = [did("100 3000 2 50").unwrap(), did("300 1000 0 7e3").unwrap()];
        let of = |measure: Measure| (measure.of)(&workers);
        assert_eq!((of(CPU), of(WAITS), of(SLOWEST), of(FIRST)), (10.0, 5000.0, 7.0, 3.0));
        assert_eq!(did("nil"), None);
        assert_eq!(did("1 2 3"), None);
    }

    #[test]
    fn each_job_is_one_of_the_workers() {
        let path = crate::paths::root().join("benches/contention/worker.lua");
        let lua = std::fs::read_to_string(path).unwrap();
        for Job { name, .. } in JOBS {
            assert!(lua.contains(&format!("    {name} = ")), "{name}");
        }
    }
}
