//! One test file in namespaces of its own: network (loopback only, with the back ends that the
//! suite talks to) and processes, so that nothing a file starts outlives it.
//!
//! `Job::run` starts this same program again inside the namespaces, where `inside` is process 1
//! and reaps every daemon that nginx leaves behind: the harness waits for the death of the old
//! nginx before each block, and a daemon that nobody reaps counts as alive.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, WaitOptions, wait};

use super::tap::Outcome;
use super::{Purpose, suite_release};
use crate::{paths, shell};

/// One test file to run.
pub struct Job<'a> {
    pub suite: &'a Path,
    /// Relative to the suite's `t/`.
    pub file: &'a str,
    /// Which of the files that run side by side this is.
    pub slot: usize,
    pub nginx: &'a Path,
    pub modules: &'a [PathBuf],
    pub purpose: &'a Purpose,
}

impl Job<'_> {
    /// Runs the file to its end or its time limit; TAP and messages stay in the results folder.
    pub fn run(&self) -> Result<Outcome> {
        let name = self.file.trim_end_matches(".t").replace('/', "-");
        let tap = self.purpose.results.join(format!("{name}.tap"));
        let messages = self.purpose.results.join(format!("{name}.err"));
        let mut child = self
            .command()?
            .stdin(Stdio::null())
            .stdout(create(&tap)?)
            .stderr(create(&messages)?)
            .spawn()
            .context("cannot start unshare")?;
        let status = wait_for(&mut child, self.purpose.time_limit)?;
        // A file that fails is a result; a sandbox that does not come up is not.
        if status.is_some_and(|status| !status.success()) {
            bail!("the sandbox failed; its messages end in\n{}", shell::tail(&messages));
        }
        let text = fs::read(&tap)?;
        let mut outcome = Outcome::parse(&String::from_utf8_lossy(&text));
        outcome.timed_out = status.is_none();
        Ok(outcome)
    }

    fn command(&self) -> Result<Command> {
        let mut command = Command::new("unshare");
        if !shell::is_root() {
            command.arg("--map-root-user");
        }
        command.args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
        command.arg(std::env::current_exe()?).args(["sandboxed", self.file]);
        let modules: Vec<String> =
            self.modules.iter().map(|module| module.display().to_string()).collect();
        command
            .current_dir(self.suite)
            .env("TEST_NGINX_BINARY", self.nginx)
            .env("TEST_NGINX_LOAD_MODULES", modules.join(" "))
            .env("TEST_NGINX_SERVROOT", self.suite.join(format!("t/servroot{}", self.slot)))
            .env("TEST_NGINX_SLEEP", "0.006")
            .env("TEST_NGINX_TIMEOUT", "3")
            .env("TEST_NGINX_NO_SHUFFLE", "1")
            .env("TEST_NGINX_RESOLVER", "127.0.0.53")
            .env("OPENSSL_CONF", openssl_conf()?)
            .env("TEST_NAME", self.file.replace('/', "-"))
            .envs(self.purpose.environment.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }
}

fn create(path: &Path) -> Result<File> {
    File::create(path).with_context(|| format!("cannot write {}", path.display()))
}

/// The suite's certificates are older than what OpenSSL accepts by default.
fn openssl_conf() -> Result<PathBuf> {
    let path = paths::target("conformance/openssl.cnf");
    let text = "openssl_conf = default_conf\n[default_conf]\nssl_conf = ssl_section\n\
                [ssl_section]\nsystem_default = system_default_section\n\
                [system_default_section]\nCipherString = DEFAULT:@SECLEVEL=0\n";
    if fs::read_to_string(&path).ok().as_deref() != Some(text) {
        fs::write(&path, text)?;
    }
    Ok(path)
}

/// How `child` ended; `None` when it did not in time and was killed, all of its namespace with it.
fn wait_for(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Process 1 of the namespaces: sets the network up, starts the back ends, runs the test file
/// `file` and reaps until it has ended.
pub fn inside(file: &str) -> Result<()> {
    if let Some(lib) = std::env::var_os(suite_release::MOUNTED) {
        suite_release::mount(Path::new(&lib))?;
    }
    set_up_network()?;
    start_backends()?;
    let test = Command::new("perl")
        .arg("-I.")
        .arg("-I")
        .arg(paths::root().join("nginx-tests/lib"))
        .arg(format!("t/{file}"))
        .spawn()
        .context("cannot start perl")?;
    let test = Pid::from_child(&test);
    // Not Child::wait: every process that ends here must be reaped as soon as it does.
    while let Some((pid, _)) = wait(WaitOptions::empty()).context("waiting for children")? {
        if pid == test {
            break;
        }
    }
    Ok(())
}

/// Loopback, and addresses at which the suite expects refusals and silence.
fn set_up_network() -> Result<()> {
    let drop = ["-d", "127.0.0.2", "--dport", "12345", "-j", "DROP"];
    let commands: [(&str, Vec<&str>); 5] = [
        ("ip", vec!["link", "set", "lo", "up"]),
        ("ip", vec!["route", "add", "prohibit", "0.0.0.1/32"]),
        ("iptables", vec!["-I", "OUTPUT", "-p", "udp", "--dport", "10086", "-j", "REJECT"]),
        ("iptables", [&["-I", "OUTPUT", "-p", "tcp"], &drop[..]].concat()),
        ("iptables", [&["-I", "OUTPUT", "-p", "udp"], &drop[..]].concat()),
    ];
    for (program, words) in commands {
        shell::run(Command::new(program).args(words))?;
    }
    Ok(())
}

const REDIS: &str = "redis-server --port 6379 --bind 127.0.0.1 --save  --appendonly no";
const MEMCACHED: &str = "memcached -u root -l 127.0.0.1 -p 11211 -U 11211 -m 64 -t 1";
/// Runs a program ahead of all others, where that is permitted.
const AHEAD: &str = "chrt --fifo 10";

/// redis on 6379, memcached on 11211 over TCP and UDP; they end with the namespace. Both run as its
/// super-user, the only user that a namespace of an ordinary user has.
///
/// Some blocks of the SSL handlers pass on a stock nginx only when memcached's datagram is there as
/// soon as the request for it is sent, hence its priority.
fn start_backends() -> Result<()> {
    let ahead = command(&format!("{AHEAD} true")).status().is_ok_and(|status| status.success());
    let memcached = if ahead { format!("{AHEAD} {MEMCACHED}") } else { MEMCACHED.to_string() };
    for line in [REDIS, &memcached] {
        command(line).spawn().with_context(|| format!("cannot start {line}"))?;
    }
    for port in [6379, 11211] {
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > deadline {
                bail!("no back end answers on port {port}");
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(())
}

/// The command of a line, without input or output; two spaces stand around an empty word.
fn command(line: &str) -> Command {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}
