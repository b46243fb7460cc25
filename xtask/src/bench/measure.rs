//! User-space instructions per request, counted by callgrind.
//!
//! nginx runs twice, for few and for many requests; the difference is theirs alone: starting,
//! compiling and stopping are in both.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::rows::Row;
use crate::paths;
use crate::server::{Server, Subject};
use crate::soak::client::Connection;

/// The address in benches/nginx.conf.
const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 18391);
/// How many requests the two runs make. The first covers what happens once: LuaJIT's compiling.
pub const REQUESTS: [u64; 2] = [1000, 3000];
/// The requests go over so many connections in turns: with one, it would be chance whether nginx
/// finds the next request while it still ends the last one.
pub const CONNECTIONS: usize = 4;
const REQUEST: &[u8] = b"GET /row?a=1 HTTP/1.1\r\nHost: localhost\r\nUser-Agent: xtask\r\n\r\n";
/// How long work that outlives its answer has to end.
const SETTLE: Duration = Duration::from_millis(300);

/// Instructions per request for `row` on `subject`; `label` names the module in `target/bench`.
///
/// Errors: nginx does not start, or answers differently from what the row says.
pub fn instructions(subject: &Subject, label: &str, row: &Row) -> Result<u64> {
    let few = run(subject, label, row, REQUESTS[0])?;
    let many = run(subject, label, row, REQUESTS[1])?;
    let more = many.checked_sub(few).context("more requests took fewer instructions")?;
    let requests = REQUESTS[1] - REQUESTS[0];
    Ok((more + requests / 2) / requests)
}

/// All instructions of an nginx that answers `requests` requests.
fn run(subject: &Subject, label: &str, row: &Row, requests: u64) -> Result<u64> {
    let dir = paths::target("bench").join(label).join(row.name);
    let prefix = fresh(&dir.join("prefix"))?;
    let benches = paths::root().join("benches");
    let conf = prefix.join("nginx.conf");
    copy(&benches.join("nginx.conf"), &conf)?;
    copy(&benches.join("rows").join(format!("{}.conf", row.name)), &prefix.join("row.conf"))?;

    let log = dir.join(format!("callgrind-{requests}.log"));
    let wrapper = vec![
        "valgrind".to_string(),
        "--tool=callgrind".into(),
        format!("--callgrind-out-file={}/callgrind-{requests}.out", dir.display()),
        format!("--log-file={}", log.display()),
    ];
    let subject = Subject { wrapper, ..subject.clone() };
    let server = Server::start(&subject, &conf, &prefix, ADDRESS)?;
    let asked = ask(row, requests);
    drop(server);
    asked.with_context(|| format!("see {}", prefix.join("logs/error.log").display()))?;
    let text = fs::read_to_string(&log).with_context(|| format!("{}", log.display()))?;
    collected(&text).with_context(|| format!("no count in {}", log.display()))
}

fn ask(row: &Row, requests: u64) -> Result<()> {
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

fn fresh(dir: &Path) -> Result<PathBuf> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    Ok(dir.to_path_buf())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map(drop).with_context(|| format!("cannot copy {}", from.display()))
}

/// The count in callgrind's log: `==7== Collected : 123456`.
fn collected(log: &str) -> Option<u64> {
    log.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found() {
        let log = "==7== Events    : Ir\n==7== Collected : 81234567\n==7== \n";
        assert_eq!(collected(log), Some(81234567));
        assert_eq!(collected("==7== Events    : Ir\n"), None);
    }
}
