//! What is packed: the module as a release build that shows nothing of where it was built, and the texts
//! that go with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::place;
use crate::nginx::{self, Tree};
use crate::{build, paths, shell};

/// The module and what is said about it.
pub struct Release {
    /// With its debugging information.
    pub module: PathBuf,
    /// The module's own version.
    pub version: String,
    /// nginx's, such as `1.22.1`.
    pub nginx: String,
    /// `x86_64-linux-gnu` or the like.
    pub platform: String,
    /// The time of the last change, in seconds: that of all files in the packages.
    pub epoch: String,
    /// What the module links, with the licences.
    pub linked: String,
    /// The packages.
    pub files: Vec<PathBuf>,
}

impl Release {
    /// Builds the module for the nginx of `tree`.
    pub fn build(tree: &Tree) -> Result<Self> {
        let target = place().join("cargo");
        let mut cargo = build::cargo_build(tree);
        cargo.args(["--release", "--locked", "--target-dir"]).arg(&target);
        cargo.env("CARGO_ENCODED_RUSTFLAGS", without_paths()?.join("\u{1f}"));
        shell::run_logged(&mut cargo, &place().join("build.log"))?;
        Ok(Self {
            module: target.join("release/libngx_http_lua_module.so"),
            version: env!("CARGO_PKG_VERSION").into(),
            nginx: nginx::version(&tree.source_dir)?,
            platform: shell::output(Command::new("gcc").arg("-dumpmachine"))?.trim().into(),
            epoch: epoch()?,
            linked: linked()?,
            files: Vec::new(),
        })
    }
}

/// rustc's options that replace the paths of this machine in what is built.
fn without_paths() -> Result<Vec<String>> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let sysroot = shell::output(Command::new(&rustc).args(["--print", "sysroot"]))?;
    let verbose = shell::output(Command::new(&rustc).arg("-vV"))?;
    let commit = verbose.lines().find_map(|line| line.strip_prefix("commit-hash: "));
    let home = cargo_home().context("neither CARGO_HOME nor HOME is set")?;
    let library = Path::new(sysroot.trim()).join("lib/rustlib/src/rust");
    let source = "/usr/src/ngx-http-lua-module".to_string();
    // rustc runs in the checkout's own directory, whatever link leads to it.
    let mut places = vec![
        (paths::root(), source.clone()),
        (paths::real(&paths::root()), source),
        (home.clone(), "/usr/src/cargo".to_string()),
        (library, format!("/rustc/{}", commit.unwrap_or("unknown"))),
    ];
    // Of several that match, the last counts. The names of these depend on how cargo reaches a registry.
    for registry in fs::read_dir(home.join("registry/src")).into_iter().flatten() {
        places.push((registry?.path(), "/usr/src/crates".to_string()));
    }
    let remap =
        |(from, to): &(PathBuf, String)| format!("--remap-path-prefix={}={to}", from.display());
    Ok(places.iter().map(remap).collect())
}

fn cargo_home() -> Option<PathBuf> {
    let own = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(own)
}

/// SOURCE_DATE_EPOCH, or the time of the last commit, or that of CHANGELOG.md.
fn epoch() -> Result<String> {
    if let Ok(epoch) = std::env::var("SOURCE_DATE_EPOCH") {
        return Ok(epoch);
    }
    let mut git = Command::new("git");
    git.current_dir(paths::root()).args(["log", "-1", "--format=%ct"]);
    if let Ok(time) = shell::output(&mut git) {
        return Ok(time.trim().into());
    }
    let changed = fs::metadata(paths::root().join("CHANGELOG.md"))?.modified()?;
    Ok(changed.duration_since(std::time::UNIX_EPOCH)?.as_secs().to_string())
}

/// The crates in the module, each with its version and its licence.
fn linked() -> Result<String> {
    let mut tree = shell::cargo();
    tree.args(["tree", "--locked", "--package", "ngx-http-lua-module", "--edges", "normal"]);
    tree.args(["--prefix", "none", "--no-dedupe", "--format", "{p}: {l}"]);
    let tree = shell::output(&mut tree)?;
    // The crates of this workspace stand with their paths.
    let mut crates: Vec<_> = tree.lines().filter(|line| !line.contains(" (")).collect();
    crates.sort_unstable();
    crates.dedup();
    Ok(crates.iter().map(|line| format!("{line}\n")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_has_a_licence_and_no_path() {
        let linked = linked().unwrap();
        assert!(linked.lines().any(|line| line.starts_with("mlua v0.") && line.ends_with(": MIT")));
        assert!(!linked.contains('/') || !linked.contains(&paths::root().display().to_string()));
    }
}
