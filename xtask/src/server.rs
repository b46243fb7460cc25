//! A running nginx: started in the foreground as a child, stopped when its owner drops it.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How often nginx is asked to stop, and how long it may take each time.
const ASK_TO_STOP: usize = 10;
const ONE_STOP: Duration = Duration::from_secs(5);
/// How long nginx may take to start listening.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// The nginx to run and the modules to load into it, in their order.
#[derive(Clone, Debug)]
pub struct Subject {
    pub nginx: PathBuf,
    pub modules: Vec<PathBuf>,
    /// A program and its arguments that run nginx as theirs; none runs it as it is.
    pub wrapper: Vec<String>,
}

impl Subject {
    /// An nginx that loads nothing.
    pub fn alone(nginx: PathBuf) -> Self {
        Self { nginx, modules: Vec::new(), wrapper: Vec::new() }
    }

    /// The modules' paths, for a person.
    pub fn modules_shown(&self) -> String {
        self.modules.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
    }

    /// The `load_module` directives, for `nginx -g`.
    fn directives(&self) -> String {
        self.modules.iter().map(|path| format!("load_module {};", path.display())).collect()
    }
}

/// Requires that nothing listens on `address`.
pub fn must_be_free(address: SocketAddr) -> Result<()> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) => bail!("nginx could not listen on {address}: {error}"),
    }
}

/// A started nginx.
pub struct Server {
    child: Child,
    /// What it was started with, to signal it the same way.
    command: Vec<String>,
}

impl Server {
    /// Starts `subject` on the configuration `conf` with everything written below `prefix`, and
    /// returns once it listens on `address`.
    ///
    /// Errors: the address is taken, or nginx refuses the configuration, or ends at once.
    pub fn start(
        subject: &Subject,
        conf: &Path,
        prefix: &Path,
        address: SocketAddr,
    ) -> Result<Self> {
        must_be_free(address)?;
        let logs = prefix.join("logs");
        fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
        let words = vec![
            subject.nginx.display().to_string(),
            "-p".into(),
            format!("{}/", prefix.display()),
            "-c".into(),
            conf.display().to_string(),
            "-g".into(),
            format!("{} daemon off;", subject.directives()),
        ];
        let wrapped: Vec<String> = subject.wrapper.iter().chain(&words).cloned().collect();
        let child = command(&wrapped)?
            .spawn()
            .with_context(|| format!("cannot start {}", subject.nginx.display()))?;
        let mut server = Self { child, command: words };
        server.wait_for(address)?;
        Ok(server)
    }

    /// The process: nginx itself, with `master_process off` the worker.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until nginx ends, by a signal from elsewhere.
    pub fn wait(mut self) -> Result<()> {
        self.child.wait()?;
        Ok(())
    }

    /// Lets nginx end its work, and returns once it has ended.
    pub fn quit(mut self) -> Result<()> {
        let mut signaller = command(&self.command)?;
        signaller.args(["-s", "quit"]).stderr(Stdio::null()).status()?;
        let asked = Instant::now();
        while self.child.try_wait()?.is_none() {
            if asked.elapsed() > PATIENCE {
                bail!("nginx did not quit");
            }
            sleep(POLL);
        }
        Ok(())
    }

    fn wait_for(&mut self, address: SocketAddr) -> Result<()> {
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("nginx did not start: {status}");
            }
            if started.elapsed() > PATIENCE {
                bail!("nginx does not listen on {address}");
            }
            sleep(POLL);
        }
        Ok(())
    }

    /// Asks nginx to stop and waits until it has; kills it where it does not.
    fn stop(&mut self) -> Result<()> {
        for _ in 0..ASK_TO_STOP {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            // A signal that comes just before nginx waits for events is seen at its next event
            // only: hence more than one.
            self.signal_stop()?;
            let asked = Instant::now();
            while self.child.try_wait()?.is_none() && asked.elapsed() < ONE_STOP {
                sleep(POLL);
            }
        }
        if self.child.try_wait()?.is_none() {
            self.child.kill()?;
            self.child.wait()?;
            bail!("nginx, process {}, did not stop and was killed", self.child.id());
        }
        Ok(())
    }

    fn signal_stop(&self) -> Result<()> {
        let mut signaller = command(&self.command)?;
        // It reports to its standard error that it has started, and nothing else of interest: a
        // signal that was not sent shows in that nginx goes on.
        signaller.args(["-s", "stop"]).stderr(Stdio::null()).status()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("{error:#}");
        }
    }
}

fn command(words: &[String]) -> Result<Command> {
    let (program, arguments) = words.split_first().context("no program")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_loaded_in_their_order() {
        let subject = Subject {
            nginx: "nginx".into(),
            modules: vec!["/a.so".into(), "/b.so".into()],
            wrapper: Vec::new(),
        };
        assert_eq!(subject.directives(), "load_module /a.so;load_module /b.so;");
    }

    #[test]
    fn a_taken_address_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let subject =
            Subject { nginx: "/nonexistent".into(), modules: Vec::new(), wrapper: Vec::new() };
        let error = Server::start(&subject, Path::new("c"), Path::new("p"), address).err().unwrap();
        assert!(format!("{error:#}").contains(&address.to_string()));
    }
}
