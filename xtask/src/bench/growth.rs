//! How costs grow: resident memory of an nginx for what waits in it, bytes of a shared dictionary
//! for each key, and CPU time of requests while the garbage collector works.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, sleep};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::Subjects;
use super::collecting;
use super::cpu::nanoseconds;
use super::place::{self, C, local};
use super::results::Outcome;
use super::rounds;
use crate::server::{Server, Subject};
use crate::soak::client::Connection;
use crate::soak::worker;

/// The address in benches/growth/nginx.conf.
const ADDRESS: SocketAddr = local(18394);
/// The port of what its pool of connections connects to, at several addresses, because there are not so many
/// ports for one.
const SILENT: u16 = 18397;
const SILENT_ADDRESSES: u8 = 3;
/// The descriptors of a process besides those of the connections that are counted.
const OTHER_DESCRIPTORS: u64 = 1_000;
/// How many requests sleep, timers are pending, connections rest in a pool (at most), keys are stored.
pub const SLEEPERS: usize = 10_000;
pub const TIMERS: usize = 100_000;
const POOLED: usize = 50_000;
pub const KEYS: usize = 1_000_000;
/// How many requests make garbage.
pub const GARBAGE: usize = 20_000;
/// How often that is repeated, the modules in turns.
pub const TURNS: usize = 9;
/// The row of requests that make garbage.
const COLLECTING: &str = "request while collecting";
/// Memory comes and goes with requests: the worker has some time for that.
const SETTLE: Duration = Duration::from_millis(500);

/// What is measured of one module: the row's name, what its number counts, and the number.
type Measures = Vec<(&'static str, &'static str, f64)>;

/// Measures everything; there are no single rows.
pub fn run(subjects: &Subjects, names: &[String]) -> Result<Vec<Outcome>> {
    if !names.is_empty() {
        bail!("--growth has no rows that could be named");
    }
    let limit = Rlimit { current: Some(descriptors()), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).context("too few descriptors may be open")?;
    if pooled() < POOLED {
        println!("{} connections are pooled: the limit of descriptors allows no more", pooled());
    }
    accept_in_silence()?;
    let (ours, theirs) = (measured(&subjects.ours, "this")?, measured(&subjects.theirs, C)?);
    let pairs = ours.into_iter().zip(theirs);
    let outcome = |((row, measure, ours), (_, _, theirs))| {
        Outcome::new("growth", row, measure, Some(ours), Some(theirs))
    };
    let mut outcomes: Vec<Outcome> = pairs.map(outcome).collect();
    let of = |subject, label| collecting::instructions(subject, label, ADDRESS);
    let (ours, theirs) = (of(&subjects.ours, "this")?, of(&subjects.theirs, C)?);
    outcomes.push(Outcome::new("growth", COLLECTING, "instructions", Some(ours), Some(theirs)));
    let mut turns = Vec::new();
    for _ in 0..TURNS {
        turns.push((garbage(&subjects.ours, "this")?, garbage(&subjects.theirs, C)?));
    }
    outcomes.extend(medians(&turns));
    Ok(outcomes)
}

/// The median of each measure, and of the turns' own ratios: which code LuaJIT compiles, and where in a cycle
/// the collector is, differ from process to process.
fn medians(turns: &[(Measures, Measures)]) -> Vec<Outcome> {
    let Some((first, _)) = turns.first() else { return Vec::new() };
    let of = |index: usize, (row, measure, _): &(&'static str, &'static str, f64)| {
        let numbers: Vec<(f64, f64)> =
            turns.iter().map(|(ours, theirs)| (ours[index].2, theirs[index].2)).collect();
        rounds::medians("growth", row, measure, &numbers)
    };
    first.iter().enumerate().map(|(index, measure)| of(index, measure)).collect()
}

/// How many connections rest in a pool: [`POOLED`], or as many as there may be descriptors for.
pub fn pooled() -> usize {
    POOLED.min((descriptors() - OTHER_DESCRIPTORS) as usize)
}

/// How many descriptors this process and nginx need, or may have.
fn descriptors() -> u64 {
    let wanted = POOLED as u64 + OTHER_DESCRIPTORS;
    let most = getrlimit(Resource::Nofile).maximum.unwrap_or(wanted);
    wanted.min(most).max(place::DESCRIPTORS)
}

/// The connections that have been accepted.
fn kept() -> MutexGuard<'static, Vec<TcpStream>> {
    static KEPT: Mutex<Vec<TcpStream>> = Mutex::new(Vec::new());
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Accepts every connection, and neither sends nor reads anything.
fn accept_in_silence() -> Result<()> {
    for last in 1..=SILENT_ADDRESSES {
        let address = SocketAddr::from(([127, 0, 0, last], SILENT));
        let listener = TcpListener::bind(address).with_context(|| format!("{address}"))?;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                kept().push(stream);
            }
        });
    }
    Ok(())
}

fn measured(subject: &Subject, label: &str) -> Result<Measures> {
    let memory = |request: &str, n| bytes_each(subject, label, request, n);
    kept().clear();
    Ok(vec![
        ("sleeping request", "bytes", sleeping(subject, label)?),
        ("pending timer", "bytes", memory("/timers", TIMERS)?),
        ("pooled connection", "bytes", memory("/pool", pooled())?),
        ("key of a dictionary", "bytes", key(subject, label)?),
    ])
}

fn start(subject: &Subject, label: &str) -> Result<Server> {
    let prefix = place::prefix(label, "growth", &["growth/nginx.conf"])?;
    let server = place::start(&place::with_descriptors(subject, descriptors()), &prefix, ADDRESS)?;
    // What the first request makes stays.
    get("/nothing")?;
    get("/timers?n=1")?;
    Ok(server)
}

/// The body of `GET path`.
fn get(path: &str) -> Result<String> {
    let mut connection = Connection::open(ADDRESS)?;
    connection.send(request(path).as_bytes())?;
    let answer = connection.answer()?;
    if answer.status != 200 {
        bail!("{path} answers {}", answer.status);
    }
    Ok(String::from_utf8_lossy(&answer.body).trim().to_string())
}

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// Bytes of resident memory for each of `n` that `path` makes.
fn bytes_each(subject: &Subject, label: &str, path: &str, n: usize) -> Result<f64> {
    let server = start(subject, label)?;
    let before = resident(server.pid())?;
    get(&format!("{path}?n={n}"))?;
    sleep(SETTLE);
    Ok((resident(server.pid())? - before) / n as f64)
}

/// Bytes of resident memory for each request whose coroutine sleeps.
fn sleeping(subject: &Subject, label: &str) -> Result<f64> {
    let server = start(subject, label)?;
    let before = resident(server.pid())?;
    let mut connections = Vec::new();
    for _ in 0..SLEEPERS {
        let mut connection = Connection::open(ADDRESS)?;
        connection.send(request("/sleep").as_bytes())?;
        connection.more()?;
        connections.push(connection);
    }
    sleep(SETTLE);
    Ok((resident(server.pid())? - before) / SLEEPERS as f64)
}

/// Bytes of a shared dictionary for each key.
fn key(subject: &Subject, label: &str) -> Result<f64> {
    let _server = start(subject, label)?;
    let each = get(&format!("/keys?n={KEYS}"))?;
    each.parse().with_context(|| format!("no number: {each:?}"))
}

/// The nginx's CPU time in microseconds for each of some requests that make garbage beside a large
/// heap.
fn garbage(subject: &Subject, label: &str) -> Result<Measures> {
    let server = start(subject, label)?;
    get("/heap")?;
    let request = request("/garbage");
    let mut connection = Connection::open(ADDRESS)?;
    let mut times = Vec::new();
    // The latency of the answers without what other processes add.
    let mut before = nanoseconds(server.pid())?;
    for _ in 0..GARBAGE {
        connection.send(request.as_bytes())?;
        connection.answer()?;
        let after = nanoseconds(server.pid())?;
        times.push((after - before) / 1e3);
        before = after;
    }
    times.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = (times.len() as f64 * share) as usize;
        times.get(place).copied().unwrap_or(f64::NAN)
    };
    Ok(vec![
        (COLLECTING, "µs, median", at(0.5)),
        (COLLECTING, "µs, 99%", at(0.99)),
        (COLLECTING, "µs, 99.9%", at(0.999)),
    ])
}

/// Resident memory in bytes.
fn resident(pid: u32) -> Result<f64> {
    Ok(worker::resident(pid)? as f64 * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_compared_in_pairs() {
        let turn = |ours, theirs| (vec![("row", "µs", ours)], vec![("row", "µs", theirs)]);
        let outcomes = medians(&[turn(2.0, 4.0), turn(9.0, 6.0), turn(3.0, 4.0)]);
        let numbers: Vec<_> = outcomes.iter().map(|o| (o.this, o.c, o.ratio)).collect();
        assert_eq!(numbers, [(Some(3.0), Some(4.0), Some(0.75))]);
        assert!(medians(&[]).is_empty());
    }
}
