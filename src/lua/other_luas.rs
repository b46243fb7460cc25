//! Other copies of Lua in the process.
//!
//! The dynamic linker knows a symbol by its name alone, in the order in which objects were loaded. Lua's
//! libraries in C, which name none of their own, get the functions of the first Lua, and would use them
//! on the VM of the one that this module calls.

use std::ffi::{CStr, c_int, c_void};
use std::mem::zeroed;
use std::ptr::null;

use super::jit::luaJIT_setmode;
use crate::nginx::core::log::{Level, Line};

/// A function of LuaJIT alone, and one of each Lua, which this module does not call.
const LUAJIT: &CStr = c"luaJIT_setmode";
const LUA: &CStr = c"luaL_checkoption";

/// What is wrong, with its level: with another LuaJIT there is no knowing which functions the two have
/// from each other, so `Emerg` is for refusing the configuration; another Lua is in the way of libraries
/// only.
pub fn complaint() -> Option<(Level, Line)> {
    let own = Object::with(luaJIT_setmode as *const c_void)?;
    if let Some(other) = another_luajit(own) {
        let (own, other) = (own.name(), other.name());
        let line = format_args!(
            "ngx_http_lua_module uses the LuaJIT in \"{own}\", and \"{other}\" has another one: there can \
             be only one in a process; build what needs the other, or this module, for the same LuaJIT"
        );
        return Some((Level::Emerg, Line::of(line)));
    }
    let first = Object::with(first_found(LUA)).filter(|first| first.base != own.base)?;
    let (own, first) = (own.name(), first.name());
    let line = format_args!(
        "Lua's libraries in C will get the functions of \"{first}\", which was loaded before the LuaJIT \
         of ngx_http_lua_module in \"{own}\", and crash: load that module first"
    );
    Some((Level::Warn, Line::of(line)))
}

/// What the libraries that are loaded later get for a symbol. They look through the program's objects; this
/// module itself, linked to prefer its own symbols, would see those first.
fn first_found(symbol: &CStr) -> *const c_void {
    // SAFETY: the program itself, whose handle is closed again, and a look-up by name.
    unsafe {
        let program = libc::dlopen(null(), libc::RTLD_LAZY);
        if program.is_null() {
            return null();
        }
        let found = libc::dlsym(program, symbol.as_ptr());
        libc::dlclose(program);
        found
    }
}

/// A loaded object: a program or library.
#[derive(Clone, Copy)]
struct Object {
    base: *const c_void,
    name: *const libc::c_char,
}

impl Object {
    /// The one that `address` is in; none for null.
    fn with(address: *const c_void) -> Option<Object> {
        // SAFETY: dladdr fills the record where it knows the address, and reads nothing at it.
        unsafe {
            let mut found: libc::Dl_info = zeroed();
            let known = libc::dladdr(address, &mut found) != 0;
            known.then_some(Object { base: found.dli_fbase, name: found.dli_fname })
        }
    }

    fn name(&self) -> std::borrow::Cow<'_, str> {
        // SAFETY: the dynamic linker's own string, which lives as long as the object is loaded.
        unsafe { CStr::from_ptr(self.name) }.to_string_lossy()
    }
}

/// What the walk over the loaded objects looks for, and finds.
struct Search {
    own: Object,
    found: Option<Object>,
}

fn another_luajit(own: Object) -> Option<Object> {
    let mut search = Search { own, found: None };
    // SAFETY: `visit` gets the search, which outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut search).cast()) };
    search.found
}

/// # Safety
/// Only `dl_iterate_phdr` may call this, with a `Search` that nothing else uses.
unsafe extern "C" fn visit(
    object: *mut libc::dl_phdr_info,
    _size: usize,
    search: *mut c_void,
) -> c_int {
    // SAFETY: the linker passes the record of a loaded object, whose name is a C string, and the search
    // of `another_luajit`; the handle is closed once, and the object stays loaded without it.
    unsafe {
        let search = &mut *search.cast::<Search>();
        let name = (*object).dlpi_name;
        let name = if name.is_null() || *name == 0 { null() } else { name };
        let handle = libc::dlopen(name, libc::RTLD_LAZY | libc::RTLD_NOLOAD);
        if handle.is_null() {
            return 0;
        }
        let luajit = libc::dlsym(handle, LUAJIT.as_ptr());
        libc::dlclose(handle);
        search.found = Object::with(luajit).filter(|found| found.base != search.own.base);
        c_int::from(search.found.is_some())
    }
}
