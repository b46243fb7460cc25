//! The symbols behind the random numbers, the master key and the exported keys of `ngx.ssl`. Texts
//! in `*err` are static.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::{c_char, c_int};

use export::export;

use crate::api::ssl::ffi::{buffer, connection, done};
use crate::nginx::core::strings;
use crate::nginx::event::tls;
use crate::nginx::event::tls::Ssl;
use crate::nginx::sys::ngx_http_request_t;

/// Writes the client random (32 bytes), or as much of it as fits, to `out`, which has a capacity of
/// `*outlen` bytes. `*outlen` becomes the length written, or if it was 0, the length needed.
/// Returns 0, or -1 with the error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_client_random(
    r: *mut ngx_http_request_t,
    out: *mut u8,
    outlen: *mut usize,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request, a buffer of that length and its own
    // out-parameters.
    unsafe { bytes(r, out, outlen, err, |ssl, out| Ok(ssl.client_random(out))) }
}

/// As [`ngx_http_lua_ffi_ssl_client_random`], for the server random.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_server_random(
    r: *mut ngx_http_request_t,
    out: *mut u8,
    outlen: *mut usize,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request, a buffer of that length and its own
    // out-parameters.
    unsafe { bytes(r, out, outlen, err, |ssl, out| Ok(ssl.server_random(out))) }
}

/// As [`ngx_http_lua_ffi_ssl_client_random`], for the session's master key (at most 48 bytes).
/// Returns -1 with the error in `*err` also if the handshake has no session yet.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_session_master_key(
    r: *mut ngx_http_request_t,
    out: *mut u8,
    outlen: *mut usize,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request, a buffer of that length and its own
    // out-parameters.
    unsafe { bytes(r, out, outlen, err, Ssl::master_key) }
}

/// Has `write` write to the caller's buffer, and puts the length that it returns into `*outlen`. 0,
/// or -1 with the error in `*err`.
///
/// # Safety
/// As for [`connection`]; `out` must be null or valid for `*outlen` bytes, the out-parameters null
/// or valid.
unsafe fn bytes(
    r: *mut ngx_http_request_t,
    out: *mut u8,
    outlen: *mut usize,
    err: *mut *const c_char,
    write: impl FnOnce(Ssl, &mut [u8]) -> tls::Result<usize>,
) -> c_int {
    // SAFETY: `r` is null or the running request, `out` null or valid for `*outlen` bytes, and the
    // out-parameters null or valid: the contract of this function.
    unsafe {
        done(err, || {
            let ssl = connection(r)?;
            let outlen = outlen.as_mut().ok_or(c"no length")?;
            *outlen = write(ssl, buffer(out, *outlen))?;
            Ok(())
        })
    }
}

/// Fills the `out_size` bytes at `out` with key material (RFC 5705) for a label of `llen` bytes
/// and, if `use_ctx` is not 0, a context of `ctxlen` bytes. 0, or -1 with the error in `*err`;
/// OpenSSL's own error is logged at `[info]`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_export_keying_material(
    r: *mut ngx_http_request_t,
    out: *mut u8,
    out_size: usize,
    label: *const u8,
    llen: usize,
    ctx: *const u8,
    ctxlen: usize,
    use_ctx: c_int,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request, a buffer of that length, Lua strings and
    // its own out-parameter.
    unsafe {
        done(err, || {
            let context = (use_ctx != 0).then(|| strings::raw(ctx, ctxlen));
            let label = strings::raw(label, llen);
            connection(r)?.export_keying_material(buffer(out, out_size), label, context)
        })
    }
}

/// As [`ngx_http_lua_ffi_ssl_export_keying_material`], but from the secret of TLS 1.3's early data,
/// and always with a context.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_export_keying_material_early(
    r: *mut ngx_http_request_t,
    out: *mut u8,
    out_size: usize,
    label: *const u8,
    llen: usize,
    ctx: *const u8,
    ctxlen: usize,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request, a buffer of `out_size` bytes, Lua strings
    // and its own out-parameter.
    unsafe {
        done(err, || {
            let (label, context) = (strings::raw(label, llen), strings::raw(ctx, ctxlen));
            connection(r)?.export_keying_material_early(buffer(out, out_size), label, context)
        })
    }
}
