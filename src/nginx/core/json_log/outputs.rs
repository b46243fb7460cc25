//! The outputs of an error log: nginx's chain of logs, each with its level, and a file, a syslog
//! server or a function of another kind. It is walked as nginx does it.

use codec::fallible::{self, OutOfMemory};
use codec::log_event::Fixed;
use export::callback;

use super::hook::is_file;
use super::{Line, Message};
use crate::nginx::core::log::{Level, Log, MAX_LINE, write_as_nginx};
use crate::nginx::core::time;
use crate::nginx::sys::{
    NGX_LOG_DEBUG_CONNECTION, ngx_log_t, ngx_log_writer_pt, ngx_syslog_writer, ngx_uint_t,
    ngx_use_stderr, time_t,
};

/// Writes the line to each output whose level wants it: to files and syslog as JSON, to others as
/// nginx would.
pub(super) fn write(log: Log, message: Message, line: &Line) -> Result<(), OutOfMemory> {
    let mut whole = fallible::with_capacity(1024 + line.text.len() + line.traceback.len())?;
    line.write(None, &mut whole)?;
    let mut wrote_stderr = false;
    // SAFETY: the chain of a live log, which nothing changes meanwhile.
    unsafe {
        let head = log.as_ptr();
        let debugs_connection = (*head).log_level & NGX_LOG_DEBUG_CONNECTION as usize != 0;
        let mut at = head;
        while let Some(output) = at.as_mut() {
            if output.log_level < message.level as usize && !debugs_connection {
                break;
            }
            if is_file(output) {
                wrote_stderr |= write_to_file(output, &whole);
            } else if is_syslog(output.writer) {
                let mut short = Fixed::<MAX_LINE>::new();
                line.write(Some(MAX_LINE), &mut short)?;
                let (text, len) = (short.bytes().as_ptr().cast_mut(), short.bytes().len());
                ngx_syslog_writer(output, message.level as ngx_uint_t, text, len);
            } else {
                write_as_text(head, output, message);
            }
            at = output.next;
        }
        if ngx_use_stderr != 0 && message.level <= Level::Warn && !wrote_stderr {
            write_to_console(head, message);
        }
    }
    Ok(())
}

/// Writes the line to the output's file, in one system call, unless the disk was full within this
/// second. Returns whether the file is the standard error stream.
///
/// # Safety
/// `output` must be an output to a file.
pub(super) unsafe fn write_to_file(output: &mut ngx_log_t, line: &[u8]) -> bool {
    // SAFETY: an output to a file has one, the contract of this function.
    unsafe {
        if *disk_full_time(output) == time::seconds() {
            return false;
        }
        let fd = (*output.file).fd;
        let written = libc::write(fd, line.as_ptr().cast(), line.len());
        if written == -1 && *libc::__errno_location() == libc::ENOSPC {
            *disk_full_time(output) = time::seconds();
        }
        fd == libc::STDERR_FILENO
    }
}

/// When the disk was last full. nginx keeps that with the output, Angie with its file.
///
/// # Safety
/// `output` must be an output to a file.
unsafe fn disk_full_time(output: &mut ngx_log_t) -> &mut time_t {
    #[cfg(ngx_log_disk_full_time)]
    return &mut output.disk_full_time;
    #[cfg(not(ngx_log_disk_full_time))]
    // SAFETY: an output to a file has one, the contract of this function; nothing else refers to it
    // meanwhile.
    return unsafe { &mut (*output.file).disk_full_time };
}

fn is_syslog(writer: ngx_log_writer_pt) -> bool {
    type Writer = unsafe extern "C" fn(*mut ngx_log_t, ngx_uint_t, *mut u8, usize);
    writer.is_some_and(|writer| std::ptr::fn_addr_eq(writer, ngx_syslog_writer as Writer))
}

/// Has nginx write the message to one output alone, which is neither a file nor syslog.
///
/// # Safety
/// `head` must be live, and `output` be of its chain.
unsafe fn write_as_text(head: *mut ngx_log_t, output: &ngx_log_t, message: Message) {
    // SAFETY: a copy of a live log, with the writer of another and nothing behind it; nginx's
    // variable is set for the time of the call.
    unsafe {
        let mut only = head.read();
        only.writer = output.writer;
        only.wdata = output.wdata;
        only.next = std::ptr::null_mut();
        let console = ngx_use_stderr;
        ngx_use_stderr = 0;
        write_as_nginx(&mut only, message.level, message.errno, message.text);
        ngx_use_stderr = console;
    }
}

/// Has nginx write the message to the terminal that nginx is being started from.
///
/// # Safety
/// `head` must be live.
unsafe fn write_to_console(head: *mut ngx_log_t, message: Message) {
    /// # Safety
    /// Only nginx may call this, as the callback that it was registered as.
    #[callback(unguarded = "it does nothing")]
    unsafe extern "C" fn nowhere(_: *mut ngx_log_t, _: ngx_uint_t, _: *mut u8, _: usize) {}
    // SAFETY: as in `write_as_text`.
    unsafe {
        let mut only = head.read();
        only.writer = Some(nowhere);
        only.next = std::ptr::null_mut();
        write_as_nginx(&mut only, message.level, message.errno, message.text);
    }
}
