//! What both sides of a TLS connection know and nobody else: its random numbers, its master key, and
//! keys that are derived from it.

use std::ffi::{CStr, c_int};
use std::ptr::null;

use super::objects::Result;
use super::ssl::Ssl;
use crate::nginx::Level;
use crate::nginx::sys::{
    SSL_SESSION_get_master_key, SSL_export_keying_material, SSL_export_keying_material_early,
    SSL_get_client_random, SSL_get_server_random, SSL_get_session, ngx_ssl_error,
};

impl Ssl {
    /// Writes the start of the client's random number to `out`; the length written, or, where `out`
    /// is empty, the number's own.
    pub fn client_random(self, out: &mut [u8]) -> usize {
        // SAFETY: a live connection, and room of that length.
        unsafe { SSL_get_client_random(self.as_ptr(), out.as_mut_ptr(), out.len()) }
    }

    /// As [`Ssl::client_random`], the server's.
    pub fn server_random(self, out: &mut [u8]) -> usize {
        // SAFETY: a live connection, and room of that length.
        unsafe { SSL_get_server_random(self.as_ptr(), out.as_mut_ptr(), out.len()) }
    }

    /// As [`Ssl::client_random`], the session's master key. Early in a handshake, there is no
    /// session.
    pub fn master_key(self, out: &mut [u8]) -> Result<usize> {
        // SAFETY: a live connection, which keeps its session; room of that length.
        unsafe {
            let session = SSL_get_session(self.as_ptr());
            if session.is_null() {
                return Err(c"no session");
            }
            Ok(SSL_SESSION_get_master_key(session, out.as_mut_ptr(), out.len()))
        }
    }

    /// Fills `out` with key material for `label` and a context. An empty context does not give the
    /// same key material as none.
    pub fn export_keying_material(
        self,
        out: &mut [u8],
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<()> {
        let (data, len) = context.map_or((null(), 0), |context| (context.as_ptr(), context.len()));
        // SAFETY: a live connection, and a buffer and texts that are passed with their own lengths.
        let rc = unsafe {
            SSL_export_keying_material(
                self.as_ptr(),
                out.as_mut_ptr(),
                out.len(),
                label.as_ptr().cast(),
                label.len(),
                data,
                len,
                context.is_some().into(),
            )
        };
        self.exported(rc, c"SSL_export_keying_material() failed")
    }

    /// As [`Ssl::export_keying_material`], from the secret of TLS 1.3's early data.
    pub fn export_keying_material_early(
        self,
        out: &mut [u8],
        label: &[u8],
        context: &[u8],
    ) -> Result<()> {
        // SAFETY: a live connection, and a buffer and texts that are passed with their own lengths.
        let rc = unsafe {
            SSL_export_keying_material_early(
                self.as_ptr(),
                out.as_mut_ptr(),
                out.len(),
                label.as_ptr().cast(),
                label.len(),
                context.as_ptr(),
                context.len(),
            )
        };
        self.exported(rc, c"SSL_export_keying_material_early() failed")
    }

    /// Turns OpenSSL's `rc` into a result. After a failure, what is in OpenSSL's error queue goes
    /// to the log, which empties the queue.
    fn exported(self, rc: c_int, failure: &'static CStr) -> Result<()> {
        if rc == 1 {
            return Ok(());
        }
        if let Some(client) = self.client() {
            // SAFETY: a live log; "%s" takes a C string.
            unsafe {
                ngx_ssl_error(
                    Level::Info as usize,
                    client.log().as_ptr(),
                    0,
                    c"%s".as_ptr().cast_mut(),
                    failure.as_ptr(),
                );
            }
        }
        Err(failure)
    }
}
