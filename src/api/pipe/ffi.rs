//! The symbols behind lua-resty-core's `ngx.pipe`.
//!
//! `ngx_http_lua_pipe_t *` is opaque to Lua: its value is a process's key, never an address that is
//! followed. All texts of errors go to `errbuf`, which has space for `*errbuf_size` bytes;
//! `*errbuf_size` becomes the length of the text.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;
use std::rc::Rc;

use export::export;

use super::failure::PipeFailure;
use super::{PROCESSES, Process, destroy, spawn, told};
use crate::api::ffi::{self, check_phase, write_error};
use crate::nginx::core::child_exec::Program;
use crate::nginx::sys::ngx_http_request_t;
use crate::runtime::{PhaseSet, Task};

/// `ngx_http_lua_ffi_pipe_proc_t`, in Lua's own memory. Timeouts are in milliseconds; 0 means none.
#[repr(C)]
pub struct Proc {
    pid: c_int,
    pub write_timeout: usize,
    pub stdout_read_timeout: usize,
    pub stderr_read_timeout: usize,
    wait_timeout: usize,
    pipe: *mut c_void,
}

/// Where an error's text goes.
#[derive(Clone, Copy)]
pub struct ErrorText {
    pub errbuf: *mut u8,
    pub errbuf_size: *mut usize,
}

impl ErrorText {
    /// Writes the failure's text; returns -1.
    ///
    /// # Safety
    /// As for [`write_error`].
    pub unsafe fn tell(self, failure: &PipeFailure) -> c_int {
        // SAFETY: the contract of this function, that of `write_error`.
        unsafe { write_error(self.errbuf, self.errbuf_size, failure.0.as_bytes()) }
        ffi::ERROR
    }
}

/// The process that `proc` refers to, if it still exists.
///
/// # Safety
/// `proc` must be null or lua-resty-core's structure.
pub unsafe fn process(proc: *const Proc) -> Option<Rc<Process>> {
    // SAFETY: `proc` is null or lua-resty-core's structure, the contract of this function.
    PROCESSES.get(unsafe { proc.as_ref() }?.pipe as u64)
}

/// As [`process`], for operations that fail once the process is closed.
///
/// # Safety
/// As for [`process`].
pub unsafe fn open_process(proc: *const Proc) -> Result<Rc<Process>, PipeFailure> {
    // SAFETY: the contract of this function, that of `process`.
    let process = unsafe { process(proc) };
    process.filter(|process| !process.is_closed()).ok_or(PipeFailure::CLOSED)
}

/// The running task, for functions that wait; if there is none, the return code: -100, or -101 with
/// an error.
///
/// # Safety
/// As for [`write_error`].
pub unsafe fn task(r: *mut ngx_http_request_t, error: ErrorText) -> Result<Rc<Task>, c_int> {
    // SAFETY: the contract of this function, that of `write_error`.
    unsafe {
        let context = ffi::context(r).ok_or(ffi::NO_REQ_CTX)?;
        check_phase(&context, PhaseSet::YIELDABLE, error.errbuf, error.errbuf_size)
            .map_err(|_| ffi::BAD_CONTEXT)?;
        context.current().ok_or_else(|| {
            error.tell(&PipeFailure::text("no co ctx found"));
            ffi::BAD_CONTEXT
        })
    }
}

/// Runs `file` (searched for in PATH) with the arguments `argv` and the environment `environ` (null
/// for the worker's), both ended by a null pointer. Reads are made in pieces of at most
/// `buffer_size` bytes. Returns 0 with the process id and the key in `proc`, for which
/// [`ngx_http_lua_ffi_pipe_proc_destroy`] is to be called in the end; or -1 with an error.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_pipe_spawn(
    r: *mut ngx_http_request_t,
    proc: *mut Proc,
    file: *const c_char,
    argv: *const *const c_char,
    merge_stderr: c_int,
    buffer_size: usize,
    environ: *const *const c_char,
    errbuf: *mut u8,
    errbuf_size: *mut usize,
) -> c_int {
    let error = ErrorText { errbuf, errbuf_size };
    // SAFETY: lua-resty-core passes the running request, its own structure, C strings and lists of
    // C strings that end with null, and a buffer with its size; all live during the call.
    unsafe {
        let Some(context) = ffi::context(r) else {
            return error.tell(&PipeFailure::text("no request found"));
        };
        let (Some(proc), Some(program)) = (proc.as_mut(), Program::new(file, argv, environ)) else {
            return error.tell(&PipeFailure::text("no program"));
        };
        match spawn(&context, &program, merge_stderr != 0, buffer_size) {
            Ok((pid, key)) => {
                proc.pid = pid;
                proc.pipe = key as usize as *mut c_void;
                ffi::OK
            }
            Err(failure) => error.tell(&failure),
        }
    }
}

/// Waits for the process to exit. Returns 0 (exit code 0) or -5, with a static text in `*reason`
/// and the exit code or signal in `*status`; -2 if the caller must yield, to be resumed with these
/// three results, or with `nil` and an error; -1 with an error; or if the caller cannot wait, -100,
/// or -101 with an error.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_pipe_proc_wait(
    r: *mut ngx_http_request_t,
    proc: *mut Proc,
    reason: *mut *const c_char,
    status: *mut c_int,
    errbuf: *mut u8,
    errbuf_size: *mut usize,
) -> c_int {
    let error = ErrorText { errbuf, errbuf_size };
    // SAFETY: lua-resty-core passes the running request, its own structure, out-parameters and
    // buffer.
    unsafe {
        let task = match task(r, error) {
            Ok(task) => task,
            Err(code) => return code,
        };
        let Some(process) = process(proc) else { return error.tell(&PipeFailure::EXITED) };
        let exit = match process.wait(&task, (*proc).wait_timeout) {
            Ok(Some(exit)) => exit,
            Ok(None) => return ffi::AGAIN,
            Err(failure) => return error.tell(&failure),
        };
        let (success, text, number) = told(exit);
        ffi::set_message(reason, text);
        if let Some(status) = status.as_mut() {
            *status = number;
        }
        if success { ffi::OK } else { ffi::DECLINED }
    }
}

/// Sends a signal. Returns 0, or -1 with the error "exited" or "invalid signal".
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_pipe_proc_kill(
    proc: *mut Proc,
    signal: c_int,
    errbuf: *mut u8,
    errbuf_size: *mut usize,
) -> c_int {
    let error = ErrorText { errbuf, errbuf_size };
    // SAFETY: lua-resty-core passes its own structure and buffer.
    unsafe {
        let process = process(proc).ok_or(PipeFailure::EXITED);
        match process.and_then(|process| process.kill(signal)) {
            Ok(()) => ffi::OK,
            Err(failure) => error.tell(&failure),
        }
    }
}

/// Releases the process for Lua: if it is still running, it is killed. Safe to call twice, and
/// while the VM is being closed.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_pipe_proc_destroy(proc: *mut Proc) {
    // SAFETY: lua-resty-core passes its own structure, which is alive in its finalizer too.
    if let Some(proc) = unsafe { proc.as_mut() } {
        destroy(std::mem::replace(&mut proc.pipe, null_mut()) as u64);
    }
}
