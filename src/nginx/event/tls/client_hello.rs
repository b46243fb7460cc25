//! The ClientHello of a handshake, and the choice of the protocols to answer it in.

use std::ffi::c_int;
use std::ptr::{NonNull, null, null_mut};

use super::objects::{Result, clearing_errors};
use super::protocols::FORBIDDING;
use super::ssl::Ssl;
use crate::nginx::core::strings;
use crate::nginx::sys::{
    CRYPTO_free, OPENSSL_STACK, OPENSSL_sk_free, OPENSSL_sk_num, OPENSSL_sk_value,
    SSL_CIPHER_get_protocol_id, SSL_clear_options, SSL_client_hello_get0_ciphers,
    SSL_client_hello_get0_ext, SSL_client_hello_get1_extensions_present, SSL_get_client_ciphers,
    SSL_get1_supported_ciphers, SSL_set_options, TLSEXT_NAMETYPE_host_name,
    TLSEXT_TYPE_server_name,
};

const BAD_EXTENSION: &std::ffi::CStr = c"Bad SSL Client Hello Extension";

impl Ssl {
    /// An extension of the ClientHello; `None` outside of OpenSSL's ClientHello callback.
    pub fn hello_extension(&self, kind: u32) -> Option<&[u8]> {
        let (mut data, mut len) = (null(), 0);
        // SAFETY: a live connection, which keeps the client's hello.
        unsafe {
            if SSL_client_hello_get0_ext(self.as_ptr(), kind, &mut data, &mut len) == 0 {
                return None;
            }
            Some(strings::raw(data, len))
        }
    }

    /// The server's name in the ClientHello, if there is one.
    pub fn hello_server_name(&self) -> Result<Option<&[u8]>> {
        self.hello_extension(TLSEXT_TYPE_server_name).map(server_name).transpose()
    }

    /// The ciphers in the ClientHello, by their numbers in TLS; none outside of OpenSSL's
    /// ClientHello callback.
    pub fn hello_ciphers(&self) -> impl Iterator<Item = u16> {
        let mut data = null();
        // SAFETY: a live connection, which keeps the client's hello.
        let bytes = unsafe {
            let len = SSL_client_hello_get0_ciphers(self.as_ptr(), &mut data);
            strings::raw(data, len)
        };
        bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair))
    }

    /// The numbers of the extensions in the ClientHello that OpenSSL knows; `None` outside of
    /// OpenSSL's ClientHello callback.
    pub fn hello_extensions(&self) -> Option<Extensions> {
        let (mut data, mut len) = (null_mut(), 0);
        // SAFETY: a live connection; OpenSSL allocates the numbers, which are ours to free.
        let made = clearing_errors(|| unsafe {
            match SSL_client_hello_get1_extensions_present(self.as_ptr(), &mut data, &mut len) {
                1 => Ok(()),
                _ => Err(()),
            }
        });
        made.ok().and_then(|()| NonNull::new(data)).map(|data| Extensions { data, len })
    }

    /// Gives `each` the numbers of the ciphers that the client and this server have in common, in
    /// the server's order, until it returns false. There are none before OpenSSL has read the
    /// ClientHello.
    pub fn shared_ciphers(self, mut each: impl FnMut(u16) -> bool) {
        // SAFETY: a live connection, which keeps the client's list; the server's is ours.
        let (own, client): (*mut OPENSSL_STACK, *const OPENSSL_STACK) = unsafe {
            let own = SSL_get1_supported_ciphers(self.as_ptr());
            (own.cast(), SSL_get_client_ciphers(self.as_ptr()).cast())
        };
        // SAFETY: null, or lists of ciphers; ours is freed once, afterwards, and its elements are
        // OpenSSL's own, and static.
        unsafe {
            for cipher in ciphers(own) {
                if ciphers(client).any(|other| other == cipher) && !each(cipher) {
                    break;
                }
            }
            OPENSSL_sk_free(own);
        }
    }

    /// Allows the server to answer in the protocols with these bits of nginx's, and in no others.
    pub fn set_protocols(self, bits: u32) {
        for (protocol, forbidden) in FORBIDDING {
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

/// The numbers of extensions, in memory of OpenSSL's.
pub struct Extensions {
    data: NonNull<c_int>,
    len: usize,
}

impl std::ops::Deref for Extensions {
    type Target = [c_int];

    fn deref(&self) -> &[c_int] {
        // SAFETY: `hello_extensions` got the pointer and the length from OpenSSL; the memory is
        // ours.
        unsafe { std::slice::from_raw_parts(self.data.as_ptr(), self.len) }
    }
}

impl Drop for Extensions {
    fn drop(&mut self) {
        // SAFETY: OpenSSL gave it to us, and it is freed once.
        unsafe { CRYPTO_free(self.data.as_ptr().cast(), c"".as_ptr(), 0) }
    }
}

/// The numbers in TLS of a list of ciphers, or of a null pointer, which has none.
///
/// # Safety
/// `list` must be null, or a list of ciphers that lives longer than the iterator.
unsafe fn ciphers(list: *const OPENSSL_STACK) -> impl Iterator<Item = u16> {
    // SAFETY: null, or a live list of ciphers, the contract of this function.
    (0..unsafe { OPENSSL_sk_num(list) }).map(move |index| unsafe {
        SSL_CIPHER_get_protocol_id(OPENSSL_sk_value(list, index).cast_const().cast())
    })
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

/// The bytes after a prefix of two bytes that gives their length.
fn prefixed(bytes: &[u8]) -> Option<&[u8]> {
    let (len, rest) = bytes.split_first_chunk::<2>()?;
    rest.get(..u16::from_be_bytes(*len).into())
}
