//! This module's file in the process, and others of the same module beside it.
//!
//! Two modules named `ngx_http_lua_module` cannot work in one process: lua-resty-core finds the C
//! symbols of whichever was loaded first. A reload that is to exchange one for the other gets
//! there, because the old configuration holds the old module. (With the same path in `load_module`
//! it does not: the loader knows modules by their paths, and gives nginx the one that it has.)

use std::ffi::{CStr, CString, OsStr};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use crate::nginx::core::log::Line;
use crate::nginx::core::module::module;
use crate::nginx::core::object::Object;

const SYMBOL: &CStr = c"ngx_http_lua_module";

/// Why this module must not be used; nothing where it is the only one of its name.
pub fn refusal() -> Option<Line> {
    let other = own()?.another_with(SYMBOL)?;
    Some(Line::of(format_args!(
        "the module \"{}\" cannot work beside \"{}\", which is in this process too: restart nginx, or \
         upgrade its binary; a reload keeps the module that is loaded",
        own_path().to_string_lossy(),
        other.path.to_string_lossy()
    )))
}

/// Keeps this module in the process, where nginx would unload it with its configuration: what its
/// statics hold is found through its data, and threads of nginx's pools may be in its code.
pub fn stay() {
    // SAFETY: the path is a C string, and the object is loaded. This fails where the module is part
    // of nginx's binary, which stays anyway.
    unsafe {
        libc::dlopen(own_path().as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD | libc::RTLD_NODELETE)
    };
}

/// The line for the log where this module's file is another than the one that was loaded. The first
/// call remembers the file.
pub fn replaced() -> Option<Line> {
    static LOADED: OnceLock<Option<Identity>> = OnceLock::new();
    let path = own_path();
    let now = Identity::of(&path);
    if *LOADED.get_or_init(|| now) == now {
        return None;
    }
    Some(Line::of(format_args!(
        "the file \"{}\" is not the one that was loaded any more: this process keeps the module that it \
         has; to change it, restart nginx, or upgrade its binary",
        path.to_string_lossy()
    )))
}

/// What tells a file from one that has taken its place.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(path: &CStr) -> Option<Identity> {
        let file = fs::metadata(OsStr::from_bytes(path.to_bytes())).ok()?;
        Some(Identity { device: file.dev(), inode: file.ino() })
    }
}

/// This module, or nginx's binary where it is a part of it.
fn own() -> Option<Object> {
    Object::with(std::ptr::from_ref(module()).cast())
}

/// The path that it was loaded by.
fn own_path() -> CString {
    own().map_or_else(CString::default, |own| own.path)
}
