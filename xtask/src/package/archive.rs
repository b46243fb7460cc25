//! The archive for any system: the module without its debugging information, which lies beside it, and
//! the texts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::release::Release;
use super::{COMMAND, place};
use crate::{paths, shell};

/// Writes the archives, one with the module and one with its debugging information.
pub fn pack(release: &Release) -> Result<Vec<PathBuf>> {
    let name = format!(
        "ngx_http_lua_module-{}-nginx-{}-{}",
        release.version, release.nginx, release.platform
    );
    let dir = place().join("archive");
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    let (main, debug) = (dir.join(&name), dir.join(format!("{name}-debug")));
    fs::create_dir_all(&main)?;
    fs::create_dir_all(&debug)?;
    let symbols = debug.join("ngx_http_lua_module.so.debug");
    let module = main.join("ngx_http_lua_module.so");
    let objcopy = |words: &[&str], from: &Path, to: &Path| {
        shell::run(Command::new("objcopy").current_dir(&debug).args(words).arg(from).arg(to))
    };
    objcopy(&["--only-keep-debug", "--compress-debug-sections"], &release.module, &symbols)?;
    let link = "--add-gnu-debuglink=ngx_http_lua_module.so.debug";
    objcopy(&["--strip-unneeded", link], &release.module, &module)?;
    for text in ["README.md", "CHANGELOG.md", "LICENSE"] {
        fs::copy(paths::root().join(text), main.join(text)).context(text)?;
    }
    fs::copy(paths::root().join(COMMAND), main.join("nginx-lua")).context(COMMAND)?;
    fs::write(main.join("LINKED"), &release.linked)?;
    Ok(vec![tar(release, &dir, &name)?, tar(release, &dir, &format!("{name}-debug"))?])
}

/// Packs the directory `name` of `dir`, with nothing in it of who packed it and when.
fn tar(release: &Release, dir: &Path, name: &str) -> Result<PathBuf> {
    let file = place().join(format!("{name}.tar.gz"));
    let mut tar = Command::new("tar");
    tar.arg("--directory").arg(dir).args(["--create", "--sort=name", "--format=ustar"]);
    tar.args(["--owner=0", "--group=0", "--numeric-owner", "--mode=u=rwX,go=rX"]);
    tar.arg(format!("--mtime=@{}", release.epoch)).args(["--use-compress-program", "gzip -9n"]);
    shell::run(tar.arg("--file").arg(&file).arg(name))?;
    Ok(file)
}
