//! What a client says first, and which protocols it is answered in.

use super::objects::Result;
use super::ssl::Ssl;
use crate::nginx::core::strings;
use crate::nginx::sys::{
    NGX_SSL_SSLv3, NGX_SSL_TLSv1, NGX_SSL_TLSv1_1, NGX_SSL_TLSv1_2, NGX_SSL_TLSv1_3,
    SSL_clear_options, SSL_client_hello_get0_ext, SSL_set_options, TLSEXT_NAMETYPE_host_name,
    TLSEXT_TYPE_server_name,
};

/// nginx's bit of each protocol, and OpenSSL's option that forbids it (`SSL_OP_NO_…`).
const PROTOCOLS: [(u32, u64); 5] = [
    (NGX_SSL_SSLv3, 1 << 25),
    (NGX_SSL_TLSv1, 1 << 26),
    (NGX_SSL_TLSv1_1, 1 << 28),
    (NGX_SSL_TLSv1_2, 1 << 27),
    (NGX_SSL_TLSv1_3, 1 << 29),
];

const BAD_EXTENSION: &std::ffi::CStr = c"Bad SSL Client Hello Extension";

impl Ssl {
    /// An extension of the client's hello, while OpenSSL asks about that; none elsewhere.
    pub fn hello_extension(&self, kind: u32) -> Option<&[u8]> {
        let (mut data, mut len) = (std::ptr::null(), 0);
        // SAFETY: a live connection, which keeps the client's hello.
        unsafe {
            if SSL_client_hello_get0_ext(self.as_ptr(), kind, &mut data, &mut len) == 0 {
                return None;
            }
            Some(strings::raw(data, len))
        }
    }

    /// The server's name in the client's hello; none where it names none.
    pub fn hello_server_name(&self) -> Result<Option<&[u8]>> {
        self.hello_extension(TLSEXT_TYPE_server_name).map(server_name).transpose()
    }

    /// Has the client answered in the protocols with these bits of nginx's only.
    pub fn set_protocols(self, bits: u32) {
        for (protocol, forbidden) in PROTOCOLS {
            // SAFETY: a live connection.
            unsafe {
                if bits & protocol == 0 {
                    SSL_set_options(self.as_ptr(), forbidden);
                } else {
                    SSL_clear_options(self.as_ptr(), forbidden);
                }
            }
        }
    }
}

/// The first name of the extension `server_name`, which must be a host's.
fn server_name(extension: &[u8]) -> Result<&[u8]> {
    let list = prefixed(extension).ok_or(BAD_EXTENSION)?;
    if list.len() + 2 != extension.len() {
        return Err(BAD_EXTENSION);
    }
    match list.split_first() {
        Some((kind, name)) if u32::from(*kind) == TLSEXT_NAMETYPE_host_name => {
            prefixed(name).filter(|name| !name.is_empty()).ok_or(BAD_EXTENSION)
        }
        _ => Err(BAD_EXTENSION),
    }
}

/// The bytes that a length of two bytes stands before.
fn prefixed(bytes: &[u8]) -> Option<&[u8]> {
    let (len, rest) = bytes.split_first_chunk::<2>()?;
    rest.get(..u16::from_be_bytes(*len).into())
}
