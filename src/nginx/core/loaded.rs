//! This module's file in the process, and others of the same module beside it.
//!
//! Two modules named `ngx_http_lua_module` cannot work in one process: lua-resty-core finds the C symbols
//! of whichever was loaded first. A reload that is to exchange one for the other gets there, because
//! the old configuration holds the old module. (With the same path in `load_module` it does not: the
//! loader knows modules by their paths, and gives nginx the one that it has.)

use std::ffi::{CStr, OsStr, c_int, c_void};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use crate::nginx::core::log::Line;
use crate::nginx::core::module::module;

const SYMBOL: &CStr = c"ngx_http_lua_module";

/// Why this module must not be used; nothing where it is the only one of its name.
pub fn refusal() -> Option<Line> {
    let other = other_module()?;
    Some(Line::of(format_args!(
        "the module \"{}\" cannot work beside \"{}\", which is in this process too: restart nginx, or \
         upgrade its binary; a reload keeps the module that is loaded",
        own_path().to_string_lossy(),
        other.to_string_lossy()
    )))
}

/// Keeps this module in the process, where nginx would unload it with its configuration: what its
/// statics hold is found through its data, and threads of nginx's pools may be in its code.
pub fn stay() {
    // SAFETY: the path is a C string, and the object is loaded. This fails where the module is part of
    // nginx's binary, which stays anyway.
    unsafe {
        libc::dlopen(own_path().as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD | libc::RTLD_NODELETE)
    };
}

/// The line for the log where this module's file is another than the one that was loaded. The first
/// call remembers the file.
pub fn replaced() -> Option<Line> {
    static LOADED: OnceLock<Option<Identity>> = OnceLock::new();
    let path = own_path();
    let now = Identity::of(path);
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

/// The path that this module was loaded by; that of nginx's binary where it is a part of it.
fn own_path() -> &'static CStr {
    // SAFETY: an address in this object, which stays loaded while its code runs, and so does its name.
    unsafe {
        let mut found: libc::Dl_info = std::mem::zeroed();
        let known = libc::dladdr(std::ptr::from_ref(module()).cast(), &mut found) != 0;
        if known && !found.dli_fname.is_null() { CStr::from_ptr(found.dli_fname) } else { c"" }
    }
}

/// The path of another object in the process that defines [`SYMBOL`].
fn other_module() -> Option<&'static CStr> {
    let mut other: Option<&'static CStr> = None;
    // SAFETY: `look_at` gets a pointer to `other`, which lives as long as the call.
    unsafe { libc::dl_iterate_phdr(Some(look_at), (&raw mut other).cast()) };
    other
}

/// # Safety
/// Only `dl_iterate_phdr` may call this, with an `Option<&CStr>` behind `found`.
unsafe extern "C" fn look_at(
    object: *mut libc::dl_phdr_info,
    _size: usize,
    found: *mut c_void,
) -> c_int {
    // SAFETY: the loader passes an object; its name stays as long as it is loaded.
    let name = unsafe { (*object).dlpi_name };
    // SAFETY: as above; nginx's binary has no name.
    if name.is_null() || unsafe { *name } == 0 {
        return 0;
    }
    // SAFETY: a loaded object's name opens that object; the handle is closed again.
    let defined = unsafe {
        let handle = libc::dlopen(name, libc::RTLD_NOW | libc::RTLD_NOLOAD);
        if handle.is_null() {
            return 0;
        }
        let defined = libc::dlsym(handle, SYMBOL.as_ptr());
        libc::dlclose(handle);
        defined
    };
    let own: *const c_void = std::ptr::from_ref(module()).cast();
    if defined.is_null() || defined.cast_const() == own {
        return 0;
    }
    // SAFETY: `found` is the caller's, by the contract of this function.
    unsafe { *found.cast::<Option<&CStr>>() = Some(CStr::from_ptr(name)) };
    1
}
