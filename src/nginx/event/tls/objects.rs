//! OpenSSL's objects that this module owns: each is freed when its value is dropped.

use std::ffi::{CStr, c_int, c_long};
use std::marker::PhantomData;
use std::ptr::{NonNull, null_mut};

use super::clear_errors;
use crate::nginx::sys::{
    BIO, BIO_CTRL_EOF, BIO_ctrl, BIO_free, BIO_new_mem_buf, EVP_PKEY, EVP_PKEY_free,
    OCSP_BASICRESP, OCSP_BASICRESP_free, OCSP_CERTID, OCSP_CERTID_free, OCSP_REQUEST,
    OCSP_REQUEST_free, OCSP_RESPONSE, OCSP_RESPONSE_free, X509, X509_NAME, X509_NAME_free,
    X509_STORE, X509_STORE_free, X509_STORE_new, X509_STORE_up_ref, X509_free, d2i_PrivateKey_bio,
    d2i_X509_bio,
};

/// Errors are texts of the C module's.
pub type Result<T> = std::result::Result<T, &'static CStr>;

/// An OpenSSL object with one owner.
pub trait Owned: Sized {
    type Raw;

    /// # Safety
    /// `raw` must be null, or an object whose reference becomes this value's.
    unsafe fn from_ptr(raw: *mut Self::Raw) -> Option<Self>;

    fn as_ptr(&self) -> *mut Self::Raw;

    /// Gives the reference away.
    fn into_ptr(self) -> *mut Self::Raw {
        let raw = self.as_ptr();
        std::mem::forget(self);
        raw
    }
}

macro_rules! owned {
    ($($(#[$doc:meta])* $name:ident($raw:ty), $free:path;)*) => {$(
        $(#[$doc])*
        pub struct $name(NonNull<$raw>);

        impl Owned for $name {
            type Raw = $raw;

            unsafe fn from_ptr(raw: *mut $raw) -> Option<$name> {
                NonNull::new(raw).map($name)
            }

            fn as_ptr(&self) -> *mut $raw {
                self.0.as_ptr()
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                // SAFETY: the reference is ours, by `from_ptr`'s contract.
                unsafe { $free(self.0.as_ptr()) };
            }
        }
    )*};
}

owned! {
    /// A certificate.
    Certificate(X509), X509_free;
    /// The name of a certificate's subject.
    Name(X509_NAME), X509_NAME_free;
    /// A private key.
    PrivateKey(EVP_PKEY), EVP_PKEY_free;
    /// Certificates that are trusted.
    Store(X509_STORE), X509_STORE_free;
    /// A question about the status of certificates.
    OcspRequest(OCSP_REQUEST), OCSP_REQUEST_free;
    /// The answer.
    OcspResponse(OCSP_RESPONSE), OCSP_RESPONSE_free;
    /// The signed part of an answer.
    OcspBasic(OCSP_BASICRESP), OCSP_BASICRESP_free;
    /// The id of a certificate in a question or answer.
    OcspCertId(OCSP_CERTID), OCSP_CERTID_free;
}

impl Clone for Store {
    fn clone(&self) -> Store {
        // SAFETY: a live store; the new reference is ours. Nothing clones a store so often that the
        // counter of its references, an int, would be full, which is when OpenSSL takes none.
        unsafe { X509_STORE_up_ref(self.0.as_ptr()) };
        Store(self.0)
    }
}

impl Store {
    /// An empty one.
    pub fn new() -> Result<Store> {
        // SAFETY: no arguments; the store is ours.
        unsafe { Store::from_ptr(X509_STORE_new()) }.ok_or(c"X509_STORE_new() failed")
    }

    /// Another reference to somebody's store; none for a null pointer, or where OpenSSL has no more.
    ///
    /// # Safety
    /// `raw` must be null or a live store.
    pub unsafe fn share(raw: *mut X509_STORE) -> Option<Store> {
        // SAFETY: the store is null or live, the contract of this function; the new reference is ours.
        unsafe {
            if raw.is_null() || X509_STORE_up_ref(raw) == 0 {
                return None;
            }
            Store::from_ptr(raw)
        }
    }
}

/// Bytes that OpenSSL reads.
pub struct Source<'a>(NonNull<BIO>, PhantomData<&'a [u8]>);

impl<'a> Source<'a> {
    pub fn new(bytes: &'a [u8]) -> Result<Source<'a>> {
        let len = c_int::try_from(bytes.len()).map_err(|_| c"BIO_new_mem_buf() failed")?;
        // SAFETY: OpenSSL only reads the bytes, which live longer than the value.
        let bio = unsafe { BIO_new_mem_buf(bytes.as_ptr().cast(), len) };
        match NonNull::new(bio) {
            Some(bio) => Ok(Source(bio, PhantomData)),
            None => Err(c"BIO_new_mem_buf() failed"),
        }
    }

    pub fn as_ptr(&self) -> *mut BIO {
        self.0.as_ptr()
    }

    /// Whether all has been read.
    pub fn is_at_end(&self) -> bool {
        // SAFETY: a live BIO; the request takes no argument.
        unsafe { BIO_ctrl(self.as_ptr(), BIO_CTRL_EOF as c_int, 0 as c_long, null_mut()) == 1 }
    }

    /// Reads one certificate in DER.
    pub fn der_certificate(&self) -> Result<Certificate> {
        // SAFETY: a live BIO; the certificate is ours.
        unsafe { Certificate::from_ptr(d2i_X509_bio(self.as_ptr(), null_mut())) }
            .ok_or(c"d2i_X509_bio() failed")
    }

    /// Reads a private key in DER.
    pub fn der_private_key(&self) -> Result<PrivateKey> {
        // SAFETY: a live BIO; the key is ours.
        unsafe { PrivateKey::from_ptr(d2i_PrivateKey_bio(self.as_ptr(), null_mut())) }
            .ok_or(c"d2i_PrivateKey_bio() failed")
    }
}

impl Drop for Source<'_> {
    fn drop(&mut self) {
        // SAFETY: made by `new`, freed once.
        unsafe { BIO_free(self.as_ptr()) };
    }
}

/// Does `work`; if it fails, empties OpenSSL's error queue, because nginx would take what is there
/// for an error of its own connection.
pub fn clearing_errors<T, E>(
    work: impl FnOnce() -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    let result = work();
    if result.is_err() {
        clear_errors();
    }
    result
}
