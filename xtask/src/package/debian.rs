//! The Debian package, made by Debian's own tools from `packaging/debian/`: nginx's dh_nginx, which writes
//! the dependency on nginx's ABI and enables the module, and debhelper.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::release::Release;
use super::{COMMAND, place};
use crate::{paths, shell};

/// The package, and the one whose place it takes.
pub const PACKAGE: &str = "libnginx-mod-http-lua-rust";
pub const C_MODULE: &str = "libnginx-mod-http-lua";
/// The field of control that names who makes the package.
const MAINTAINER: &str = "Maintainer: ";

/// Makes the package and that of its debugging information.
pub fn pack(release: &Release) -> Result<Vec<PathBuf>> {
    let dir = place().join("debian");
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    let source = dir.join("source");
    stage(release, &source)?;
    let mut build = Command::new("dpkg-buildpackage");
    build.current_dir(&source).args(["--build=binary", "--no-sign", "--no-check-builddeps"]);
    build.env("SOURCE_DATE_EPOCH", &release.epoch);
    build.env("DEB_BUILD_OPTIONS", "nocheck").env("C_MODULE_VERSION", replaced_version()?);
    shell::run_logged(&mut build, &dir.join("build.log"))?;
    let made = paths::below(&dir, "deb")?;
    let names = || made.iter().filter_map(|deb| deb.file_name()).map(|name| name.to_string_lossy());
    if !names().any(|name| name.starts_with(&format!("{PACKAGE}-dbgsym_"))) {
        bail!("dpkg-buildpackage made no package of debugging information");
    }
    made.iter().map(|deb| moved(deb)).collect()
}

fn moved(deb: &Path) -> Result<PathBuf> {
    let to = place().join(deb.file_name().context("a package without a name")?);
    fs::rename(deb, &to)?;
    Ok(to)
}

/// Lays out a source package whose only source is the built module.
fn stage(release: &Release, source: &Path) -> Result<()> {
    let debian = source.join("debian");
    fs::create_dir_all(source)?;
    shell::run(
        Command::new("cp").arg("-R").arg(paths::root().join("packaging/debian")).arg(source),
    )?;
    let control = fs::read_to_string(debian.join("control"))?;
    let own = control.lines().find(|line| line.starts_with(MAINTAINER));
    let own = own.context("no maintainer in control")?;
    let maintainer = maintainer().unwrap_or_else(|| own.replacen(MAINTAINER, "", 1));
    fs::write(
        debian.join("control"),
        control.replacen(own, &format!("{MAINTAINER}{maintainer}"), 1),
    )?;
    fs::copy(&release.module, source.join("ngx_http_lua_module.so"))?;
    for (from, name) in [("README.md", "README.md"), (COMMAND, "nginx-lua")] {
        fs::copy(paths::root().join(from), source.join(name)).context(name)?;
    }
    fs::write(debian.join("changelog"), changelog(release, &maintainer)?)?;
    fs::write(debian.join("copyright"), copyright(release)?)?;
    Ok(())
}

/// Who makes the package, as Debian's own tools ask: by DEBFULLNAME and DEBEMAIL; else as git knows them.
pub fn maintainer() -> Option<String> {
    let variable = |name: &str| std::env::var(name).ok();
    let git = |key: &str| {
        let mut git = Command::new("git");
        git.current_dir(paths::root()).args(["config", key]);
        shell::output(&mut git).ok().map(|value| value.trim().to_string())
    };
    let name = variable("DEBFULLNAME").or_else(|| git("user.name"))?;
    let address = variable("DEBEMAIL").or_else(|| git("user.email"))?;
    Some(format!("{name} <{address}>"))
}

fn changelog(release: &Release, maintainer: &str) -> Result<String> {
    let mut date = Command::new("date");
    date.args(["--utc", "--rfc-email", "--date"]).arg(format!("@{}", release.epoch));
    Ok(format!(
        "ngx-http-lua-module ({}+nginx{}) stable; urgency=medium\n\n  * See CHANGELOG.md of the \
         source.\n\n -- {}  {}",
        release.version,
        release.nginx,
        maintainer,
        shell::output(&mut date)?
    ))
}

fn copyright(release: &Release) -> Result<String> {
    let licence = fs::read_to_string(paths::root().join("LICENSE"))?;
    Ok(format!(
        "{licence}\nThe module links these crates, under these licences:\n{}",
        release.linked
    ))
}

/// The version of the C module in Debian, whose place the package takes for those that depend on it.
fn replaced_version() -> Result<String> {
    let mut show = Command::new("apt-cache");
    let record = shell::output(show.args(["show", "--no-all-versions", C_MODULE]))?;
    let version = record.lines().find_map(|line| line.strip_prefix("Version: "));
    Ok(version.with_context(|| format!("apt knows no version of {C_MODULE}"))?.into())
}
