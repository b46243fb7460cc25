//! Certificates and keys as PEM text, and in DER.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::null_mut;

use export::callback;

use super::chain::Chain;
use super::clear_errors;
use super::objects::{Certificate, Owned, PrivateKey, Result, Source, clearing_errors};
use crate::nginx::sys::{
    ERR_LIB_PEM, ERR_peek_last_error, PEM_R_NO_START_LINE, PEM_read_bio_PrivateKey,
    PEM_read_bio_X509, PEM_read_bio_X509_AUX, i2d_PrivateKey, i2d_X509,
};

/// Reads a certificate and the rest of its chain.
pub fn chain(pem: &[u8]) -> Result<Chain> {
    clearing_errors(|| {
        let source = Source::new(pem)?;
        // SAFETY: a live BIO; the certificate is ours.
        let first = unsafe {
            PEM_read_bio_X509_AUX(source.as_ptr(), null_mut(), Some(passphrase), null_mut())
        };
        // SAFETY: as above.
        let first = unsafe { Certificate::from_ptr(first) };
        let mut chain = Chain::new().ok_or(c"sk_X509_new_null() failed")?;
        let mut next = Some(first.ok_or(c"PEM_read_bio_X509_AUX() failed")?);
        while let Some(certificate) = next {
            chain.push(certificate).map_err(|_| c"sk_X509_push() failed")?;
            next = next_certificate(&source)?;
        }
        Ok(chain)
    })
}

/// Reads a certificate and the rest of its chain, in DER, one behind the other.
pub fn der_chain(der: &[u8]) -> Result<Chain> {
    if der.is_empty() {
        return Err(c"invalid argument");
    }
    clearing_errors(|| {
        let source = Source::new(der)?;
        let mut chain = Chain::new().ok_or(c"sk_X509_new_null() failed")?;
        chain.push(source.der_certificate()?).map_err(|_| c"sk_X509_push() failed")?;
        while !source.is_at_end() {
            let certificate = source.der_certificate();
            let certificate = certificate.map_err(|_| c"d2i_X509_bio() failed in rest of chain")?;
            let pushed = chain.push(certificate);
            pushed.map_err(|_| c"sk_X509_push() failed in rest of chain")?;
        }
        Ok(chain)
    })
}

/// Reads a private key in DER.
pub fn der_private_key(der: &[u8]) -> Result<PrivateKey> {
    if der.is_empty() {
        return Err(c"invalid argument");
    }
    clearing_errors(|| Source::new(der)?.der_private_key())
}

/// The next certificate; none at the end.
fn next_certificate(source: &Source) -> Result<Option<Certificate>> {
    // SAFETY: a live BIO; the certificate is ours.
    let next = unsafe {
        Certificate::from_ptr(PEM_read_bio_X509(
            source.as_ptr(),
            null_mut(),
            Some(passphrase),
            null_mut(),
        ))
    };
    if next.is_none() {
        if !is_end_of_text() {
            return Err(c"PEM_read_bio_X509() failed");
        }
        clear_errors();
    }
    Ok(next)
}

/// Whether OpenSSL's last error says that there was nothing more to read.
fn is_end_of_text() -> bool {
    // SAFETY: no arguments.
    let error = unsafe { ERR_peek_last_error() };
    // The macros ERR_GET_LIB and ERR_GET_REASON.
    let (library, reason) = ((error >> 23) & 0xff, error & 0x7f_ffff);
    library == ERR_LIB_PEM.into() && reason == PEM_R_NO_START_LINE.into()
}

/// Reads a private key; `secret` is the passphrase, if it is encrypted.
pub fn private_key(pem: &[u8], secret: Option<&CStr>) -> Result<PrivateKey> {
    clearing_errors(|| {
        let source = Source::new(pem)?;
        let secret = secret.map_or(null_mut(), |secret| secret.as_ptr().cast_mut().cast());
        // SAFETY: a live BIO; OpenSSL passes the passphrase to our callback only; the key is ours.
        unsafe {
            PrivateKey::from_ptr(PEM_read_bio_PrivateKey(
                source.as_ptr(),
                null_mut(),
                Some(passphrase),
                secret,
            ))
        }
        .ok_or(c"PEM_read_bio_PrivateKey() failed")
    })
}

/// OpenSSL asks for a passphrase. Without this callback, it would ask at the terminal.
///
/// # Safety
/// Only OpenSSL may call this, as the callback that it was registered as.
#[callback(-1)]
unsafe extern "C" fn passphrase(
    buffer: *mut c_char,
    size: c_int,
    _is_for_writing: c_int,
    secret: *mut c_void,
) -> c_int {
    let room = usize::try_from(size).unwrap_or(0);
    if secret.is_null() || buffer.is_null() || room == 0 {
        return -1;
    }
    // SAFETY: the C string that `private_key` passes on, and OpenSSL's buffer of `size` bytes.
    unsafe {
        let secret = CStr::from_ptr(secret.cast()).to_bytes();
        let len = secret.len().min(room);
        std::ptr::copy_nonoverlapping(secret.as_ptr(), buffer.cast(), len);
        len as c_int
    }
}

/// Writes the certificates of a PEM text to `der`, one after the other; returns the length.
pub fn chain_to_der(pem: &[u8], der: &mut [u8]) -> Result<usize> {
    let chain = chain(pem)?;
    let mut written = 0;
    clearing_errors(|| {
        for certificate in chain.iter() {
            let certificate = certificate?;
            let rest = der.get_mut(written..).unwrap_or_default();
            // SAFETY: a live certificate; `encode` asks for the length first.
            written += encode(rest, |out| unsafe { i2d_X509(certificate.as_ptr(), out) })
                .ok_or(c"i2d_X509() failed")?;
        }
        Ok(written)
    })
}

/// Writes the key of a PEM text to `der`; returns the length.
pub fn private_key_to_der(pem: &[u8], secret: Option<&CStr>, der: &mut [u8]) -> Result<usize> {
    let key = private_key(pem, secret)?;
    clearing_errors(|| {
        // SAFETY: a live key; `encode` asks for the length first.
        encode(der, |out| unsafe { i2d_PrivateKey(key.as_ptr(), out) })
            .ok_or(c"i2d_PrivateKey() failed")
    })
}

/// Has one of OpenSSL's encoders write to `out` and returns the length; `None` if it does not fit.
/// `encoder` gets a pointer to the place to write to, and writes as many bytes there as it returns
/// for a null pointer.
pub fn encode(out: &mut [u8], encoder: impl Fn(*mut *mut u8) -> c_int) -> Option<usize> {
    let len = usize::try_from(encoder(null_mut())).ok().filter(|len| *len > 0)?;
    let mut at = out.get_mut(..len)?.as_mut_ptr();
    usize::try_from(encoder(&mut at)).ok().filter(|written| *written == len)
}
