//! The symbols behind `ngx.req.get_headers`, `set_header`, `clear_header` and
//! `ngx.req.add_header` of lua-resty-core.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::{c_char, c_int};

use export::export;

use crate::api::ffi::{self, FfiStr, FfiTableElt, set_message, with_values};
use crate::nginx::core::strings;
use crate::nginx::http::headers_in;
use crate::nginx::sys::{ngx_http_request_t, ngx_str_t};
use crate::nginx::{Request, guard};
use crate::ngx_debug;

const DEFAULT_MAX_HEADERS: usize = 100;
/// nginx's number of HTTP/1.0; what is older has no headers.
const HTTP_VERSION_10: usize = 1000;

/// How many headers [`ngx_http_lua_ffi_req_get_headers`] will give: all up to `max` (100 where it
/// is negative, no limit where it is 0). `*truncated` becomes 1 where there are more. -101 without
/// a client.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export(unguarded = "it counts; what makes a line has a guard")]
pub unsafe extern "C" fn ngx_http_lua_ffi_req_get_headers_count(
    r: *mut ngx_http_request_t,
    max: c_int,
    truncated: *mut c_int,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request and its own out-parameter.
    let (request, truncated) = unsafe {
        match (ffi::real_request(r), truncated.as_mut()) {
            (Err(code), _) => return code,
            (_, None) => return ffi::ERROR,
            (Ok(request), Some(truncated)) => (request, truncated),
        }
    };
    let max = usize::try_from(max).unwrap_or(DEFAULT_MAX_HEADERS);
    let authority = headers_in::authority(&request).is_some();
    let count = headers_in::count(request) + usize::from(authority);
    let cut = max > 0 && count > max;
    *truncated = cut.into();
    if cut {
        log_cut(request, count, max);
        return c_int::try_from(max).unwrap_or(ffi::ERROR);
    }
    c_int::try_from(count).unwrap_or(ffi::ERROR)
}

#[cold]
fn log_cut(request: Request, count: usize, max: usize) {
    guard((), || {
        ngx_debug!(request.log(), "lua exceeding request header limit {count} > {max}");
    });
}

/// Fills `out`, an array of `count` elements, with names (as written if `raw` is not 0, else in
/// lower case) and values, which belong to the request. Elements for which there is no header get
/// empty strings. 0, or -101 without a client.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export(unguarded = "it copies addresses and lengths")]
pub unsafe extern "C" fn ngx_http_lua_ffi_req_get_headers(
    r: *mut ngx_http_request_t,
    out: *mut FfiTableElt,
    count: c_int,
    raw: c_int,
) -> c_int {
    let Ok(count @ 1..) = usize::try_from(count) else { return ffi::OK };
    // SAFETY: lua-resty-core passes the running request and an array of `count` elements, aligned
    // and perhaps not initialised: `left` bounds the number of those that are written, and none is
    // read.
    unsafe {
        let request = match ffi::real_request(r) {
            Ok(request) if !out.is_null() => request,
            Ok(_) => return ffi::ERROR,
            Err(code) => return code,
        };
        let mut slot = out;
        let mut write = |(name, value): (ngx_str_t, ngx_str_t)| {
            slot.write(FfiTableElt { key: name.into(), value: value.into() });
            slot = slot.add(1);
        };
        let mut left = count;
        if let Some(name) = headers_in::authority(&request) {
            left -= 1;
            write((HOST, name));
        }
        headers_in::nodes(request).for_each(|header| {
            if left > 0 {
                left -= 1;
                write(header.raw(raw == 0));
            }
        });
        (0..left).for_each(|_| write(NOTHING));
    }
    ffi::OK
}

/// The name under which the `:authority` of an HTTP/3 request without a `Host` header is shown:
/// nginx puts none into its list.
const HOST: ngx_str_t = ngx_str_t { len: 4, data: c"host".as_ptr().cast_mut().cast() };
const NOTHING: (ngx_str_t, ngx_str_t) = (ngx_str_t::empty(), ngx_str_t::empty());

/// Sets a request header: to `mvals` (`mvals_len` of them) where that is not null, else to
/// `value`, else to nothing. With `override` 0 the old values stay.
///
/// 0; -5 for HTTP/0.9, which has no headers; -101 without a client; -1 with a static text in
/// `*errmsg`. All arguments are copied.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_req_set_header(
    r: *mut ngx_http_request_t,
    key: *const u8,
    key_len: usize,
    value: *const u8,
    value_len: usize,
    mvals: *const FfiStr,
    mvals_len: usize,
    r#override: c_int,
    errmsg: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request, its own strings with their lengths, and
    // its own out-parameter.
    unsafe {
        let request = match ffi::real_request(r) {
            Ok(request) => request,
            Err(code) => return code,
        };
        if request.http_version() < HTTP_VERSION_10 {
            return ffi::DECLINED;
        }
        let value = (!value.is_null()).then(|| strings::raw(value, value_len));
        let key = strings::raw(key, key_len);
        let result = with_values(value, mvals, mvals_len, |values| {
            super::own(request)?;
            headers_in::set(request, key, values, r#override != 0)
        });
        match result {
            Ok(()) => ffi::OK,
            Err(error) => {
                set_message(errmsg, error.message());
                ffi::ERROR
            }
        }
    }
}
