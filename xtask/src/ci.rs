//! `cargo xtask ci`: everything that must hold of a change, in one run that goes on after a
//! failure and ends in one line of counts.

use std::process::Command;

use anyhow::Result;

use crate::options::Options;
use crate::setup::{self, Group};
use crate::tally::Tally;
use crate::{bench, conformance, nginx, paths, run, shell, soak, test};

/// Runs `cargo xtask ci`.
pub fn command(arguments: &[String]) -> Result<()> {
    let options = Options::parse(arguments, &[])?.no_files()?;
    setup::ensure(&[Group::Build, Group::Run, Group::Test, Group::Services, Group::Conformance])?;
    nginx::Tree::prepare(options.nginx)?;

    let mut total = Tally::default();
    total += step("format", || cargo(&["fmt", "--all", "--check"]));
    total += step("lints", || {
        cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"])
    });
    total += step("main job", || run::show(&options).map(drop));
    println!("\n== tests");
    total += match test::run(&options) {
        Ok(tally) => tally,
        Err(error) => failed("tests", &error),
    };
    total += step("soak", || soak::run(&options, soak::FEW));
    total += step("bench", bench::check::run);
    total += step("conformance", || conformance::command(&["--ratchet".into()]));

    // The counts are the last line, whatever they are.
    println!("\n{total}");
    std::process::exit(i32::from(total.failed > 0))
}

/// A step that counts as one check.
fn step(name: &str, work: impl FnOnce() -> Result<()>) -> Tally {
    println!("\n== {name}");
    match work() {
        Ok(()) => Tally::one(true),
        Err(error) => failed(name, &error),
    }
}

fn failed(name: &str, error: &anyhow::Error) -> Tally {
    println!("{name} failed: {error:#}");
    Tally::one(false)
}

fn cargo(arguments: &[&str]) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    shell::run(Command::new(cargo).current_dir(paths::root()).args(arguments))
}
