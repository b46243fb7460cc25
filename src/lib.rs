//! lua-nginx-module in Rust: the statics that nginx looks for in a dynamic module, and the tree of
//! rooms. ARCHITECTURE.md says what is where.

mod api;
mod config;
mod lua;
mod module;
mod nginx;
mod phase;
mod runtime;
mod vm;

use std::ffi::c_char;

use crate::config::directives::COMMANDS;
use crate::nginx::sys::{NGX_HTTP_MODULE, ngx_http_module_t, ngx_module_t, ngx_uint_t};

/// The module, under the name that other modules and nginx's configuration know.
#[unsafe(no_mangle)]
pub static mut ngx_http_lua_module: ngx_module_t = ngx_module_t {
    ctx: std::ptr::addr_of!(MODULE_CONTEXT).cast_mut().cast(),
    commands: COMMANDS.as_ptr(),
    type_: NGX_HTTP_MODULE as ngx_uint_t,
    init_module: Some(module::init_module),
    init_process: Some(module::init_process),
    exit_process: Some(module::exit_process),
    ..ngx_module_t::default()
};

static MODULE_CONTEXT: ngx_http_module_t = ngx_http_module_t {
    preconfiguration: None,
    postconfiguration: Some(module::postconfiguration),
    create_main_conf: Some(module::create_main_conf),
    init_main_conf: None,
    create_srv_conf: Some(module::create_server_conf),
    merge_srv_conf: Some(module::merge_server_conf),
    create_loc_conf: Some(module::create_location_conf),
    merge_loc_conf: Some(module::merge_location_conf),
};

/// The module, for reading; nginx fills in its indexes before it calls anything here.
fn module() -> &'static ngx_module_t {
    // SAFETY: nginx writes to the module only while it loads it, before any other call.
    unsafe { &*std::ptr::addr_of!(ngx_http_lua_module) }
}

/// A list of pointers for nginx to read.
#[repr(transparent)]
pub struct Pointers<T, const N: usize>([*const T; N]);

// SAFETY: the pointers are to statics, or null.
unsafe impl<T, const N: usize> Sync for Pointers<T, N> {}

/// The modules in this file, ended by null.
#[unsafe(no_mangle)]
pub static ngx_modules: Pointers<ngx_module_t, 2> =
    Pointers([std::ptr::addr_of!(ngx_http_lua_module), std::ptr::null()]);

/// Their names, ended by null.
#[unsafe(no_mangle)]
pub static ngx_module_names: Pointers<c_char, 2> =
    Pointers([c"ngx_http_lua_module".as_ptr(), std::ptr::null()]);

/// Where the module's filters stand: after it in this list, nginx's copy filter, as upstream's do.
#[unsafe(no_mangle)]
pub static ngx_module_order: Pointers<c_char, 3> = Pointers([
    c"ngx_http_lua_module".as_ptr(),
    c"ngx_http_copy_filter_module".as_ptr(),
    std::ptr::null(),
]);
