//! The symbols behind `ngx.req.get_method` and similar functions.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::c_int;

use export::export;

use crate::api::ffi;
use crate::nginx::http::request_line;
use crate::nginx::sys::ngx_http_request_t;

/// nginx's number of the request's method; -101 without a client.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export(ffi::BAD_CONTEXT)]
pub unsafe extern "C" fn ngx_http_lua_ffi_req_get_method(r: *mut ngx_http_request_t) -> c_int {
    match ffi::real_request(r) {
        Ok(request) => c_int::try_from(request.method()).unwrap_or(ffi::ERROR),
        Err(code) => code,
    }
}

/// The name of the method: `*name` and `*len` are bytes of the request's, to be copied at once.
/// 0, or -101 without a client.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export(ffi::BAD_CONTEXT)]
pub unsafe extern "C" fn ngx_http_lua_ffi_req_get_method_name(
    r: *mut ngx_http_request_t,
    name: *mut *const u8,
    len: *mut usize,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request and its own out-parameters.
    unsafe {
        let request = match ffi::real_request(r) {
            Ok(request) => request,
            Err(code) => return code,
        };
        let (Some(name), Some(len)) = (name.as_mut(), len.as_mut()) else {
            return ffi::ERROR;
        };
        let found = request_line::current_method_name(&request);
        *name = found.as_ptr();
        *len = found.len();
        ffi::OK
    }
}

/// Sets the method by nginx's number: 0; -5 if no method has it; -101 without a client.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export(ffi::BAD_CONTEXT)]
pub unsafe extern "C" fn ngx_http_lua_ffi_req_set_method(
    r: *mut ngx_http_request_t,
    method: c_int,
) -> c_int {
    let request = match ffi::real_request(r) {
        Ok(request) => request,
        Err(code) => return code,
    };
    match u32::try_from(method) {
        Ok(number) if request_line::set_method(request, number) => ffi::OK,
        _ => ffi::DECLINED,
    }
}

/// 1 after an internal redirect, 0 before, -101 without a client.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export(ffi::BAD_CONTEXT)]
pub unsafe extern "C" fn ngx_http_lua_ffi_req_is_internal(r: *mut ngx_http_request_t) -> c_int {
    match ffi::real_request(r) {
        Ok(request) => c_int::from(request_line::is_internal(request)),
        Err(code) => code,
    }
}
