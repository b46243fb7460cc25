//! Where a measured nginx runs: a fresh prefix below `target/bench`, with copies of its files.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::rows::{OURS_ALONE, Row};
use crate::paths;
use crate::server::{Server, Subject};

/// The address in benches/nginx.conf and benches/njs/nginx.conf.
pub const ADDRESS: SocketAddr = local(18396);
/// How long another run of the bench may keep an address.
const PATIENCE: Duration = Duration::from_secs(120);

pub const fn local(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// A fresh directory `name` for the module `label`, with copies of `files` of benches/.
pub fn prefix(label: &str, name: &str, files: &[&str]) -> Result<PathBuf> {
    let dir = paths::target("bench").join(label).join(name);
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    for file in files {
        let name = Path::new(file).file_name().context("a file")?;
        copy(file, &dir.join(name))?;
    }
    Ok(dir)
}

/// As [`prefix`], for a row that `label` can run.
pub fn row_prefix(label: &str, row: &Row) -> Result<PathBuf> {
    if label == NJS {
        let prefix = prefix(label, row.name, &["njs/nginx.conf", "njs/bench.js"])?;
        copy(&format!("njs/{}.conf", row.name), &prefix.join("row.conf"))?;
        return Ok(prefix);
    }
    let prefix = prefix(label, row.name, &["nginx.conf"])?;
    let conf = prefix.join("row.conf");
    copy(&format!("rows/{}.conf", row.name), &conf)?;
    if label == C {
        rewrite(&conf, without_ours)?;
    }
    Ok(prefix)
}

pub fn rewrite(file: &Path, change: impl FnOnce(&str) -> String) -> Result<()> {
    let text = fs::read_to_string(file)?;
    Ok(fs::write(file, change(&text))?)
}

/// Replaces a text in the configuration of `prefix`.
pub fn replace(prefix: &Path, from: &str, to: &str) -> Result<()> {
    rewrite(&prefix.join("nginx.conf"), |conf| conf.replace(from, to))
}

/// A configuration without the directives that the C module does not know.
pub fn without_ours(conf: &str) -> String {
    let is_ours =
        |line: &str| line.split_whitespace().next().is_some_and(|d| OURS_ALONE.contains(&d));
    conf.lines().filter(|line| !is_ours(line)).map(|line| format!("{line}\n")).collect()
}

/// The label of the C module.
pub const C: &str = "c";
/// The label of njs.
pub const NJS: &str = "njs";

/// Whether njs can do the work of `row`.
pub fn njs_runs(row: &Row) -> bool {
    paths::root().join(format!("benches/njs/{}.conf", row.name)).exists()
}

fn copy(file: &str, to: &Path) -> Result<()> {
    let from = paths::root().join("benches").join(file);
    fs::copy(&from, to).map(drop).with_context(|| format!("cannot copy {}", from.display()))
}

/// Starts `subject` in `prefix`, once nobody else has the address.
pub fn start(subject: &Subject, prefix: &Path, address: SocketAddr) -> Result<Server> {
    let asked = Instant::now();
    while TcpListener::bind(address).is_err() && asked.elapsed() < PATIENCE {
        sleep(Duration::from_millis(200));
    }
    Server::start(subject, &prefix.join("nginx.conf"), prefix, address)
}

/// Gives the nginx of `prefix` room for as many connections as its process may have descriptors.
pub fn make_roomy(prefix: &Path) -> Result<()> {
    let roomy = format!("worker_connections  {DESCRIPTORS};");
    replace(prefix, "worker_connections  64;", &roomy)
}

/// Has the nginx of `prefix` listen at `address` instead of [`ADDRESS`].
pub fn listen_at(prefix: &Path, address: SocketAddr) -> Result<()> {
    let (from, to) = (ADDRESS.port().to_string(), address.port().to_string());
    for file in ["nginx.conf", "row.conf"] {
        rewrite(&prefix.join(file), |conf| conf.replace(&from, &to))?;
    }
    Ok(())
}

/// `subject` with as many descriptors as the bench needs, as a rule.
pub fn roomy(subject: &Subject) -> Subject {
    with_descriptors(subject, DESCRIPTORS)
}

/// `subject` with so many descriptors.
pub fn with_descriptors(subject: &Subject, descriptors: u64) -> Subject {
    let wrapper = vec!["prlimit".into(), format!("--nofile={descriptors}")];
    Subject { wrapper, ..subject.clone() }
}

/// The most descriptors that a process of the bench has, as a rule.
pub const DESCRIPTORS: u64 = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_c_module_gets_what_it_knows() {
        let conf = "location / {\n    lua_coalesce_output on;\n    return 200;\n}\n";
        assert_eq!(without_ours(conf), "location / {\n    return 200;\n}\n");
    }
}
