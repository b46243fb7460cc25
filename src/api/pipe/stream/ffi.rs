//! The symbols behind `proc:write`, the reading methods and `proc:shutdown` of lua-resty-core's
//! `ngx.pipe`. As in the symbols of the process itself, all texts of errors go to `errbuf`, which
//! has space for `*errbuf_size` bytes.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::c_int;
use std::ptr::null_mut;
use std::rc::Rc;

use export::export;

use crate::api::ffi;
use crate::api::pipe::Process;
use crate::api::pipe::failure::PipeFailure;
use crate::api::pipe::ffi::{ErrorText, Proc, open_process, process, task};
use crate::api::pipe::reader::{ReadProgress, Reader, Want};
use crate::nginx::core::strings;
use crate::nginx::sys::ngx_http_request_t;

/// The process's stderr or stdout, with its read timeout.
///
/// # Safety
/// As for [`process`].
unsafe fn stream(proc: *const Proc, from_stderr: bool) -> Result<(Rc<Reader>, usize), PipeFailure> {
    // SAFETY: the contract of this function, that of `process`.
    let process = unsafe { open_process(proc) }?;
    // SAFETY: `proc` is null or lua-resty-core's structure, the contract of this function; it is
    // not null, because it has led to a process.
    let (out, err) = unsafe { ((*proc).stdout_read_timeout, (*proc).stderr_read_timeout) };
    match (&process.stderr, from_stderr) {
        (Some(stderr), true) => Ok((stderr.clone(), err)),
        (None, true) => Err(PipeFailure::MERGED),
        _ => Ok((process.stdout.clone(), out)),
    }
}

/// Copies a read's result to `*buf`, which has a capacity of `*buf_size` bytes; `*buf_size` becomes
/// its length. If the buffer is too small, `*buf` becomes null and the result is kept. Returns 0,
/// or -5 if there is an error besides the data.
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
        // SAFETY: the pointers are null or valid as said, the contract of this function; the length
        // is checked.
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

/// Reads everything (`reader_type` 0), `length` bytes (1), a line (2), or whatever there is, up to
/// `length` bytes (3). Returns 0 or -5 with a result, see [`give`]; -2 if the caller must yield,
/// and ask for the result when it is resumed; -1 with an error; or if the caller cannot wait, -100,
/// or -101 with an error.
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
    // SAFETY: lua-resty-core passes the running request, its own structure, and buffers with their
    // sizes.
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

/// The result of a read that the caller yielded for, or that did not fit; see [`give`]. Returns -1
/// if the process no longer exists.
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
    // SAFETY: lua-resty-core passes its own structure, and buffers with their sizes.
    unsafe {
        let Some(process) = process(proc) else { return error.tell(&PipeFailure::CLOSED) };
        let reader = match &process.stderr {
            Some(stderr) if from_stderr != 0 => stderr,
            _ => &process.stdout,
        };
        give(reader, buf, buf_size, error)
    }
}

/// Writes `len` bytes. Returns how many were written; -2 if the caller must yield, and ask for the
/// result when it is resumed; -1 with an error; or if the caller cannot wait, -100, or -101 with an
/// error.
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
    // SAFETY: lua-resty-core passes the running request, its own structure, a Lua string, and a
    // buffer with its size.
    unsafe {
        let task = match task(r, error) {
            Ok(task) => task,
            Err(code) => return code as isize,
        };
        let process = match open_process(proc) {
            Ok(process) => process,
            Err(failure) => return error.tell(&failure) as isize,
        };
        let timeout = (*proc).write_timeout;
        match process.stdin.write(strings::raw(data, len), &task, timeout) {
            Ok(Some(written)) => written as isize,
            Ok(None) => ffi::AGAIN as isize,
            Err(failure) => error.tell(&failure) as isize,
        }
    }
}

/// The result of a write that the caller yielded for: how many bytes were written, or -1 with an
/// error.
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
    // SAFETY: the contract of this function, that of `process` and `write_error`.
    unsafe {
        match open_process(proc).and_then(|process| work(&process)) {
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
