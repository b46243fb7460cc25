//! What nginx itself logs to a file: it makes a line of at most [`MAX_LINE`] bytes, and gives it to
//! the log's writer, which is here. What nginx adds to a message (`, client: …`) stays a part of
//! it.

use codec::log_event::{self, Field, Fixed, Value};
use codec::log_text;
use export::callback;

use super::{number, text};
use crate::nginx::core::conf::Conf;
use crate::nginx::core::cycle::Cycle;
use crate::nginx::core::log::{Level, MAX_LINE};
use crate::nginx::core::{strings, time};
use crate::nginx::sys::{ngx_listening_t, ngx_log_t, ngx_uint_t};

/// Room for a line: a byte of the message takes at most six in JSON, and the other fields some
/// hundred bytes.
const MOST: usize = 6 * MAX_LINE + 512;

/// Has the files of the error log of the location that is being merged written as JSON.
pub fn attach_to_location(cf: Conf) {
    // SAFETY: a chain of the configuration that is being read, which was merged before.
    unsafe { attach(cf.location_error_log()) }
}

/// As [`attach_to_location`], for a cycle's own error log, as far as that is known yet, and for the
/// copies of it in the listening sockets, which connections use until the location of their request
/// is known.
pub fn attach_to_cycle(cycle: Cycle) {
    // SAFETY: the logs and the sockets are those of a live cycle, by `Cycle::from_ptr`'s contract;
    // nothing else refers to the sockets during the call.
    unsafe {
        attach(cycle.new_log());
        let sockets = &(*cycle.as_ptr()).listening;
        let first = sockets.elts.cast::<ngx_listening_t>();
        (0..sockets.nelts).for_each(|at| attach(&raw mut (*first.add(at)).log));
    }
}

/// # Safety
/// `head` must be null or the first log of a chain of a live configuration.
unsafe fn attach(head: *mut ngx_log_t) {
    let mut at = head;
    // SAFETY: the chain is live, the contract of this function.
    while let Some(output) = unsafe { at.as_mut() } {
        if is_file(output) {
            output.writer = Some(write);
        }
        at = output.next;
    }
}

/// Whether an output of a chain is a file.
pub(super) fn is_file(output: &ngx_log_t) -> bool {
    type Writer = unsafe extern "C" fn(*mut ngx_log_t, ngx_uint_t, *mut u8, usize);
    let is_ours = |writer| std::ptr::fn_addr_eq(writer, write as Writer);
    !output.file.is_null() && output.writer.is_none_or(is_ours)
}

/// Called by nginx with a line of `len` bytes that it writes to this output.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback]
unsafe extern "C" fn write(log: *mut ngx_log_t, level: ngx_uint_t, line: *mut u8, len: usize) {
    // SAFETY: nginx passes `len` bytes.
    let line = unsafe { strings::raw(line, len) };
    let parts = log_text::parts(line.strip_suffix(b"\n").unwrap_or(line));
    let level = i64::try_from(level).ok().and_then(Level::from_number);
    let time = time::iso8601();
    let fields = [
        text("time", time.bytes(), 64),
        text("level", level.map_or("", Level::name).as_bytes(), 16),
        number("pid", std::process::id().into()),
        number("connection", parts.connection),
        Field { name: "message", value: Value::Message(parts.message) },
    ];
    let mut json = Fixed::<MOST>::new();
    if log_event::write(&fields, Some(MOST), &mut json).is_ok() {
        // SAFETY: nginx passes the output whose writer this is; `attach` sets it for files only.
        unsafe { super::outputs::write_to_file(&mut *log, json.bytes()) };
    }
}
