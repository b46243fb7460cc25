//! What a package must hold, and must not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::debian::{C_MODULE, PACKAGE, maintainer};
use super::release::Release;
use crate::{paths, shell};

/// Checks the contents of all packages.
///
/// Errors: what is wrong first.
pub fn contents(release: &Release) -> Result<()> {
    for file in &release.files {
        let name = file_name(file);
        let outcome = match name.strip_prefix(PACKAGE) {
            Some(rest) if rest.starts_with('_') => package(file),
            Some(_) => debugging(file),
            None => no_builders_paths(&archived(file)?),
        };
        outcome.with_context(|| name.clone())?;
    }
    println!("{} packages hold what they should", release.files.len());
    Ok(())
}

/// The SHA-256 of each package, beside its name.
pub fn digests(files: &[PathBuf]) -> Result<Vec<(String, String)>> {
    let digest = |file: &PathBuf| {
        let line = shell::output(Command::new("sha256sum").arg(file))?;
        Ok((file_name(file), line.split(' ').next().unwrap_or_default().to_string()))
    };
    files.iter().map(digest).collect()
}

/// Errors: a package that differs.
pub fn same(first: &[(String, String)], second: &[(String, String)]) -> Result<()> {
    for (one, other) in first.iter().zip(second) {
        ensure!(one == other, "made in two directories, {} differs", one.0);
    }
    ensure!(first.len() == second.len(), "made in two directories, the packages are others");
    println!("made in two directories, the packages are the same");
    Ok(())
}

fn file_name(file: &Path) -> String {
    file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The package itself: what it asks of others, what it installs.
fn package(deb: &Path) -> Result<()> {
    let field = |name: &str| shell::output(Command::new("dpkg-deb").arg("-f").arg(deb).arg(name));
    let depends = field("Depends")?;
    // LuaJIT is libluajit2-5.1-2 in Debian 12, libluajit-5.1-2 in Debian 13.
    for wanted in ["nginx-abi-", "libluajit", "libc6 ", "lua-resty-core ", "lua-resty-lrucache"] {
        ensure!(depends.split(", ").any(|one| one.starts_with(wanted)), "Depends lacks {wanted}");
    }
    for name in ["Conflicts", "Replaces"] {
        ensure!(field(name)?.trim() == C_MODULE, "{name} is not {C_MODULE}");
    }
    if let Some(maintainer) = maintainer() {
        ensure!(field("Maintainer")?.trim() == maintainer, "Maintainer is not {maintainer}");
    }
    let provides = field("Provides")?;
    ensure!(provides.starts_with(&format!("{C_MODULE} (= ")), "Provides: {provides}");

    let listing = shell::output(Command::new("dpkg-deb").arg("-c").arg(deb))?;
    let files: Vec<_> = listing.lines().filter_map(installed).collect();
    for wanted in [
        "./usr/lib/nginx/modules/ngx_http_lua_module.so",
        "./usr/bin/nginx-lua",
        "./usr/share/nginx/modules-available/mod-http-lua-rust.conf",
        "./usr/share/doc/libnginx-mod-http-lua-rust/copyright",
    ] {
        ensure!(files.contains(&wanted), "{wanted} is missing");
    }
    let known = [
        "./usr/bin/nginx-lua",
        "./usr/lib/nginx/",
        "./usr/share/nginx/",
        "./usr/share/doc/",
        "./usr/share/lintian/",
    ];
    let stray = files.iter().find(|file| !known.iter().any(|dir| file.starts_with(dir)));
    ensure!(stray.is_none(), "{stray:?} does not belong there");
    ensure!(listing.lines().all(|line| line.contains(" root/root ")), "files of others than root");

    let unpacked = unpacked(deb)?;
    no_builders_paths(&unpacked)?;
    let module = unpacked.join("usr/lib/nginx/modules/ngx_http_lua_module.so");
    let sections =
        shell::output(Command::new("readelf").args(["--section-headers", "--wide"]).arg(module))?;
    ensure!(!sections.contains(".debug_"), "the module is not stripped");
    Ok(())
}

/// The file of a line of `dpkg-deb -c`; none for a directory.
fn installed(line: &str) -> Option<&str> {
    let file = line.rsplit(' ').next()?;
    (line.starts_with('-')).then_some(file)
}

/// The package of the debugging information.
fn debugging(deb: &Path) -> Result<()> {
    let listing = shell::output(Command::new("dpkg-deb").arg("-c").arg(deb))?;
    let by_id =
        |line: &str| line.contains("./usr/lib/debug/.build-id/") && line.ends_with(".debug");
    ensure!(listing.lines().any(by_id), "no file by a build id");
    no_builders_paths(&unpacked(deb)?)
}

fn scratch(file: &Path) -> Result<PathBuf> {
    let dir = super::place().join("unpacked").join(file_name(file));
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    fs::create_dir_all(&dir)?;
    Ok(dir)
}

fn unpacked(deb: &Path) -> Result<PathBuf> {
    let dir = scratch(deb)?;
    shell::run(Command::new("dpkg-deb").arg("-x").arg(deb).arg(&dir))?;
    Ok(dir)
}

fn archived(tar: &Path) -> Result<PathBuf> {
    let dir = scratch(tar)?;
    shell::run(Command::new("tar").arg("-xzf").arg(tar).arg("-C").arg(&dir))?;
    Ok(dir)
}

/// Refuses files below `dir` that name this checkout, or the home of who built them.
fn no_builders_paths(dir: &Path) -> Result<()> {
    let home = std::env::var("HOME").unwrap_or_default();
    let own = [paths::root(), paths::real(&paths::root())].map(|path| path.display().to_string());
    let others = [".cargo", ".rustup"].map(|dir| format!("{home}/{dir}"));
    let paths = [own, others].concat();
    let mut grep = Command::new("grep");
    grep.args(["-r", "-l", "-a", "-F"]);
    // A path of one name, such as /src, is a part of too many others.
    let telling = paths.iter().filter(|path| Path::new(path).components().count() > 2);
    let patterns = telling.flat_map(|path| ["-e", path]);
    let output = grep.args(patterns).arg(dir).output()?;
    match output.status.code() {
        Some(1) => Ok(()),
        Some(0) => bail!("paths of this machine in {}", String::from_utf8_lossy(&output.stdout)),
        _ => bail!("grep failed: {}", String::from_utf8_lossy(&output.stderr)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_this_machine_is_found() {
        let dir = paths::target("xtask-tests/builders-paths");
        fs::create_dir_all(dir.join("below")).unwrap();
        let file = dir.join("below/module");
        fs::write(&file, b"\x7fELF\0/usr/src/crates/a.rs\0").unwrap();
        no_builders_paths(&dir).unwrap();
        fs::write(&file, format!("\x7fELF\0{}/src/a.rs\0", paths::root().display())).unwrap();
        assert!(no_builders_paths(&dir).unwrap_err().to_string().contains("below/module"));
    }

    #[test]
    fn packages_that_differ_are_named() {
        let made = |digest: &str| vec![("a.deb".to_string(), digest.to_string())];
        same(&made("1"), &made("1")).unwrap();
        assert!(same(&made("1"), &made("2")).unwrap_err().to_string().contains("a.deb"));
        assert!(same(&made("1"), &[]).is_err());
    }
}
