//! The symbols behind lua-resty-core's `ngx.pipe`.
//!
//! `ngx_http_lua_pipe_t *` is opaque to Lua: its value is a process's key, never an address that is
//! followed. All texts of errors go to `errbuf`, which has room for `*errbuf_size` bytes.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;
use std::rc::Rc;

use export::export;

use super::failure::PipeFailure;
use super::reader::{ReadProgress, Reader, Want};
use super::{PROCESSES, Process, destroy, spawn, told};
use crate::api::ffi::{self, check_phase, write_error};
use crate::nginx::core::child_exec::Program;
use crate::nginx::core::strings;
use crate::nginx::sys::ngx_http_request_t;
use crate::runtime::{PhaseSet, Task};

/// `ngx_http_lua_ffi_pipe_proc_t`: Lua's own memory; the times are in milliseconds, 0 is for ever.
#[repr(C)]
pub struct Proc {
    pid: c_int,
    write_timeout: usize,
    stdout_read_timeout: usize,
    stderr_read_timeout: usize,
    wait_timeout: usize,
    pipe: *mut c_void,
}

/// Where an error's text goes.
#[derive(Clone, Copy)]
struct ErrorText {
    errbuf: *mut u8,
    errbuf_size: *mut usize,
}

impl ErrorText {
    /// Tells the failure; -1.
    ///
    /// # Safety
    /// As for [`write_error`].
    unsafe fn tell(self, failure: &PipeFailure) -> c_int {
        // SAFETY: the caller's.
        unsafe { write_error(self.errbuf, self.errbuf_size, failure.0.as_bytes()) }
        ffi::ERROR
    }
}

/// The live process of `proc`.
///
/// # Safety
/// `proc` must be null or lua-resty-core's structure.
unsafe fn process(proc: *const Proc) -> Option<Rc<Process>> {
    // SAFETY: the caller's.
    PROCESSES.get(unsafe { proc.as_ref() }?.pipe as u64)
}

/// The running task, for functions that wait; else -100, or -101 with a text.
///
/// # Safety
/// As for [`ffi::context`] and [`write_error`].
unsafe fn task(r: *mut ngx_http_request_t, error: ErrorText) -> Result<Rc<Task>, c_int> {
    // SAFETY: the caller's.
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

/// Runs `file` (looked for in PATH) with the arguments `argv` and the environment `environ` (null:
/// the worker's), both ended by null. Reads go in pieces of at most `buffer_size` bytes. 0 with the
/// id and the key in `proc`, whose owner gives it up with [`ngx_http_lua_ffi_pipe_proc_destroy`];
/// else -1.
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
    // SAFETY: lua-resty-core passes the running request, its own structure and C strings.
    unsafe {
        let Some(request) = ffi::request(r) else {
            return error.tell(&PipeFailure::text("no request found"));
        };
        let (Some(proc), Some(program)) = (proc.as_mut(), Program::new(file, argv, environ)) else {
            return error.tell(&PipeFailure::text("no program"));
        };
        match spawn(request, &program, merge_stderr != 0, buffer_size) {
            Ok((pid, key)) => {
                proc.pid = pid;
                proc.pipe = key as usize as *mut c_void;
                ffi::OK
            }
            Err(failure) => error.tell(&failure),
        }
    }
}

/// The stream that Lua names, with the time for reading it.
///
/// # Safety
/// As for [`process`].
unsafe fn stream(proc: *const Proc, from_stderr: bool) -> Result<(Rc<Reader>, usize), PipeFailure> {
    // SAFETY: the caller's.
    let process = unsafe { process(proc) }.filter(|process| !process.is_closed());
    let process = process.ok_or(PipeFailure::CLOSED)?;
    // SAFETY: the caller's; there is a process, so there is the structure.
    let (out, err) = unsafe { ((*proc).stdout_read_timeout, (*proc).stderr_read_timeout) };
    match (&process.stderr, from_stderr) {
        (Some(stderr), true) => Ok((stderr.clone(), err)),
        (None, true) => Err(PipeFailure::MERGED),
        _ => Ok((process.stdout.clone(), out)),
    }
}

/// Copies a read's result to `*buf`, which has room for `*buf_size` bytes; `*buf_size` becomes its
/// length. Where the room is too small, `*buf` becomes null and the result stays. 0, or -5 where an
/// error goes with the data.
///
/// # Safety
/// The pointers must be null or valid as said.
unsafe fn give(
    reader: &Reader,
    buf: *mut *mut u8,
    buf_size: *mut usize,
    error: ErrorText,
) -> c_int {
    reader.result(|data, failure| {
        // SAFETY: the caller's; the length is checked.
        unsafe {
            let (Some(buf), Some(buf_size)) = (buf.as_mut(), buf_size.as_mut()) else {
                return (error.tell(&PipeFailure::text("no buffer")), false);
            };
            let room = if buf.is_null() { 0 } else { *buf_size };
            *buf_size = data.len();
            let fits = data.len() <= room;
            if fits {
                std::ptr::copy_nonoverlapping(data.as_ptr(), *buf, data.len());
            } else {
                *buf = null_mut();
            }
            let code = failure.map_or(ffi::OK, |failure| {
                error.tell(failure);
                ffi::DECLINED
            });
            (code, fits)
        }
    })
}

/// Reads: everything (`reader_type` 0), `length` bytes (1), a line (2), or what there is, at most
/// `length` bytes (3). 0 or -5 with a result, see [`give`]; -2 where the caller must yield, and ask
/// for the result then; -1 with an error; -100, or -101 with an error, where it cannot wait.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_pipe_proc_read(
    r: *mut ngx_http_request_t,
    proc: *mut Proc,
    from_stderr: c_int,
    reader_type: c_int,
    length: usize,
    buf: *mut *mut u8,
    buf_size: *mut usize,
    errbuf: *mut u8,
    errbuf_size: *mut usize,
) -> c_int {
    let error = ErrorText { errbuf, errbuf_size };
    // SAFETY: lua-resty-core passes the running request, its own structure and buffers.
    unsafe {
        let task = match task(r, error) {
            Ok(task) => task,
            Err(code) => return code,
        };
        let want = match reader_type {
            0 => Want::All,
            1 => Want::Bytes(length),
            2 => Want::Line,
            3 => Want::Any(length),
            _ => return error.tell(&PipeFailure::text("bad reader type")),
        };
        let (reader, timeout) = match stream(proc, from_stderr != 0) {
            Ok(stream) => stream,
            Err(failure) => return error.tell(&failure),
        };
        match reader.read(want, &task, timeout) {
            Ok(ReadProgress::Done) => give(&reader, buf, buf_size, error),
            Ok(ReadProgress::Waits) => ffi::AGAIN,
            Err(failure) => error.tell(&failure),
        }
    }
}

/// The result of a read that the caller yielded for, or that did not fit; see [`give`]. -1 where
/// the process is no more.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_pipe_get_read_result(
    _r: *mut ngx_http_request_t,
    proc: *mut Proc,
    from_stderr: c_int,
    buf: *mut *mut u8,
    buf_size: *mut usize,
    errbuf: *mut u8,
    errbuf_size: *mut usize,
) -> c_int {
    let error = ErrorText { errbuf, errbuf_size };
    // SAFETY: lua-resty-core passes its own structure and buffers.
    unsafe {
        let Some(process) = process(proc) else { return error.tell(&PipeFailure::CLOSED) };
        let reader = match &process.stderr {
            Some(stderr) if from_stderr != 0 => stderr,
            _ => &process.stdout,
        };
        give(reader, buf, buf_size, error)
    }
}

/// Writes `len` bytes: how many were written; -2 where the caller must yield, and ask for the
/// result then; -1 with an error; -100, or -101 with an error, where it cannot wait.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_pipe_proc_write(
    r: *mut ngx_http_request_t,
    proc: *mut Proc,
    data: *const u8,
    len: usize,
    errbuf: *mut u8,
    errbuf_size: *mut usize,
) -> isize {
    let error = ErrorText { errbuf, errbuf_size };
    // SAFETY: lua-resty-core passes the running request, its own structure and a Lua string.
    unsafe {
        let task = match task(r, error) {
            Ok(task) => task,
            Err(code) => return code as isize,
        };
        let Some(process) = process(proc).filter(|process| !process.is_closed()) else {
            return error.tell(&PipeFailure::CLOSED) as isize;
        };
        let timeout = (*proc).write_timeout;
        match process.stdin.write(strings::raw(data, len), &task, timeout) {
            Ok(Some(written)) => written as isize,
            Ok(None) => ffi::AGAIN as isize,
            Err(failure) => error.tell(&failure) as isize,
        }
    }
}

/// The result of a write that the caller yielded for: how many bytes, or -1 with an error.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_pipe_get_write_result(
    _r: *mut ngx_http_request_t,
    proc: *mut Proc,
    errbuf: *mut u8,
    errbuf_size: *mut usize,
) -> isize {
    let error = ErrorText { errbuf, errbuf_size };
    // SAFETY: lua-resty-core passes its own structure and buffer.
    unsafe {
        let outcome = process(proc).map(|process| process.stdin.outcome());
        match outcome.unwrap_or(Err(PipeFailure::CLOSED)) {
            Ok(written) => written as isize,
            Err(failure) => error.tell(&failure) as isize,
        }
    }
}

/// Does `work` on an open process: 0, or -1 with an error.
///
/// # Safety
/// As for [`process`] and [`write_error`].
unsafe fn shut_down(
    proc: *const Proc,
    error: ErrorText,
    work: impl FnOnce(&Process) -> Result<(), PipeFailure>,
) -> c_int {
    // SAFETY: the caller's.
    unsafe {
        let process = process(proc).filter(|process| !process.is_closed());
        match process.ok_or(PipeFailure::CLOSED).and_then(|process| work(&process)) {
            Ok(()) => ffi::OK,
            Err(failure) => error.tell(&failure),
        }
    }
}

/// Closes the worker's end of stdin. 0, or -1 with an error; a task that writes gets "aborted".
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_pipe_proc_shutdown_stdin(
    proc: *mut Proc,
    errbuf: *mut u8,
    errbuf_size: *mut usize,
) -> c_int {
    let error = ErrorText { errbuf, errbuf_size };
    // SAFETY: lua-resty-core passes its own structure and buffer.
    unsafe {
        shut_down(proc, error, |process| {
            process.stdin.close(PipeFailure::ABORTED);
            Ok(())
        })
    }
}

/// Closes the worker's end of stdout. 0, or -1 with an error; a task that reads gets "aborted".
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_pipe_proc_shutdown_stdout(
    proc: *mut Proc,
    errbuf: *mut u8,
    errbuf_size: *mut usize,
) -> c_int {
    let error = ErrorText { errbuf, errbuf_size };
    // SAFETY: lua-resty-core passes its own structure and buffer.
    unsafe {
        shut_down(proc, error, |process| {
            process.stdout.close(PipeFailure::ABORTED);
            Ok(())
        })
    }
}

/// Closes the worker's end of stderr. 0, or -1 with an error; a task that reads gets "aborted".
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_pipe_proc_shutdown_stderr(
    proc: *mut Proc,
    errbuf: *mut u8,
    errbuf_size: *mut usize,
) -> c_int {
    let error = ErrorText { errbuf, errbuf_size };
    // SAFETY: lua-resty-core passes its own structure and buffer.
    unsafe {
        shut_down(proc, error, |process| {
            process.stderr.as_ref().ok_or(PipeFailure::MERGED)?.close(PipeFailure::ABORTED);
            Ok(())
        })
    }
}

/// Waits for the end: 0 (exit code 0) or -5 with a static text in `*reason` and the code or signal
/// in `*status`; -2 where the caller must yield, to be resumed with the same three values or `nil`
/// and an error; -1 with an error; -100, or -101 with an error, where it cannot wait.
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
    // SAFETY: lua-resty-core passes the running request, its own structure, cells and buffer.
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

/// Sends a signal. 0, or -1 with an error: "exited", or "invalid signal".
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

/// Lua gives the process up: it is killed where it still runs. Safe to call twice, and when the VM
/// is closed.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_pipe_proc_destroy(proc: *mut Proc) {
    // SAFETY: lua-resty-core passes its own structure.
    if let Some(proc) = unsafe { proc.as_mut() } {
        destroy(std::mem::replace(&mut proc.pipe, null_mut()) as u64);
    }
}
