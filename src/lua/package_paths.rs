//! Where a VM looks for Lua's modules: `package.path` and `package.cpath`.

use std::ffi::CStr;

use super::error::LuaError;
use super::state::{GLOBALS, State};
use super::vm::Recipe;

/// Sets `package.path` and `package.cpath` by `recipe`; may raise.
pub(super) fn set_package_paths(mut state: State, recipe: &Recipe) {
    let top = state.top();
    state.get_field(GLOBALS, c"package");
    if let Some(parent) = recipe.parent {
        for field in [c"path", c"cpath"] {
            match parent.package_field(field) {
                Ok(path) => state.push_bytes(&path),
                Err(reason) => state.raise(LuaError::bytes(reason)),
            }
            state.set_field(-2, field);
        }
    } else {
        prepend_default(state, c"path", DEFAULT_PATH);
        prepend_default(state, c"cpath", DEFAULT_CPATH);
        for (field, configured) in
            [(c"path", recipe.package_path), (c"cpath", recipe.package_cpath)]
        {
            let Some(configured) = configured else { continue };
            let default = path_of(state, field);
            state.push_bytes(&expand_path(configured, &default, recipe.prefix));
            state.set_field(-2, field);
        }
    }
    state.set_top(top);
}

/// A path that the build puts before `package.path`: `LUA_DEFAULT_PATH` of the build's environment,
/// or the place of Debian's Lua libraries, so that lua-resty-core is found with any `LUA_PATH`.
const DEFAULT_PATH: &str = match option_env!("LUA_DEFAULT_PATH") {
    Some(path) => path,
    // LuaJIT as it comes from its authors does not look there at all.
    None if cfg!(feature = "vendored") => "/usr/share/lua/5.1/?.lua;/usr/share/lua/5.1/?/init.lua",
    None => "/usr/share/lua/5.1/?.lua",
};

/// The same for `package.cpath`: `LUA_DEFAULT_CPATH` of the build's environment, or the place of Debian's
/// Lua libraries in C, which a LuaJIT that is not Debian's does not know.
const DEFAULT_CPATH: &str = match option_env!("LUA_DEFAULT_CPATH") {
    Some(path) => path,
    None if cfg!(not(feature = "vendored")) => "",
    None if cfg!(target_arch = "aarch64") => "/usr/lib/aarch64-linux-gnu/lua/5.1/?.so",
    None => "/usr/lib/x86_64-linux-gnu/lua/5.1/?.so",
};

/// Puts `default` before `package[field]`; the package table is on top.
#[expect(clippy::disallowed_methods, reason = "what a configuration holds, when a VM is made")]
fn prepend_default(mut state: State, field: &CStr, default: &str) {
    if default.is_empty() {
        return;
    }
    let path = [default.as_bytes(), b";", &path_of(state, field)].concat();
    state.push_bytes(&path);
    state.set_field(-2, field);
}

/// `package[field]`; the package table is on top.
#[expect(clippy::disallowed_methods, reason = "what a configuration holds, when a VM is made")]
pub(super) fn path_of(mut state: State, field: &CStr) -> Vec<u8> {
    state.get_field(-1, field);
    let path = state.bytes(-1).unwrap_or_default().to_vec();
    state.pop(1);
    path
}

/// `;;` becomes the default path, `$prefix` and `${prefix}` nginx's prefix.
#[expect(clippy::disallowed_methods, reason = "what a configuration holds, when a VM is made")]
fn expand_path(configured: &[u8], default: &[u8], prefix: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(configured.len() + default.len());
    let mut rest = configured;
    while let Some((&first, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(b";;") {
            path.push(b';');
            path.extend_from_slice(default);
            path.push(b';');
            rest = after;
        } else if let Some(after) =
            rest.strip_prefix(b"$prefix").or_else(|| rest.strip_prefix(b"${prefix}"))
        {
            path.extend_from_slice(prefix);
            rest = after;
        } else {
            path.push(first);
            rest = after;
        }
    }
    path
}
