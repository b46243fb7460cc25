//! The C symbols of workers and processes.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::{c_char, c_int, c_uint};

use export::export;

use crate::api::ffi;
use crate::lua::resty_core;
use crate::nginx::core::worker;

/// The number of process ids that lua-resty-core 0.1.25 has space for: nginx's `NGX_MAX_PROCESSES`.
const MAX_PROCESSES: usize = 1024;
/// The first release whose lua-resty-core passes the array's length in `*pids_len`.
const WITH_PIDS_LEN: u32 = 10_024;

/// This process's id.
///
/// # Safety
/// Nothing is asked of the caller: there are no pointers.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_worker_pid() -> c_int {
    worker::pid()
}

/// Writes the process ids of the running workers to `pids` and their number to `*pids_len`.
///
/// The capacity of `pids` is 1,024 up to release 0.10.23, and `*pids_len` from 0.10.24 on. Returns
/// 0, or -1 if there are none.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_worker_pids(
    pids: *mut c_int,
    pids_len: *mut usize,
) -> c_int {
    // SAFETY: `pids_len` is null or valid for one value, the contract of this function.
    let Some(pids_len) = (unsafe { pids_len.as_mut() }) else { return ffi::ERROR };
    if pids.is_null() {
        return ffi::ERROR;
    }
    let room = if resty_core::presented() < WITH_PIDS_LEN { MAX_PROCESSES } else { *pids_len };
    // SAFETY: `pids` is not null, and lua-resty-core made it with the capacity that its release has
    // (`WITH_PIDS_LEN`); LuaJIT has filled it with zeroes.
    let pids = unsafe { std::slice::from_raw_parts_mut(pids, room.min(MAX_PROCESSES)) };
    match worker::pids(pids) {
        0 => ffi::ERROR,
        count => {
            *pids_len = count;
            ffi::OK
        }
    }
}

/// This worker's number, from 0; -1 in a process that is no worker.
///
/// # Safety
/// Nothing is asked of the caller: there are no pointers.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_worker_id() -> c_int {
    worker::worker_id().unwrap_or(-1)
}

/// 1 once the worker has been told to finish its requests and exit; otherwise 0.
///
/// # Safety
/// Nothing is asked of the caller: there are no pointers.
#[export(0)]
pub unsafe extern "C" fn ngx_http_lua_ffi_worker_exiting() -> c_int {
    worker::is_exiting().into()
}

/// How many workers the configuration asks for.
///
/// # Safety
/// Nothing is asked of the caller: there are no pointers.
#[export(0)]
pub unsafe extern "C" fn ngx_http_lua_ffi_worker_count() -> c_int {
    worker::worker_count()
}

/// The master's process id; this process's own if there is no master.
///
/// # Safety
/// Nothing is asked of the caller: there are no pointers.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_master_pid() -> c_int {
    worker::master_pid()
}

/// nginx's number for this kind of process: 0 single, 1 master, 2 signaller, 3 worker, 4 helper.
///
/// # Safety
/// Nothing is asked of the caller: there are no pointers.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_get_process_type() -> c_int {
    worker::process_type() as c_int
}

/// Returns -1 with a static text in `*err`: only OpenResty's patched nginx has a privileged agent.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_enable_privileged_agent(
    err: *mut *const c_char,
    _connections: c_uint,
) -> c_int {
    // SAFETY: `err` is null or valid for one pointer, the contract of this function.
    unsafe { ffi::set_message(err, c"missing privileged agent process patch in the nginx core") };
    ffi::ERROR
}

/// Makes this process exit gracefully, as the signal QUIT does.
///
/// # Safety
/// Nothing is asked of the caller: there are no pointers.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_process_signal_graceful_exit() {
    worker::quit()
}
