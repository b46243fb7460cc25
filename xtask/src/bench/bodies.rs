//! Large bodies: the worker's CPU time for each megabyte that goes through it, the modules in turns, and instructions
//! for each kilobyte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::Subjects;
use super::cpu::nanoseconds;
use super::measure;
use super::place::{self, C, local};
use super::results::Outcome;
use super::rounds;
use crate::server::{Server, Subject};

/// The address in benches/bodies/nginx.conf, and where the C module's nginx listens beside it.
const ADDRESS: SocketAddr = local(18395);
const OTHER_ADDRESS: SocketAddr = local(18397);
/// Who sends bodies, and who reads what comes.
const SOURCE: SocketAddr = local(18398);
const SINK: SocketAddr = local(18399);
const ROUNDS: usize = 5;
/// The words for instructions in the table.
pub const COUNT: &str = "instructions per KB";
const MEGABYTE: u64 = 1024 * 1024;
/// How many bytes are sent under callgrind: the difference counts.
const COUNTED: [u64; 2] = [8 * MEGABYTE, 24 * MEGABYTE];

/// How long to wait for the next byte.
const PATIENCE: Duration = Duration::from_secs(30);

/// A location of benches/bodies/nginx.conf.
pub struct Row {
    pub name: &'static str,
    /// How many megabytes a request sends through it.
    megabytes: u64,
    /// Whether the answer is the body, or how many bytes are missing.
    answers_body: bool,
    /// Whether its instructions are the same from run to run: those of sockets depend on how often they wait.
    pub is_steady: bool,
}

pub const ROWS: &[Row] = &[
    Row { name: "filter", megabytes: 1024, answers_body: true, is_steady: true },
    Row { name: "pass-on", megabytes: 1024, answers_body: false, is_steady: false },
    Row { name: "capture", megabytes: 100, answers_body: false, is_steady: true },
];

/// Measures the rows with these names, all where none is named.
pub fn run(subjects: &Subjects, names: &[String]) -> Result<Vec<Outcome>> {
    if let Some(name) = names.iter().find(|name| ROWS.iter().all(|row| row.name != **name)) {
        bail!("no row \"{name}\"");
    }
    serve_peers()?;
    let mut outcomes = Vec::new();
    for row in ROWS {
        if names.is_empty() || names.iter().any(|name| row.name == name) {
            eprintln!("{}, {} MB", row.name, row.megabytes);
            outcomes.extend([counted(subjects, row)?, timed(subjects, row)?]);
        }
    }
    Ok(outcomes)
}

/// Has this process be the servers that benches/bodies/nginx.conf connects to.
///
/// Errors: an address is taken, also by a former call.
pub fn serve_peers() -> Result<()> {
    serve(SOURCE, send_body)?;
    serve(SINK, |mut stream| std::io::copy(&mut stream, &mut std::io::sink()).map(drop))
}

/// Instructions with both modules. [`serve_peers`] must have been called.
pub fn counted(subjects: &Subjects, row: &Row) -> Result<Outcome> {
    let (ours, theirs) =
        (instructions(&subjects.ours, "this", row)?, instructions(&subjects.theirs, C, row)?);
    Ok(Outcome::new("bodies", row.name, COUNT, Some(ours), Some(theirs)))
}

fn timed(subjects: &Subjects, row: &Row) -> Result<Outcome> {
    let this = start(&subjects.ours, "this", ADDRESS)?;
    let c = start(&subjects.theirs, C, OTHER_ADDRESS)?;
    let round = || Ok((microseconds(&this, ADDRESS, row)?, microseconds(&c, OTHER_ADDRESS, row)?));
    let rounds = rounds::after_warm_up(ROUNDS, round)?;
    Ok(rounds::medians("bodies", row.name, "µs per MB", &rounds))
}

fn start(subject: &Subject, label: &str, address: SocketAddr) -> Result<Server> {
    let prefix = place::prefix(label, "bodies", &["bodies/nginx.conf"])?;
    place::replace(&prefix, &ADDRESS.to_string(), &address.to_string())?;
    place::start(subject, &prefix, address)
}

/// The nginx's CPU time for each megabyte of a request.
fn microseconds(server: &Server, address: SocketAddr, row: &Row) -> Result<f64> {
    let before = nanoseconds(server.pid())?;
    ask(address, row, row.megabytes * MEGABYTE)?;
    Ok((nanoseconds(server.pid())? - before) / 1e3 / row.megabytes as f64)
}

/// The nginx's instructions for each kilobyte of a request.
fn instructions(subject: &Subject, label: &str, row: &Row) -> Result<f64> {
    let mut totals = [0; 2];
    for (total, bytes) in totals.iter_mut().zip(COUNTED) {
        let prefix = place::prefix(label, "bodies", &["bodies/nginx.conf"])?;
        *total = measure::collect(subject, &prefix, ADDRESS, || ask(ADDRESS, row, bytes))?;
    }
    let more = totals[1].checked_sub(totals[0]).context("more bytes took fewer instructions")?;
    Ok(more as f64 / ((COUNTED[1] - COUNTED[0]) as f64 / 1024.0))
}

/// Has a row pass on a body of so many bytes.
fn ask(address: SocketAddr, row: &Row, bytes: u64) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET /{}/{bytes} HTTP/1.0\r\n\r\n", row.name)?;
    let mut answer = BufReader::with_capacity(1 << 18, stream);
    let status = head(&mut answer)?;
    let (wanted, mut body) = (if row.answers_body { bytes } else { 1 }, Vec::new());
    let read = match row.answers_body {
        true => std::io::copy(&mut answer, &mut std::io::sink())?,
        false => answer.read_to_end(&mut body)? as u64,
    };
    if !status.contains(" 200 ") || read != wanted || body.first().is_some_and(|byte| *byte != b'0')
    {
        bail!("{}: {status:?}, {read} bytes, {:?}", row.name, String::from_utf8_lossy(&body));
    }
    Ok(())
}

/// Reads a head, and returns its first line.
fn head(from: &mut impl BufRead) -> std::io::Result<String> {
    let mut first = String::new();
    from.read_line(&mut first)?;
    let mut line = String::new();
    while from.read_line(&mut line)? > 2 {
        line.clear();
    }
    Ok(first)
}

/// Sends a body of as many bytes as the path says.
fn send_body(stream: TcpStream) -> std::io::Result<()> {
    let mut request = BufReader::new(stream);
    let line = head(&mut request)?;
    let path = line.split(' ').nth(1).unwrap_or_default();
    let mut left: usize = path.trim_start_matches('/').parse().unwrap_or_default();
    let mut stream = request.into_inner();
    write!(stream, "HTTP/1.0 200 OK\r\nContent-Length: {left}\r\n\r\n")?;
    let bytes = b"a line of a body, with all that it has\n".repeat(1 << 13);
    while left > 0 {
        let piece = &bytes[..bytes.len().min(left)];
        stream.write_all(piece)?;
        left -= piece.len();
    }
    Ok(())
}

/// Serves each connection in a thread of its own.
fn serve(
    address: SocketAddr,
    each: impl Fn(TcpStream) -> std::io::Result<()> + Copy + Send + 'static,
) -> Result<()> {
    let listener = TcpListener::bind(address).with_context(|| format!("{address}"))?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // An error is the other side's, which tells it.
            thread::spawn(move || each(stream));
        }
    });
    Ok(())
}

/// How it is measured, for the document.
pub fn method() -> String {
    format!(
        "## Large bodies (`--bodies`)\n\n\
             User and system time of the worker in microseconds for each megabyte of a body: `filter` passes 1 GB from a\n\
             server through `body_filter_by_lua_block` to the client, `pass-on` 1 GB from one cosocket to another one,\n\
             `capture` captures 100 MB from a server. The medians of {rounds} rounds, the modules in turns, and the median\n\
             of the rounds' own ratios. Most of that time is the system's, for sockets. Instructions: nginx's own, without\n\
             the system's, as in the first part, of bodies of {few} and {many} MB (benches/bodies).",
        rounds = ROUNDS,
        few = COUNTED[0] / MEGABYTE,
        many = COUNTED[1] / MEGABYTE,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_with_an_empty_line() {
        let mut text = &b"GET /1 HTTP/1.0\r\nHost: a\r\n\r\nbody"[..];
        assert_eq!(head(&mut text).unwrap(), "GET /1 HTTP/1.0\r\n");
        assert_eq!(text, b"body");
    }

    #[test]
    fn each_row_is_a_location() {
        let conf = crate::paths::root().join("benches/bodies/nginx.conf");
        let conf = std::fs::read_to_string(conf).unwrap();
        assert!(ROWS.iter().all(|row| conf.contains(&format!("/{}/", row.name))));
    }
}
