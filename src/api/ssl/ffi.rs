//! The symbols behind the functions of `ngx.ssl` that describe a connection. Texts in `*err` are
//! static.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::{CStr, c_char, c_int, c_ushort, c_void};
use std::ptr::null_mut;
use std::rc::Rc;

use export::export;

use crate::api::ffi::{self, set_message};
use crate::lua::resty_core;
use crate::nginx::event::tls::{self, Client, RawAddress, Ssl};
use crate::nginx::sys::ngx_http_request_t;
use crate::runtime::handshake::Handshake;

/// The first release in which [`ngx_http_lua_ffi_get_req_ssl_pointer`] takes an `err`.
const WITH_ERROR: u32 = 10_029;

/// The TLS connection behind the running request, which lua-resty-core passes.
pub fn connection(r: *mut ngx_http_request_t) -> tls::Result<Ssl> {
    ffi::request(r).ok_or(c"bad request").and_then(Ssl::of)
}

/// This module's data of the connection's handshake.
pub fn handshake(r: *mut ngx_http_request_t) -> tls::Result<Rc<Handshake>> {
    connection(r).and_then(|ssl| Handshake::of(ssl).ok_or(c"bad lua context"))
}

/// The number that `work` gives, or -1 with the error in `*err`.
///
/// # Safety
/// As for [`set_message`].
pub unsafe fn number(
    err: *mut *const c_char,
    work: impl FnOnce() -> Result<c_int, &'static CStr>,
) -> c_int {
    match work() {
        Ok(number) => number,
        Err(text) => {
            // SAFETY: the contract of this function, that of `set_message`.
            unsafe { set_message(err, text) };
            ffi::ERROR
        }
    }
}

/// 0, or -1 with the error in `*err`.
///
/// # Safety
/// As for [`set_message`].
pub unsafe fn done(
    err: *mut *const c_char,
    work: impl FnOnce() -> Result<(), &'static CStr>,
) -> c_int {
    // SAFETY: the contract of this function, that of `set_message`.
    unsafe { number(err, || work().map(|()| ffi::OK)) }
}

/// The pointer that `work` gives, or null with the error in `*err`.
///
/// # Safety
/// As for [`set_message`].
pub unsafe fn object(
    err: *mut *const c_char,
    work: impl FnOnce() -> tls::Result<*mut c_void>,
) -> *mut c_void {
    work().unwrap_or_else(|text| {
        // SAFETY: the contract of this function, that of `set_message`.
        unsafe { set_message(err, text) };
        null_mut()
    })
}

/// Returns `bytes`, without a copy, in the out-parameters, which may be null.
///
/// # Safety
/// `data` and `len` must be null or valid for one value.
pub unsafe fn give(bytes: &[u8], data: *mut *const u8, len: *mut usize) {
    // SAFETY: `data` and `len` are null or valid for one value, the contract of this function.
    unsafe {
        if let (Some(data), Some(len)) = (data.as_mut(), len.as_mut()) {
            *data = bytes.as_ptr();
            *len = bytes.len();
        }
    }
}

/// A caller's buffer; an empty one if `data` is null.
///
/// # Safety
/// `data` must be null or valid for `len` bytes, which nothing else uses during `'a`.
pub unsafe fn buffer<'a>(data: *mut u8, len: usize) -> &'a mut [u8] {
    if data.is_null() {
        return &mut [];
    }
    // SAFETY: `data` is valid for `len` bytes and `'a`, the contract of this function.
    unsafe { std::slice::from_raw_parts_mut(data, len) }
}

/// The connection's TLS version as OpenSSL numbers it (0x0303 for TLS 1.2), or -1 with the error in
/// `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_get_tls1_version(
    r: *mut ngx_http_request_t,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request and its own out-parameter.
    unsafe { number(err, || Ok(connection(r)?.version())) }
}

/// Looks up the server name that the client asked for. Returns 0 with `*namelen` bytes at `*name`,
/// which belong to the connection; -5 if there is none; -1 with the error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_server_name(
    r: *mut ngx_http_request_t,
    name: *mut *const u8,
    namelen: *mut usize,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request and its own out-parameters.
    unsafe {
        number(err, || {
            let ssl = connection(r)?;
            let Some(found) = ssl.server_name() else { return Ok(ffi::DECLINED) };
            give(found, name, namelen);
            Ok(ffi::OK)
        })
    }
}

/// Writes the port that the client connected to into `*server_port`. Returns 0, or -1 with the
/// error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_server_port(
    r: *mut ngx_http_request_t,
    server_port: *mut c_ushort,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request and its own out-parameters.
    unsafe {
        done(err, || {
            let port = connection(r)?.client().ok_or(c"bad request")?.server_port()?;
            if let Some(server_port) = server_port.as_mut() {
                *server_port = port;
            }
            Ok(())
        })
    }
}

/// Looks up the address that the client connected to. Returns 0 with `*addrlen` bytes at `*addr`,
/// which belong to the connection, and their kind in `*addrtype` (0 unix, 1 IPv4, 2 IPv6); or -1
/// with the error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_raw_server_addr(
    r: *mut ngx_http_request_t,
    addr: *mut *const u8,
    addrlen: *mut usize,
    addrtype: *mut c_int,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request and its own out-parameters.
    unsafe { address(r, Client::server_address, (addr, addrlen, addrtype), err) }
}

/// The client's address, as [`ngx_http_lua_ffi_ssl_raw_server_addr`] gives the server's.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_raw_client_addr(
    r: *mut ngx_http_request_t,
    addr: *mut *const u8,
    addrlen: *mut usize,
    addrtype: *mut c_int,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request and its own out-parameters.
    unsafe { address(r, Client::client_address, (addr, addrlen, addrtype), err) }
}

/// The caller's out-parameters for an address.
type Cells = (*mut *const u8, *mut usize, *mut c_int);

/// Returns the address that `of` finds in the out-parameters. 0, or -1 with the error in `*err`.
///
/// # Safety
/// As for [`connection`] and [`set_message`]; each out-parameter must be null or valid for one
/// value.
unsafe fn address(
    r: *mut ngx_http_request_t,
    of: impl FnOnce(&Client) -> Option<RawAddress<'_>>,
    (addr, addrlen, addrtype): Cells,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: `r` is null or the running request, and each out-parameter null or valid for one
    // value: the contract of this function, which covers what is called here.
    unsafe {
        done(err, || {
            let client = connection(r)?.client().ok_or(c"bad request")?;
            let found = of(&client).ok_or(c"no address")?;
            give(found.bytes, addr, addrlen);
            if let Some(addrtype) = addrtype.as_mut() {
                *addrtype = found.kind;
            }
            Ok(())
        })
    }
}

/// OpenSSL's `SSL` of the connection, which nginx still owns; null with the error in `*err` if
/// there is none. (`err` is ignored before release 0.10.29, whose lua-resty-core does not pass it.)
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_get_req_ssl_pointer(
    r: *mut ngx_http_request_t,
    err: *mut *const c_char,
) -> *mut c_void {
    // SAFETY: lua-resty-core passes the running request, and since release 0.10.29 its own
    // out-parameter; before, that argument is not used.
    unsafe {
        let err = if resty_core::presented() >= WITH_ERROR { err } else { null_mut() };
        object(err, || Ok(connection(r)?.as_ptr().cast()))
    }
}

/// OpenSSL's `SSL` of the connection to the server that the request is passed to. nginx still owns
/// it, and it lives as long as the request's try at that server. Null with the error in `*err` if
/// there is none.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_get_upstream_ssl_pointer(
    r: *mut ngx_http_request_t,
    err: *mut *const c_char,
) -> *mut c_void {
    // SAFETY: lua-resty-core passes the running request and its own out-parameter.
    unsafe {
        const TEXTS: [&CStr; 3] = [c"bad upstream", c"bad peer connection", c"not ssl connection"];
        object(err, || {
            let request = ffi::request(r).ok_or(c"bad request")?;
            Ok(Ssl::of_upstream(request, TEXTS)?.as_ptr().cast())
        })
    }
}
