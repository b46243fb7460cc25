//! `cargo xtask matrix`: the module built for each nginx at hand, and in other ways than the usual one,
//! with the tests on each, and one table at the end.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::nginx::Tree;
use crate::options::NginxChoice;
use crate::prove::{self, Report};
use crate::server::Subject;
use crate::setup::{self, Group};
use crate::tally::Tally;
use crate::{build, layouts, nginx, paths, shell, test};

/// A build of the module, and what is run on it.
struct Row {
    name: String,
    nginx: NginxChoice,
    made: Made,
    /// The files to run; none stands for all of `t/` and `nginx-tests/`.
    files: &'static [&'static str],
}

/// How the module is made.
enum Made {
    /// By cargo, with these features.
    ByCargo(&'static str),
    /// By nginx's own build, into nginx's binary.
    Within,
}

/// The row of the usual build, which `cargo xtask test` is about as well.
const USUAL: &str = "debian";

/// What is run where much of the rest would be about what is not there.
const FEW: &[&str] = &[
    "t/002-content.t",
    "t/016-resp-header.t",
    "t/043-shdict.t",
    "t/058-tcp-socket.t",
    "t/093-uthread-spawn.t",
    "nginx-tests/startup.t",
];

/// The rows, with one for each tree below NGINX_SOURCES.
fn rows() -> Result<Vec<Row>> {
    let row = |name: &str, nginx, made, files| Row { name: name.into(), nginx, made, files };
    let usual = || Made::ByCargo("");
    let mut rows = vec![
        row(USUAL, NginxChoice::Installed, usual(), &[][..]),
        row("vendored", NginxChoice::Vendored, usual(), &[][..]),
        row("minimal", NginxChoice::Minimal, usual(), FEW),
        row("static", NginxChoice::Vendored, Made::Within, FEW),
        // LuaJIT as it comes from its authors, in the module.
        row("luajit", NginxChoice::Installed, Made::ByCargo("vendored"), &[][..]),
    ];
    for dir in nginx::at_hand()? {
        rows.push(row(&nginx::name_of(&dir), NginxChoice::Sources(dir), usual(), &[][..]));
    }
    Ok(rows)
}

/// Runs `cargo xtask matrix`: all rows, or those that are named.
pub fn command(names: &[String]) -> Result<()> {
    let rows = rows()?;
    if let Some(unknown) = names.iter().find(|name| rows.iter().all(|row| row.name != **name)) {
        let known: Vec<_> = rows.iter().map(|row| row.name.as_str()).collect();
        bail!("no row {unknown}: there are {}", known.join(", "));
    }
    let total = run(rows.iter().filter(|row| names.is_empty() || names.contains(&row.name)))?;
    println!("{total}");
    if total.failed > 0 {
        bail!("tests have failed; their output is in {}", paths::target("matrix").display());
    }
    Ok(())
}

/// Builds and tests all rows but the usual one, and sums the checks.
///
/// Errors: one could not be built or run.
pub fn all_but_usual() -> Result<Tally> {
    run(rows()?.iter().filter(|row| row.name != USUAL))
}

fn run<'a>(rows: impl Iterator<Item = &'a Row>) -> Result<Tally> {
    setup::ensure(&[Group::Build, Group::Run, Group::Test, Group::Services])?;
    let mut total = Tally::default();
    let mut done = Vec::new();
    for row in rows {
        let (says, report) = try_out(row)?;
        total += report.tally.clone();
        done.push((row.name.as_str(), says, report));
    }
    print!("\n{}", table(&done));
    Ok(total)
}

/// What the nginx of a row calls itself, and what came out.
fn try_out(row: &Row) -> Result<(String, Report)> {
    let dir = format!("matrix/{}", row.name);
    let (tree, subject) = match row.made {
        Made::ByCargo(features) => {
            let product = build::apart(&row.nginx, features, &dir)?;
            let subject = product.subject();
            (product.tree, subject)
        }
        Made::Within => {
            let tree = Tree::with_module()?;
            let subject = Subject::alone(tree.binary.clone());
            (tree, subject)
        }
    };
    let says = called(&tree.binary)?;
    println!("\n{}: {says}", row.name);
    let root = paths::root();
    let files: Vec<PathBuf> = match row.files {
        [] => prove::all_files()?,
        some => some.iter().map(|file| root.join(file)).collect(),
    };
    let environment = match row.made {
        Made::ByCargo(features) => test::environment(&row.nginx, features, &files)?,
        Made::Within => test::sources(&tree),
    };
    let settings =
        prove::Settings { dir: root, logs: paths::target(&dir).join("test"), environment };
    let structures = layouts::compare(&tree, &dir)?;
    let mut report = prove::run(&files, &subject, &settings)?;
    report.tally += structures;
    Ok((says, report))
}

/// What an nginx says that it is: `nginx/1.22.1`.
fn called(binary: &Path) -> Result<String> {
    // On its standard error.
    let says = shell::output(Command::new("sh").args(["-c", "exec \"$0\" -v 2>&1"]).arg(binary))?;
    Ok(says.rsplit(' ').next().unwrap_or_default().trim().to_string())
}

/// One line for each row, and below them what was skipped.
fn table(rows: &[(&str, String, Report)]) -> String {
    let mut text = format!(
        "{:<20} {:<20} {:>7} {:>7} {:>7}\n",
        "build", "nginx", "checks", "failed", "skipped"
    );
    for (name, says, Report { tally, .. }) in rows {
        let Tally { passed, failed, skipped, .. } = tally;
        let checks = passed + failed;
        text += &format!("{name:<20} {says:<20} {checks:>7} {failed:>7} {skipped:>7}\n");
    }
    for (name, _, report) in rows.iter().filter(|(.., report)| !report.skips.is_empty()) {
        text += &format!("\nskipped with {name}:\n{}", report.skips);
    }
    text
}
