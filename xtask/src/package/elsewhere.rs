//! The packages made once more, from a copy of this checkout in a directory whose path is another, with a
//! space in it: nothing of the place may show in what is packed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::place;
use super::release::Release;
use crate::{paths, shell};

/// Makes the packages of `release` from the copy, which is gone afterwards, and leaves them beside the
/// first ones.
pub fn make(release: &Release) -> Result<Vec<PathBuf>> {
    let (dir, checkout) = (place().join("elsewhere"), place().join("elsewhere/a checkout"));
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| dir.display().to_string())?;
    }
    fs::create_dir_all(&checkout)?;
    copy(&dir.join("checkout.tar"), &checkout)?;
    let mut again = Command::new(std::env::current_exe()?);
    // What says where a checkout is; and the nginx of this one is not that of the other.
    again.env("CARGO_MANIFEST_DIR", checkout.join("xtask"));
    again.env_remove("NGINX_SOURCE_DIR").env_remove("NGINX_BUILD_DIR");
    again.env("SOURCE_DATE_EPOCH", &release.epoch);
    shell::run_logged(again.arg("package"), &place().join("elsewhere.log"))?;
    let made = release.files.iter().map(|file| kept(file, &checkout, &dir)).collect();
    fs::remove_dir_all(&checkout).with_context(|| checkout.display().to_string())?;
    made
}

/// Copies the source, without what belongs to this place.
fn copy(tar: &Path, to: &Path) -> Result<()> {
    let mut pack = Command::new("tar");
    pack.args(["--create", "--exclude=./.git", "--exclude=target", "--file"]).arg(tar);
    shell::run(pack.arg("--directory").arg(paths::root()).arg("."))?;
    let mut unpack = Command::new("tar");
    shell::run(unpack.arg("--extract").arg("--file").arg(tar).arg("--directory").arg(to))?;
    Ok(fs::remove_file(tar)?)
}

/// The package of the copy that is called as `first`, moved to `dir`.
fn kept(first: &Path, checkout: &Path, dir: &Path) -> Result<PathBuf> {
    let name = first.file_name().context("a package without a name")?;
    let made = checkout.join("target/package").join(name);
    ensure!(made.is_file(), "from another directory, there is no {}", name.display());
    let kept = dir.join(name);
    fs::rename(made, &kept)?;
    Ok(kept)
}
