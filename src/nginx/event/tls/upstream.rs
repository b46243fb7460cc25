//! OpenSSL's callbacks in a handshake with a server that nginx passes a request to.
//!
//! nginx makes the context of such handshakes when it merges a location that passes requests on
//! over TLS. Locations may share a context, so each callback looks at the request's own location. A
//! handshake runs while the connection is the request's current try.

#![allow(unsafe_code, reason = "OpenSSL calls what is here")]

use std::ffi::{CStr, c_int, c_void};
use std::ptr::{NonNull, null_mut};

use export::callback;

use super::objects::{Certificate, Owned};
use super::ssl::Ssl;
use crate::nginx::core::conf::Conf;
use crate::nginx::core::function::instance;
use crate::nginx::core::guard::fault_point;
use crate::nginx::core::module;
use crate::nginx::http::configuration::{Configuration, Scope};
use crate::nginx::http::request::Request;
use crate::nginx::sys::{
    SSL, SSL_CTX, SSL_CTX_set_cert_cb, SSL_CTX_set_cert_verify_callback, SSL_VERIFY_PEER,
    SSL_get_ex_data_X509_STORE_CTX_idx, SSL_get_verify_callback, SSL_set_verify, X509_STORE_CTX,
    X509_STORE_CTX_get_error, X509_STORE_CTX_get_ex_data, X509_STORE_CTX_get0_cert,
    X509_STORE_CTX_set_error, X509_V_ERR_APPLICATION_VERIFICATION, X509_V_OK, X509_up_ref,
    X509_verify_cert, ngx_http_request_t, ngx_http_upstream_conf_t,
};

/// nginx's modules that pass requests to servers over TLS. The structure of each for a location begins
/// with that of nginx's upstream module.
const PASSING: [&CStr; 3] =
    [c"ngx_http_proxy_module", c"ngx_http_grpc_module", c"ngx_http_uwsgi_module"];

/// OpenSSL's context for the servers to which the location that is being merged passes requests.
#[derive(Clone, Copy)]
pub struct UpstreamContext(NonNull<SSL_CTX>);

impl UpstreamContext {
    /// The contexts of all modules of nginx that have made one.
    pub fn all_of(cf: Conf) -> impl Iterator<Item = UpstreamContext> {
        let configuration = Configuration::under(cf);
        PASSING.into_iter().filter_map(move |name| {
            // SAFETY: the cycle that is being read; the module's own structure, merged before ours,
            // for built-in modules come first; it begins so.
            unsafe {
                let module = module::named(cf.get().cycle, name)?;
                let conf: *const ngx_http_upstream_conf_t =
                    configuration.slot(Scope::Location, module).cast();
                let ssl = conf.as_ref().and_then(|conf| conf.ssl.as_ref())?;
                NonNull::new(ssl.ctx).map(UpstreamContext)
            }
        })
    }

    /// Has `F` called when a server asks for a certificate; it returns whether the handshake goes
    /// on.
    pub fn on_certificate<F: Fn(Request) -> bool + Copy + 'static>(self, _function: F) {
        const { assert!(size_of::<F>() == 0, "a callback captures nothing") };
        // SAFETY: a live context.
        unsafe { SSL_CTX_set_cert_cb(self.0.as_ptr(), Some(certificate::<F>), null_mut()) }
    }

    /// Has `F` called when a server has presented its certificate. OpenSSL then verifies it only if
    /// `F` calls [`Verification::verify`].
    pub fn on_verify<F>(self, _function: F)
    where
        F: Fn(Request, Verification) -> Judgement + Copy + 'static,
    {
        const { assert!(size_of::<F>() == 0, "a callback captures nothing") };
        // SAFETY: a live context.
        unsafe {
            SSL_CTX_set_cert_verify_callback(self.0.as_ptr(), Some(verify::<F>), null_mut());
        }
    }
}

/// The request whose current try is in its first handshake on `ssl`; `None` otherwise.
///
/// # Safety
/// `ssl` must be what OpenSSL passed to a callback, for a connection of one of nginx's upstreams.
unsafe fn request_of(ssl: *mut SSL) -> Option<Request> {
    // SAFETY: until such a connection has had its handshake, its data is the request.
    unsafe {
        let c = Ssl::from_ptr(ssl)?.client()?.as_ptr();
        if (*c).ssl.as_ref()?.handshaked() != 0 {
            return None;
        }
        let r: *mut ngx_http_request_t = (*c).data.cast();
        let upstream = r.as_ref()?.upstream.as_ref()?;
        if upstream.peer.connection == c { Request::from_ptr(r) } else { None }
    }
}

/// # Safety
/// Only OpenSSL may call this, as the callback that it was registered as.
#[callback(0)]
unsafe extern "C" fn certificate<F: Fn(Request) -> bool + Copy + 'static>(
    ssl: *mut SSL,
    _data: *mut c_void,
) -> c_int {
    fault_point::<F>();
    // SAFETY: OpenSSL asks, for a context that `on_certificate` was called for with the function.
    let (request, function) = unsafe { (request_of(ssl), instance::<F>()) };
    request.is_none_or(function).into()
}

/// # Safety
/// Only OpenSSL may call this, as the callback that it was registered as.
#[callback(0)]
unsafe extern "C" fn verify<F>(store: *mut X509_STORE_CTX, _argument: *mut c_void) -> c_int
where
    F: Fn(Request, Verification) -> Judgement + Copy + 'static,
{
    fault_point::<F>();
    let Some(verification) = NonNull::new(store).map(Verification) else { return 0 };
    // SAFETY: OpenSSL asks, for a context that `on_verify` was called for, and tells the connection.
    let (ssl, request) = unsafe {
        let ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
        let ssl: *mut SSL = ssl.cast();
        (ssl, request_of(ssl))
    };
    let Some(request) = request else { return verification.verify().into() };
    // SAFETY: `on_verify` was given the function.
    match unsafe { instance::<F>() }(request, verification) {
        Judgement::Trust => return 1,
        Judgement::Distrust => return 0,
        Judgement::Refuse => {}
    }
    if verification.result() == X509_V_OK as c_int {
        verification.set_result(X509_V_ERR_APPLICATION_VERIFICATION as c_int);
    }
    // After this callback, OpenSSL looks at the mode: only with this one does it end the handshake.
    // SAFETY: the live connection, which OpenSSL has told of.
    unsafe { SSL_set_verify(ssl, SSL_VERIFY_PEER as c_int, SSL_get_verify_callback(ssl)) };
    0
}

/// How a handshake goes on after the server has presented its certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Judgement {
    Trust,
    /// It is not trusted; the configuration decides whether that ends the handshake.
    Distrust,
    /// There is no connection with this server.
    Refuse,
}

impl Judgement {
    /// OpenSSL's own judgement.
    pub fn of(trusted: bool) -> Judgement {
        if trusted { Judgement::Trust } else { Judgement::Distrust }
    }
}

/// A server's certificate that is being verified; copies are the same one. Valid until OpenSSL's
/// callback returns.
#[derive(Clone, Copy)]
pub struct Verification(NonNull<X509_STORE_CTX>);

impl Verification {
    /// Has OpenSSL verify it as it would by itself; false if the handshake must end.
    pub fn verify(self) -> bool {
        // SAFETY: the value is only used in OpenSSL's callback, which has it from OpenSSL; so in
        // every method below.
        unsafe { X509_verify_cert(self.0.as_ptr()) > 0 }
    }

    /// What is wrong, by OpenSSL's numbers; 0 for nothing.
    pub fn result(self) -> c_int {
        // SAFETY: as in `verify`.
        unsafe { X509_STORE_CTX_get_error(self.0.as_ptr()) }
    }

    pub fn set_result(self, result: c_int) {
        // SAFETY: as in `verify`.
        unsafe { X509_STORE_CTX_set_error(self.0.as_ptr(), result) }
    }

    /// A share in the certificate.
    pub fn certificate(self) -> Option<Certificate> {
        // SAFETY: as in `verify`; the new reference is ours.
        unsafe {
            let certificate = X509_STORE_CTX_get0_cert(self.0.as_ptr());
            if certificate.is_null() || X509_up_ref(certificate) == 0 {
                return None;
            }
            Certificate::from_ptr(certificate)
        }
    }
}
