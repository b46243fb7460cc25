//! The symbols behind `ngx.ssl.clienthello`. Texts in `*err` are static.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::{c_char, c_int, c_uint};

use crate::api::ffi;
use crate::api::ssl::ffi::{connection, done, give, number};
use crate::nginx::sys::ngx_http_request_t;

/// The server's name in the client's hello: 0 with `*namelen` bytes at `*name`, which are the
/// connection's; -5 where there is none; -1 with the error in `*err`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_get_client_hello_server_name(
    r: *mut ngx_http_request_t,
    name: *mut *const u8,
    namelen: *mut usize,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request and cells of its own.
    unsafe {
        number(err, || {
            let ssl = connection(r)?;
            let Some(found) = ssl.hello_server_name()? else { return Ok(ffi::DECLINED) };
            give(found, name, namelen);
            Ok(ffi::OK)
        })
    }
}

/// An extension of the client's hello: 0 with `*outlen` bytes at `*out`, which are the
/// connection's; -5 where there is none; -1 with the error in `*err`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_get_client_hello_ext(
    r: *mut ngx_http_request_t,
    kind: c_uint,
    out: *mut *const u8,
    outlen: *mut usize,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request and cells of its own.
    unsafe {
        number(err, || {
            let ssl = connection(r)?;
            let Some(found) = ssl.hello_extension(kind) else { return Ok(ffi::DECLINED) };
            give(found, out, outlen);
            Ok(ffi::OK)
        })
    }
}

/// Has the client answered in the protocols with these bits of nginx's only. 0, or -1 with the
/// error in `*err`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_set_protocols(
    r: *mut ngx_http_request_t,
    protocols: c_int,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request and a cell of its own.
    unsafe {
        done(err, || {
            connection(r)?.set_protocols(protocols as u32);
            Ok(())
        })
    }
}
