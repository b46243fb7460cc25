//! The statics that nginx looks for in a dynamic module, and the hooks in them: each is a panic
//! guard around a function of `life_cycle`.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::{c_char, c_void};
use std::ptr::{addr_of, null_mut};

use export::callback;

use super::life_cycle;
use crate::config::directives::COMMANDS;
use crate::config::{LocationConf, MainConf, ServerConf};
use crate::nginx::Status;
use crate::nginx::core::conf::{CONF_ERROR, Conf, ConfResult, to_nginx};
use crate::nginx::core::cycle::Cycle;
use crate::nginx::core::guard::install_panic_hook;
use crate::nginx::http::configuration::{Scope, Structure};
use crate::nginx::http::context_slot::ModuleContext;
use crate::nginx::sys::{
    NGX_HTTP_MODULE, ngx_conf_t, ngx_cycle_t, ngx_http_module_t, ngx_int_t, ngx_module_t,
    ngx_uint_t,
};
use crate::runtime::Context;

/// The module, under the name that other modules and nginx's configuration know.
#[unsafe(no_mangle)]
pub static mut ngx_http_lua_module: ngx_module_t = ngx_module_t {
    ctx: addr_of!(MODULE_CONTEXT).cast_mut().cast(),
    commands: COMMANDS.as_ptr(),
    type_: NGX_HTTP_MODULE as ngx_uint_t,
    init_module: Some(init_module),
    init_process: Some(init_process),
    exit_process: Some(exit_process),
    #[cfg(angie)]
    spare1: crate::nginx::sys::ANGIE_SIGN,
    #[cfg(angie)]
    version: crate::nginx::sys::ANGIE_VERSION,
    ..ngx_module_t::default()
};

static MODULE_CONTEXT: ngx_http_module_t = ngx_http_module_t {
    preconfiguration: Some(preconfiguration),
    postconfiguration: Some(postconfiguration),
    create_main_conf: Some(create_main_conf),
    init_main_conf: None,
    create_srv_conf: Some(create_conf::<ServerConf>),
    merge_srv_conf: Some(merge_server_conf),
    create_loc_conf: Some(create_conf::<LocationConf>),
    merge_loc_conf: Some(merge_location_conf),
};

// SAFETY: `MODULE_CONTEXT` has a `create_*_conf` that makes this type at its scope.
unsafe impl Structure for MainConf {
    const SCOPE: Scope = Scope::Main;
}

// SAFETY: as above.
unsafe impl Structure for ServerConf {
    const SCOPE: Scope = Scope::Server;
}

// SAFETY: as above.
unsafe impl Structure for LocationConf {
    const SCOPE: Scope = Scope::Location;
}

// SAFETY: `Context::attach` gives the pool its share and fills the slot, `Context::reattach` fills it
// again; a context is made in an Rc only.
unsafe impl ModuleContext for Context {}

// SAFETY: this module keeps no other type with a TLS connection.
#[cfg(ngx_feature = "http_ssl")]
unsafe impl crate::nginx::event::tls::Kept for crate::runtime::handshake::Handshake {
    fn end(&self) {
        self.close();
    }
}

/// nginx reads an `http` block: the first that it asks of this module is the main configuration. Null
/// where this module must not be used.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback(null_mut())]
unsafe extern "C" fn create_main_conf(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: nginx passes its parser.
    let admitted = unsafe { Conf::from_ptr(cf) }.is_some_and(|cf| life_cycle::admit(cf).is_ok());
    // SAFETY: the contract of this function.
    if admitted { unsafe { create_conf::<MainConf>(cf) } } else { null_mut() }
}

/// A configuration structure in the cycle's pool; null without memory.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback(null_mut())]
unsafe extern "C" fn create_conf<T: Structure>(cf: *mut ngx_conf_t) -> *mut c_void {
    install_panic_hook();
    // SAFETY: nginx passes its parser.
    let conf = unsafe { Conf::from_ptr(cf) };
    conf.and_then(|conf| conf.pool().ok())
        .and_then(|pool| pool.own(T::default()).ok())
        .map_or(null_mut(), |conf| conf.as_ptr().cast())
}

/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback(CONF_ERROR)]
unsafe extern "C" fn merge_server_conf(
    cf: *mut ngx_conf_t,
    outer: *mut c_void,
    inner: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx passes its parser, and two structures of servers.
    unsafe { merge(cf, outer, inner, life_cycle::merge_server) }
}

/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback(CONF_ERROR)]
unsafe extern "C" fn merge_location_conf(
    cf: *mut ngx_conf_t,
    outer: *mut c_void,
    inner: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx passes its parser, and two structures of locations.
    unsafe { merge(cf, outer, inner, life_cycle::merge_location) }
}

/// # Safety
/// `cf` must be nginx's parser, and the structures `T`s that `create_conf` made.
unsafe fn merge<T: Structure>(
    cf: *mut ngx_conf_t,
    outer: *mut c_void,
    inner: *mut c_void,
    work: impl FnOnce(Conf, &T, &T) -> ConfResult,
) -> *mut c_char {
    // SAFETY: `cf` is nginx's parser, and the structures `T`s that `create_conf` made, the contract of
    // this function.
    unsafe {
        let Some(cf) = Conf::from_ptr(cf) else { return CONF_ERROR };
        to_nginx(work(cf, &*outer.cast::<T>(), &*inner.cast::<T>()))
    }
}

/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback(Status::ERROR.0)]
unsafe extern "C" fn preconfiguration(_cf: *mut ngx_conf_t) -> ngx_int_t {
    life_cycle::hand_down();
    Status::OK.0
}

/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback(Status::ERROR.0)]
unsafe extern "C" fn postconfiguration(cf: *mut ngx_conf_t) -> ngx_int_t {
    // SAFETY: nginx passes its parser, within the http block.
    let cf = unsafe { Conf::from_ptr(cf) };
    code(cf.ok_or(()).and_then(life_cycle::set_up))
}

/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback(Status::ERROR.0)]
unsafe extern "C" fn init_module(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    // SAFETY: nginx passes the cycle whose configuration it has read.
    unsafe { with_cycle(cycle, |cycle| life_cycle::configuration_is_read(cycle).map_err(drop)) }
}

/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback(Status::ERROR.0)]
unsafe extern "C" fn init_process(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    // SAFETY: nginx passes the process's cycle.
    unsafe {
        with_cycle(cycle, |cycle| {
            life_cycle::process_starts(cycle);
            Ok(())
        })
    }
}

/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback]
unsafe extern "C" fn exit_process(cycle: *mut ngx_cycle_t) {
    // SAFETY: nginx passes the process's cycle.
    unsafe {
        with_cycle(cycle, |cycle| {
            life_cycle::process_ends(cycle);
            Ok(())
        });
    }
}

/// # Safety
/// `cycle` must be null or live.
unsafe fn with_cycle(
    cycle: *mut ngx_cycle_t,
    work: impl FnOnce(Cycle) -> Result<(), ()>,
) -> ngx_int_t {
    // SAFETY: `cycle` is null or live, the contract of this function.
    code(unsafe { Cycle::from_ptr(cycle) }.ok_or(()).and_then(work))
}

fn code(result: Result<(), ()>) -> ngx_int_t {
    if result.is_ok() { Status::OK.0 } else { Status::ERROR.0 }
}

/// The lists that nginx looks for in a dynamic module. Where nginx's own build links the module, it
/// writes them itself.
#[cfg(feature = "export-modules")]
mod exports {
    use std::ffi::c_char;
    use std::ptr::{addr_of, null};

    use super::ngx_http_lua_module;
    use crate::nginx::sys::ngx_module_t;

    /// A list of pointers for nginx to read.
    #[repr(transparent)]
    pub struct Pointers<T, const N: usize>([*const T; N]);

    // SAFETY: the pointers are to statics, or null.
    unsafe impl<T, const N: usize> Sync for Pointers<T, N> {}

    /// The modules in this file, ended by null.
    #[unsafe(no_mangle)]
    pub static ngx_modules: Pointers<ngx_module_t, 2> =
        Pointers([addr_of!(ngx_http_lua_module), null()]);

    /// Their names, ended by null.
    #[unsafe(no_mangle)]
    pub static ngx_module_names: Pointers<c_char, 2> =
        Pointers([c"ngx_http_lua_module".as_ptr(), null()]);

    /// Where the module's filters stand: after it in this list, nginx's copy filter, as the C module's
    /// do.
    #[unsafe(no_mangle)]
    pub static ngx_module_order: Pointers<c_char, 3> = Pointers([
        c"ngx_http_lua_module".as_ptr(),
        c"ngx_http_copy_filter_module".as_ptr(),
        null(),
    ]);
}
