//! `cargo xtask ci`: everything that must hold of a change, in one run that goes on after a
//! failure and ends in one line of counts.

use std::process::Command;

use anyhow::Result;

use crate::options::{Build, Nginx, Options};
use crate::setup::{self, Group};
use crate::tally::Tally;
use crate::{
    abi, arm64, bench, conformance, deny, docs, fuzz, matrix, newer, nginx, package, paths, run,
    shell, soak, test, valgrind,
};

/// The file of lua-nginx-module's suite that runs under memcheck: light threads, timers and subrequests.
const UNDER_VALGRIND: &str = "093-uthread-spawn.t";

/// Runs `cargo xtask ci`.
pub fn command(build: Build) -> Result<()> {
    let options = Options::from(build.clone());
    setup::ensure(&[Group::Build, Group::Run, Group::Test, Group::Services, Group::Conformance])?;
    nginx::Tree::prepare(&build.nginx.nginx)?;

    let mut total = Tally::default();
    total += step("format", || shell::run(shell::cargo().args(["fmt", "--all", "--check"])));
    total += step("lints", lints);
    total += step("licences and sources", deny::run);
    total += step("documentation", docs::check);
    total += step("main job", || run::show(build.clone(), run::PORT).map(drop));
    total += counted("tests", || test::run(&options, &[]));
    total += step("C symbols and structures", || abi::check(Nginx::default()));
    total += counted("other nginxes, another LuaJIT", matrix::all_but_usual);
    total += counted("packages", package::verify);
    total += counted("newer releases of lua-resty-core", newer::try_resty_cores);
    if cfg!(target_arch = "x86_64") {
        total += counted("arm64", || arm64::run(&[]));
    }
    total += step("fuzz targets", || fuzz::run(&[]));
    total += step("Miri", miri);
    total += step("memcheck", || valgrind::files(Options::default(), &[UNDER_VALGRIND.into()]));
    total += step("soak", || soak::run(&options, soak::FEW));
    total += step("bench", bench::check::run);
    total += step("conformance", || conformance::command(&conformance::Arguments::ratchet()));
    total += step("conformance with Debian 13's suite", || {
        conformance::command(&conformance::Arguments::ratchet_of_debian_13())
    });

    // The counts are the last line, whatever they are.
    println!("\n{total}");
    std::process::exit(i32::from(total.failed > 0))
}

/// A step that counts as one check.
fn step(name: &str, work: impl FnOnce() -> Result<()>) -> Tally {
    counted(name, || work().map(|()| Tally::one(true)))
}

/// A step that counts its checks itself.
fn counted(name: &str, work: impl FnOnce() -> Result<Tally>) -> Tally {
    println!("\n== {name}");
    work().unwrap_or_else(|error| {
        println!("{name} failed: {error:#}");
        Tally::one(false)
    })
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
