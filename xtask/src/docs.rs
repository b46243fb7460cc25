//! `cargo xtask docs`: the reference in `docs/`, made from the module's own tables and the texts in
//! `docs/source/`, and tests that hold its examples true.

mod directives;
mod entry;
mod example;
mod examples;
mod function;
mod migrate;
mod page;
pub mod phases;
mod surface;
#[cfg(test)]
mod tests;
mod waiting;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::build::subject;
use crate::options::{Build, Options};
use crate::setup::{self, Group};
use crate::{functions, paths, prove};

/// What `cargo xtask docs` does.
#[derive(Args)]
pub struct Arguments {
    /// Write nothing; fail if a page is not what would be written
    #[arg(long, conflicts_with = "run")]
    check: bool,
    /// Run the examples, of the families that are named or of all
    #[arg(long)]
    run: bool,
    /// The families: names of files in docs/source/
    #[arg(requires = "run")]
    families: Vec<String>,
}

/// Runs `cargo xtask docs`.
pub fn command(arguments: &Arguments) -> Result<()> {
    if arguments.check {
        return check();
    }
    if arguments.run {
        return run(&arguments.families);
    }
    for (name, text) in pages()? {
        let path = paths::root().join("docs").join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("docs/{name}");
    }
    Ok(())
}

/// The pages: names and contents.
fn pages() -> Result<Vec<(&'static str, String)>> {
    let rows = functions::table()?;
    let families = entry::read("api")?;
    let functions = function::functions(&families, &rows)?;
    let table = directives::table()?;
    let of_directives = entry::read("directives")?;
    Ok(vec![
        ("api.md", page::api(&intro("api")?, &families, &functions)?),
        ("directives.md", page::directives(&intro("directives")?, &of_directives, &table)?),
        ("migrate.md", migrate::page(&intro("migrate")?, &of_directives, &families)),
        ("operate.md", page::plain("Running it: seeing inside, and limits", &intro("operate")?)),
        ("waiting.md", waiting::page(&intro("waiting")?, &families, &functions)?),
    ])
}

/// What stands below the title of a page.
fn intro(page: &str) -> Result<String> {
    let path = paths::root().join(format!("docs/source/{page}.md"));
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// Fails if a page is not what `cargo xtask docs` writes.
pub fn check() -> Result<()> {
    for (name, text) in pages()? {
        let path = paths::root().join("docs").join(name);
        if fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            bail!("docs/{name} is not current: run `cargo xtask docs`");
        }
    }
    Ok(())
}

/// Runs the examples of `families`, or of all.
fn run(families: &[String]) -> Result<()> {
    setup::ensure(&[Group::Build, Group::Run, Group::Test])?;
    let options = Options::from(Build::default());
    let subject = subject(&options)?;
    let mut files = examples::write()?;
    if let Some(family) =
        families.iter().find(|family| !files.iter().any(|file| is_of(family, file)))
    {
        bail!("no family is called {family}");
    }
    if !families.is_empty() {
        files.retain(|file| families.iter().any(|family| is_of(family, file)));
    }
    let settings = prove::Settings {
        dir: paths::root(),
        logs: paths::target("docs/logs"),
        environment: Vec::new(),
    };
    let report = prove::run(&files, &subject, &settings)?;
    println!("{}{}", report.skips, report.tally);
    if report.tally.failed > 0 {
        bail!("examples do not give what the pages say");
    }
    Ok(())
}

/// Whether `file` has the examples of `family`: its name is that of a page, and the family's.
fn is_of(family: &str, file: &Path) -> bool {
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    name.split_once('-').is_some_and(|(_, rest)| rest == family)
}

/// Writes the tests of the pages, and returns their files.
pub use examples::{write as write_tests, write_surface};
