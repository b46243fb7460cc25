//! The symbols behind `ngx.proxyssl`, `ngx.ssl.proxysslcert` and `ngx.ssl.proxysslverify`. Texts in
//! `*err` are static.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::null_mut;

use export::export;

use crate::api::ffi;
use crate::api::ssl::certificates::ffi::{use_lent_chain, use_lent_private_key};
use crate::api::ssl::ffi::{done, number, object};
use crate::nginx::core::strings;
use crate::nginx::event::tls;
use crate::nginx::event::tls::{Certificate, Owned, Ssl, Verification};
use crate::nginx::sys::ngx_http_request_t;

/// The TLS connection to the server that the request is passed to.
fn connection(r: *mut ngx_http_request_t) -> tls::Result<Ssl> {
    const TEXTS: [&CStr; 3] = [c"bad request", c"bad upstream connection", c"bad ssl conn"];
    let request = ffi::request(r).ok_or(c"bad request")?;
    Ssl::of_upstream(request, TEXTS)
}

/// The connection's TLS version as OpenSSL numbers it (0x0303 for TLS 1.2), or -1 with the error in
/// `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_proxy_ssl_get_tls1_version(
    r: *mut ngx_http_request_t,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request and its own out-parameter.
    unsafe { number(err, || Ok(connection(r)?.version())) }
}

/// Removes the client certificates and keys of the connection to the server. Returns 0, or -1 with
/// the error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_proxy_ssl_clear_certs(
    r: *mut ngx_http_request_t,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request and its own out-parameter.
    unsafe {
        done(err, || {
            connection(r)?.clear_certificates();
            Ok(())
        })
    }
}

/// Sets a client certificate and its chain: DER, `len` bytes at `data`. 0, or -1 with the error in
/// `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_proxy_ssl_set_der_certificate(
    r: *mut ngx_http_request_t,
    data: *const u8,
    len: usize,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request, a Lua string and its own out-parameter.
    unsafe { done(err, || connection(r)?.use_der_chain(strings::raw(data, len))) }
}

/// Sets the client certificate's private key: DER, `len` bytes at `data`. 0, or -1 with the error
/// in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_proxy_ssl_set_der_private_key(
    r: *mut ngx_http_request_t,
    data: *const u8,
    len: usize,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request, a Lua string and its own out-parameter.
    unsafe { done(err, || connection(r)?.use_der_private_key(strings::raw(data, len))) }
}

/// Sets a chain that `ngx_http_lua_ffi_parse_pem_cert` returned; the caller still owns it. Returns
/// 0, or -1 with the error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_proxy_ssl_set_cert(
    r: *mut ngx_http_request_t,
    cdata: *mut c_void,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request, a chain from `ngx.ssl`'s parsing
    // functions, which Lua keeps alive during the call, and its own out-parameter.
    unsafe { done(err, || use_lent_chain(connection(r)?, cdata)) }
}

/// Sets a key that `ngx_http_lua_ffi_parse_pem_priv_key` returned; the caller still owns it.
/// Returns 0, or -1 with the error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_proxy_ssl_set_priv_key(
    r: *mut ngx_http_request_t,
    cdata: *mut c_void,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request, a key from `ngx.ssl`'s parsing functions,
    // which Lua keeps alive during the call, and its own out-parameter.
    unsafe { done(err, || use_lent_private_key(connection(r)?, cdata)) }
}

/// The verification of the server's certificate that the code of `proxy_ssl_verify_by_lua*` runs
/// for.
fn verification(r: *mut ngx_http_request_t) -> tls::Result<Verification> {
    connection(r)?;
    ffi::context(r).and_then(|context| context.verification.get()).ok_or(c"bad lua context")
}

/// Sets the result of the verification, an OpenSSL number (`X509_V_OK` is 0). Returns 0, or -1 with
/// the error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_proxy_ssl_set_verify_result(
    r: *mut ngx_http_request_t,
    verify_result: c_int,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request and its own out-parameter.
    unsafe {
        done(err, || {
            verification(r)?.set_result(verify_result);
            Ok(())
        })
    }
}

/// The result of the verification so far, an OpenSSL number (`X509_V_OK` is 0), or -1 with the
/// error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_proxy_ssl_get_verify_result(
    r: *mut ngx_http_request_t,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request and its own out-parameter.
    unsafe { number(err, || Ok(verification(r)?.result())) }
}

/// The server's certificate, an `X509` for [`ngx_http_lua_ffi_proxy_ssl_free_verify_cert`] to free;
/// null with the error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export(null_mut())]
pub unsafe extern "C" fn ngx_http_lua_ffi_proxy_ssl_get_verify_cert(
    r: *mut ngx_http_request_t,
    err: *mut *const c_char,
) -> *mut c_void {
    // SAFETY: lua-resty-core passes the running request and its own out-parameter.
    unsafe {
        object(err, || {
            let certificate = verification(r)?.certificate();
            Ok(certificate.ok_or(c"get verify result failed")?.into_ptr().cast())
        })
    }
}

/// Frees a certificate that [`ngx_http_lua_ffi_proxy_ssl_get_verify_cert`] returned.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_proxy_ssl_free_verify_cert(cdata: *mut c_void) {
    // SAFETY: lua-resty-core passes null, or a certificate that `get_verify_cert` gave it; as a
    // finalizer, this is called once for each.
    drop(unsafe { Certificate::from_ptr(cdata.cast()) });
}
