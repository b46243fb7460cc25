//! The symbols behind `ngx.req.get_uri_args`.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::c_int;

use codec::args;
use export::export;

use crate::api::ffi::{self, FfiStr, FfiTableElt};
use crate::nginx::Level;
use crate::nginx::sys::ngx_http_request_t;
use crate::ngx_log;

/// The length of the query string: the size of the buffer for
/// [`ngx_http_lua_ffi_req_get_uri_args`].
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_req_get_querystring_len(
    r: *mut ngx_http_request_t,
) -> usize {
    ffi::request(r).map_or(0, |request| request.args().len())
}

/// The number of arguments, at most `max` (0: no limit; negative: 100). `*truncated` becomes 1 if
/// there are more, else 0. -101 without a client.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export(ffi::BAD_CONTEXT)]
pub unsafe extern "C" fn ngx_http_lua_ffi_req_get_uri_args_count(
    r: *mut ngx_http_request_t,
    max: c_int,
    truncated: *mut c_int,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request and its own out-parameter.
    unsafe {
        let request = match ffi::real_request(r) {
            Ok(request) => request,
            Err(code) => return code,
        };
        let count = args::count(request.args(), max);
        if let Some(truncated) = truncated.as_mut() {
            *truncated = c_int::from(count.truncated);
        }
        if count.truncated {
            ngx_log!(request.log(), Level::Debug, "lua hit query args limit {}", count.slots);
        }
        c_int::try_from(count.slots).unwrap_or(c_int::MAX)
    }
}

/// Unescapes the query string into `buf` and writes at most `count` arguments to `out`, whose
/// names and values point into `buf`. Returns the number written; -101 without a client.
///
/// `buf` is the caller's, with space for as many bytes as
/// [`ngx_http_lua_ffi_req_get_querystring_len`] said; `out` likewise for `count` entries, and need
/// not be aligned: lua-resty-core puts it right behind `buf`. 0 if there is no room for the
/// arguments any more.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export(ffi::BAD_CONTEXT)]
pub unsafe extern "C" fn ngx_http_lua_ffi_req_get_uri_args(
    r: *mut ngx_http_request_t,
    buf: *mut u8,
    out: *mut FfiTableElt,
    count: c_int,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request, and one buffer of its own with the sizes
    // that the two symbols above have just returned. In between it only makes that buffer; if a
    // finalizer has set longer arguments meanwhile, they do not fit before `out`.
    unsafe {
        let request = match ffi::real_request(r) {
            Ok(request) => request,
            Err(code) => return code,
        };
        let slots = usize::try_from(count).unwrap_or(0);
        if slots == 0 || buf.is_null() || out.is_null() {
            return 0;
        }
        let args = request.args();
        if buf.addr() < out.addr() && out.addr() - buf.addr() < args.len() {
            return 0;
        }
        std::ptr::copy_nonoverlapping(args.as_ptr(), buf, args.len());
        let text = std::slice::from_raw_parts_mut(buf, args.len());
        let mut next = out;
        let found = args::parse_in_place(text, slots, |arg| {
            let part = |range: std::ops::Range<usize>| FfiStr {
                len: range.len() as c_int,
                data: buf.add(range.start),
            };
            let value = arg.value.map_or(TRUE, part);
            next.write_unaligned(FfiTableElt { key: part(arg.name), value });
            next = next.wrapping_add(1);
        });
        found as c_int
    }
}

/// The value of an argument without `=`.
const TRUE: FfiStr = FfiStr { len: -1, data: std::ptr::null_mut() };
