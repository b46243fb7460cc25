//! A client's TLS connection that a fake request uses, while Lua code runs in the handshake. Whoever runs
//! the code ends it before the connection ends.

use std::ptr::null_mut;

use super::ssl::Client;
use crate::nginx::http::fake::FakeRequest;
use crate::nginx::sys::ngx_ssl_connection_t;

/// Has a fake request use nginx's record of a TLS connection, or, with a null pointer, none.
///
/// # Safety
/// The record must live until the request uses it no more.
pub(super) unsafe fn set_record(request: &FakeRequest, record: *mut ngx_ssl_connection_t) {
    if let Some(c) = request.connection() {
        // SAFETY: the request is live, for it has an owner, and its connection with it.
        unsafe { (*c.as_ptr()).ssl = record }
    }
}

impl Client {
    /// Lets a fake request use this TLS connection, until [`take_back`].
    pub fn lend(self, request: &FakeRequest) {
        // SAFETY: a live connection, which is alive as long as a copy of the handle is used: the
        // request is one of those that keep it.
        unsafe { set_record(request, (*self.as_ptr()).ssl) }
    }
}

/// Takes the TLS connection back from a fake request.
pub fn take_back(request: &FakeRequest) {
    // SAFETY: no record.
    unsafe { set_record(request, null_mut()) }
}
