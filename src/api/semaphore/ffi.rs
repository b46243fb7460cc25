//! The symbols behind lua-resty-core's `ngx.semaphore`.
//!
//! `ngx_http_lua_sema_t *` is opaque to Lua: its value is a semaphore's key, never an address that
//! is followed.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::{c_char, c_int, c_void};

use export::export;

use super::{collect, create, find, with};
use crate::api::ffi::{self, check_phase, set_message, write_error};
use crate::nginx::sys::ngx_http_request_t;
use crate::runtime::PhaseSet;

/// What Lua holds of a semaphore.
type Handle = *mut c_void;

/// Makes a semaphore with `n` resources, in `*psem`; Lua owns it, and gives it up with
/// [`ngx_http_lua_ffi_sema_gc`]. 0, or -1 with a static text in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_sema_new(
    psem: *mut Handle,
    n: c_int,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes its own out-parameters.
    unsafe {
        let Some(psem) = psem.as_mut() else {
            set_message(err, c"no semaphore");
            return ffi::ERROR;
        };
        // A Lua number beyond a C `int` arrives as a negative one.
        if n < 0 {
            set_message(err, c"too many resources");
            return ffi::ERROR;
        }
        let Ok(key) = create(n) else {
            set_message(err, c"no memory");
            return ffi::ERROR;
        };
        *psem = key as usize as Handle;
    }
    ffi::OK
}

/// Adds `n` resources; if `n` is negative, which means that it was beyond a C `int`, as many as
/// there can be. 0, or -1 for a semaphore that no longer exists.
#[export]
pub extern "C" fn ngx_http_lua_ffi_sema_post(sem: Handle, n: c_int) -> c_int {
    let n = if n < 0 { c_int::MAX } else { n };
    match with(sem as u64, |semaphore| semaphore.post(sem as u64, n)) {
        Some(()) => ffi::OK,
        None => ffi::ERROR,
    }
}

/// Takes a resource, or waits for one for `wait_ms` milliseconds. 0 if there is one; -5 if there is
/// none and `wait_ms` is 0; -2 if the caller must yield, to be resumed with true and nil, or with
/// false and "timeout"; -1 with the error in `err` (a buffer of `*errlen` bytes).
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_sema_wait(
    r: *mut ngx_http_request_t,
    sem: Handle,
    wait_ms: c_int,
    err: *mut u8,
    errlen: *mut usize,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request, and a buffer with its size.
    unsafe {
        let Some(context) = ffi::context(r) else {
            write_error(err, errlen, "no request ctx found");
            return ffi::ERROR;
        };
        if let Err(code) = check_phase(&context, PhaseSet::YIELDABLE, err, errlen) {
            return code;
        }
        let Some(semaphore) = find(sem as u64) else {
            write_error(err, errlen, "no semaphore");
            return ffi::ERROR;
        };
        // A Lua number beyond a C `int` arrives as a negative one.
        let Ok(milliseconds) = usize::try_from(wait_ms) else {
            write_error(err, errlen, "bad timeout value");
            return ffi::ERROR;
        };
        semaphore.note_wait(sem as u64, milliseconds);
        if semaphore.take() {
            return ffi::OK;
        }
        if milliseconds == 0 {
            return ffi::DECLINED;
        }
        let Some(task) = context.current() else {
            write_error(err, errlen, "no co ctx found");
            return ffi::ERROR;
        };
        semaphore.wait(&task, context.request(), milliseconds);
        ffi::AGAIN
    }
}

/// The resources less the threads that wait for one; 0 for a semaphore that no longer exists.
#[export(0)]
pub extern "C" fn ngx_http_lua_ffi_sema_count(sem: Handle) -> c_int {
    with(sem as u64, |semaphore| semaphore.count()).unwrap_or(0)
}

/// Frees a semaphore that Lua gives up. Safe to call twice, and while the VM is being closed.
#[export]
pub extern "C" fn ngx_http_lua_ffi_sema_gc(sem: Handle) {
    collect(sem as u64)
}
