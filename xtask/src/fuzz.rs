//! `cargo xtask fuzz`: the fuzz targets, for a few seconds each, on the stable compiler. The
//! address sanitizer of nightly compilers is not needed: codec forbids unsafe code, so it would
//! check the dependencies only.

use std::process::Command;

use anyhow::{Context, Result};

use crate::setup::{self, Group};
use crate::{paths, shell};

/// What cargo-fuzz passes to the compiler for libFuzzer to see which branches an input takes.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Ccodegen-units=1 \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";
/// How long each target runs: with the same seed every time, for this many inputs or seconds.
const LIMITS: [&str; 3] = ["-seed=1", "-runs=50000", "-max_total_time=10"];

/// Runs `cargo xtask fuzz`: builds the targets and runs those of `names`, or all.
///
/// Errors: a target did not build, or an input made it panic; its log names the input.
pub fn run(names: &[String]) -> Result<()> {
    setup::ensure(&[Group::Fuzz])?;
    let target_dir = paths::target("fuzz");
    let host = host()?;
    // With --target, the flags are not those of build scripts.
    let mut build = shell::cargo();
    build.args(["build", "--manifest-path", "fuzz/Cargo.toml", "--target", &host, "--target-dir"]);
    build.arg(&target_dir).env("RUSTFLAGS", COVERAGE);
    shell::run_logged(&mut build, &target_dir.join("build.log"))?;

    let wanted = match names {
        [] => all()?,
        names => names.to_vec(),
    };
    for name in &wanted {
        let log = target_dir.join(format!("{name}.log"));
        let mut target = Command::new(target_dir.join(&host).join("debug").join(name));
        target.current_dir(&target_dir).args(LIMITS);
        shell::run_logged(&mut target, &log)?;
    }
    println!("{} fuzz targets ran: {}", wanted.len(), wanted.join(", "));
    Ok(())
}

/// The names of the targets: a file each.
fn all() -> Result<Vec<String>> {
    let files = paths::below(&paths::root().join("fuzz/fuzz_targets"), "rs")?;
    let stems = files.iter().filter_map(|path| path.file_stem());
    Ok(stems.map(|stem| stem.to_string_lossy().into_owned()).collect())
}

fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = shell::output(Command::new(rustc).arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_string())
}
