//! `ngx.ssl`, its submodules and `ngx.ocsp`: a client's TLS connection, in its handshake and in its requests.

mod certificates;
mod client_hello;
mod ffi;
mod ocsp;
mod session;

use std::ffi::{CStr, c_char, c_int};
use std::rc::Rc;

use crate::api::ffi::{self as codes, set_message};
use crate::nginx::event::tls;
use crate::nginx::event::tls::Ssl;
use crate::nginx::guard;
use crate::nginx::sys::ngx_http_request_t;
use crate::runtime::handshake::Handshake;

/// The TLS connection behind the request that lua-resty-core passes.
///
/// # Safety
/// As for [`codes::request`].
unsafe fn connection(r: *mut ngx_http_request_t) -> tls::Result<Ssl> {
    // SAFETY: the caller's.
    unsafe { codes::request(r) }.ok_or(c"bad request").and_then(Ssl::of)
}

/// What is known of it from its handshake.
///
/// # Safety
/// As for [`codes::request`].
unsafe fn handshake(r: *mut ngx_http_request_t) -> tls::Result<Rc<Handshake>> {
    // SAFETY: the caller's.
    unsafe { connection(r) }.and_then(|ssl| Handshake::of(ssl).ok_or(c"bad lua context"))
}

/// The number that `work` gives, or -1 with the error in `*err`.
///
/// # Safety
/// As for [`set_message`].
unsafe fn number(
    err: *mut *const c_char,
    work: impl FnOnce() -> Result<c_int, &'static CStr>,
) -> c_int {
    guard(codes::ERROR, || match work() {
        Ok(number) => number,
        Err(text) => {
            // SAFETY: the caller's.
            unsafe { set_message(err, text) };
            codes::ERROR
        }
    })
}

/// 0, or -1 with the error in `*err`.
///
/// # Safety
/// As for [`set_message`].
unsafe fn done(err: *mut *const c_char, work: impl FnOnce() -> Result<(), &'static CStr>) -> c_int {
    // SAFETY: the caller's.
    unsafe { number(err, || work().map(|()| codes::OK)) }
}

/// Hands `bytes` out in the caller's cells, which may be null.
///
/// # Safety
/// `data` and `len` must be null or valid for one value.
unsafe fn give(bytes: &[u8], data: *mut *const u8, len: *mut usize) {
    // SAFETY: the caller's.
    unsafe {
        if let (Some(data), Some(len)) = (data.as_mut(), len.as_mut()) {
            *data = bytes.as_ptr();
            *len = bytes.len();
        }
    }
}
