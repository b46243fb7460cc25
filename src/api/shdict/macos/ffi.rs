//! Calls with their arguments in a structure.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::{c_char, c_int, c_long};

use crate::api::ffi::ERROR;
use crate::api::shdict::ffi::{
    ngx_http_lua_ffi_shdict_get, ngx_http_lua_ffi_shdict_incr, ngx_http_lua_ffi_shdict_store,
};
use crate::nginx::sys::ngx_shm_zone_t;

/// `ngx_http_lua_shdict_get_params_t`: the arguments of `ngx_http_lua_ffi_shdict_get`.
#[repr(C)]
pub struct GetParams {
    zone: *mut ngx_shm_zone_t,
    key: *const u8,
    key_len: usize,
    value_type: *mut c_int,
    str_value_buf: *mut *mut u8,
    str_value_len: *mut usize,
    num_value: *mut f64,
    user_flags: *mut c_int,
    get_stale: c_int,
    is_stale: *mut c_int,
    errmsg: *mut *const c_char,
}

/// `ngx_http_lua_shdict_store_params_t`: the arguments of `ngx_http_lua_ffi_shdict_store`.
#[repr(C)]
pub struct StoreParams {
    zone: *mut ngx_shm_zone_t,
    op: c_int,
    key: *const u8,
    key_len: usize,
    value_type: c_int,
    str_value_buf: *const u8,
    str_value_len: usize,
    num_value: f64,
    exptime: c_long,
    user_flags: c_int,
    errmsg: *mut *const c_char,
    forcible: *mut c_int,
}

/// `ngx_http_lua_shdict_incr_params_t`: the arguments of `ngx_http_lua_ffi_shdict_incr`.
#[repr(C)]
pub struct IncrParams {
    zone: *mut ngx_shm_zone_t,
    key: *const u8,
    key_len: usize,
    num_value: *mut f64,
    errmsg: *mut *const c_char,
    has_init: c_int,
    init: f64,
    init_ttl: c_long,
    forcible: *mut c_int,
}

/// As `ngx_http_lua_ffi_shdict_get`; -1 for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ngx_http_lua_ffi_shdict_get_macos(p: *const GetParams) -> c_int {
    // SAFETY: lua-resty-core passes the structure, filled as for the call itself.
    unsafe {
        let Some(p) = p.as_ref() else { return ERROR };
        ngx_http_lua_ffi_shdict_get(
            p.zone,
            p.key,
            p.key_len,
            p.value_type,
            p.str_value_buf,
            p.str_value_len,
            p.num_value,
            p.user_flags,
            p.get_stale,
            p.is_stale,
            p.errmsg,
        )
    }
}

/// As `ngx_http_lua_ffi_shdict_store`; -1 for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ngx_http_lua_ffi_shdict_store_macos(p: *const StoreParams) -> c_int {
    // SAFETY: as above.
    unsafe {
        let Some(p) = p.as_ref() else { return ERROR };
        ngx_http_lua_ffi_shdict_store(
            p.zone,
            p.op,
            p.key,
            p.key_len,
            p.value_type,
            p.str_value_buf,
            p.str_value_len,
            p.num_value,
            p.exptime,
            p.user_flags,
            p.errmsg,
            p.forcible,
        )
    }
}

/// As `ngx_http_lua_ffi_shdict_incr`; -1 for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ngx_http_lua_ffi_shdict_incr_macos(p: *const IncrParams) -> c_int {
    // SAFETY: as above.
    unsafe {
        let Some(p) = p.as_ref() else { return ERROR };
        ngx_http_lua_ffi_shdict_incr(
            p.zone,
            p.key,
            p.key_len,
            p.num_value,
            p.errmsg,
            p.has_init,
            p.init,
            p.init_ttl,
            p.forcible,
        )
    }
}
