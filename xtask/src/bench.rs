//! `cargo xtask bench`: the same work on this module and on upstream's C module, side by side.

mod measure;
mod report;
mod rows;

use std::fs;
use std::process::Command;

use anyhow::Result;

use self::report::Line;
use self::rows::{BASELINE, Row};
use crate::build::subject;
use crate::options::Options;
use crate::server::Subject;
use crate::setup::{self, Group};
use crate::{paths, shell};

/// Runs `cargo xtask bench`.
pub fn command(arguments: &[String]) -> Result<()> {
    let options = Options::parse(arguments, &[])?;
    let rows = rows::named(&options.files)?;
    setup::ensure(&[Group::Build, Group::Run, Group::Reference, Group::Valgrind])?;
    let ours = subject(&Options { release: true, ..options.clone() })?;
    let reference = Options { flags: vec!["--reference".into()], ..Options::default() };
    let theirs = subject(&reference)?;

    let mut lines = Vec::new();
    for row in std::iter::once(BASELINE).chain(rows) {
        eprintln!("{}: {}", row.name, row.summary);
        lines.push(measured(&ours, &theirs, row));
    }
    print!("{}{}", report::table(&lines), report::gaps(&lines));
    if options.files.is_empty() {
        let file = paths::root().join("benches/RESULTS.md");
        fs::write(&file, report::document(&lines, &versions()?))?;
        println!("written: benches/RESULTS.md");
    }
    Ok(())
}

fn measured(ours: &Subject, theirs: &Subject, row: Row) -> Line {
    let count = |subject, label| {
        measure::instructions(subject, label, &row).map_err(|error| {
            eprintln!("  {label}: {error:#}");
            error.root_cause().to_string()
        })
    };
    Line { row, ours: count(ours, "this"), theirs: count(theirs, "c") }
}

/// What was compared, with which tools.
fn versions() -> Result<Vec<String>> {
    let packages = ["nginx", "libnginx-mod-http-lua", "lua-resty-core", "libluajit2-5.1-2"];
    let mut query = Command::new("dpkg-query");
    query.args(["-W", "-f", "${Package} ${Version}\n"]).args(packages);
    let mut versions: Vec<String> = shell::output(&mut query)?.lines().map(String::from).collect();
    for (program, flag) in [("rustc", "--version"), ("valgrind", "--version")] {
        versions.push(shell::output(Command::new(program).arg(flag))?.trim().to_string());
    }
    Ok(versions)
}
