//! The C symbols of the environment, of `ngx.errlog` and of string helpers.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_double, c_int};
use std::slice::from_raw_parts_mut;

use codec::fallible::{self, Grow, OutOfMemory};
use export::export;

use crate::api::ffi;
use crate::config::MainConf;
use crate::nginx::core::log::{Level, Log, cycle_log};
use crate::nginx::core::strings::raw;
use crate::nginx::core::worker;
use crate::nginx::sys::ngx_http_request_t;
use crate::per_thread;

/// The error if no lines are captured; the C module's text.
const NO_CAPTURE: &str = "directive \"lua_capture_error_log\" is not set";
/// nginx's `NGX_DONE`.
const DONE: c_int = crate::nginx::sys::NGX_DONE as c_int;

per_thread! {
    /// The last of these buffers has the text of the line that was taken last. A finalizer may take others before
    /// Lua code has copied it: so no buffer is freed, and each is larger than those before it.
    static TAKEN: RefCell<Vec<Vec<u8>>> = RefCell::new(Vec::new());
}

/// The size of the first buffer: nginx's lines are no longer.
const FIRST_BUFFER: usize = 4096;

/// Copies a line to where Lua code finds it.
fn show(text: &[u8]) -> Result<*const c_char, OutOfMemory> {
    TAKEN.with_borrow_mut(|buffers| -> Result<*const c_char, OutOfMemory> {
        if buffers.last().is_none_or(|buffer| buffer.len() < text.len()) {
            let size = text.len().next_power_of_two().max(FIRST_BUFFER);
            buffers.try_push(fallible::zeroes(size)?)?;
        }
        let buffer = buffers.last_mut().ok_or(OutOfMemory)?;
        buffer.get_mut(..text.len()).ok_or(OutOfMemory)?.copy_from_slice(text);
        Ok(buffer.as_ptr().cast())
    })
}

/// Finds `name` among the configuration's `env NAME=VALUE;`. Returns `NGX_OK` with `*env_buf` at
/// the entry `NAME=VALUE` (ended by a NUL; the configuration owns it) and `*name_len` the length of
/// the name in it; or `NGX_DECLINED` if there is no such entry.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export(ffi::DECLINED)]
pub unsafe extern "C" fn ngx_http_lua_ffi_get_conf_env(
    name: *const c_char,
    env_buf: *mut *const u8,
    name_len: *mut usize,
) -> c_int {
    if name.is_null() {
        return ffi::DECLINED;
    }
    // SAFETY: lua-resty-core passes a Lua string, which ends with a NUL, and its own
    // out-parameters; null is checked.
    let (name, env_buf, name_len) =
        unsafe { (CStr::from_ptr(name), env_buf.as_mut(), name_len.as_mut()) };
    let (Some(env_buf), Some(name_len)) = (env_buf, name_len) else { return ffi::DECLINED };
    let Some(entry) = worker::configured_env(name.to_bytes()) else { return ffi::DECLINED };
    (*env_buf, *name_len) = (entry.raw().data, entry.raw().len);
    ffi::OK
}

/// Writes `s[..s_len]` as a line of its own to the error log of the request `r`, or, if that is
/// null, to the cycle's, at nginx's `level` (0 to 8). Returns `NGX_OK`, or `NGX_ERROR` for a bad
/// level.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_raw_log(
    r: *mut ngx_http_request_t,
    level: c_int,
    s: *const u8,
    s_len: usize,
) -> c_int {
    let Some(level) = Level::from_number(level.into()) else { return ffi::ERROR };
    // SAFETY: lua-resty-core passes the running request or null, and a string of `s_len` bytes.
    unsafe { log_of(r).write_bytes(level, raw(s, s_len), 0) };
    ffi::OK
}

/// The level of `error_log` that is in force for the request `r`; without one, for the cycle.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_errlog_get_sys_filter_level(
    r: *mut ngx_http_request_t,
) -> c_int {
    log_of(r).level() as c_int
}

/// From now on, lines of levels finer than `level` (0 to 8) are not captured. Returns `NGX_OK`, or
/// `NGX_ERROR` with a text in `err[..*errlen]`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_errlog_set_filter_level(
    level: c_int,
    err: *mut u8,
    errlen: *mut usize,
) -> c_int {
    let Some(capture) = MainConf::with_current(MainConf::capture).flatten() else {
        // SAFETY: lua-resty-core passes a buffer of its own, with its length.
        unsafe { ffi::write_error(err, errlen, NO_CAPTURE) };
        return ffi::ERROR;
    };
    let Some(level) = Level::from_number(level.into()) else {
        // SAFETY: as above: lua-resty-core's buffer, with its length.
        unsafe {
            ffi::write_error(err, errlen, fallible::text(format_args!("bad log level: {level}")))
        };
        return ffi::ERROR;
    };
    capture.set_filter_level(level);
    ffi::OK
}

/// Takes out the oldest captured line. Returns its length, with `*log` at its text (valid until the
/// next call), its `*loglevel`, and `*log_time` in seconds, unless that is null; `NGX_DONE` if
/// there is no line, or `NGX_ERROR` with a text in `err[..*errlen]` if the configuration captures
/// none.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_errlog_get_msg(
    log: *mut *const c_char,
    loglevel: *mut c_int,
    err: *mut u8,
    errlen: *mut usize,
    log_time: *mut c_double,
) -> c_int {
    let Some(capture) = MainConf::with_current(MainConf::capture).flatten() else {
        // SAFETY: lua-resty-core passes a buffer of its own, with its length.
        unsafe { ffi::write_error(err, errlen, NO_CAPTURE) };
        return ffi::ERROR;
    };
    let Some(line) = capture.take() else { return DONE };
    // SAFETY: lua-resty-core passes its own out-parameters; null is checked.
    let (log, loglevel, log_time) = unsafe { (log.as_mut(), loglevel.as_mut(), log_time.as_mut()) };
    let (Some(log), Some(loglevel)) = (log, loglevel) else { return ffi::ERROR };
    *loglevel = line.level;
    if let Some(log_time) = log_time {
        *log_time = line.time;
    }
    let Ok(text) = show(&line.text) else {
        // SAFETY: as above: lua-resty-core's buffer, with its length.
        unsafe { ffi::write_error(err, errlen, fallible::NO_MEMORY) };
        return ffi::ERROR;
    };
    *log = text;
    line.text.len() as c_int
}

/// Replaces each `find` in `buf[..len]` by `replace`, in place.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_str_replace_char(
    buf: *mut u8,
    len: usize,
    find: u8,
    replace: u8,
) {
    if buf.is_null() || len == 0 {
        return;
    }
    // SAFETY: lua-resty-core passes a buffer of its own, of `len` bytes; null is checked.
    let buf = unsafe { from_raw_parts_mut(buf, len) };
    for byte in buf.iter_mut().filter(|byte| **byte == find) {
        *byte = replace;
    }
}

/// The request's log, or the cycle's where there is no request.
fn log_of(r: *mut ngx_http_request_t) -> Log {
    ffi::request(r).map_or_else(cycle_log, |request| request.log())
}
