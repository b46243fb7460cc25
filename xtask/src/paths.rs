//! Where things lie: the one place that knows the layout of the checkout and of `target/`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::Result;
use walkdir::WalkDir;

/// The root of the checkout.
pub fn root() -> PathBuf {
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
        Some(dir) => root().join(dir),
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
