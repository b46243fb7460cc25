//! The C symbols of the clock. Buffers are the caller's, and have the fixed size that each function
//! names; a null pointer is left alone.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::{c_double, c_int, c_long};
use std::slice::from_raw_parts_mut;

use codec::http_time::{
    COOKIE_TIME_MAX_LEN, DATE_LEN, DATE_TIME_LEN, HTTP_TIME_LEN, cookie_time_into, date_into,
    date_time_into, http_time_into, parse_http_time,
};
use export::export;

use crate::api::ffi;
use crate::nginx::core::strings::raw;
use crate::nginx::core::time;
use crate::nginx::sys::ngx_http_request_t;

/// nginx's cached time: seconds since the epoch, with the milliseconds as decimals.
///
/// # Safety
/// There are no pointers. To be called in a thread that runs Lua code, as LuaJIT's FFI does.
#[export(unguarded = "it reads a number of nginx's")]
pub unsafe extern "C" fn ngx_http_lua_ffi_now() -> c_double {
    time::now()
}

/// nginx's cached time: whole seconds since the epoch.
///
/// # Safety
/// There are no pointers. To be called in a thread that runs Lua code, as LuaJIT's FFI does.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_time() -> c_long {
    time::seconds()
}

/// Milliseconds of a clock that never goes back, as nginx has cached them.
///
/// # Safety
/// There are no pointers. To be called in a thread that runs Lua code, as LuaJIT's FFI does.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_monotonic_msec() -> c_long {
    time::monotonic_milliseconds() as c_long
}

/// Brings nginx's cached time up to date.
///
/// # Safety
/// There are no pointers. To be called in a thread that runs Lua code, as LuaJIT's FFI does.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_update_time() {
    time::update()
}

/// When nginx made the request: seconds since the epoch, with the milliseconds as decimals; 0 for
/// null.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_req_start_time(r: *mut ngx_http_request_t) -> c_double {
    ffi::request(r).map_or(0.0, time::request_start)
}

/// Writes the local date, `2010-11-18`, into 10 bytes.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_today(buf: *mut u8) {
    // SAFETY: lua-resty-core passes a buffer of its own, of 10 bytes.
    unsafe { fill(buf, DATE_LEN, |buf| date_into(time::local_seconds(), buf)) };
}

/// Writes the local time, `2010-11-18 11:27:35`, into 19 bytes.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_localtime(buf: *mut u8) {
    // SAFETY: lua-resty-core passes a buffer of its own, of 19 bytes.
    unsafe { fill(buf, DATE_TIME_LEN, |buf| date_time_into(time::local_seconds(), buf)) };
}

/// Writes the time in UTC, `2010-11-18 11:27:35`, into 19 bytes.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_utctime(buf: *mut u8) {
    // SAFETY: lua-resty-core passes a buffer of its own, of 19 bytes.
    unsafe { fill(buf, DATE_TIME_LEN, |buf| date_time_into(time::seconds(), buf)) };
}

/// Writes `t` as a cookie's expiry, `Thu, 18-Nov-10 11:27:35 GMT`, into 29 bytes. Returns the
/// length written.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export(0)]
pub unsafe extern "C" fn ngx_http_lua_ffi_cookie_time(buf: *mut u8, t: c_long) -> c_int {
    // SAFETY: lua-resty-core passes a buffer of its own, of 29 bytes.
    unsafe { fill(buf, COOKIE_TIME_MAX_LEN, |buf| cookie_time_into(t, buf)) }
}

/// Writes `t` as a header's date, `Thu, 18 Nov 2010 11:27:35 GMT`, into 29 bytes.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_http_time(buf: *mut u8, t: c_long) {
    // SAFETY: lua-resty-core passes a buffer of its own, of 29 bytes.
    unsafe { fill(buf, HTTP_TIME_LEN, |buf| http_time_into(t, buf)) };
}

/// Reads a date in one of HTTP's three formats from `str[..len]` into `*time`, as seconds since the
/// epoch; -1 if it is no such date.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_parse_http_time(
    str: *const u8,
    len: usize,
    time: *mut c_long,
) {
    // SAFETY: lua-resty-core passes a Lua string with its length, and an out-parameter.
    let (str, Some(time)) = (unsafe { (raw(str, len), time.as_mut()) }) else { return };
    *time = parse_http_time(str).unwrap_or(-1);
}

/// Has `write` fill the `len` bytes at `buf`. Returns the length written, 0 where that is null or
/// too short.
///
/// # Safety
/// `buf` must be null or valid for `len` bytes.
unsafe fn fill(buf: *mut u8, len: usize, write: impl FnOnce(&mut [u8]) -> Option<usize>) -> c_int {
    if buf.is_null() {
        return 0;
    }
    // SAFETY: the caller promises null or `len` bytes; null is handled above.
    let buf = unsafe { from_raw_parts_mut(buf, len) };
    write(buf).map_or(0, |written| written as c_int)
}
