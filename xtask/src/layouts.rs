//! nginx's structures, as Rust and C have them: the tests of `crates/layouts` on one nginx's headers.

use std::fs;

use anyhow::Result;

use crate::nginx::Tree;
use crate::tally::Tally;
use crate::{paths, shell};

/// Compares the structures of `tree`, with cargo's output in `target/DIR/layouts.log`, and sums the checks.
///
/// Errors: the log cannot be read. Where the tests cannot be built, because a declaration of ours is not
/// nginx's, that is a failed check.
pub fn compare(tree: &Tree, dir: &str) -> Result<Tally> {
    let log = paths::target(dir).join("layouts.log");
    let mut command = shell::cargo();
    // As the module's build for other nginxes: the usual one does not start over.
    command.args(["test", "--package", "layouts", "--target-dir"]).arg(paths::target("apart"));
    let outcome = shell::run_logged(command.envs(tree.environment()), &log);
    let tally = Tally::of_cargo_test(&String::from_utf8_lossy(&fs::read(&log)?))
        .of_program("nginx's structures", &outcome);
    println!("nginx's structures: {tally}");
    if outcome.is_err() {
        println!("{} ends in\n{}", log.display(), shell::tail(&log));
    }
    Ok(tally)
}
