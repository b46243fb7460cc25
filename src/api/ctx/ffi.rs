//! The symbols behind lua-resty-core's `ngx.ctx`.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::c_int;

use export::export;

use super::connection::OfConnection;
use crate::api::ffi;
use crate::nginx::guard;
use crate::nginx::sys::ngx_http_request_t;
use crate::runtime::Context;

/// The reference of the request's `ngx.ctx` table: non-negative, or -2 for none yet, or -100
/// where the request has no context.
///
/// `in_ssl_phase` and `ssl_ctx_ref` may be null. Where there is none yet, they tell of the
/// connection's own table: whether that is the one of the running code, and its reference.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export(unguarded = "it reads a number; what more there is to do has a guard")]
pub unsafe extern "C" fn ngx_http_lua_ffi_get_ctx_ref(
    r: *mut ngx_http_request_t,
    in_ssl_phase: *mut c_int,
    ssl_ctx_ref: *mut c_int,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request.
    let request = unsafe { ffi::request(r) };
    match Context::with_caller(request, |caller| caller.map(|context| context.ctx_ref.get())) {
        Some(own) if own >= 0 => own,
        // SAFETY: the contract of this function.
        _ => unsafe { other_ctx_ref(r, in_ssl_phase, ssl_ctx_ref) },
    }
}

/// As [`ngx_http_lua_ffi_get_ctx_ref`], where the running code's context has no table's reference.
///
/// # Safety
/// As for [`ngx_http_lua_ffi_get_ctx_ref`].
#[cold]
unsafe extern "C" fn other_ctx_ref(
    r: *mut ngx_http_request_t,
    in_ssl_phase: *mut c_int,
    ssl_ctx_ref: *mut c_int,
) -> c_int {
    // SAFETY: the contract of this function.
    let Some(context) = (unsafe { ffi::borrowed_context(r) }) else { return ffi::NO_REQ_CTX };
    let own = context.ctx_ref.get();
    if own >= 0 {
        return own;
    }
    guard(ffi::NO_REQ_CTX, || {
        let connection = OfConnection::of(context);
        // SAFETY: lua-resty-core passes its own out-parameters.
        let cells = unsafe { (in_ssl_phase.as_mut(), ssl_ctx_ref.as_mut()) };
        let (Some(in_ssl_phase), Some(ssl_ctx_ref)) = cells else {
            return if connection.runs { connection.reference() } else { own };
        };
        *in_ssl_phase = c_int::from(connection.runs);
        *ssl_ctx_ref = connection.reference();
        own
    })
}

/// Keeps `reference` as that of the request's `ngx.ctx` table until the request ends; in a phase of
/// a TLS handshake, as that of the connection's, until that is closed.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_set_ctx_ref(
    r: *mut ngx_http_request_t,
    reference: c_int,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request.
    let Some(context) = (unsafe { ffi::borrowed_context(r) }) else { return ffi::NO_REQ_CTX };
    let connection = OfConnection::of(context);
    if connection.runs {
        return connection.set(reference);
    }
    context.ctx_ref.set(reference);
    ffi::OK
}
