//! `cargo xtask variants`: the module built in other ways than the usual one, each tried with a few
//! test files that any of them must pass.

use anyhow::{Result, bail};

use crate::options::NginxChoice;
use crate::setup::{self, Group};
use crate::tally::Tally;
use crate::{build, paths, prove};

struct Variant {
    name: &'static str,
    nginx: NginxChoice,
    /// Of cargo, for the module.
    features: &'static str,
}

const VARIANTS: &[Variant] = &[
    // mlua's LuaJIT, which lacks what OpenResty's adds.
    Variant { name: "luajit", nginx: NginxChoice::Installed, features: "vendored" },
    Variant { name: "vendored", nginx: NginxChoice::Vendored, features: "" },
    Variant { name: "minimal", nginx: NginxChoice::Minimal, features: "" },
];

const FILES: &[&str] = &[
    "t/002-content.t",
    "t/016-resp-header.t",
    "t/043-shdict.t",
    "t/058-tcp-socket.t",
    "t/093-uthread-spawn.t",
    "nginx-tests/startup.t",
];

/// What the variants are called.
pub fn names() -> Vec<&'static str> {
    VARIANTS.iter().map(|variant| variant.name).collect()
}

/// Runs `cargo xtask variants`: all of them, or those that are named.
pub fn command(names: &[String]) -> Result<()> {
    let total = run(names)?;
    println!("{total}");
    if total.failed > 0 {
        bail!("tests have failed; their output is in {}", paths::target("variants").display());
    }
    Ok(())
}

/// Builds and tests the variants of `names`, or all, and sums the checks.
///
/// Errors: one could not be built or run.
pub fn run(names: &[String]) -> Result<Tally> {
    let wanted = |variant: &&Variant| names.is_empty() || names.iter().any(|n| n == variant.name);
    let mut total = Tally::default();
    for variant in VARIANTS.iter().filter(wanted) {
        total += try_out(variant)?;
    }
    Ok(total)
}

fn try_out(variant: &Variant) -> Result<Tally> {
    setup::ensure(&[Group::Build, Group::Run, Group::Test])?;
    let dir = format!("variants/{}", variant.name);
    let subject = build::apart(variant.nginx, variant.features, &dir)?;
    println!("{} on {}", subject.modules_shown(), subject.nginx.display());
    let root = paths::root();
    let files: Vec<_> = FILES.iter().map(|file| root.join(file)).collect();
    let logs = paths::target(&dir).join("test");
    prove::run(&files, &subject, &prove::Settings { dir: root, logs, environment: Vec::new() })
}
