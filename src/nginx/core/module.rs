//! This module as nginx knows it: its index among nginx's modules, by which configurations and
//! request contexts are found, and its address, which tags buffers.

use crate::nginx::sys::ngx_module_t;

unsafe extern "C" {
    /// Defined at the crate's root, under the name that nginx and other modules know.
    static ngx_http_lua_module: ngx_module_t;
}

/// The module, for reading; nginx fills in its indexes before it calls anything here.
#[inline(always)]
pub fn module() -> &'static ngx_module_t {
    // SAFETY: nginx writes to the module only while it loads it, before any other call.
    unsafe { &*std::ptr::addr_of!(ngx_http_lua_module) }
}
