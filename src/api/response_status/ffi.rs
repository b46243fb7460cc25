//! The symbols behind `ngx.status` and `ngx.resp.set_status`.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::c_int;

use export::export;

use crate::api::ffi;
use crate::nginx::core::strings;
use crate::nginx::http::response_status;
use crate::nginx::sys::ngx_http_request_t;
use crate::nginx::{Level, Request};
use crate::ngx_log;

/// The status that the response has, or will have so far: 0 for none yet, 9 for a request in
/// HTTP/0.9; -101 without a client.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_get_resp_status(r: *mut ngx_http_request_t) -> c_int {
    match ffi::real_request(r) {
        Ok(request) => c_int::try_from(response_status::get(request)).unwrap_or(ffi::ERROR),
        Err(code) => code,
    }
}

/// Sets the status. 0; -5 if the header has been sent or the status does not have three digits (and
/// a line in the log says so); -101 without a client.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_set_resp_status(
    r: *mut ngx_http_request_t,
    status: c_int,
) -> c_int {
    let request = match unsent(r) {
        Ok(request) => request,
        Err(code) => return code,
    };
    match three_digits(request, status) {
        Ok(status) => {
            response_status::set(request, status);
            ffi::OK
        }
        Err(code) => code,
    }
}

/// Sets the status and its reason, `reason_len` bytes at `reason` (copied, unsafe bytes escaped).
///
/// 0; -5 if the header has been sent, the status does not have three digits, or there is no memory
/// (and a line in the log says so); -101 without a client.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_set_resp_status_and_reason(
    r: *mut ngx_http_request_t,
    status: c_int,
    reason: *const u8,
    reason_len: usize,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request and its own string with its length.
    let (request, reason) = unsafe {
        match unsent(r) {
            Ok(request) => (request, strings::raw(reason, reason_len)),
            Err(code) => return code,
        }
    };
    let status = match three_digits(request, status) {
        Ok(status) => status,
        Err(code) => return code,
    };
    if response_status::set_with_reason(request, status, reason).is_err() {
        request.log().write(Level::Err, b"no memory");
        return ffi::DECLINED;
    }
    ffi::OK
}

/// Makes nginx send the response whatever `If-Modified-Since` and similar request headers ask for.
/// 0, or -101 without a client. lua-resty-core calls it from 0.1.32 on.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_bypass_if_checks(r: *mut ngx_http_request_t) -> c_int {
    match ffi::real_request(r) {
        Ok(request) => {
            response_status::bypass_conditions(request);
            ffi::OK
        }
        Err(code) => code,
    }
}

/// `status`, if it has three digits, as a status line must; else an error, which is logged.
fn three_digits(request: Request, status: c_int) -> Result<usize, c_int> {
    let digits = usize::try_from(status).ok().filter(|status| (100..1000).contains(status));
    digits.ok_or_else(|| {
        ngx_log!(request.log(), Level::Err, "invalid HTTP status code {status}");
        ffi::DECLINED
    })
}

/// The request, if its response header has not been sent; else an error, which is logged.
fn unsent(r: *mut ngx_http_request_t) -> Result<Request, c_int> {
    let (request, context) = (ffi::real_request(r)?, ffi::context(r));
    let sent = context.map_or(request.header_sent(), |context| context.is_header_sent());
    if sent {
        let text = b"attempt to set ngx.status after sending out response headers";
        request.log().write(Level::Err, text);
        return Err(ffi::DECLINED);
    }
    Ok(request)
}
