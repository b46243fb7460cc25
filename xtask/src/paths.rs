//! Where things lie: the one place that knows the layout of the checkout and of `target/`.

use std::path::PathBuf;

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

/// The built module, ready for `load_module`.
pub fn module() -> PathBuf {
    target("module/ngx_http_lua_module.so")
}
