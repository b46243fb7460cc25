//! This module as nginx knows it: its index among nginx's modules, by which configurations and
//! request contexts are found, and its address, which tags buffers. And the modules around it.

use std::ffi::CStr;

use crate::nginx::sys::{ngx_command_t, ngx_cycle_t, ngx_module_t};

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

/// The modules of a cycle, in nginx's order.
///
/// # Safety
/// `cycle` must be null or live.
pub unsafe fn modules(cycle: *const ngx_cycle_t) -> impl Iterator<Item = &'static ngx_module_t> {
    // SAFETY: a live cycle, the contract of this function.
    let mut next = unsafe { cycle.as_ref() }.map_or(std::ptr::null_mut(), |cycle| cycle.modules);
    std::iter::from_fn(move || {
        // SAFETY: nginx's list of modules ends with null; they live as long as their cycle.
        unsafe {
            let module = next.as_ref()?.as_ref()?;
            next = next.add(1);
            Some(module)
        }
    })
}

/// The module of a cycle that has this name, if it is there.
///
/// # Safety
/// As for [`modules`].
pub unsafe fn named(cycle: *const ngx_cycle_t, name: &CStr) -> Option<&'static ngx_module_t> {
    // SAFETY: a module's name is a static string.
    let is_named = |found: &&ngx_module_t| unsafe {
        !found.name.is_null() && CStr::from_ptr(found.name) == name
    };
    // SAFETY: the contract of this function.
    unsafe { modules(cycle) }.find(is_named)
}

/// The directives of a module.
pub fn commands(module: &'static ngx_module_t) -> impl Iterator<Item = &'static ngx_command_t> {
    let mut next = module.commands;
    std::iter::from_fn(move || {
        // SAFETY: a module's table of directives, if it has one, ends with an empty name.
        unsafe {
            let command = next.as_ref().filter(|command| command.name.len > 0)?;
            next = next.add(1);
            Some(command)
        }
    })
}
