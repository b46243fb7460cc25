//! `cargo xtask soak`: hundreds of thousands of mixed requests through one worker, which must not
//! hold more at the end than after the first of them.
//!
//! nginx-tests/soak.conf has the locations, mix.rs what is asked of them. Every answer is checked;
//! what the worker holds is compared while nothing runs in it.

pub mod client;
mod mix;
pub mod worker;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::build::subject;
use crate::options::Options;
use crate::paths;
use crate::server::Server;
use crate::setup::{self, Group};
use worker::Holdings;

/// The address in nginx-tests/soak.conf.
const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 18395);
/// How many requests are sent where nobody says.
const REQUESTS: usize = 200_000;
/// How many are enough to see that nothing is quite broken.
pub const FEW: usize = 30_000;
/// After how many of them the worker's memory counts as warm: at most a tenth.
const WARM: usize = 20_000;
/// Clients that send at the same time; more of them warm the worker, so that what grows with the
/// number of requests under way, and never shrinks, has grown by then.
const CLIENTS: u64 = 8;
const WARMING_CLIENTS: u64 = 3 * CLIENTS;
/// By how many hundredths the resident memory may grow.
const GROWTH: u64 = 2;

/// The arguments of `cargo xtask soak`.
#[derive(Args)]
pub struct Arguments {
    /// How many requests to send, 1000 at least
    #[arg(long, default_value_t = REQUESTS, value_parser = at_least_1000)]
    requests: usize,
    #[command(flatten)]
    options: Options,
}

fn at_least_1000(number: &str) -> Result<usize> {
    match number.parse() {
        Ok(number) if number >= 1000 => Ok(number),
        _ => bail!("not a number of 1000 or more"),
    }
}

/// Runs `cargo xtask soak`, on a release build.
pub fn command(arguments: &Arguments) -> Result<()> {
    let mut options = arguments.options.clone();
    options.build.release = true;
    setup::ensure(&[Group::Build, Group::Run])?;
    run(&options, arguments.requests)
}

/// Builds the module as `options` say and sends `requests` requests.
///
/// Errors: a wrong answer, or a bound that is broken.
pub fn run(options: &Options, requests: usize) -> Result<()> {
    let subject = subject(options)?;
    let prefix = paths::target("soak");
    if prefix.exists() {
        fs::remove_dir_all(&prefix)
            .with_context(|| format!("cannot clear {}", prefix.display()))?;
    }
    fs::create_dir_all(prefix.join("logs"))?;
    let conf = paths::root().join("nginx-tests/soak.conf");
    println!("{} on {}", subject.modules_shown(), subject.nginx.display());

    let server = Server::start(&subject, &conf, &prefix, ADDRESS)?;
    let started = Instant::now();
    let fresh = Holdings::at_rest(ADDRESS)?;
    show("at the start", 0, &fresh);
    let warm = WARM.min(requests / 2);
    send(warm, WARMING_CLIENTS, 1)?;
    let before = Holdings::at_rest(ADDRESS)?;
    show("warm", warm, &before);
    send(requests - warm, CLIENTS, 2)?;
    let after = Holdings::at_rest(ADDRESS)?;
    show("at the end", requests, &after);
    println!("{} seconds", started.elapsed().as_secs());
    server.quit()?;

    let mut broken = broken_bounds(&fresh, &before, &after);
    broken.extend(alarms(&prefix.join("logs/error.log"))?);
    match broken.is_empty() {
        true => Ok(()),
        false => bail!("{}", broken.join("; ")),
    }
}

fn show(when: &str, requests: usize, holdings: &Holdings) {
    let Holdings {
        resident,
        lua,
        descriptors,
        connections: [active, reading, writing, waiting],
        pid,
    } = holdings;
    println!(
        "{when:>12}: {requests:>7} requests, worker {pid}, {resident} kB resident ({lua} kB Lua), \
         {descriptors} descriptors, connections: {active} active, {reading} reading, \
         {writing} writing, {waiting} waiting"
    );
}

/// What the worker holds too much of.
fn broken_bounds(fresh: &Holdings, before: &Holdings, after: &Holdings) -> Vec<String> {
    let mut broken = Vec::new();
    if after.pid != fresh.pid || before.pid != fresh.pid {
        broken.push("the worker died".into());
    }
    if after.descriptors != fresh.descriptors || before.descriptors != fresh.descriptors {
        broken.push(format!("descriptors: {} became {}", fresh.descriptors, after.descriptors));
    }
    let grown = after.resident.saturating_sub(before.resident);
    if grown * 100 >= before.resident * GROWTH {
        broken.push(format!("resident memory: {} kB became {}", before.resident, after.resident));
    }
    broken
}

/// The lines of nginx's log that say that something is broken; among them, at its end, those about
/// connections that were never given back.
fn alarms(log: &Path) -> Result<Vec<String>> {
    let text = fs::read(log).with_context(|| format!("cannot read {}", log.display()))?;
    let text = String::from_utf8_lossy(&text);
    let alarms = ["[emerg]", "[alert]", "[crit]"];
    let lines = text.lines().filter(|line| alarms.iter().any(|alarm| line.contains(alarm)));
    Ok(lines.take(5).map(String::from).collect())
}

/// Sends `requests` requests, from `clients` clients at once.
fn send(requests: usize, clients: u64, seed: u64) -> Result<()> {
    let left = AtomicUsize::new(requests);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..clients)
            .map(|client| {
                let left = &left;
                scope.spawn(move || be_client(left, seed * 1000 + client))
            })
            .collect();
        clients.into_iter().try_for_each(|client| match client.join() {
            Ok(outcome) => outcome,
            Err(_) => bail!("a client panicked"),
        })
    })
}

/// Sends requests until none is left to send, by anyone.
fn be_client(left: &AtomicUsize, seed: u64) -> Result<()> {
    let deck = mix::deck();
    let mut random = Random(seed);
    let mut kept = None;
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
        let card = random.below(deck.len());
        let Some(kind) = deck.get(card) else { bail!("no kinds of requests") };
        if let Err(error) = kind.play(ADDRESS, &mut kept) {
            // The others need not go on.
            left.store(0, Ordering::Relaxed);
            return Err(error);
        }
    }
    Ok(())
}

/// The same numbers for the same seed (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit.max(1) as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holdings(resident: u64, descriptors: usize) -> Holdings {
        Holdings { pid: 7, resident, lua: 1, descriptors, connections: [1, 0, 1, 0] }
    }

    #[test]
    fn bounds_can_be_broken() {
        let fresh = holdings(5000, 9);
        assert!(broken_bounds(&fresh, &holdings(10000, 9), &holdings(10199, 9)).is_empty());
        assert_eq!(broken_bounds(&fresh, &holdings(10000, 9), &holdings(10200, 9)).len(), 1);
        assert_eq!(broken_bounds(&fresh, &holdings(10000, 9), &holdings(10000, 10)).len(), 1);
        let other = Holdings { pid: 8, ..fresh };
        assert_eq!(broken_bounds(&fresh, &fresh, &other).len(), 1);
    }
}
