//! The ends of a fake request's log lines: `, context: …`.

use export::callback;

use crate::nginx::core::strings;
use crate::nginx::sys::{ngx_connection_t, ngx_log_t};

/// Writes the end of a log line to `len` bytes at `buf`; returns the end of what it wrote.
pub type LogHandler =
    unsafe extern "C" fn(log: *mut ngx_log_t, buf: *mut u8, len: usize) -> *mut u8;

/// In a timer's handler: the context, and the client and server that the timer was made for.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback(buf)]
pub unsafe extern "C" fn timer(log: *mut ngx_log_t, buf: *mut u8, len: usize) -> *mut u8 {
    // SAFETY: nginx passes the log of a fake request, and `len` bytes.
    unsafe { client_and_server(log, buf, len, b"ngx.timer") }
}

/// Whether `handler` is one of this file's: the log's data is then the connection of a fake
/// request.
pub fn is_fake(handler: LogHandler) -> bool {
    let is = |other: LogHandler| std::ptr::fn_addr_eq(handler, other);
    is(timer) || is(init_worker) || is_of_handshake(is)
}

#[cfg(not(ngx_feature = "http_ssl"))]
fn is_of_handshake(_: impl Fn(LogHandler) -> bool) -> bool {
    false
}

macro_rules! of_handshakes {
    ($($(#[$doc:meta])* $name:ident, $context:literal;)*) => {
        fn is_of_handshake(is: impl Fn(LogHandler) -> bool) -> bool {
            [$($name as LogHandler),*].into_iter().any(is)
        }
        $(
        $(#[$doc])*
        ///
        /// # Safety
        /// Only nginx may call this, as the callback that it was registered as.
        #[callback(buf)]
        pub unsafe extern "C" fn $name(log: *mut ngx_log_t, buf: *mut u8, len: usize) -> *mut u8 {
            // SAFETY: nginx passes the log of a fake request, and `len` bytes.
            unsafe { client_and_server(log, buf, len, $context) }
        }
    )*};
}

#[cfg(ngx_feature = "http_ssl")]
of_handshakes! {
    /// In `ssl_client_hello_by_lua*`.
    ssl_client_hello, b"ssl_client_hello_by_lua*";
    /// In `ssl_certificate_by_lua*`.
    ssl_certificate, b"ssl_certificate_by_lua*";
    /// In `ssl_session_fetch_by_lua*`.
    ssl_session_fetch, b"ssl_session_fetch_by_lua*";
    /// In `ssl_session_store_by_lua*`.
    ssl_session_store, b"ssl_session_store_by_lua*";
}

/// The context, and the client and server of a fake request.
///
/// # Safety
/// `log` must be the log of a fake request, whose data is its connection, and `buf` have `len`
/// bytes.
unsafe fn client_and_server(
    log: *mut ngx_log_t,
    buf: *mut u8,
    len: usize,
    context: &[u8],
) -> *mut u8 {
    // SAFETY: the log is a fake request's and the buffer has `len` bytes, the contract of this
    // function.
    unsafe {
        let mut line = LogContext { at: buf, room: len };
        line.add_action(log);
        line.add_named(b", context: ", context);
        let c: *const ngx_connection_t = (*log).data.cast();
        if let Some(c) = c.as_ref() {
            line.add_named(b", client: ", strings::bytes(c.addr_text));
            if let Some(listening) = c.listening.as_ref() {
                line.add_named(b", server: ", strings::bytes(listening.addr_text));
            }
        }
        line.at
    }
}

/// In `init_worker_by_lua*`.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback(buf)]
pub unsafe extern "C" fn init_worker(log: *mut ngx_log_t, buf: *mut u8, len: usize) -> *mut u8 {
    // SAFETY: nginx passes the log of a fake request, and `len` bytes.
    unsafe {
        let mut line = LogContext { at: buf, room: len };
        line.add_action(log);
        line.add(b", context: init_worker_by_lua*");
        line.at
    }
}

/// The rest of nginx's buffer for a log line.
struct LogContext {
    at: *mut u8,
    room: usize,
}

impl LogContext {
    /// Adds what nginx is doing (` while …`).
    ///
    /// # Safety
    /// `log` must be live, and `at` have `room` bytes.
    unsafe fn add_action(&mut self, log: *mut ngx_log_t) {
        // SAFETY: the log is live, the contract of this function; its action is null or a static C
        // string.
        unsafe {
            if !(*log).action.is_null() {
                let action = std::ffi::CStr::from_ptr((*log).action);
                self.add_named(b" while ", action.to_bytes());
            }
        }
    }

    /// Adds a part of the line, unless its value is empty.
    ///
    /// # Safety
    /// `at` must have `room` bytes.
    unsafe fn add_named(&mut self, name: &[u8], value: &[u8]) {
        if value.is_empty() {
            return;
        }
        // SAFETY: `at` has `room` bytes, the contract of this function.
        unsafe {
            self.add(name);
            self.add(value);
        }
    }

    /// Adds as much as fits.
    ///
    /// # Safety
    /// `at` must have `room` bytes.
    unsafe fn add(&mut self, bytes: &[u8]) {
        let len = bytes.len().min(self.room);
        // SAFETY: `at` has `room` bytes, the contract of this function.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.at, len);
            self.at = self.at.add(len);
        }
        self.room -= len;
    }
}
