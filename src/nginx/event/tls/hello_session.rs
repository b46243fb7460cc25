//! The session that a client wants to resume, before OpenSSL asks for it.

use std::ffi::{c_int, c_long};
use std::ptr::{null, null_mut};

use super::protocols;
use super::ssl::Ssl;
use crate::nginx::core::strings;
use crate::nginx::sys::{
    SSL_CTRL_GET_SESS_CACHE_MODE, SSL_CTX_ctrl, SSL_SESS_CACHE_NO_INTERNAL_LOOKUP,
    SSL_SESS_CACHE_NO_INTERNAL_STORE, SSL_SESS_CACHE_SERVER, SSL_client_hello_get0_session_id,
    SSL_get_options, TLS1_3_VERSION, TLSEXT_TYPE_session_ticket, TLSEXT_TYPE_supported_versions,
};

/// `SSL_OP_NO_TICKET`.
const NO_TICKET: u64 = 1 << 14;
const TLS13: u16 = TLS1_3_VERSION as u16;

impl Ssl {
    /// The id of the session that the client wants to resume, in OpenSSL's ClientHello callback, if
    /// it is certain that OpenSSL will ask this module for that session. It will not where the
    /// session is in a ticket or is one of TLS 1.3, and may not where the session can be in
    /// OpenSSL's own cache.
    pub fn hello_session(&self) -> Option<&[u8]> {
        let ssl = self.as_ptr();
        let context = self.client()?.first_context()?;
        let mut data = null();
        // SAFETY: a live connection, which keeps the client's hello, and the context whose sessions it uses.
        let (id, options, cache) = unsafe {
            let len = SSL_client_hello_get0_session_id(ssl, &mut data);
            let command = SSL_CTRL_GET_SESS_CACHE_MODE as c_int;
            let cache = SSL_CTX_ctrl(context.as_ptr(), command, 0, null_mut());
            (strings::raw(data, len), SSL_get_options(ssl), cache)
        };
        let has = |flags: u32| cache & c_long::from(flags) != 0;
        let outside = SSL_SESS_CACHE_NO_INTERNAL_LOOKUP | SSL_SESS_CACHE_NO_INTERNAL_STORE;
        let is_kept_here = has(SSL_SESS_CACHE_SERVER) && !has(outside);
        let takes_tickets = options & NO_TICKET == 0;
        let has_newest = protocols::allowed(options).any(|version| version == TLS13);
        let asks_not = id.is_empty()
            || is_kept_here
            || takes_tickets && self.has_ticket()
            || has_newest && self.offers(TLS13);
        (!asks_not).then_some(id)
    }

    fn has_ticket(&self) -> bool {
        let ticket = self.hello_extension(TLSEXT_TYPE_session_ticket);
        ticket.is_some_and(|ticket| !ticket.is_empty())
    }

    /// Whether the hello offers this version by the extension `supported_versions`.
    fn offers(&self, version: u16) -> bool {
        let extension = self.hello_extension(TLSEXT_TYPE_supported_versions).unwrap_or_default();
        let (_, versions) = extension.split_first().unwrap_or((&0, &[]));
        versions.as_chunks::<2>().0.iter().any(|pair| u16::from_be_bytes(*pair) == version)
    }
}
