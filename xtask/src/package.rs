//! `cargo xtask package`: the module as others install it, in `target/package/`: a Debian package for
//! Debian's nginx, and an archive for any. Two runs give the same files, on whatever path.

mod archive;
mod check;
mod debian;
mod elsewhere;
mod release;
mod trial;

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::nginx::Tree;
use crate::options::NginxChoice;
use crate::paths;
use crate::setup::{self, Group};
use crate::tally::Tally;
use release::Release;

/// Runs `cargo xtask package`.
pub fn command(nginx: &NginxChoice, check: bool) -> Result<()> {
    if check {
        if verify()?.failed > 0 {
            bail!("the package does not install as it should");
        }
        return Ok(());
    }
    let release = make(nginx)?;
    check::contents(&release)?;
    for file in &release.files {
        println!("{}", file.display());
    }
    Ok(())
}

/// Makes the packages, checks their contents, makes them once more in another directory, which must not
/// change them, and installs the Debian package.
///
/// Errors: one could not be made, or is not what it should be.
pub fn verify() -> Result<Tally> {
    let release = make(&NginxChoice::Installed)?;
    check::contents(&release)?;
    let again = elsewhere::make(&release)?;
    check::same(&check::digests(&release.files)?, &check::digests(&again)?)?;
    let mut tally = Tally::one(true);
    tally += trial::run(&release)?;
    Ok(tally)
}

/// The program that runs Lua files, for all packages.
const COMMAND: &str = "packaging/nginx-lua";

/// The directory of the packages.
fn place() -> PathBuf {
    paths::target("package")
}

/// Builds the module and packs it.
fn make(nginx: &NginxChoice) -> Result<Release> {
    setup::ensure(&[Group::Build, Group::Run, Group::Package])?;
    let tree = Tree::prepare(nginx)?;
    fs::create_dir_all(place())?;
    let mut release = Release::build(&tree)?;
    release.files = archive::pack(&release)?;
    if tree.is_debians() {
        release.files.extend(debian::pack(&release)?);
    }
    Ok(release)
}
