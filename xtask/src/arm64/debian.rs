//! Debian's packages of other suites and processors, unpacked beside the system.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::shell;

/// What signs all of Debian's suites.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The suite of this machine.
pub fn own_suite() -> Result<String> {
    Ok(own_source()?.1)
}

/// Where this machine has Debian's packages from, and its suite.
fn own_source() -> Result<(String, String)> {
    let release = fs::read_to_string("/etc/os-release").context("/etc/os-release")?;
    let suite = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    let suite = suite.context("no VERSION_CODENAME in /etc/os-release: not a Debian system?")?;
    let targets = shell::output(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(CODENAME) $(REPO_URI)",
        "Created-By: Packages",
    ]))?;
    let from = targets.lines().find_map(|line| line.strip_prefix(&format!("{suite} ")));
    let from = from.with_context(|| format!("apt knows no source of the suite {suite}"))?;
    Ok((from.to_string(), suite.to_string()))
}

/// Unpacks `packages`, and all that they depend on, into `root`, unless that has been done: with the
/// versions of the last of the `suites` that has them, for the first of the `architectures` where a name
/// says no other. None of their scripts is run.
pub fn unpack(
    root: &Path,
    suites: &[String],
    architectures: &[&str],
    packages: &[&str],
) -> Result<()> {
    let stamp_file = root.join("unpacked");
    let stamp = format!("{suites:?} {architectures:?} {packages:?}");
    if fs::read_to_string(&stamp_file).is_ok_and(|done| done == stamp) {
        return Ok(());
    }
    println!("fetching Debian's packages {} for {}", packages.join(" "), architectures.join(", "));
    let state = root.with_extension("apt");
    for dir in [root, &state] {
        if dir.exists() {
            fs::remove_dir_all(dir).with_context(|| format!("{}", dir.display()))?;
        }
    }
    for dir in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(state.join(dir))?;
    }
    let (from, _) = own_source()?;
    let line = |suite: &String| format!("deb [signed-by={KEYRING}] {from} {suite} main\n");
    fs::write(state.join("sources.list"), suites.iter().map(line).collect::<String>())?;

    let log = state.join("log");
    shell::run_logged(apt(&state, architectures).arg("update"), &log)?;
    let mut install = apt(&state, architectures);
    install.args(["-y", "install", "--download-only", "--no-install-recommends"]);
    if let [_, .., newest] = suites {
        install.args(["-t", newest]);
    }
    shell::run_logged(install.args(packages), &log)?;
    fs::create_dir_all(root)?;
    for entry in fs::read_dir(state.join("cache/archives"))? {
        let package = entry?.path();
        if package.extension().is_some_and(|extension| extension == "deb") {
            shell::run(Command::new("dpkg-deb").arg("-x").arg(&package).arg(root))?;
        }
    }
    fs::remove_dir_all(&state)?;
    fs::write(&stamp_file, stamp)?;
    Ok(())
}

/// apt with a state of its own, in which nothing is installed.
fn apt(state: &Path, architectures: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.args(["-q", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Languages=none"]);
    let mut option = |name: &str, value: &str| {
        command.arg("-o").arg(format!("{name}={value}"));
    };
    let path = |below: &str| state.join(below).display().to_string();
    option("Dir::Etc::sourcelist", &path("sources.list"));
    option("Dir::Etc::sourceparts", "/dev/null");
    option("Dir::Etc::preferences", "/dev/null");
    option("Dir::Etc::preferencesparts", "/dev/null");
    option("Dir::State::lists", &path("lists"));
    option("Dir::State::status", "/dev/null");
    option("Dir::Cache", &path("cache"));
    option("APT::Architecture", architectures[0]);
    for architecture in architectures {
        option("APT::Architectures::", architecture);
    }
    command
}
