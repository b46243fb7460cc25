//! `cargo xtask bench`: the same work on this module and on upstream's C module, side by side.

mod call_cost;
mod calls;
pub mod check;
mod cpu;
mod growth;
mod measure;
mod notes;
mod place;
mod plot;
mod report;
mod results;
mod rows;

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use self::results::Outcome;
use crate::build::{self, subject};
use crate::options::Options;
use crate::server::Subject;
use crate::setup::{self, Group};
use crate::{paths, shell};

/// The modules that are compared.
pub struct Subjects {
    pub ours: Subject,
    pub theirs: Subject,
    pub njs: Subject,
}

/// A part of the bench, chosen by its flag.
struct Part {
    name: &'static str,
    flag: &'static str,
    /// Measures the rows with these names, all where none is named.
    run: fn(&Subjects, &[String]) -> Result<Vec<Outcome>>,
}

const PARTS: [Part; 4] = [
    Part { name: "requests", flag: "--requests", run: measure::run },
    Part { name: "calls", flag: "--calls", run: call_cost::run },
    Part { name: "cpu", flag: "--cpu", run: cpu::run },
    Part { name: "growth", flag: "--growth", run: growth::run },
];

/// Runs `cargo xtask bench`: the parts whose flags are given, all without any.
///
/// Whole parts replace what benches/ has of them; rows that are named are shown only.
pub fn command(arguments: &[String]) -> Result<()> {
    let options = Options::parse(arguments, &PARTS.map(|part| part.flag))?;
    let wanted = |part: &&Part| options.flags.is_empty() || options.has(part.flag);
    if !options.files.is_empty() && options.flags.len() != 1 {
        bail!("rows are named with the flag of one part");
    }
    let subjects = subjects()?;
    let mut all = results::read()?;
    for part in PARTS.iter().filter(wanted) {
        let outcomes = (part.run)(&subjects, &options.files)?;
        show(&outcomes);
        if options.files.is_empty() {
            all.retain(|outcome| outcome.part != part.name);
            all.extend(outcomes);
            write(&all)?;
        }
    }
    Ok(())
}

/// This module in a release build, and those that it is compared with.
pub fn subjects() -> Result<Subjects> {
    setup::ensure(&[Group::Build, Group::Run, Group::Reference, Group::Valgrind, Group::Bench])?;
    Ok(Subjects {
        ours: subject(&Options { release: true, ..Options::default() })?,
        theirs: subject(&Options { flags: vec!["--reference".into()], ..Options::default() })?,
        njs: build::njs(),
    })
}

fn show(outcomes: &[Outcome]) {
    for Outcome { row, measure, this, c, ratio, .. } in outcomes {
        let shown =
            |number: &Option<f64>| number.map_or("-".into(), |number| format!("{number:.1}"));
        let ratio = ratio.map_or("-".into(), |ratio| format!("{ratio:.3}"));
        println!("{row:24} {measure:>16} {:>12} {:>12} {ratio:>7}", shown(this), shown(c));
    }
}

/// Writes the files of benches/ that are made of the results.
fn write(outcomes: &[Outcome]) -> Result<()> {
    results::write(outcomes)?;
    let benches = paths::root().join("benches");
    fs::write(benches.join("RESULTS.md"), report::document(outcomes, &versions()?))
        .context("cannot write benches/RESULTS.md")?;
    fs::write(benches.join("results.svg"), plot::svg(outcomes))
        .context("cannot write benches/results.svg")
}

/// What was compared, with which tools.
fn versions() -> Result<Vec<String>> {
    let packages = [
        "nginx",
        "libnginx-mod-http-lua",
        "libnginx-mod-http-js",
        "lua-resty-core",
        "libluajit2-5.1-2",
    ];
    let mut query = Command::new("dpkg-query");
    query.args(["-W", "-f", "${Package} ${Version}\n"]).args(packages);
    let mut versions: Vec<String> = shell::output(&mut query)?.lines().map(String::from).collect();
    for (program, flag) in [("rustc", "--version"), ("valgrind", "--version")] {
        versions.push(shell::output(Command::new(program).arg(flag))?.trim().to_string());
    }
    Ok(versions)
}
