//! `cargo xtask bench`: the same work on this module and on upstream's C module, side by side.

mod call_cost;
mod calls;
mod measure;
mod report;
mod results;
mod rows;

use std::fs;
use std::process::Command;

use anyhow::Result;

use self::results::Outcome;
use crate::build::subject;
use crate::options::Options;
use crate::server::Subject;
use crate::setup::{self, Group};
use crate::{paths, shell};

/// The modules that are compared.
pub struct Subjects {
    pub ours: Subject,
    pub theirs: Subject,
}

/// A part of the bench, chosen by its flag.
struct Part {
    name: &'static str,
    flag: &'static str,
    /// Measures the rows with these names, all where none is named.
    run: fn(&Subjects, &[String]) -> Result<Vec<Outcome>>,
}

const PARTS: &[Part] = &[
    Part { name: "requests", flag: "--requests", run: measure::run },
    Part { name: "calls", flag: "--calls", run: call_cost::run },
];

/// Runs `cargo xtask bench`.
pub fn command(arguments: &[String]) -> Result<()> {
    let flags: Vec<&str> = PARTS.iter().map(|part| part.flag).collect();
    let options = Options::parse(arguments, &flags)?;
    setup::ensure(&[Group::Build, Group::Run, Group::Reference, Group::Valgrind])?;
    let subjects = Subjects {
        ours: subject(&Options { release: true, ..options.clone() })?,
        theirs: subject(&Options { flags: vec!["--reference".into()], ..Options::default() })?,
    };
    let mut all = results::read()?;
    for part in PARTS.iter().filter(|part| options.has(part.flag)) {
        let outcomes = (part.run)(&subjects, &options.files)?;
        for o in &outcomes {
            println!(
                "{:20} {:14} {:>12.1} {:>12.1} {:.3}",
                o.row,
                o.measure,
                o.this.unwrap_or(-1.0),
                o.c.unwrap_or(-1.0),
                o.ratio.unwrap_or(-1.0)
            );
        }
        all.retain(|outcome| outcome.part != part.name);
        all.extend(outcomes);
    }
    let _ = versions;
    Ok(())
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
