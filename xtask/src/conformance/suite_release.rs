//! The release of lua-nginx-module that a run is about: its suite, its verdicts, its ratchet.
//!
//! Debian 12 has the oldest one only. Debian 13's is fetched; of the newest suite Debian has no package:
//! a developer who has checkouts of it and of its lua-resty-core names them in two environment
//! variables. The tests are copied below `target/`, because the harness keeps its server roots beside
//! them; the lua-resty-core replaces Debian 12's in each file's own namespace.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use super::suite::Suite;
use crate::{newer, paths, shell};

/// Names the checkout of lua-nginx-module.
const MODULE: &str = "LUA_NGINX_MODULE_HEAD";
/// Names the checkout of its lua-resty-core.
const RESTY_CORE: &str = "LUA_RESTY_CORE_HEAD";
/// Tells `sandboxed` which Lua library to put in the place of Debian's lua-resty-core.
pub const MOUNTED: &str = "CONFORMANCE_RESTY_CORE";

/// A release of lua-nginx-module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SuiteRelease {
    /// Debian 12's package: 0.10.23 with lua-resty-core 0.1.25
    #[default]
    Debian,
    /// Debian 13's packages: 0.10.28 with lua-resty-core 0.1.31
    Debian13,
    /// The checkouts that LUA_NGINX_MODULE_HEAD and LUA_RESTY_CORE_HEAD name: 0.10.32
    Head,
}

impl SuiteRelease {
    /// What the C module of this release did on its suite.
    pub fn verdicts(self) -> PathBuf {
        paths::root().join(match self {
            Self::Debian => "t/conformance/reference-0.10.23.tsv",
            Self::Debian13 => "t/conformance/reference-0.10.28.tsv",
            Self::Head => "t/conformance/reference-0.10.32.tsv",
        })
    }

    /// What must not fail any more.
    pub fn ratchet(self) -> PathBuf {
        paths::root().join(match self {
            Self::Debian => "t/conformance/ratchet.txt",
            Self::Debian13 => "t/conformance/ratchet-debian13.txt",
            Self::Head => "t/conformance/ratchet-head.txt",
        })
    }

    /// The directory below `target/conformance/` for what this module says.
    pub fn results(self) -> &'static str {
        match self {
            Self::Debian => "results/module",
            Self::Debian13 => "results/debian13",
            Self::Head => "results/head",
        }
    }

    /// The directory for a copy of its tests.
    fn home(self) -> PathBuf {
        paths::target("conformance").join(match self {
            Self::Debian => "source",
            Self::Debian13 => "debian13",
            Self::Head => "head",
        })
    }

    /// The sources of lua-nginx-module and of lua-resty-core that are not Debian 12's.
    fn sources(self) -> Result<Option<(PathBuf, PathBuf)>> {
        Ok(match self {
            Self::Debian => None,
            Self::Debian13 => {
                let release = newer::DEBIAN_13;
                Some((newer::lua_nginx_module(release)?, newer::resty_core(release)?))
            }
            Self::Head => Some((
                checkout(MODULE, "t/000--init.t")?,
                checkout(RESTY_CORE, "lib/resty/core.lua")?,
            )),
        })
    }

    /// The suite, ready to run.
    pub fn suite(self) -> Result<Suite> {
        let Some((module, core)) = self.sources()? else { return Suite::fetch() };
        Suite::copy(&module.join("t"), &self.home(), "lua-nginx-module", |home| {
            // Some blocks name it so.
            link(&core, &home.join("lua-resty-core"))
        })
    }

    /// Variables of the environment in which the verdicts were taken.
    pub fn environment(self) -> Result<Vec<(String, String)>> {
        let Some((_, core)) = self.sources()? else { return Ok(Vec::new()) };
        // Two files do not start unless a `dig` tells them an address: it is one where nobody answers.
        let tools = self.home().join("tools");
        let dig = tools.join("dig");
        fs::create_dir_all(&tools)?;
        fs::write(&dig, "#!/bin/sh\necho 127.0.0.2\n")?;
        fs::set_permissions(&dig, Permissions::from_mode(0o755))?;
        let path = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths(std::iter::once(tools).chain(env::split_paths(&path)))?;
        let variable = |name: &str, value: &Path| (name.to_string(), value.display().to_string());
        Ok(vec![
            variable("PATH", Path::new(&path)),
            variable(MOUNTED, &core.join("lib")),
            // The C module's texts when it is built with PCRE2, whatever nginx was built with.
            ("TEST_NGINX_PCRE_VERSION".to_string(), "2".to_string()),
        ])
    }
}

/// The directory that `variable` names, which holds `file`.
fn checkout(variable: &str, file: &str) -> Result<PathBuf> {
    let Some(dir) = env::var_os(variable).filter(|dir| !dir.is_empty()) else {
        bail!("{variable} is not set: it names the checkout that holds {file}");
    };
    let dir = PathBuf::from(dir);
    if !dir.join(file).is_file() {
        bail!("{variable} is \"{}\", which has no file {file}", dir.display());
    }
    fs::canonicalize(&dir).with_context(|| format!("cannot read {}", dir.display()))
}

/// Makes `at` a link to `target`.
fn link(target: &Path, at: &Path) -> Result<()> {
    if fs::read_link(at).is_ok_and(|found| found == target) {
        return Ok(());
    }
    if at.is_symlink() {
        fs::remove_file(at)?;
    }
    symlink(target, at).with_context(|| format!("cannot make {}", at.display()))
}

/// Puts the Lua library `lib` over Debian's lua-resty-core, for this mount namespace only.
pub fn mount(lib: &Path) -> Result<()> {
    for part in ["resty/core.lua", "resty/core", "ngx"] {
        let over = Path::new("/usr/share/lua/5.1").join(part);
        shell::run(Command::new("mount").arg("--bind").arg(lib.join(part)).arg(over))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_checkout_is_told_by_its_variable() {
        let unset = format!("{:#}", checkout("NO_SUCH_CHECKOUT", "t/a.t").unwrap_err());
        assert!(
            unset.contains("NO_SUCH_CHECKOUT is not set") && unset.contains("t/a.t"),
            "{unset}"
        );
        let wrong = format!("{:#}", checkout("PATH", "t/a.t").unwrap_err());
        assert!(wrong.contains("PATH is") && wrong.contains("no file t/a.t"), "{wrong}");
    }
}
