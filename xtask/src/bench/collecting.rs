//! What a request costs in instructions while the garbage collector works on a large heap: over whole cycles of
//! the collector, because where in a cycle it is decides what it has to do.
//!
//! A finalizer tells of each cycle: it calls a function of the C library that nothing else calls, at which
//! callgrind writes out its counts and starts again from zero (benches/growth/nginx.conf).

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::call_cost::{MARK, summary};
use super::place;
use crate::server::Subject;
use crate::soak::client::Connection;

/// How many whole cycles are counted.
pub const CYCLES: usize = 3;
/// How many requests come before, so that LuaJIT compiles what it compiles.
const WARM_UP: usize = 200;
/// Enough for all cycles: each has some 4,000.
const MOST: u32 = 60_000;

/// Instructions per request.
pub fn instructions(subject: &Subject, label: &str, address: SocketAddr) -> Result<f64> {
    let prefix = place::prefix(label, "collecting", &["growth/nginx.conf"])?;
    let out = prefix.join("callgrind.out");
    let wrapper = vec![
        "valgrind".to_string(),
        "--tool=callgrind".into(),
        format!("--dump-before={MARK}"),
        format!("--callgrind-out-file={}", out.display()),
        format!("--log-file={}", prefix.join("callgrind.log").display()),
    ];
    let server = place::start(&Subject { wrapper, ..subject.clone() }, &prefix, address)?;
    let mut connection = Connection::open(address)?;
    let mut ask = |path: &str| -> Result<()> {
        connection.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())?;
        match connection.answer()?.status {
            200 => Ok(()),
            status => bail!("{path} answers {status}"),
        }
    };
    ask("/heap")?;
    (0..WARM_UP).try_for_each(|_| ask("/garbage"))?;
    ask("/tell-of-cycles")?;
    let (mut ends, mut requests) = (Vec::new(), 0_u32);
    // The first count ends what came before a cycle's end.
    while ends.len() <= CYCLES {
        ask("/garbage")?;
        requests += 1;
        if counts(&out, ends.len() + 1).exists() {
            ends.push(requests);
        }
        if requests > MOST {
            bail!("the collector does not end {CYCLES} cycles");
        }
    }
    drop(server);
    let total: Result<f64> = (2..=CYCLES + 1).map(|number| counted(&counts(&out, number))).sum();
    match ends[..] {
        [first, .., last] => Ok(total? / f64::from(last - first)),
        _ => bail!("no cycles"),
    }
}

/// The file with callgrind's counts number `number`, counted from 1.
fn counts(out: &Path, number: usize) -> std::path::PathBuf {
    out.with_extension(format!("out.{number}"))
}

fn counted(file: &Path) -> Result<f64> {
    let text = fs::read_to_string(file)?;
    summary(&text).with_context(|| format!("no sum in {}", file.display()))
}
