//! The symbols behind `ngx.ssl.clienthello`, and behind the shared ciphers of `ngx.ssl`. Texts in
//! `*err` are static.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::{c_char, c_int, c_uint, c_ushort};

use export::export;

use crate::api::ffi::{self, set_message};
use crate::api::ssl::ffi::{connection, done, give, number};
use crate::nginx::sys::ngx_http_request_t;

/// Looks up the server name in the ClientHello. Returns 0 with `*namelen` bytes at `*name`, which
/// belong to the connection; -5 if there is none; -1 with the error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_get_client_hello_server_name(
    r: *mut ngx_http_request_t,
    name: *mut *const u8,
    namelen: *mut usize,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request and its own out-parameters.
    unsafe {
        number(err, || {
            let ssl = connection(r)?;
            let Some(found) = ssl.hello_server_name()? else { return Ok(ffi::DECLINED) };
            give(found, name, namelen);
            Ok(ffi::OK)
        })
    }
}

/// Looks up the extension of type `kind` in the ClientHello. Returns 0 with `*outlen` bytes at
/// `*out`, which belong to the connection; -5 if there is none; -1 with the error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_get_client_hello_ext(
    r: *mut ngx_http_request_t,
    kind: c_uint,
    out: *mut *const u8,
    outlen: *mut usize,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request and its own out-parameters.
    unsafe {
        number(err, || {
            let ssl = connection(r)?;
            let Some(found) = ssl.hello_extension(kind) else { return Ok(ffi::DECLINED) };
            give(found, out, outlen);
            Ok(ffi::OK)
        })
    }
}

/// Lists the types of the extensions in the ClientHello that OpenSSL knows, in the client's order.
/// Returns 0 with `*extensions_len` of them at `*extensions`, which belong to the pool of the
/// handshake's fake request; -5 if there are none, as is always so outside of
/// `ssl_client_hello_by_lua*`; -1 with the error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_get_client_hello_ext_present(
    r: *mut ngx_http_request_t,
    extensions: *mut *mut c_int,
    extensions_len: *mut usize,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request and its own out-parameters.
    unsafe {
        number(err, || {
            let ssl = connection(r)?;
            let found = ssl.hello_extensions().filter(|found| !found.is_empty());
            let (Some(found), Some(request)) = (found, ffi::request(r)) else {
                set_message(err, c"failed SSL_client_hello_get1_extensions_present()");
                return Ok(ffi::DECLINED);
            };
            let copy = request.pool().bytes_aligned(size_of_val(&*found));
            let copy: *mut c_int = copy.map_err(|_| c"no memory")?.as_ptr().cast();
            std::ptr::copy_nonoverlapping(found.as_ptr(), copy, found.len());
            if let (Some(extensions), Some(len)) = (extensions.as_mut(), extensions_len.as_mut()) {
                *extensions = copy;
                *len = found.len();
            }
            Ok(ffi::OK)
        })
    }
}

/// Writes the numbers of the ciphers in the ClientHello to `ciphers`, `ciphers_len` of them at
/// most. Returns how many were written; -5 with the error in `*err` if there are none, as is always
/// so outside of `ssl_client_hello_by_lua*`; -1 with the error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_get_client_hello_ciphers(
    r: *mut ngx_http_request_t,
    ciphers: *mut c_ushort,
    ciphers_len: usize,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request, an array of `ciphers_len` numbers, and its
    // own out-parameter.
    unsafe {
        number(err, || {
            let ssl = connection(r)?;
            let mut count = 0;
            for (index, cipher) in ssl.hello_ciphers().take(ciphers_len).enumerate() {
                if !ciphers.is_null() {
                    *ciphers.add(index) = cipher;
                }
                count += 1;
            }
            if count == 0 {
                set_message(err, c"failed SSL_client_hello_get0_ciphers()");
                return Ok(ffi::DECLINED);
            }
            Ok(count)
        })
    }
}

/// Allows only these TLS versions in this handshake: nginx's `NGX_SSL_*` bits. Returns 0, or -1
/// with the error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_set_protocols(
    r: *mut ngx_http_request_t,
    protocols: c_int,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request and its own out-parameter.
    unsafe {
        done(err, || {
            connection(r)?.set_protocols(protocols as u32);
            Ok(())
        })
    }
}

/// Writes the TLS numbers of the ciphers that the client and the server share to `ciphers`, in the
/// server's order. `*nciphers` is the capacity, and becomes the number of ciphers. GREASE values
/// (RFC 8701) are left out unless `filter_grease` is 0. Returns 0, or -1 with the error in `*err`;
/// if the buffer is too small, `*nciphers` becomes 0.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_req_shared_ssl_ciphers(
    r: *mut ngx_http_request_t,
    ciphers: *mut c_ushort,
    nciphers: *mut c_ushort,
    filter_grease: c_int,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request, an array of `*nciphers` numbers, and its
    // own out-parameters.
    unsafe {
        done(err, || {
            let ssl = connection(r)?;
            let nciphers = nciphers.as_mut().ok_or(c"buffer too small")?;
            let room = std::mem::take(nciphers);
            let room = if ciphers.is_null() { 0 } else { room };
            let mut fits = true;
            ssl.shared_ciphers(|cipher| {
                if filter_grease != 0 && is_grease(cipher) {
                    return true;
                }
                fits = *nciphers < room;
                if fits {
                    *ciphers.add((*nciphers).into()) = cipher;
                    *nciphers += 1;
                }
                fits
            });
            if !fits {
                *nciphers = 0;
                return Err(c"buffer too small");
            }
            Ok(())
        })
    }
}

/// Whether this is a GREASE value of RFC 8701: both bytes are equal, and end in the hexadecimal
/// digit A.
fn is_grease(cipher: u16) -> bool {
    let [first, second] = cipher.to_be_bytes();
    first == second && first & 0x0f == 0x0a
}
