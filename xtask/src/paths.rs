//! Where things lie: the one place that knows the layout of the checkout and of `target/`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::Result;
use walkdir::WalkDir;

use crate::plain_root;

/// The root of the checkout, by a path without special characters.
pub fn root() -> PathBuf {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| plain_root::of(&real_root())).clone()
}

/// `path` by the same, if it is in the checkout.
pub fn plain(path: PathBuf) -> PathBuf {
    match path.strip_prefix(real_root()) {
        Ok(below) => root().join(below),
        Err(_) => path,
    }
}

/// `path` as the developer knows it.
pub fn real(path: &Path) -> PathBuf {
    match path.strip_prefix(root()) {
        Ok(below) => real_root().join(below),
        Err(_) => path.to_path_buf(),
    }
}

fn real_root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.parent().map(PathBuf::from).unwrap_or(manifest)
}

/// A path below the checkout's `target/`, whatever CARGO_TARGET_DIR says: what is kept here are
/// the commands' own products, at places that other files name.
pub fn target(below: &str) -> PathBuf {
    root().join("target").join(below)
}

/// The directory that cargo builds into.
pub fn cargo_target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => plain(root().join(dir)),
        None => root().join("target"),
    }
}

/// The files below `dir` whose names end in `.EXTENSION`, in order; none of a server root, which may
/// hold directories of nginx's user.
pub fn below(dir: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let is_servroot = |name: &OsStr| name.as_encoded_bytes().starts_with(b"servroot");
    let walk = WalkDir::new(dir).sort_by_file_name().into_iter();
    for entry in walk.filter_entry(|entry| !is_servroot(entry.file_name())) {
        let path = entry?.into_path();
        if path.is_file() && path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    Ok(files)
}
