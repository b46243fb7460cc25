//! What a client offers in a handshake beyond its context's settings: protocols above TLS, versions,
//! ciphers.

use std::ffi::{CStr, CString, c_int, c_long, c_uint};
use std::ptr::{null, null_mut};

use super::objects::{Result, clearing_errors};
use super::{Connection, protocols};
use crate::nginx::core::strings;
use crate::nginx::sys::{
    SSL_CTRL_SET_MAX_PROTO_VERSION, SSL_CTRL_SET_MIN_PROTO_VERSION, SSL_ctrl, SSL_get_options,
    SSL_get0_alpn_selected, SSL_set_alpn_protos, SSL_set_cipher_list, SSL_set_ciphersuites,
};

/// What is not set is as the context says.
#[derive(Default, PartialEq, Eq)]
pub struct Offer {
    /// The protocols above TLS (ALPN), the best first, each after a byte that gives its length.
    pub alpn: Vec<u8>,
    /// OpenSSL's numbers of the lowest and the highest version of TLS.
    pub min_version: Option<u16>,
    pub max_version: Option<u16>,
    /// In OpenSSL's words: up to TLS 1.2, and from TLS 1.3 on.
    pub ciphers: Option<CString>,
    pub ciphersuites: Option<CString>,
}

impl Connection {
    /// Has the handshake, which has not begun, offer these things.
    pub fn offer(self, offer: &Offer) -> Result<()> {
        clearing_errors(|| {
            self.restrict_versions(offer)?;
            let ssl = self.as_ptr();
            // SAFETY: a live connection; OpenSSL reads the texts and the list during the calls.
            unsafe {
                if let Some(ciphers) = &offer.ciphers
                    && SSL_set_cipher_list(ssl, ciphers.as_ptr()) == 0
                {
                    return Err(c"bad \"ciphers\" option: no such cipher");
                }
                if let Some(ciphersuites) = &offer.ciphersuites
                    && SSL_set_ciphersuites(ssl, ciphersuites.as_ptr()) == 0
                {
                    return Err(c"bad \"ciphersuites\" option: no such cipher");
                }
                let len = c_uint::try_from(offer.alpn.len()).unwrap_or(c_uint::MAX);
                // Unlike the functions above, it returns 0 where it succeeds.
                if len != 0 && SSL_set_alpn_protos(ssl, offer.alpn.as_ptr(), len) != 0 {
                    return Err(c"SSL_set_alpn_protos() failed");
                }
            }
            Ok(())
        })
    }

    /// Forbids versions outside of the range. What the context forbids stays forbidden.
    fn restrict_versions(self, offer: &Offer) -> Result<()> {
        const NONE_LEFT: &CStr =
            c"no version of TLS from \"min_version\" to \"max_version\" is allowed by lua_ssl_protocols";
        if offer.min_version.is_none() && offer.max_version.is_none() {
            return Ok(());
        }
        let range = offer.min_version.unwrap_or(0)..=offer.max_version.unwrap_or(u16::MAX);
        // SAFETY: a live connection.
        let options = unsafe { SSL_get_options(self.as_ptr()) };
        if !protocols::allowed(options).any(|version| range.contains(&version)) {
            return Err(NONE_LEFT);
        }
        let bounds = [
            (SSL_CTRL_SET_MIN_PROTO_VERSION, offer.min_version),
            (SSL_CTRL_SET_MAX_PROTO_VERSION, offer.max_version),
        ];
        for (command, version) in bounds {
            let Some(version) = version else { continue };
            let version = c_long::from(version);
            // SAFETY: a live connection; the commands take a number.
            if unsafe { SSL_ctrl(self.as_ptr(), command as c_int, version, null_mut()) } == 0 {
                return Err(c"this OpenSSL lacks a version of TLS that is asked for");
            }
        }
        Ok(())
    }

    /// The protocol above TLS that the server has chosen of those that were offered (ALPN).
    pub fn alpn(&self) -> Option<&[u8]> {
        let (mut data, mut len) = (null(), 0);
        // SAFETY: a live connection, which keeps the name.
        let name = unsafe {
            SSL_get0_alpn_selected(self.as_ptr(), &mut data, &mut len);
            strings::raw(data, len as usize)
        };
        (!name.is_empty()).then_some(name)
    }
}
