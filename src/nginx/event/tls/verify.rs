//! Asks a client for its certificate.

use std::ffi::c_int;
use std::ptr::addr_of;

use export::callback;

use super::chain::{Chain, List};
use super::objects::{Certificate, Name, Owned, Result, Store, clearing_errors};
use super::ssl::Ssl;
use crate::nginx::http::configuration::{Configuration, Scope};
use crate::nginx::http::request::Request;
use crate::nginx::sys::{
    SSL_CTRL_SET_VERIFY_CERT_STORE, SSL_VERIFY_PEER, SSL_ctrl, SSL_set_client_CA_list,
    SSL_set_verify, SSL_set_verify_depth, X509_NAME_dup, X509_STORE_CTX, X509_STORE_add_cert,
    X509_STORE_new, X509_get_subject_name, ngx_http_ssl_module, ngx_http_ssl_srv_conf_t,
};

impl Ssl {
    /// Asks the client for a certificate and verifies it. The handshake goes on whatever the
    /// result, which is in `$ssl_client_verify`. The client is told the names of the authorities in
    /// `named`; these and `trusted` are trusted. Without either, those of the server's
    /// configuration are used.
    pub fn verify_client(
        self,
        named: Option<&Chain>,
        trusted: Option<&Chain>,
        depth: c_int,
    ) -> Result<()> {
        // SAFETY: a live connection.
        unsafe {
            SSL_set_verify(self.as_ptr(), SSL_VERIFY_PEER as c_int, Some(accept));
            SSL_set_verify_depth(self.as_ptr(), depth);
        }
        if named.is_none() && trusted.is_none() {
            return Ok(());
        }
        clearing_errors(|| {
            // SAFETY: no arguments; the store is ours.
            let store = unsafe { Store::from_ptr(X509_STORE_new()) };
            let store = store.ok_or(c"X509_STORE_new() failed")?;
            let mut names = List::<Name>::new().ok_or(c"sk_X509_NAME_new_null() failed")?;
            for certificate in named.iter().flat_map(|chain| chain.iter()) {
                let certificate = certificate?;
                names.push(subject(&certificate)?).map_err(|_| c"sk_X509_NAME_push() failed")?;
            }
            for certificate in named.iter().chain(trusted.iter()).flat_map(|chain| chain.iter()) {
                // SAFETY: a live store and certificate, of which it takes a reference of its own.
                if unsafe { X509_STORE_add_cert(store.as_ptr(), certificate?.as_ptr()) } == 0 {
                    return Err(c"X509_STORE_add_cert() failed");
                }
            }
            self.set_authorities(store, named.is_some().then_some(names))
        })
    }

    fn set_authorities(self, store: Store, names: Option<List<Name>>) -> Result<()> {
        let option = SSL_CTRL_SET_VERIFY_CERT_STORE as c_int;
        // SAFETY: a live connection, which takes ownership of the names, and of the store if it
        // returns 1.
        unsafe {
            if SSL_ctrl(self.as_ptr(), option, 0, store.as_ptr().cast()) == 0 {
                return Err(c"SSL_set0_verify_cert_store() failed");
            }
            store.into_ptr();
            if let Some(names) = names {
                SSL_set_client_CA_list(self.as_ptr(), names.into_raw().cast());
            }
        }
        Ok(())
    }
}

/// A copy of the name of a certificate's subject.
fn subject(certificate: &Certificate) -> Result<Name> {
    // SAFETY: a live certificate, which keeps its name; the copy is ours.
    unsafe { Name::from_ptr(X509_NAME_dup(X509_get_subject_name(certificate.as_ptr()))) }
        .ok_or(c"X509_get_subject_name() failed")
}

/// Accepts any certificate, so that the handshake goes on.
///
/// # Safety
/// Only OpenSSL may call this, as the callback that it was registered as.
#[callback(unguarded = "it does nothing")]
unsafe extern "C" fn accept(_ok: c_int, _store: *mut X509_STORE_CTX) -> c_int {
    1
}

/// `ssl_verify_depth` of the server.
pub fn configured_depth(request: Request) -> c_int {
    // SAFETY: nginx's own module, which has a configuration in every server.
    unsafe {
        let conf: *const ngx_http_ssl_srv_conf_t =
            Configuration::of(request).slot(Scope::Server, &*addr_of!(ngx_http_ssl_module)).cast();
        conf.as_ref().and_then(|conf| c_int::try_from(conf.verify_depth).ok()).unwrap_or(1)
    }
}
