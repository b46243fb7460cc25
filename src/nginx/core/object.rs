//! The objects that the dynamic linker has loaded into the process: the program and libraries.

use std::ffi::{CStr, CString, c_int, c_void};
use std::mem::zeroed;
use std::ptr::null;

use export::callback;

/// A loaded object.
#[derive(Clone)]
pub struct Object {
    base: *const c_void,
    /// The path that it was loaded by.
    pub path: CString,
}

impl PartialEq for Object {
    fn eq(&self, other: &Object) -> bool {
        self.base == other.base
    }
}

impl Object {
    /// The one that `address` is in; none for null.
    pub fn with(address: *const c_void) -> Option<Object> {
        // SAFETY: dladdr fills the record where it knows the address, and reads nothing at it; the
        // path is the dynamic linker's own string, copied at once.
        unsafe {
            let mut found: libc::Dl_info = zeroed();
            if libc::dladdr(address, &mut found) == 0 || found.dli_fname.is_null() {
                return None;
            }
            let path = CStr::from_ptr(found.dli_fname).to_owned();
            Some(Object { base: found.dli_fbase, path })
        }
    }

    /// Another object that defines `symbol`.
    pub fn another_with(&self, symbol: &CStr) -> Option<Object> {
        let mut search = Search { own: self, symbol, found: None };
        // SAFETY: `visit` gets the search, which outlives the call.
        unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut search).cast()) };
        search.found
    }
}

/// What the walk over the loaded objects looks for, and finds.
struct Search<'a> {
    own: &'a Object,
    symbol: &'a CStr,
    found: Option<Object>,
}

/// # Safety
/// Only `dl_iterate_phdr` may call this, with a `Search` that nothing else uses.
#[callback(unguarded = "it looks up a symbol")]
unsafe extern "C" fn visit(
    object: *mut libc::dl_phdr_info,
    _size: usize,
    search: *mut c_void,
) -> c_int {
    // SAFETY: the linker passes the record of a loaded object, whose name is a C string, and the
    // search of `another_with`.
    unsafe {
        let search = &mut *search.cast::<Search>();
        let name = (*object).dlpi_name;
        // The program has no name.
        let name = if name.is_null() || *name == 0 { null() } else { name };
        search.found =
            Object::with(look_up(name, search.symbol)).filter(|found| found != search.own);
        c_int::from(search.found.is_some())
    }
}

/// What the libraries that are loaded later get for a symbol. They look through the program's
/// objects; this module itself, linked to prefer its own symbols, would see those first.
pub fn first_found(symbol: &CStr) -> *const c_void {
    // SAFETY: null is the program.
    unsafe { look_up(null(), symbol) }
}

/// The address of `symbol` for the object `name`, or for the program if that is null; null if there
/// is none.
///
/// # Safety
/// `name` must be null or a C string.
unsafe fn look_up(name: *const libc::c_char, symbol: &CStr) -> *const c_void {
    // SAFETY: the contract of this function; the handle is closed once, and the object stays loaded
    // without it.
    unsafe {
        let handle = libc::dlopen(name, libc::RTLD_LAZY | libc::RTLD_NOLOAD);
        if handle.is_null() {
            return null();
        }
        let found = libc::dlsym(handle, symbol.as_ptr());
        libc::dlclose(handle);
        found
    }
}
