//! The package on a machine that runs the C module: in a root directory of its own, with Debian as this
//! machine has it, `packaging/trial.pl` installs the package under load, and goes back.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::debian::PACKAGE;
use super::place;
use super::release::Release;
use crate::setup::{self, Group};
use crate::tally::Tally;
use crate::{paths, shell};

/// Runs inside namespaces that end, with every process in them, when it does. bash, as the first process,
/// takes note of those that end.
const SCRIPT: &str = "mount -t proc proc \"$1/proc\" && \
                      chroot \"$1\" perl /trial/trial.pl /trial/package.deb \"$2\"; exit $?";

/// Installs `release`'s package, and sums the checks.
///
/// Errors: there is no root directory to be had.
pub fn run(release: &Release) -> Result<Tally> {
    let is_package = |file: &&std::path::PathBuf| {
        file.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(&format!("{PACKAGE}_")))
    };
    let Some(package) = release.files.iter().find(is_package) else {
        println!("skipped: no Debian package for this nginx");
        return Ok(Tally::default());
    };
    if !shell::is_root() {
        println!("skipped: only the super-user can make a root directory");
        return Ok(Tally::default());
    }
    setup::ensure(&[Group::Trial])?;
    let root = place().join("trial");
    bootstrap(&root)?;
    fs::create_dir_all(root.join("trial"))?;
    fs::copy(package, root.join("trial/package.deb"))?;
    fs::copy(paths::root().join("packaging/trial.pl"), root.join("trial/trial.pl"))?;
    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let log = place().join("trial.log");
    let mut trial = Command::new("unshare");
    trial.args(["--mount", "--pid", "--fork", "--kill-child", "bash", "-c", SCRIPT, "trial"]);
    let outcome = shell::run_logged(trial.arg(&root).arg(port.to_string()), &log);
    let tally = Tally::of_tap(&String::from_utf8_lossy(&fs::read(&log)?))
        .of_program("packaging/trial.pl", &outcome);
    println!("packaging/trial.pl: {tally}");
    if tally.failed > 0 {
        println!("{}", fs::read_to_string(&log)?);
    }
    fs::remove_dir_all(&root).with_context(|| root.display().to_string())?;
    Ok(tally)
}

/// Makes `root` the root directory of a new Debian, of this machine's release.
fn bootstrap(root: &Path) -> Result<()> {
    if root.exists() {
        fs::remove_dir_all(root).with_context(|| root.display().to_string())?;
    }
    let release = fs::read_to_string("/etc/os-release")?;
    let suite = codename(&release).context("no VERSION_CODENAME in /etc/os-release")?;
    let cache = place().join("debs");
    fs::create_dir_all(&cache)?;
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.arg("--variant=minbase").arg(format!("--cache-dir={}", cache.display()));
    debootstrap.arg(suite).arg(root);
    shell::run_logged(&mut debootstrap, &place().join("debootstrap.log"))
}

fn codename(release: &str) -> Option<&str> {
    release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_has_a_code_name() {
        assert_eq!(codename("ID=debian\nVERSION_CODENAME=trixie\n"), Some("trixie"));
        assert_eq!(codename("ID=other\n"), None);
    }
}
