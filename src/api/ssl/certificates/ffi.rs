//! The symbols behind the certificates and keys of `ngx.ssl`. Texts in `*err` are static.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::ManuallyDrop;
use std::ptr::null_mut;

use export::export;

use crate::api::ffi;
use crate::api::ssl::ffi::{buffer, connection, done, number, object};
use crate::lua::resty_core;
use crate::nginx::core::strings;
use crate::nginx::event::tls;
use crate::nginx::event::tls::{Chain, Owned, PrivateKey, Ssl, pem, verify};
use crate::nginx::sys::ngx_http_request_t;
use crate::runtime::Phase;

/// The first release in which [`ngx_http_lua_ffi_ssl_verify_client`] takes two chains.
const TWO_CHAINS: u32 = 10_027;

/// Removes the connection's certificates and keys. Returns 0, or -1 with the error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_clear_certs(
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

/// Sets a certificate and its chain: DER, `len` bytes at `data`. 0, or -1 with the error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_set_der_certificate(
    r: *mut ngx_http_request_t,
    data: *const u8,
    len: usize,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request, a Lua string and its own out-parameter.
    unsafe { done(err, || connection(r)?.use_der_chain(strings::raw(data, len))) }
}

/// Sets a private key: DER, `len` bytes at `data`. 0, or -1 with the error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_set_der_private_key(
    r: *mut ngx_http_request_t,
    data: *const u8,
    len: usize,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request, a Lua string and its own out-parameter.
    unsafe { done(err, || connection(r)?.use_der_private_key(strings::raw(data, len))) }
}

/// Sets a chain that [`ngx_http_lua_ffi_parse_pem_cert`] returned; the caller still owns it.
/// Returns 0, or -1 with the error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_set_cert(
    r: *mut ngx_http_request_t,
    cdata: *mut c_void,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request, a chain from `ngx.ssl`'s parsing
    // functions, which Lua keeps alive during the call, and its own out-parameter.
    unsafe { done(err, || use_lent_chain(connection(r)?, cdata)) }
}

/// Sets a key that [`ngx_http_lua_ffi_parse_pem_priv_key`] returned; the caller still owns it.
/// Returns 0, or -1 with the error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_set_priv_key(
    r: *mut ngx_http_request_t,
    cdata: *mut c_void,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request, a key from `ngx.ssl`'s parsing functions,
    // which Lua keeps alive during the call, and its own out-parameter.
    unsafe { done(err, || use_lent_private_key(connection(r)?, cdata)) }
}

/// The caller's chain, which is not freed here; `None` if it is null.
///
/// # Safety
/// `cdata` must be null or from [`ngx_http_lua_ffi_parse_pem_cert`].
unsafe fn lent_chain(cdata: *mut c_void) -> Option<ManuallyDrop<Chain>> {
    // SAFETY: `cdata` is null or from [`ngx_http_lua_ffi_parse_pem_cert`], the contract of this
    // function.
    unsafe { Chain::from_raw(cdata.cast()) }.map(ManuallyDrop::new)
}

/// Has the connection present the caller's chain, which is not freed here.
///
/// # Safety
/// As for [`lent_chain`].
pub unsafe fn use_lent_chain(ssl: Ssl, cdata: *mut c_void) -> tls::Result<()> {
    // SAFETY: the contract of this function, that of `lent_chain`.
    let chain = unsafe { lent_chain(cdata) };
    ssl.use_chain(&*chain.ok_or(c"invalid certificate chain")?)
}

/// Has the connection use the caller's key, which is not freed here.
///
/// # Safety
/// `cdata` must be null or from [`ngx_http_lua_ffi_parse_pem_priv_key`].
pub unsafe fn use_lent_private_key(ssl: Ssl, cdata: *mut c_void) -> tls::Result<()> {
    // SAFETY: `cdata` is null or from [`ngx_http_lua_ffi_parse_pem_priv_key`], the contract of this
    // function.
    let key = unsafe { PrivateKey::from_ptr(cdata.cast()) }.map(ManuallyDrop::new);
    let missing =
        || resty_core::worded(10_028, c"invalid private key", c"invalid private key failed");
    ssl.use_private_key(&*key.ok_or_else(missing)?)
}

/// Writes the certificates of the PEM text at `pem` (`pem_len` bytes) to `der` as DER, one after
/// the other; `der` must have space for `pem_len` bytes. The length written, or -1 with the error
/// in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_cert_pem_to_der(
    pem: *const u8,
    pem_len: usize,
    der: *mut u8,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes a Lua string, a buffer of its length and its own out-parameter.
    unsafe {
        number(err, || {
            let written = pem::chain_to_der(strings::raw(pem, pem_len), buffer(der, pem_len))?;
            c_int::try_from(written).map_err(|_| c"i2d_X509() failed")
        })
    }
}

/// Writes the key of the PEM text at `pem` (`pem_len` bytes) to `der` as DER; `der` must have space
/// for `pem_len` bytes. `passphrase` is null or a C string. The length written, or -1 with the
/// error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_priv_key_pem_to_der(
    pem: *const u8,
    pem_len: usize,
    passphrase: *const c_char,
    der: *mut u8,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes Lua strings, a buffer of the first one's length and its own
    // out-parameter.
    unsafe {
        number(err, || {
            let secret = (!passphrase.is_null()).then(|| CStr::from_ptr(passphrase));
            let pem = strings::raw(pem, pem_len);
            let written = pem::private_key_to_der(pem, secret, buffer(der, pem_len))?;
            c_int::try_from(written).map_err(|_| c"i2d_PrivateKey() failed")
        })
    }
}

/// Parses a PEM text (`pem_len` bytes at `pem`): a certificate and the rest of its chain. Returns
/// an object that the caller must free with [`ngx_http_lua_ffi_free_cert`]; null with the error in
/// `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_parse_pem_cert(
    pem: *const u8,
    pem_len: usize,
    err: *mut *const c_char,
) -> *mut c_void {
    // SAFETY: lua-resty-core passes a Lua string and its own out-parameter.
    unsafe { object(err, || Ok(pem::chain(strings::raw(pem, pem_len))?.into_raw().cast())) }
}

/// Parses a PEM text (`pem_len` bytes at `pem`): a private key. Returns an object that the caller
/// must free with [`ngx_http_lua_ffi_free_priv_key`]; null with the error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_parse_pem_priv_key(
    pem: *const u8,
    pem_len: usize,
    err: *mut *const c_char,
) -> *mut c_void {
    // SAFETY: lua-resty-core passes a Lua string and its own out-parameter.
    unsafe {
        object(err, || Ok(pem::private_key(strings::raw(pem, pem_len), None)?.into_ptr().cast()))
    }
}

/// As [`ngx_http_lua_ffi_parse_pem_cert`], from DER: a certificate and the rest of its chain, one
/// after the other in the `len` bytes at `data`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_parse_der_cert(
    data: *const u8,
    len: usize,
    err: *mut *const c_char,
) -> *mut c_void {
    // SAFETY: lua-resty-core passes a Lua string and its own out-parameter.
    unsafe { object(err, || Ok(pem::der_chain(strings::raw(data, len))?.into_raw().cast())) }
}

/// As [`ngx_http_lua_ffi_parse_pem_priv_key`], from DER in the `len` bytes at `data`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_parse_der_priv_key(
    data: *const u8,
    len: usize,
    err: *mut *const c_char,
) -> *mut c_void {
    // SAFETY: lua-resty-core passes a Lua string and its own out-parameter.
    unsafe { object(err, || Ok(pem::der_private_key(strings::raw(data, len))?.into_ptr().cast())) }
}

/// Frees a chain that [`ngx_http_lua_ffi_parse_pem_cert`] or [`ngx_http_lua_ffi_parse_der_cert`]
/// returned.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_free_cert(cdata: *mut c_void) {
    // SAFETY: lua-resty-core passes null, or a chain that a parsing function gave it; as a
    // finalizer, this is called once for each.
    drop(unsafe { Chain::from_raw(cdata.cast()) })
}

/// Frees a key that [`ngx_http_lua_ffi_parse_pem_priv_key`] or
/// [`ngx_http_lua_ffi_parse_der_priv_key`] returned.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_free_priv_key(cdata: *mut c_void) {
    // SAFETY: lua-resty-core passes null, or a key that a parsing function gave it; as a finalizer,
    // this is called once for each.
    drop(unsafe { PrivateKey::from_ptr(cdata.cast()) })
}

/// Asks the client for a certificate. It is verified with the authorities in `client_certs`, whose
/// names are sent to the client, and those in `trusted_certs`, whose names are not; either may be
/// null. A negative `depth` stands for the value of `ssl_verify_depth`. The caller still owns both
/// chains. Returns 0, or -1 with the error in `*err`.
///
/// Up to release 0.10.26, there is no `trusted_certs`, so `depth` and `err` are one argument
/// earlier.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_verify_client(
    r: *mut ngx_http_request_t,
    client_certs: *mut c_void,
    trusted_certs: *mut c_void,
    depth: *mut *const c_char,
    err: *mut *const c_char,
) -> c_int {
    let has_two = resty_core::presented() >= TWO_CHAINS;
    // Each of the two prototypes has an `int` where the other one has a pointer. So pointers are
    // declared here, and the `int` is the lower half of the word that was passed.
    let (trusted_certs, depth, err) = match has_two {
        true => (trusted_certs, depth as usize as c_int, err),
        false => (null_mut(), trusted_certs as usize as c_int, depth),
    };
    // SAFETY: lua-resty-core passes the running request, chains from `ngx.ssl`'s parsing functions
    // or null, and its own out-parameter, each where its release has it: see above.
    unsafe {
        done(err, || {
            let context = ffi::context(r).ok_or(c"no request ctx found")?;
            if context.phase.get() != Phase::SslCertificate {
                return Err(c"API disabled in the current context");
            }
            let ssl = connection(r)?;
            let depth = if depth < 0 { verify::configured_depth(context.request()) } else { depth };
            let (named, trusted) = (lent_chain(client_certs), lent_chain(trusted_certs));
            ssl.verify_client(named.as_deref(), trusted.as_deref(), depth)
        })
    }
}
