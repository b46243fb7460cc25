//! lua-resty-core and lua-nginx-module of newer Debian releases, kept below `target/debian/`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::apt::Apt;
use crate::build;
use crate::options::Options;
use crate::tally::Tally;
use crate::{docs, paths, prove, shell};

/// Debian 13.
pub const DEBIAN_13: &str = "trixie";
/// The release that never ends: its packages change, and may be gone at times.
const UNSTABLE: &str = "sid";

const RESTY_CORE: &str = "lua-resty-core";
/// Where its package puts Lua's libraries.
const LUA: &str = "usr/share/lua/5.1";
const MODULE: &str = "libnginx-mod-http-lua";
/// The test that loads all of a lua-resty-core.
const LOADS_ALL: &str = "nginx-tests/resty_core_versions.t";

/// Tries the lua-resty-core of each release with the module, every file and symbol of it, and compares its
/// functions with the reference in `docs/`.
pub fn try_resty_cores() -> Result<Tally> {
    let mut tally = Tally::default();
    let mut libraries = vec![resty_core(DEBIAN_13)?.join("lib").display().to_string()];
    match resty_core(UNSTABLE) {
        Ok(dir) => libraries.push(dir.join("lib").display().to_string()),
        Err(error) => {
            println!("skipped: {RESTY_CORE} of Debian {UNSTABLE}: {error:#}");
            tally.skipped += 1;
        }
    }
    let settings = prove::Settings {
        dir: paths::root(),
        logs: paths::target("test"),
        environment: vec![("TEST_NGINX_RESTY_CORE".to_string(), libraries.join(":"))],
    };
    let subject = build::subject(&Options::default())?;
    // The first of them is what the functions that are described are compared with.
    let files = [paths::root().join(LOADS_ALL), docs::write_surface()?];
    let report = prove::run(&files, &subject, &settings)?;
    print!("{}", report.skips);
    tally += report.tally;
    Ok(tally)
}

/// The directory whose `lib` has lua-resty-core of `release`.
pub fn resty_core(release: &str) -> Result<PathBuf> {
    let dir = home(release).join(RESTY_CORE);
    let lib = dir.join("lib");
    if !lib.join("resty/core.lua").is_file() {
        anew(&dir)?;
        println!("fetching {RESTY_CORE} of Debian {release}");
        apt(release)?.package(RESTY_CORE, &dir)?;
        let package = only(&dir, ".deb")?;
        shell::run(Command::new("dpkg-deb").arg("--extract").arg(package).arg(&dir))?;
        symlink(LUA, &lib).with_context(|| format!("cannot make {}", lib.display()))?;
    }
    Ok(dir)
}

/// The directory with the source of lua-nginx-module of `release`.
pub fn lua_nginx_module(release: &str) -> Result<PathBuf> {
    let dir = home(release).join(MODULE);
    if !dir.join("t").is_dir() {
        anew(&dir)?;
        println!("fetching the source of {MODULE} of Debian {release}");
        apt(release)?.original(MODULE, &dir)?;
        let mut tar = Command::new("tar");
        tar.args(["--extract", "--strip-components=1", "--file"]).arg(only(&dir, ".tar.")?);
        shell::run(tar.arg("--directory").arg(&dir))?;
    }
    Ok(dir)
}

fn home(release: &str) -> PathBuf {
    paths::target("debian").join(release)
}

fn apt(release: &str) -> Result<Apt> {
    Apt::of_release(home(release).join("apt"), release)
}

/// Makes `dir` an empty directory.
fn anew(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))
}

/// The file of `dir` whose name has `part` in it.
fn only(dir: &Path, part: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(dir)?.flatten().map(|entry| entry.path());
    let mut files = entries.filter(|path| path.to_string_lossy().contains(part));
    files.next().with_context(|| format!("apt-get has left no *{part}* in {}", dir.display()))
}
