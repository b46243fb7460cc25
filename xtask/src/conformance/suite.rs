//! lua-nginx-module's suite under `target/`: unpacked from Debian's source package, or copied from a checkout.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};

use crate::apt::Apt;
use crate::{paths, shell};

const PACKAGE: &str = "libnginx-mod-http-lua";
const VERSION: &str = "0.10.23";

/// A suite that can be run; test files are named relative to its `t/`.
pub struct Suite {
    pub dir: PathBuf,
    files: Vec<String>,
    /// Runs share the server roots below `dir`, so that one waits for the other.
    _lock: Option<File>,
}

impl Suite {
    /// Fetches the suite, unless an earlier run did.
    pub fn fetch() -> Result<Self> {
        let sources = paths::target("conformance/source");
        fs::create_dir_all(&sources)?;
        let lock = lock(&sources.join("lock"))?;
        let dir = sources.join(format!("{PACKAGE}-{VERSION}"));
        if !dir.join("t/000--init.t").is_file() {
            Apt::of_machine(paths::target("conformance/apt"))?.source(PACKAGE, &sources)?;
        }
        if !dir.join("t/000--init.t").is_file() {
            bail!(
                "this machine's package sources have no {PACKAGE} {VERSION}: the suite is that of Debian 12"
            );
        }
        Self::of(dir, lock)
    }

    /// Copies the tests `tests` of a checkout to `home/NAME/t`, once `prepare` has made of `home`
    /// what they expect beside them.
    pub fn copy(
        tests: &Path,
        home: &Path,
        name: &str,
        prepare: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Self> {
        let dir = home.join(name);
        fs::create_dir_all(home)?;
        let lock = lock(&home.join("lock"))?;
        prepare(home)?;
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        fs::create_dir(&dir)?;
        shell::run(Command::new("cp").arg("-R").arg(tests).arg(dir.join("t")))?;
        Self::of(dir, lock)
    }

    /// The suite whose tests are in `dir/t`.
    fn of(dir: PathBuf, lock: File) -> Result<Self> {
        let tests = dir.join("t");
        let mut files = Vec::new();
        for path in paths::below(&tests, "t")? {
            files.push(path.strip_prefix(&tests)?.to_string_lossy().into_owned());
        }
        Ok(Self { dir, files, _lock: Some(lock) })
    }

    /// The files that `names` mean (`092-eof`, `092-eof.t`, `023-rewrite/exit`, or a whole
    /// directory `023-rewrite`); all files when there are none.
    pub fn select(&self, names: &[String]) -> Result<Vec<String>> {
        if names.is_empty() {
            return Ok(self.files.clone());
        }
        let mut selected = Vec::new();
        for name in names {
            let name = name.strip_prefix("t/").unwrap_or(name).trim_end_matches('/');
            let matching: Vec<&String> =
                self.files.iter().filter(|file| is_meant(file, name)).collect();
            if matching.is_empty() {
                bail!("lua-nginx-module's suite has no file \"{name}\"");
            }
            selected.extend(matching.into_iter().cloned());
        }
        selected.sort();
        selected.dedup();
        Ok(selected)
    }
}

/// Waits until no other run of this checkout has the file `path` locked, and locks it.
fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        eprintln!("waiting for another run of lua-nginx-module's suite in this checkout");
        flock(&file, FlockOperation::LockExclusive)?;
    }
    Ok(file)
}

fn is_meant(file: &str, name: &str) -> bool {
    file == name
        || file.strip_suffix(".t") == Some(name)
        || file.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_in_several_ways() {
        let suite = Suite {
            dir: PathBuf::new(),
            files: ["023-rewrite/exit.t", "023-rewrite/sanity.t", "092-eof.t"]
                .map(String::from)
                .to_vec(),
            _lock: None,
        };
        let select = |name: &str| suite.select(&[name.to_string()]);
        for name in ["092-eof", "092-eof.t", "t/092-eof.t"] {
            assert_eq!(select(name).unwrap(), ["092-eof.t"]);
        }
        assert_eq!(select("023-rewrite/exit").unwrap(), ["023-rewrite/exit.t"]);
        assert_eq!(select("023-rewrite").unwrap().len(), 2);
        assert_eq!(suite.select(&[]).unwrap().len(), 3);
        assert!(format!("{:#}", select("09").unwrap_err()).contains("no file \"09\""));
    }
}
