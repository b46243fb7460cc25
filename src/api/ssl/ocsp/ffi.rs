//! The symbols behind `ngx.ocsp`. Texts in `*err` are static.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::{c_char, c_int, c_long};

use export::export;

use crate::api::ffi::{self, set_message, write_error};
use crate::api::ssl::ffi::{connection, number};
use crate::lua::resty_core;
use crate::nginx::core::strings;
use crate::nginx::event::tls::ocsp;
use crate::nginx::sys::ngx_http_request_t;

/// The first release in which [`ngx_http_lua_ffi_ssl_validate_ocsp_response`] takes a `valid`.
const WITH_NEXT_UPDATE: u32 = 10_027;

/// Tells lua-resty-core that a result does not fit into its buffer.
const BUSY: c_int = -3;

/// Writes the URL of the OCSP responder for the first certificate of the chain (DER) at
/// `chain_data` to `out`. Returns 0 with its length in `*out_size`; -3 if only a part of it fits
/// into `*out_size` bytes; -5 if the certificate names none; -1 with the error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_get_ocsp_responder_from_der_chain(
    chain_data: *const u8,
    chain_len: usize,
    out: *mut u8,
    out_size: *mut usize,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes a Lua string, a buffer of `*out_size` bytes and its own
    // out-parameters.
    unsafe {
        number(err, || {
            let found = ocsp::responder(strings::raw(chain_data, chain_len))?;
            let Some(address) = found else { return Ok(ffi::DECLINED) };
            let fits = out_size.as_ref().is_some_and(|room| address.len() <= *room);
            write_error(out, out_size, &address);
            Ok(if fits { ffi::OK } else { BUSY })
        })
    }
}

/// Writes an OCSP request for the first certificate of the chain (DER) at `chain_data` to `out`.
/// Returns 0 with its length in `*out_size`; -3 with the error in `*err` if it does not fit, with
/// the length needed in `*out_size`; -1 with the error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_create_ocsp_request(
    chain_data: *const u8,
    chain_len: usize,
    out: *mut u8,
    out_size: *mut usize,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes a Lua string, a buffer of `*out_size` bytes and its own
    // out-parameters.
    unsafe {
        number(err, || {
            let request = ocsp::request(strings::raw(chain_data, chain_len))?;
            let size = out_size.as_mut().ok_or(c"output buffer too small")?;
            if request.len() > *size {
                set_message(err, c"output buffer too small");
                *size = request.len();
                return Ok(BUSY);
            }
            write_error(out, size, &request);
            Ok(ffi::OK)
        })
    }
}

/// Checks that the OCSP response at `resp` calls the first certificate of the chain (DER) at
/// `chain_data` good. Returns 0, or -1 with the error in `errbuf`, which has a capacity of
/// `*errbuf_size` bytes. When a newer response will be there, in seconds since the epoch, goes to
/// `*valid`, if the response says so. Up to release 0.10.26, `valid` is not passed.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_validate_ocsp_response(
    resp: *const u8,
    resp_len: usize,
    chain_data: *const u8,
    chain_len: usize,
    errbuf: *mut u8,
    errbuf_size: *mut usize,
    valid: *mut c_long,
) -> c_int {
    // SAFETY: lua-resty-core passes Lua strings, a buffer with its size, and its own
    // out-parameter. If it is of a release that passes only six arguments, the last one is not
    // read.
    unsafe {
        let response = strings::raw(resp, resp_len);
        match ocsp::validate(response, strings::raw(chain_data, chain_len)) {
            Ok(until) => {
                if resty_core::presented() >= WITH_NEXT_UPDATE
                    && let (Some(until), Some(valid)) = (until, valid.as_mut())
                {
                    *valid = until;
                }
                ffi::OK
            }
            Err(text) => {
                write_error(errbuf, errbuf_size, text);
                ffi::ERROR
            }
        }
    }
}

/// Staples the OCSP response at `resp` (copied) to the certificate for the client. Returns 0; -5 if
/// the client did not ask for one; -1 with the error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_set_ocsp_status_resp(
    r: *mut ngx_http_request_t,
    resp: *const u8,
    resp_len: usize,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request, a Lua string and its own out-parameter.
    unsafe {
        number(err, || {
            let asked = connection(r)?.staple(strings::raw(resp, resp_len))?;
            Ok(if asked { ffi::OK } else { ffi::DECLINED })
        })
    }
}
