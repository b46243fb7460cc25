//! The symbols behind lua-resty-core's `ngx.ctx`.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::c_int;

use export::export;

use super::connection::OfConnection;
use crate::api::ffi;
use crate::nginx::guard;
use crate::nginx::sys::ngx_http_request_t;
use crate::runtime::Context;
use crate::runtime::ctx::CtxRef;

/// The reference of the request's `ngx.ctx` table: non-negative, or -2 for none yet, or -100
/// where the request has no context.
///
/// If there is none yet, `*in_ssl_phase` tells whether code of a TLS handshake runs, whose table is
/// the connection's, and `*ssl_ctx_ref` is the reference of that, or -2. If either is null, code of
/// a handshake gets the reference of the connection's table as the result.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export(unguarded = "it reads a number; what more there is to do has a guard")]
pub unsafe extern "C" fn ngx_http_lua_ffi_get_ctx_ref(
    r: *mut ngx_http_request_t,
    in_ssl_phase: *mut c_int,
    ssl_ctx_ref: *mut c_int,
) -> c_int {
    // SAFETY: this call does not end the request.
    let Some(context) = (unsafe { ffi::borrowed_context(r) }) else { return ffi::NO_REQ_CTX };
    let own = context.ctx_ref.get();
    if own.is_some() {
        return own.number();
    }
    // SAFETY: lua-resty-core passes its own out-parameters, which may be null.
    unsafe { other_ctx_ref(context, in_ssl_phase, ssl_ctx_ref) }
}

/// As [`ngx_http_lua_ffi_get_ctx_ref`], if the context of the code that calls has no reference.
///
/// # Safety
/// As for [`ngx_http_lua_ffi_get_ctx_ref`].
#[cold]
unsafe fn other_ctx_ref(
    context: &Context,
    in_ssl_phase: *mut c_int,
    ssl_ctx_ref: *mut c_int,
) -> c_int {
    guard(ffi::NO_REQ_CTX, || {
        let (connection, own) = (OfConnection::of(context), context.ctx_ref.get());
        // SAFETY: lua-resty-core passes its own out-parameters.
        let cells = unsafe { (in_ssl_phase.as_mut(), ssl_ctx_ref.as_mut()) };
        let (Some(in_ssl_phase), Some(ssl_ctx_ref)) = cells else {
            let reference = if connection.runs { connection.reference() } else { own };
            return reference.number();
        };
        *in_ssl_phase = c_int::from(connection.runs);
        *ssl_ctx_ref = connection.reference().number();
        own.number()
    })
}

/// Keeps `reference` as that of the request's `ngx.ctx` table until the request ends; in a phase of
/// a TLS handshake, as that of the connection's table, until the connection is closed.
///
/// 0; -100 without a context; -1 in a handshake whose connection can keep no table of this VM.
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
    let (connection, reference) = (OfConnection::of(context), CtxRef::from_number(reference));
    if connection.runs {
        return connection.set(reference);
    }
    context.ctx_ref.set(reference);
    ffi::OK
}
