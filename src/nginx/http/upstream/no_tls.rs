//! What `tls.rs` does, in an nginx without TLS: there are no handshakes.

use std::ffi::CStr;

use codec::fallible::OutOfMemory;

use super::record::Peer;
use crate::nginx::sys::ngx_http_upstream_s;

impl Peer {
    /// Errors: to speak TLS.
    pub fn set_tls(self, on: bool) -> Result<(), &'static CStr> {
        if on { Err(c"no TLS in this nginx") } else { Ok(()) }
    }

    pub(super) fn set_tls_name(self) {}

    /// # Safety
    /// None: the same can be called where there is TLS.
    pub(super) unsafe fn handshake_name<'a>(self, _: *mut ngx_http_upstream_s) -> &'a [u8] {
        &[]
    }

    /// # Safety
    /// As for [`Peer::handshake_name`].
    pub(super) unsafe fn add_handshake(
        self,
        _: *mut ngx_http_upstream_s,
        _: &mut Vec<u8>,
    ) -> Result<(), OutOfMemory> {
        Ok(())
    }
}
