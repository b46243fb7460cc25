//! The symbols behind `ndk.set_var`.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::c_int;

use export::export;

use crate::api::ffi::{self, FfiStr};
use crate::nginx::Level;
use crate::nginx::core::log::log_cycle;
use crate::nginx::core::strings;
use crate::nginx::http::ndk;
use crate::nginx::http::ndk::{LookupError, SetVarValue};
use crate::nginx::sys::ngx_http_request_t;

/// The longest argument, in bytes: nginx keeps a variable's length in 28 bits.
const MAX_LEN: usize = (1 << 28) - 1;

/// Finds the function of the directive named by the `var_len` bytes at `var_data`.
///
/// 0: `*func` is the function, for [`ngx_http_lua_ffi_ndk_set_var_get`]. -1: no loaded module has
/// such a directive; if the NDK itself is missing, the error log says so.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_ndk_lookup_directive(
    var_data: *const u8,
    var_len: usize,
    func: *mut Option<SetVarValue>,
) -> c_int {
    // SAFETY: lua-resty-core passes a Lua string and its own out-parameter.
    unsafe {
        let Some(func) = func.as_mut() else { return ffi::ERROR };
        match ndk::lookup(strings::raw(var_data, var_len)) {
            Ok(function) => {
                *func = Some(function);
                ffi::OK
            }
            Err(LookupError::NotFound) => ffi::ERROR,
            Err(LookupError::NotLoaded) => {
                log_cycle(Level::Err, b"ndk.set_var: the module ndk_http_module is not loaded");
                ffi::ERROR
            }
        }
    }
}

/// Calls what [`ngx_http_lua_ffi_ndk_lookup_directive`] found with the `arg_len` bytes at
/// `arg_data`.
///
/// 0: `*value` is the result, which belongs to the request and is to be copied at once. Else the
/// code that the directive returned, or -1.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_ndk_set_var_get(
    r: *mut ngx_http_request_t,
    func: Option<SetVarValue>,
    arg_data: *const u8,
    arg_len: usize,
    value: *mut FfiStr,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request, a function that the look-up above has
    // found, a Lua string with its length and a structure of its own; null is checked.
    unsafe {
        let (Some(request), Some(func)) = (ffi::request(r), func) else { return ffi::ERROR };
        if arg_len > MAX_LEN || value.is_null() {
            return ffi::ERROR;
        }
        match ndk::call(request, func, strings::raw(arg_data, arg_len)) {
            Ok(result) => {
                let Ok(len) = c_int::try_from(result.len) else { return ffi::ERROR };
                value.write_unaligned(FfiStr { len, data: result.data });
                ffi::OK
            }
            Err(code) => c_int::try_from(code).unwrap_or(ffi::ERROR),
        }
    }
}
