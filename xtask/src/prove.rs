//! The suites in Perl, `t/` and `nginx-tests/`: a few files side by side, each with a port, a
//! server root and a log file of its own.

use std::collections::VecDeque;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};

use crate::server::Subject;
use crate::tally::{Skips, Tally};
use crate::{paths, shell};

/// How many files run at the same time.
const SIDE_BY_SIDE: u16 = 2;
/// Where the ports of a run may lie; side by side, files have ports `PORT_STEP` apart.
const PORTS: std::ops::Range<u16> = 18400..28400;
const PORT_STEP: u16 = 50;
/// Up to this many files that fail among others run once more, alone: on a machine that others use too, a
/// file may come too late for a moment that it waits for.
const AGAIN: usize = 3;
/// A file that takes longer than these seconds is ended.
const TIME_LIMIT: &str = "900";

/// How the files are run, beside what they run on.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Where the files run, and what their names are shown relative to.
    pub dir: PathBuf,
    /// The directory of the log files.
    pub logs: PathBuf,
    /// Variables that every file gets.
    pub environment: Vec<(String, String)>,
}

/// What came out of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub tally: Tally,
    pub skips: Skips,
}

impl Report {
    fn add(&mut self, other: Report) {
        self.tally += other.tally;
        self.skips.extend(other.skips);
    }
}

/// The `.t` files below `t/` and `nginx-tests/`, in order.
pub fn all_files() -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for dir in ["nginx-tests", "t"] {
        files.extend(paths::below(&paths::root().join(dir), "t")?);
    }
    Ok(files)
}

/// Claims a range of ports for this run, so that runs of several checkouts do not collide: the run
/// that listens on the last port of a range has it, for as long as the listener lives. A server
/// that a run has left behind has its range too.
fn claim_ports() -> Result<(u16, TcpListener)> {
    let size = SIDE_BY_SIDE * PORT_STEP;
    let is_free = |port: u16| TcpListener::bind(("0.0.0.0", port)).is_ok();
    let claim = |first: u16| {
        if !(0..SIDE_BY_SIDE).all(|slot| is_free(first + slot * PORT_STEP)) {
            return None;
        }
        let claimed = TcpListener::bind(("127.0.0.1", first + size - 1)).ok()?;
        Some((first, claimed))
    };
    PORTS.step_by(size.into()).find_map(claim).context("no free range of ports")
}

/// Runs `files` on `subject`, prints a line for each as it ends, sums their checks and collects what
/// they skip.
///
/// Errors: a file could not be run at all. One whose checks fail, or that runs none, is no error:
/// it is in the sum.
pub fn run(files: &[PathBuf], subject: &Subject, settings: &Settings) -> Result<Report> {
    if let Some(missing) = files.iter().find(|file| !file.is_file()) {
        bail!("no test file {}", missing.display());
    }
    fs::create_dir_all(&settings.logs)?;
    let (first_port, _claim) = claim_ports()?;
    let waiting = Mutex::new(files.iter().collect::<VecDeque<_>>());
    let total = Mutex::new(Report::default());
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..SIDE_BY_SIDE)
            .map(|slot| {
                let (waiting, total, failed) = (&waiting, &total, &failed);
                scope.spawn(move || -> Result<()> {
                    while let Some(file) = next(waiting) {
                        let report = run_file(file, slot, first_port, subject, settings)?;
                        if report.tally.failed > 0 {
                            locked(failed).push((file, report));
                        } else {
                            locked(total).add(report);
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(outcome) => outcome,
            Err(_) => bail!("a test runner panicked"),
        })
    })?;
    let (mut total, failed) = (locked(&total).clone(), locked(&failed));
    let are_few = files.len() > 1 && failed.len() <= AGAIN;
    for (file, report) in failed.iter() {
        total.add(match are_few {
            // Its name shows twice: so do those that need watching.
            true => {
                let log = log_of(file, settings);
                fs::rename(&log, log.with_extension("first.log"))?;
                run_file(file, 0, first_port, subject, settings)?
            }
            false => report.clone(),
        });
    }
    Ok(total)
}

fn next<'a>(waiting: &Mutex<VecDeque<&'a PathBuf>>) -> Option<&'a PathBuf> {
    locked(waiting).pop_front()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `file` is called, relative to where the files run.
fn name_of(file: &Path, settings: &Settings) -> String {
    file.strip_prefix(&settings.dir).unwrap_or(file).display().to_string()
}

/// The same as the name of a file.
fn plain_name_of(file: &Path, settings: &Settings) -> String {
    name_of(file, settings).replace('/', "-")
}

/// Where the output of `file` goes; that of a try before the last one is beside it.
fn log_of(file: &Path, settings: &Settings) -> PathBuf {
    settings.logs.join(format!("{}.log", plain_name_of(file, settings)))
}

fn run_file(
    file: &Path,
    slot: u16,
    first_port: u16,
    subject: &Subject,
    settings: &Settings,
) -> Result<Report> {
    let name = name_of(file, settings);
    let log = log_of(file, settings);
    let port = (first_port + slot * PORT_STEP).to_string();
    let mut command = Command::new("timeout");
    command
        .current_dir(&settings.dir)
        .args(["--kill-after=10", TIME_LIMIT, "prove", "--verbose"])
        .arg(file)
        .env("PERL5LIB", paths::root().join("nginx-tests/lib"))
        .env("TEST_NGINX_CERT_DIR", paths::root().join("t/cert"))
        .env("TEST_NGINX_BINARY", &subject.nginx)
        .env("TEST_NGINX_LOAD_MODULES", subject.modules_shown())
        .env("TEST_NGINX_SERVROOT", settings.logs.join(format!("servroot-{slot}")))
        .env("TEST_NGINX_SERVER_PORT", &port)
        .env("TEST_NGINX_PORT", &port)
        .env("TEST_NAME", plain_name_of(file, settings))
        .envs(settings.environment.iter().map(|(name, value)| (name, value)));
    let outcome = shell::run_logged(&mut command, &log);
    let text = fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?;
    let text = String::from_utf8_lossy(&text);
    let tally = Tally::of_tap(&text).of_program(&name, &outcome);
    let skips = Skips::of_tap(&name, &text);
    match outcome {
        Ok(()) if tally == Tally::default() => print!("{skips}"),
        Ok(()) => println!("{name}: {tally}"),
        Err(_) => println!("{name}: {tally}; {} ends in\n{}", log.display(), shell::tail(&log)),
    }
    Ok(Report { tally, skips })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs one test script of this content, on no nginx at all.
    fn run_script(name: &str, script: &str) -> Report {
        let dir = paths::target("xtask-tests").join(name);
        fs::create_dir_all(&dir).unwrap();
        let file = dir.join("script.t");
        fs::write(&file, script).unwrap();
        let modules = vec!["/a.so".into(), "/b.so".into()];
        let subject = Subject { nginx: "/bin/nginx".into(), modules, wrapper: Vec::new() };
        let environment = vec![("OWN".to_string(), "value".to_string())];
        let settings = Settings { logs: dir.join("logs"), dir, environment };
        run(&[file], &subject, &settings).unwrap()
    }

    #[test]
    fn checks_are_counted() {
        let script = "print qq{1..4\nok 1\nnot ok 2\nok 3\nok 4 # skip TEST 1: a - no luck\n};";
        let report = run_script("counted", script);
        assert_eq!(
            report.tally,
            Tally { passed: 2, failed: 1, skipped: 1, failures: vec!["script.t: not ok 2".into()] }
        );
        assert_eq!(report.skips.to_string(), "  script.t: no luck: 1 check\n");
    }

    #[test]
    fn a_file_that_dies_after_its_checks_has_failed() {
        let report = run_script("dies", "print qq{1..1\nok 1\n}; exit 3;");
        assert_eq!((report.tally.passed, report.tally.failed), (1, 1));
    }

    #[test]
    fn a_file_that_checks_nothing_has_failed() {
        let tally = run_script("empty", "1;").tally;
        assert_eq!((tally.passed, tally.failed), (0, 1));
    }

    #[test]
    fn a_file_that_skips_itself_has_not_failed() {
        let plan = "1..0 # SKIP no luck";
        let report = run_script("skips", &format!("print qq{{{plan}\n}};"));
        assert_eq!(report.tally, Tally::default());
        assert_eq!(report.skips.to_string(), "  script.t: no luck: the whole file\n");
    }

    #[test]
    fn a_file_is_told_what_to_test() {
        let script = "print qq{1..1\n}, $ENV{TEST_NGINX_LOAD_MODULES} eq '/a.so /b.so' \
                      && $ENV{TEST_NGINX_BINARY} eq '/bin/nginx' && $ENV{OWN} eq 'value' \
                      && $ENV{TEST_NGINX_SERVER_PORT} > 1024 ? 'ok 1' : 'not ok 1', qq{\n};";
        assert_eq!(run_script("told", script).tally, Tally::one(true));
    }

    #[test]
    fn a_file_that_fails_among_others_has_a_second_try() {
        let dir = paths::target("xtask-tests/twice");
        fs::create_dir_all(&dir).unwrap();
        let _ = fs::remove_file(dir.join("seen"));
        let scripts = [
            ("fine.t", "print qq{1..1\nok 1\n};"),
            ("once.t", "print qq{1..1\n}, -e 'seen' ? '' : 'not ', qq{ok 1\n}; open F, '>seen';"),
            ("never.t", "print qq{1..1\nnot ok 1\n};"),
        ];
        let files = scripts.map(|(name, script)| {
            fs::write(dir.join(name), script).unwrap();
            dir.join(name)
        });
        let subject = Subject { nginx: "n".into(), modules: Vec::new(), wrapper: Vec::new() };
        let settings = Settings { logs: dir.join("logs"), dir, environment: Vec::new() };
        let tally = run(&files, &subject, &settings).unwrap().tally;
        let failures = vec!["never.t: not ok 1".to_string()];
        assert_eq!(tally, Tally { passed: 2, failed: 1, skipped: 0, failures });
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let subject = Subject { nginx: "n".into(), modules: Vec::new(), wrapper: Vec::new() };
        let error = run(&["/nonexistent/a.t".into()], &subject, &Settings::default()).unwrap_err();
        assert_eq!(format!("{error}"), "no test file /nonexistent/a.t");
    }
}
