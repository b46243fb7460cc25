//! The functions that other nginx modules link against.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::{CStr, c_char, c_void};
use std::ptr::null_mut;

use codec::fallible::Grow;
use export::export;

use crate::config::MainConf;
use crate::lua::{CFunction, RawFunction, State, openresty};
use crate::nginx::Request;
use crate::nginx::core::conf::Conf;
use crate::nginx::sys::{ngx_conf_t, ngx_http_request_t, ngx_int_t};
use crate::runtime::Task;

const OK: ngx_int_t = 0;
const ERROR: ngx_int_t = -1;

/// The Lua VM of the configuration that `cf` reads; null until it has been made, which is when
/// this module's `postconfiguration` runs. The module keeps ownership.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_get_global_state(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: other modules have `cf` from nginx, which calls them while it reads the http block.
    let cf = unsafe { Conf::from_ptr(cf) };
    let vm = cf.as_ref().map(MainConf::of).and_then(MainConf::vm);
    vm.map_or(null_mut(), |vm| vm.main().as_ptr().cast())
}

/// The request that the coroutine `state` runs for; null where there is none. nginx owns it.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_get_request(state: *mut c_void) -> *mut ngx_http_request_t {
    if state.is_null() {
        return null_mut();
    }
    // SAFETY: the calling module passes a live coroutine, mostly the one that has called its C
    // function; null is checked.
    let state = unsafe { State::from_ptr(state.cast()) };
    let own = Task::of(state).and_then(|task| task.request());
    own.or_else(|| openresty::running_request(state)).map_or(null_mut(), Request::as_ptr)
}

/// Makes `require` find `package`: calls `loader` for it, in every VM of this configuration.
///
/// Called while nginx reads the configuration, before or after the worker's VM is made; the name is
/// copied. Returns `NGX_OK`, or `NGX_ERROR` for a null argument or without memory.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_add_package_preload(
    cf: *mut ngx_conf_t,
    package: *const c_char,
    loader: Option<RawFunction>,
) -> ngx_int_t {
    // SAFETY: other modules have `cf` from nginx, which calls them while it reads the http block.
    let (Some(cf), Some(loader)) = (unsafe { Conf::from_ptr(cf) }, loader) else { return ERROR };
    let main = MainConf::of(&cf);
    if package.is_null() {
        return ERROR;
    }
    // SAFETY: the calling module passes a C string (null is checked), and a function that Lua code
    // may call.
    let (package, loader): (std::ffi::CString, _) =
        unsafe { (CStr::from_ptr(package).into(), CFunction::new(loader)) };
    if let Some(vm) = main.vm()
        && vm.add_preload(&package, loader).is_err()
    {
        return ERROR;
    }
    if main.preload.borrow_mut().try_push((package, loader)).is_err() {
        return ERROR;
    }
    OK
}
