//! What one call of the API costs in a Lua loop: instructions, and nanoseconds of CPU time.
//!
//! Instructions: one nginx under callgrind runs all calls, each in a short and in a long loop. The
//! script calls a function of the C library that nothing else calls, at which callgrind writes out
//! its counts and starts again from zero. Nanoseconds: the best round of several, of either module
//! in turns.

use std::fs;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, bail};

use super::Subjects;
use super::calls::{self, Call};
use super::place::{self, C, local};
use super::results::Outcome;
use crate::server::{Server, Subject};
use crate::soak::client::Connection;

/// The address in benches/calls/nginx.conf.
const ADDRESS: SocketAddr = local(18392);
/// The address in the calls that receive: see [`serve_lines`].
const LINES: SocketAddr = local(18393);
/// What the script calls to mark a loop's start and end.
pub(super) const MARK: &str = "gnu_get_libc_version";
const MARKS: usize = 3;
/// How often a loop is timed in a row, and how often all calls are timed in turns.
const ROUNDS_IN_A_ROW: usize = 5;
const TURNS: usize = 3;
pub const LOOPS: usize = ROUNDS_IN_A_ROW * TURNS;
/// How many times longer a timed loop is than the longer counted one.
const TIMED: u64 = 4;

/// Measures the calls with these names, all where none is named.
pub fn run(subjects: &Subjects, names: &[String]) -> Result<Vec<Outcome>> {
    let calls = calls::named(names)?;
    serve_lines()?;
    let ours = instructions(&subjects.ours, "this", &calls)?;
    let theirs = instructions(&subjects.theirs, C, &calls)?;
    let mut outcomes = outcomes(&calls, "instructions", &ours, &theirs);

    let (mut ours, mut theirs) = (vec![f64::MAX; calls.len()], vec![f64::MAX; calls.len()]);
    for _ in 0..TURNS {
        keep_best(&mut ours, &nanoseconds(&subjects.ours, "this", &calls)?);
        keep_best(&mut theirs, &nanoseconds(&subjects.theirs, C, &calls)?);
    }
    outcomes.extend(self::outcomes(&calls, "ns", &ours, &theirs));
    Ok(outcomes)
}

fn keep_best(best: &mut [f64], times: &[f64]) {
    for (best, time) in best.iter_mut().zip(times) {
        *best = best.min(*time);
    }
}

fn outcomes(calls: &[Call], measure: &str, ours: &[f64], theirs: &[f64]) -> Vec<Outcome> {
    let costs = ours.iter().zip(theirs);
    let outcome = |(call, (ours, theirs)): (&Call, (&f64, &f64))| {
        Outcome::new("calls", call.name, measure, Some(*ours), Some(*theirs))
    };
    calls.iter().zip(costs).map(outcome).collect()
}

/// A server that sends endless lines of 64 bytes on every connection, and drops what it is sent.
///
/// Errors: its address is taken.
fn serve_lines() -> Result<()> {
    let listener = TcpListener::bind(LINES).with_context(|| format!("cannot listen on {LINES}"))?;
    let lines = format!("{:x<62}\r\n", "").repeat(1024);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(mut stream), lines) = (stream, lines.clone()) else { continue };
            let Ok(mut sent) = stream.try_clone() else { continue };
            thread::spawn(move || io::copy(&mut sent, &mut io::sink()));
            // It ends with an error, once the reader has closed.
            thread::spawn(move || while stream.write_all(lines.as_bytes()).is_ok() {});
        }
    });
    Ok(())
}

/// Instructions per call, for each of `calls` on `subject`.
fn instructions(subject: &Subject, label: &str, calls: &[Call]) -> Result<Vec<f64>> {
    let prefix = prepared(label, calls)?;
    let out = prefix.join("callgrind.out");
    let wrapper = vec![
        "valgrind".to_string(),
        "--tool=callgrind".into(),
        format!("--dump-before={MARK}"),
        format!("--callgrind-out-file={}", out.display()),
        format!("--log-file={}", prefix.join("callgrind.log").display()),
    ];
    let server = start(&Subject { wrapper, ..subject.clone() }, &prefix)?;
    let mut costs = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        ask(call, "count", "#done")?;
        // The first mark ends what came before the loops.
        let few = counted(&out, MARKS * index + 2)?;
        let many = counted(&out, MARKS * index + 3)?;
        costs.push((many - few) / (call.turns[1] - call.turns[0]) as f64);
    }
    drop(server);
    Ok(costs)
}

/// Nanoseconds of CPU time per call.
fn nanoseconds(subject: &Subject, label: &str, calls: &[Call]) -> Result<Vec<f64>> {
    let prefix = prepared(label, calls)?;
    let server = start(subject, &prefix)?;
    let time = |call| {
        let line = ask(call, "time", "#nanoseconds=")?;
        line.parse().with_context(|| format!("no time: {line:?}"))
    };
    let times = calls.iter().map(time).collect();
    drop(server);
    times
}

/// A fresh prefix, with a file for each call.
fn prepared(label: &str, calls: &[Call]) -> Result<PathBuf> {
    let files = ["calls/nginx.conf", "calls/driver.lua"];
    let prefix = place::prefix(label, "calls", &files)?;
    if label == C {
        place::rewrite(&prefix.join("nginx.conf"), place::without_ours)?;
    }
    fs::create_dir(prefix.join("calls"))?;
    for call in calls {
        let Call { setup, body, .. } = call;
        let text = format!("{setup}\nreturn function(n)\n    for i = 1, n do {body} end\nend\n");
        fs::write(prefix.join(format!("calls/{}.lua", call.name)), text)?;
    }
    Ok(prefix)
}

fn start(subject: &Subject, prefix: &Path) -> Result<Server> {
    place::start(subject, prefix, ADDRESS)
}

/// What the script writes behind `mark`.
fn ask(call: &Call, mode: &str, mark: &str) -> Result<String> {
    let mut connection = Connection::open(ADDRESS)?;
    let [least, mut most] = call.turns;
    if mode == "time" {
        most *= TIMED;
    }
    let request = format!(
        "GET /{}?name={}&mode={mode}&least={least}&most={most}&rounds={ROUNDS_IN_A_ROW}&a=1&b=two%20words \
         HTTP/1.1\r\nHost: localhost\r\nUser-Agent: xtask\r\nAccept: */*\r\n\
         Cookie: a=1; b=2\r\nConnection: close\r\n\r\n",
        call.location, call.name
    );
    connection.send(request.as_bytes())?;
    let answer = connection.rest()?;
    let answer = String::from_utf8_lossy(&answer);
    let Some((_, rest)) = answer.rsplit_once(mark) else {
        bail!("{} answers {:?}", call.name, answer.get(..200).unwrap_or(&answer));
    };
    Ok(rest.lines().next().unwrap_or_default().to_string())
}

/// The count of callgrind's dump number `number`, counted from 1.
fn counted(out: &Path, number: usize) -> Result<f64> {
    let file = format!("{}.{number}", out.display());
    let text = fs::read_to_string(&file).with_context(|| format!("no counts in {file}"))?;
    let count = summary(&text).with_context(|| format!("no sum in {file}"))?;
    fs::remove_file(&file)?;
    Ok(count)
}

/// `summary: 123`, or `totals:` in what callgrind writes at the end.
pub(super) fn summary(dump: &str) -> Option<f64> {
    let line = |name| dump.lines().find_map(|line: &str| line.strip_prefix(name));
    line("summary: ").or_else(|| line("totals: "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_has_a_sum() {
        assert_eq!(summary("events: Ir\nsummary: 12345\n\nfn=(1)\n"), Some(12345.0));
        assert_eq!(summary("events: Ir\n\nfn=(1)\n\ntotals: 6\n"), Some(6.0));
        assert_eq!(summary("events: Ir\n"), None);
    }
}
