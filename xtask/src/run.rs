//! `cargo xtask run`: builds the module and shows the main job on a real nginx: a client has its
//! whole answer at once, the work goes on behind it.
//!
//! What it prints is measured, not told: it fails where the example does not do what its README
//! says. The jobs that write to a database are skipped where theirs does not take them.

use std::fs;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::build::subject;
use crate::client;
use crate::options::Build;
use crate::paths;
use crate::server::{self, Server};
use crate::setup::{self, Group};

/// The port in examples/async/nginx.conf.
pub const PORT: u16 = 8088;
/// How long a client waits for an answer that is to come.
const PATIENT: Duration = Duration::from_secs(10);
/// How long the client waits that gives up.
const IMPATIENT: Duration = Duration::from_millis(300);
/// When every background line must be there, with much to spare.
const BACKGROUND: Duration = Duration::from_secs(15);
/// Those who answer at once and finish later.
const FINISH: &[&str] = &["/async", "/async-proxy-on", "/timer"];
/// Those who do that too, where a server listens on its usual port and takes the job.
const DATABASES: &[&str] = &["/redis", "/memcached", "/mariadb", "/postgresql"];
/// The one that answers at once and is ended with its client.
const ENDED: &str = "/async-proxy-off";
/// The one whose client leaves before its answer.
const LEFT: &str = "/wait-proxy-off";

/// Runs `cargo xtask run`.
pub fn command(build: Build, port: u16, once: bool) -> Result<()> {
    let server = show(build, port)?;
    if once || !std::io::stdin().is_terminal() {
        return Ok(());
    }
    println!("\nnginx goes on at http://{}/async; press Ctrl-C to stop it", address(port));
    server.wait()
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Sets up, builds, starts nginx and plays the clients; the server that it returns still runs.
///
/// Errors: the port is taken, which is asked first, or whatever the example's README says and does
/// not happen.
pub fn show(build: Build, port: u16) -> Result<Server> {
    let address = address(port);
    server::must_be_free(address)
        .map_err(|error| anyhow!("{error:#}; --port takes another port"))?;
    setup::ensure(&[Group::Build, Group::Run])?;
    let subject = subject(&build.into())?;
    let conf = paths::root().join("examples/async/nginx.conf");
    let prefix = fresh_prefix()?;
    println!("{} on {}", subject.modules_shown(), subject.nginx.display());
    link_jobs(&conf, &prefix)?;
    let conf = if port == PORT { conf } else { on_port(&conf, port, &prefix)? };
    println!("configuration {}", conf.display());
    let server = Server::start(&subject, &conf, &prefix, address)?;
    Demonstration { address, logs: prefix.join("logs"), started: Instant::now() }.run()?;
    Ok(server)
}

/// A copy of `conf` in `prefix` that listens on another port.
fn on_port(conf: &Path, port: u16, prefix: &Path) -> Result<PathBuf> {
    let text =
        fs::read_to_string(conf).with_context(|| format!("cannot read {}", conf.display()))?;
    let copy = prefix.join("nginx.conf");
    fs::write(&copy, text.replace(&address(PORT).to_string(), &address(port).to_string()))
        .with_context(|| format!("cannot write {}", copy.display()))?;
    Ok(copy)
}

/// An empty `target/run`.
fn fresh_prefix() -> Result<PathBuf> {
    let prefix = paths::target("run");
    if prefix.exists() {
        fs::remove_dir_all(&prefix)
            .with_context(|| format!("cannot remove {}", prefix.display()))?;
    }
    Ok(prefix)
}

/// The Lua modules beside the configuration, where it looks for them.
fn link_jobs(conf: &Path, prefix: &Path) -> Result<()> {
    fs::create_dir_all(prefix)?;
    let link = prefix.join("lua");
    std::os::unix::fs::symlink(conf.with_file_name("lua"), &link)
        .with_context(|| format!("cannot link {}", link.display()))
}

struct Demonstration {
    address: SocketAddr,
    logs: PathBuf,
    started: Instant,
}

impl Demonstration {
    fn run(&self) -> Result<()> {
        println!("\nthe clients:");
        for path in FINISH.iter().chain([&ENDED]).chain(DATABASES) {
            self.ask(path)?;
        }
        self.give_up()?;
        println!("\n{}:", self.logs.join("background.log").display());
        self.watch()?;
        println!("\n{}:", self.logs.join("access.log").display());
        self.access_log()
    }

    /// One client that reads its whole answer and closes the connection.
    fn ask(&self, path: &str) -> Result<()> {
        self.say(&format!("GET {path}"));
        let answer = client::get(self.address, path, PATIENT)?
            .with_context(|| format!("{path}: no whole answer in {PATIENT:?}"))?;
        self.say(&format!("    {}: {}", answer.status, answer.body.trim_end()));
        if !answer.status.starts_with("200 ") {
            bail!("{path} answered {}", answer.status);
        }
        if DATABASES.contains(&path) {
            return Ok(());
        }
        // The job behind the answer takes a second.
        let log = read(&self.logs.join("background.log"))?;
        match log.lines().find(|line| is_done(line, path)) {
            Some(line) => bail!("the client of {path} got its answer after this: {line}"),
            None => Ok(()),
        }
    }

    /// The client that closes the connection before its answer.
    fn give_up(&self) -> Result<()> {
        self.say(&format!("GET {LEFT}"));
        match client::get(self.address, LEFT, IMPATIENT)? {
            Some(answer) => {
                bail!("{LEFT} answered {} to a client that had to leave", answer.status)
            }
            None => self.say("    this client gave up before its answer"),
        }
        Ok(())
    }

    /// Shows the background lines as they come, until those of `FINISH` and `DATABASES` are there.
    fn watch(&self) -> Result<()> {
        let log = self.logs.join("background.log");
        let mut shown = 0;
        let mut waiting: Vec<&str> = FINISH.iter().chain(DATABASES).copied().collect();
        let mut skipped = Vec::new();
        while !waiting.is_empty() {
            let text = read(&log)?;
            for line in text.lines().skip(shown) {
                self.say(line);
                shown += 1;
                skipped.extend(DATABASES.iter().filter_map(|path| not_done(line, path)));
                waiting.retain(|path| !is_done(line, path) && not_done(line, path).is_none());
            }
            if self.started.elapsed() > BACKGROUND {
                bail!("{}: no line of {} after {BACKGROUND:?}", log.display(), waiting.join(", "));
            }
            sleep(Duration::from_millis(20));
        }
        for job in skipped {
            println!("skipped: {job}");
        }
        // The job of the ended one takes as long as its twin's, which is done.
        let text = read(&log)?;
        match text.lines().find(|line| is_done(line, ENDED)) {
            Some(line) => bail!("{ENDED} was not ended: {line}"),
            None => Ok(()),
        }
    }

    fn access_log(&self) -> Result<()> {
        let text = read(&self.logs.join("access.log"))?;
        print!("{text}");
        let at = |line: &str| text.lines().position(|logged| logged == line);
        if at(&format!("499 GET {LEFT}")).is_none() {
            bail!("{LEFT} is not logged with 499");
        }
        let finished = FINISH.iter().map(|path| format!("200 GET {path}"));
        for line in finished.chain([format!("499 GET {ENDED}")]) {
            at(&line).with_context(|| format!("no line \"{line}\" in the access log"))?;
        }
        Ok(())
    }

    fn say(&self, text: &str) {
        println!("{:>6} ms  {text}", self.started.elapsed().as_millis());
    }
}

/// Whether it is the line of a job that is done.
fn is_done(line: &str, path: &str) -> bool {
    line.contains(&format!("background: {path} is done"))
}

/// The path of a job whose database has refused it, and why.
fn not_done(line: &str, path: &str) -> Option<String> {
    let (_, reason) = line.split_once(&format!("background: {path} is not done, "))?;
    let reason = reason.split_once(", client: ").map_or(reason, |(reason, _)| reason);
    Some(format!("{path}: {reason}"))
}

fn read(log: &Path) -> Result<String> {
    let bytes = fs::read(log).with_context(|| format!("cannot read {}", log.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skipped_job_has_its_reason() {
        let line =
            "… [lua] x:7: background: /redis is not done, connect: refused, client: 127.0.0.1";
        assert_eq!(not_done(line, "/redis").unwrap(), "/redis: connect: refused");
        assert!(not_done(line, "/mariadb").is_none() && !is_done(line, "/redis"));
        assert!(is_done("background: /redis is done, 42", "/redis"));
    }
}
