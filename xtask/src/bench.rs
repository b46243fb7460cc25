//! `cargo xtask bench`: the same work on this module and on the C module, side by side.

mod bodies;
mod call_cost;
mod calls;
pub mod check;
mod collecting;
mod contention;
mod cpu;
mod growth;
mod measure;
mod misses;
mod notes;
mod place;
mod plot;
mod report;
mod results;
mod rounds;
mod rows;

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use self::results::Outcome;
use crate::build::{self, subject};
use crate::options::{Build, Options};
use crate::server::Subject;
use crate::setup::{self, Group};
use crate::{paths, shell};

/// The modules that are compared.
pub struct Subjects {
    pub ours: Subject,
    pub theirs: Subject,
    pub njs: Subject,
}

/// The arguments of `cargo xtask bench`: the parts that are given are measured, all without any.
#[derive(Args)]
pub struct Arguments {
    /// Instructions of whole requests
    #[arg(long, group = "part")]
    requests: bool,
    /// Instructions of single calls of the API
    #[arg(long, group = "part")]
    calls: bool,
    /// CPU time under load
    #[arg(long, group = "part")]
    cpu: bool,
    /// Memory and descriptors as they grow
    #[arg(long, group = "part")]
    growth: bool,
    /// Misses of the caches and of the branch prediction
    #[arg(long, group = "part")]
    misses: bool,
    /// A shared dictionary that many workers use at once
    #[arg(long, group = "part")]
    contention: bool,
    /// Bodies of many megabytes
    #[arg(long, group = "part")]
    bodies: bool,
    /// Measure this module with LuaJIT built into it: results are shown only
    #[arg(long, requires = "part")]
    own_luajit: bool,
    /// Rows of the part that is given: they are shown only, and not written to benches/
    #[arg(requires = "part")]
    rows: Vec<String>,
}

/// A part of the bench.
struct Part {
    name: &'static str,
    is_given: fn(&Arguments) -> bool,
    /// Measures the rows with these names; all if none is named.
    run: fn(&Subjects, &[String]) -> Result<Vec<Outcome>>,
}

const PARTS: [Part; 7] = [
    Part { name: "requests", is_given: |given| given.requests, run: measure::run },
    Part { name: "calls", is_given: |given| given.calls, run: call_cost::run },
    Part { name: "cpu", is_given: |given| given.cpu, run: cpu::run },
    Part { name: "growth", is_given: |given| given.growth, run: growth::run },
    Part { name: "misses", is_given: |given| given.misses, run: misses::run },
    Part { name: "contention", is_given: |given| given.contention, run: contention::run },
    Part { name: "bodies", is_given: |given| given.bodies, run: bodies::run },
];

/// Runs `cargo xtask bench`: the parts that are given, all without any.
///
/// Whole parts replace their results in benches/; named rows are only shown.
pub fn command(arguments: &Arguments) -> Result<()> {
    let all_parts = !PARTS.iter().any(|part| (part.is_given)(arguments));
    let wanted = |part: &&Part| all_parts || (part.is_given)(arguments);
    let subjects = subjects(arguments.own_luajit)?;
    let mut all = results::read()?;
    for part in PARTS.iter().filter(wanted) {
        let outcomes = (part.run)(&subjects, &arguments.rows)?;
        show(&outcomes);
        if arguments.rows.is_empty() && !arguments.own_luajit {
            all.retain(|outcome| outcome.part != part.name);
            all.extend(outcomes);
            write(&all)?;
        }
    }
    Ok(())
}

/// This module in a release build, and those that it is compared with.
pub fn subjects(own_luajit: bool) -> Result<Subjects> {
    setup::ensure(&[Group::Build, Group::Run, Group::Reference, Group::Valgrind, Group::Bench])?;
    let build = Build { release: true, own_luajit, ..Build::default() };
    Ok(Subjects {
        ours: build::build_into("bench", &build)?.subject(),
        theirs: subject(&Options { reference: true, ..Options::default() })?,
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

/// The versions of what was compared, and of the tools.
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
