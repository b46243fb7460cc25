//! The symbols behind `ngx.ssl.session`. Texts in `*err` are static.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::{CStr, c_char, c_int};

use export::export;

use crate::api::ssl::ffi::{connection, done, handshake, number};
use crate::lua::resty_core;
use crate::nginx::core::strings;
use crate::nginx::event::tls;
use crate::nginx::event::tls::Session;
use crate::nginx::sys::ngx_http_request_t;

const NO_SESSION: &CStr = c"bad session in lua context";
const CANNOT_ENCODE: &CStr = c"i2d_SSL_SESSION() failed";
const NO_ID: &CStr = c"uninitialized session id len in lua context";

/// How many bytes [`ngx_http_lua_ffi_ssl_get_serialized_session`] writes for the handshake's
/// session; -1 with the error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_get_serialized_session_size(
    r: *mut ngx_http_request_t,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request and its own out-parameter.
    unsafe { number(err, || encoded_len(r).and_then(|len| as_int(len, CANNOT_ENCODE))) }
}

/// Writes the handshake's session to `buf`, which must have the length that
/// [`ngx_http_lua_ffi_ssl_get_serialized_session_size`] returns. 0, or -1 with the error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_get_serialized_session(
    r: *mut ngx_http_request_t,
    buf: *mut u8,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request, a buffer of the length that it has just
    // asked for (the session does not change in between), and its own out-parameter.
    unsafe {
        done(err, || {
            let len = encoded_len(r)?;
            if buf.is_null() {
                return Err(CANNOT_ENCODE);
            }
            let room = std::slice::from_raw_parts_mut(buf, len);
            with_session(r, |session| session.encode(room))?.ok_or(CANNOT_ENCODE).map(drop)
        })
    }
}

/// The length of the handshake's session when it is serialized.
fn encoded_len(r: *mut ngx_http_request_t) -> tls::Result<usize> {
    with_session(r, Session::encoded_len)?.ok_or(CANNOT_ENCODE)
}

/// Calls `work` with the handshake's session.
fn with_session<T>(r: *mut ngx_http_request_t, work: impl FnOnce(&Session) -> T) -> tls::Result<T> {
    let handshake = handshake(r)?;
    let session = handshake.session.borrow();
    session.as_ref().map(work).ok_or(NO_SESSION)
}

/// `len` as an `int`, or `failure` if it does not fit.
fn as_int(len: usize, failure: &'static CStr) -> tls::Result<c_int> {
    c_int::try_from(len).map_err(|_| failure)
}

/// Has the handshake resume the serialized session in the `len` bytes at `data`. Returns 0, or -1
/// with the error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_set_serialized_session(
    r: *mut ngx_http_request_t,
    data: *const u8,
    len: c_int,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request, a Lua string and its own out-parameter.
    unsafe {
        done(err, || {
            connection(r)?;
            let failure = c"failed to de-serialize session";
            if len <= 0 {
                return Err(resty_core::worded(10_031, c"invalid session length", failure));
            }
            let len = usize::try_from(len).map_err(|_| failure)?;
            let session = Session::decode(strings::raw(data, len)).ok_or(failure)?;
            *handshake(r)?.session.borrow_mut() = Some(session);
            Ok(())
        })
    }
}

/// The length of the session's id in hexadecimal digits, or -1 with the error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_get_session_id_size(
    r: *mut ngx_http_request_t,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request and its own out-parameter.
    unsafe {
        number(err, || match handshake(r)?.session_id.borrow().len() {
            0 => Err(NO_ID),
            len => as_int(2 * len, NO_ID),
        })
    }
}

/// Writes the session's id to `buf`, which must have the length that
/// [`ngx_http_lua_ffi_ssl_get_session_id_size`] returns. 0, or -1 with the error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_get_session_id(
    r: *mut ngx_http_request_t,
    buf: *mut u8,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request, a buffer of the length that it has just
    // asked for (the id does not change in between), and its own out-parameter.
    unsafe {
        done(err, || {
            let handshake = handshake(r)?;
            let id = handshake.session_id.borrow();
            if buf.is_null() || id.is_empty() {
                return Err(NO_ID);
            }
            let room = std::slice::from_raw_parts_mut(buf, 2 * id.len());
            codec::hex::encode_into(&id, room).ok_or(NO_ID).map(drop)
        })
    }
}
