//! `cargo xtask ci`: everything that must hold of a change, in one run that goes on after a
//! failure and ends in one line of counts.

use std::process::Command;

use anyhow::{Result, bail};
use clap::Args;

use crate::options::{Build, Nginx, Options};
use crate::setup::{self, Group};
use crate::tally::Tally;
use crate::{
    abi, arm64, bench, conformance, deny, docs, fuzz, matrix, newer, nginx, package, paths, run,
    shell, soak, test, valgrind,
};

/// The file of lua-nginx-module's suite that runs under memcheck: light threads, timers and subrequests.
const UNDER_VALGRIND: &str = "093-uthread-spawn.t";

/// The arguments of `cargo xtask ci`.
#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    build: Build,
    /// Run this step alone, and those named with further options like this one
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
}

/// Runs `cargo xtask ci`.
pub fn command(Arguments { build, only }: Arguments) -> Result<()> {
    let options = Options::from(build.clone());
    setup::ensure(&[
        Group::Build,
        Group::Run,
        Group::Test,
        Group::Services,
        Group::Browser,
        Group::Conformance,
    ])?;
    nginx::Tree::prepare(&build.nginx.nginx)?;

    let mut steps = Steps { only, known: Vec::new(), total: Tally::default() };
    steps.one("format", || shell::run(shell::cargo().args(["fmt", "--all", "--check"])));
    steps.one("lints", lints);
    steps.one("licences and sources", deny::run);
    steps.one("documentation", docs::check);
    steps.one("main job", || run::show(build.clone(), run::PORT).map(drop));
    steps.counted("tests", || test::run(&options, &[]));
    steps.one("C symbols and structures", || abi::check(Nginx::default()));
    steps.counted("other nginxes, another LuaJIT", matrix::all_but_usual);
    steps.counted("packages", package::verify);
    steps.counted("newer releases of lua-resty-core", newer::try_resty_cores);
    if cfg!(target_arch = "x86_64") {
        steps.counted("arm64", || arm64::run(false, &[]));
    }
    steps.one("fuzz targets", || fuzz::run(&[]));
    steps.one("Miri", miri);
    steps.one("memcheck", || valgrind::files(Options::default(), &[UNDER_VALGRIND.into()]));
    steps.one("soak", || soak::run(&options, soak::FEW));
    steps.one("bench", bench::check::run);
    steps.one("conformance", || conformance::command(&conformance::Arguments::ratchet()));
    steps.one("conformance with Debian 13's suite", || {
        conformance::command(&conformance::Arguments::ratchet_of_debian_13())
    });

    let total = steps.end()?;
    // The counts are the last line, whatever they are.
    println!();
    total.show();
    std::process::exit(i32::from(total.failed > 0))
}

/// The steps of a run, and the sum of their checks.
struct Steps {
    /// The names of those that are asked for, where not all are.
    only: Vec<String>,
    /// The names of those that there are, so far.
    known: Vec<&'static str>,
    total: Tally,
}

impl Steps {
    /// A step that counts as one check.
    fn one(&mut self, name: &'static str, work: impl FnOnce() -> Result<()>) {
        self.counted(name, || work().map(|()| Tally::one(true)));
    }

    /// A step that counts its checks itself.
    fn counted(&mut self, name: &'static str, work: impl FnOnce() -> Result<Tally>) {
        self.known.push(name);
        if !self.only.is_empty() && !self.only.iter().any(|asked| asked == name) {
            return;
        }
        println!("\n== {name}");
        self.total += work().unwrap_or_else(|error| {
            println!("{name} failed: {error:#}");
            Tally::failure(format!("{name}: {error:#}"))
        });
    }

    /// The sum. Errors: a step was asked for that there is not.
    fn end(self) -> Result<Tally> {
        match self.only.iter().find(|asked| !self.known.contains(&asked.as_str())) {
            Some(asked) => bail!("no step is named {asked:?}: there are {}", self.known.join("; ")),
            None => Ok(self.total),
        }
    }
}

fn lints() -> Result<()> {
    let words = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"];
    shell::run(shell::cargo().args(words))
}

/// The unit tests of codec under Miri, where a toolchain here has it.
fn miri() -> Result<()> {
    // rustup's cargo: the one that runs this program takes no +nightly.
    let miri = |words: &[&str]| {
        let mut command = Command::new("cargo");
        command.current_dir(paths::root()).env("MIRIFLAGS", "-Zmiri-disable-isolation");
        // Miri is a hundred times slower than what the property tests are made for.
        command.env("PROPTEST_CASES", "4").args(words).arg("miri");
        command
    };
    let toolchains: [&[&str]; 2] = [&[], &["+nightly"]];
    let found = toolchains.iter().find(|words| shell::output(miri(words).arg("--version")).is_ok());
    let Some(words) = found else {
        println!("skipped: no miri in this toolchain");
        return Ok(());
    };
    let log = paths::target("miri.log");
    shell::run_logged(miri(words).args(["test", "--package", "codec", "--lib"]), &log)?;
    println!("{}", Tally::of_cargo_test(&std::fs::read_to_string(&log)?));
    Ok(())
}
