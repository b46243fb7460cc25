//! `cargo xtask test`: the unit tests, and the suites in Perl on a real nginx.

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::build::{self, subject};
use crate::options::Options;
use crate::setup::{self, Group};
use crate::tally::Tally;
use crate::{paths, prove, shell};

/// The packages that have unit tests; the module itself links only inside nginx.
const UNIT_TESTED: &[&str] = &["codec", "xtask"];

/// The file that needs the module with faults on demand.
const FAULTS: &str = "nginx-tests/fault_injection.t";

/// Runs `cargo xtask test`: everything, or the `.t` files that are named.
pub fn command(options: Options, files: &[String]) -> Result<()> {
    let tally = run(options, files)?;
    println!("{tally}");
    if tally.failed > 0 {
        bail!("tests have failed; their output is in {}", logs().display());
    }
    Ok(())
}

/// Sets up, builds and tests, and sums the checks.
///
/// Errors: something could not be built or run; a failed check is in the sum.
pub fn run(options: Options, named: &[String]) -> Result<Tally> {
    setup::ensure(&[Group::Build, Group::Run, Group::Test, Group::Services])?;
    let subject = subject(options)?;
    let mut tally = Tally::default();
    let files = if named.is_empty() {
        tally += unit_tests()?;
        prove::all_files()?
    } else {
        named.iter().map(|file| paths::root().join(file)).collect::<Vec<PathBuf>>()
    };
    println!("{} on {}", subject.modules_shown(), subject.nginx.display());
    let mut environment = Vec::new();
    if !options.reference && files.iter().any(|file| file.ends_with(FAULTS)) {
        let subject = build::apart(options.build.nginx, "fault-injection", "fault-injection")?;
        environment.push(("TEST_NGINX_FAULT_MODULE".to_string(), subject.modules_shown()));
    }
    let settings = prove::Settings { dir: paths::root(), logs: logs(), environment };
    tally += prove::run(&files, &subject, &settings)?;
    Ok(tally)
}

fn logs() -> PathBuf {
    paths::target("test")
}

fn unit_tests() -> Result<Tally> {
    let log = logs().join("unit-tests.log");
    let mut command = shell::cargo();
    command.args(["test", "--no-fail-fast"]);
    for package in UNIT_TESTED {
        command.args(["--package", package]);
    }
    let outcome = shell::run_logged(&mut command, &log);
    let mut tally = Tally::of_cargo_test(&String::from_utf8_lossy(&fs::read(&log)?));
    if outcome.is_err() && tally.failed == 0 {
        tally.failed = 1;
    }
    println!("unit tests: {tally}");
    if outcome.is_err() {
        println!("{} ends in\n{}", log.display(), shell::tail(&log));
    }
    Ok(tally)
}
