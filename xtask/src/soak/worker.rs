//! What a worker holds: memory and descriptors as the kernel counts them, connections and timers
//! as it counts them itself.

use std::fs;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::client::Connection;

/// How long the last requests may take to end.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// What an idle worker holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holdings {
    pub pid: u32,
    /// Kilobytes of resident memory.
    pub resident: u64,
    /// Kilobytes of Lua's own, within those.
    pub lua: u64,
    pub descriptors: usize,
    /// nginx's counters: active, reading, writing, waiting. One request is the one that asks.
    pub connections: [u64; 4],
}

impl Holdings {
    /// Waits until the worker has nothing to do, and takes stock.
    ///
    /// Errors: it does not come to rest.
    pub fn at_rest(address: SocketAddr) -> Result<Self> {
        let started = Instant::now();
        loop {
            let connections = status(&get(address, "/status")?)?;
            let [pid, timers, lua] = numbers(&get(address, "/worker")?)?;
            if timers == 0 && connections == [1, 0, 1, 0] {
                let pid = u32::try_from(pid).context("a process id")?;
                return Ok(Self {
                    pid,
                    resident: resident(pid)?,
                    lua,
                    descriptors: fs::read_dir(format!("/proc/{pid}/fd"))?.count(),
                    connections,
                });
            }
            if started.elapsed() > PATIENCE {
                bail!("the worker does not come to rest: {timers} timers, {connections:?}");
            }
            sleep(POLL);
        }
    }
}

/// The body of `GET path`, over a connection that is closed at once.
fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut connection = Connection::open(address)?;
    connection.send(
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    let answer = connection.answer()?;
    if answer.status != 200 {
        bail!("{path} answered {}", answer.status);
    }
    // The worker has closed its side too, once this ends.
    connection.rest()?;
    Ok(String::from_utf8_lossy(&answer.body).into_owned())
}

/// stub_status: active connections, and those that read, write and wait.
fn status(page: &str) -> Result<[u64; 4]> {
    let field = |name: &str| -> Result<u64> {
        let rest = page.split_once(&format!("{name}: ")).with_context(|| format!("no {name}"))?.1;
        Ok(rest.split_whitespace().next().unwrap_or_default().parse()?)
    };
    Ok([field("Active connections")?, field("Reading")?, field("Writing")?, field("Waiting")?])
}

fn numbers(line: &str) -> Result<[u64; 3]> {
    let numbers = line.split_whitespace().map(str::parse).collect::<Result<Vec<u64>, _>>()?;
    numbers.try_into().map_err(|_| anyhow::anyhow!("not three numbers: {line:?}"))
}

/// Kilobytes of resident memory of a process.
pub fn resident(pid: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nginx_status_is_read() {
        let page = "Active connections: 3 \nserver accepts handled requests\n 9 9 12 \n\
                    Reading: 1 Writing: 2 Waiting: 0 \n";
        assert_eq!(status(page).unwrap(), [3, 1, 2, 0]);
        assert!(status("nothing").is_err());
    }

    #[test]
    fn resident_memory_is_read() {
        assert!(resident(std::process::id()).unwrap() > 100);
    }
}
