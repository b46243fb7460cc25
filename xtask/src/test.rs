//! `cargo xtask test`: the unit tests, and the suites in Perl on a real nginx.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::build::{self, subject};
use crate::nginx::Tree;
use crate::options::{NginxChoice, Options};
use crate::setup::{self, Group};
use crate::tally::Tally;
use crate::{docs, layouts, paths, prove, shell};

/// The packages that have unit tests; the module itself links only inside nginx.
const UNIT_TESTED: &[&str] = &["codec", "xtask"];

/// The file that needs the module with faults on demand.
pub const FAULTS: &str = "nginx-tests/fault_injection.t";

/// Runs `cargo xtask test`: everything, or the `.t` files that are named.
pub fn command(options: &Options, files: &[String]) -> Result<()> {
    let tally = run(options, files)?;
    tally.show();
    if tally.failed > 0 {
        bail!("tests have failed; their output is in {}", logs().display());
    }
    Ok(())
}

/// Sets up, builds and tests, and sums the checks.
///
/// Errors: something could not be built or run; a failed check is in the sum.
pub fn run(options: &Options, named: &[String]) -> Result<Tally> {
    setup::ensure(&[Group::Build, Group::Run, Group::Test, Group::Services])?;
    let subject = subject(options)?;
    let mut tally = Tally::default();
    let files = if named.is_empty() {
        tally += unit_tests()?;
        tally += layouts::compare(&Tree::prepare(&options.build.nginx.nginx)?, "test")?;
        let mut files = prove::all_files()?;
        // The pages are about this module, on an nginx with all that Debian's has.
        if !options.reference && options.build.nginx.nginx == NginxChoice::Installed {
            files.extend(docs::write_tests()?);
        }
        files
    } else {
        named.iter().map(|file| paths::root().join(file)).collect::<Vec<PathBuf>>()
    };
    println!("{} on {}", subject.modules_shown(), subject.nginx.display());
    let environment = match options.reference {
        true => Vec::new(),
        false => environment(&options.build.nginx.nginx, options.build.features(), &files)?,
    };
    let settings = prove::Settings { dir: paths::root(), logs: logs(), environment };
    let report = prove::run(&files, &subject, &settings)?;
    if !report.skips.is_empty() {
        print!("skipped:\n{}", report.skips);
    }
    tally += report.tally;
    Ok(tally)
}

/// What `files` are told beside the module and its nginx: where the sources are that C modules are
/// compiled against, and the module with faults on demand, where one of them needs it.
pub fn environment(
    nginx: &NginxChoice,
    features: &str,
    files: &[PathBuf],
) -> Result<Vec<(String, String)>> {
    let mut environment = sources(&Tree::prepare(nginx)?);
    if files.iter().any(|file| file.ends_with(FAULTS)) {
        let features = format!("{features},fault-injection");
        let product = build::apart(nginx, &features, "fault-injection")?;
        environment
            .push(("TEST_NGINX_FAULT_MODULE".to_string(), product.module.display().to_string()));
    }
    Ok(environment)
}

/// The part of it about the sources.
pub fn sources(tree: &Tree) -> Vec<(String, String)> {
    let named = |(name, dir): (&str, &Path)| (name.to_string(), dir.display().to_string());
    tree.environment().into_iter().map(named).collect()
}

fn logs() -> PathBuf {
    paths::target("test")
}

fn unit_tests() -> Result<Tally> {
    let log = logs().join("unit-tests.log");
    println!("unit tests: building and running them; see {}", log.display());
    let mut command = shell::cargo();
    command.args(["test", "--no-fail-fast"]);
    for package in UNIT_TESTED {
        command.args(["--package", package]);
    }
    let outcome = shell::run_logged(&mut command, &log);
    let tally = Tally::of_cargo_test(&String::from_utf8_lossy(&fs::read(&log)?))
        .of_program("unit tests", &outcome);
    println!("unit tests: {tally}");
    if outcome.is_err() {
        println!("{} ends in\n{}", log.display(), shell::tail(&log));
    }
    Ok(tally)
}
