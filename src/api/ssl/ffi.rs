//! The symbols behind `ngx.ssl` that tell of a connection. Texts in `*err` are static.

use std::ffi::{c_char, c_int, c_ushort, c_void};
use std::ptr::null_mut;

use super::{connection, done, give, number};
use crate::api::ffi::{self, set_message};
use crate::lua::resty_core;
use crate::nginx::event::tls::{Client, RawAddress};
use crate::nginx::guard;
use crate::nginx::sys::ngx_http_request_t;

/// The release since which [`ngx_http_lua_ffi_get_req_ssl_pointer`] has an `err`.
const WITH_ERROR: u32 = 10_029;

/// The version as OpenSSL numbers it (0x0303 for TLS 1.2), or -1 with the error in `*err`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_get_tls1_version(
    r: *mut ngx_http_request_t,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request and a cell of its own.
    unsafe { number(err, || Ok(connection(r)?.version())) }
}

/// The name that the client asked for: 0 with `*namelen` bytes at `*name`, which are the
/// connection's; -5 where there is none; -1 with the error in `*err`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_server_name(
    r: *mut ngx_http_request_t,
    name: *mut *const u8,
    namelen: *mut usize,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request and cells of its own.
    unsafe {
        number(err, || {
            let ssl = connection(r)?;
            let Some(found) = ssl.server_name() else { return Ok(ffi::DECLINED) };
            give(found, name, namelen);
            Ok(ffi::OK)
        })
    }
}

/// The port that the client connected to, in `*server_port`: 0, or -1 with the error in `*err`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_server_port(
    r: *mut ngx_http_request_t,
    server_port: *mut c_ushort,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request and cells of its own.
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

/// The address that the client connected to: 0 with `*addrlen` bytes at `*addr`, which are the
/// connection's, and their kind in `*addrtype` (0 unix, 1 IPv4, 2 IPv6); -1 with the error in
/// `*err`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_raw_server_addr(
    r: *mut ngx_http_request_t,
    addr: *mut *const u8,
    addrlen: *mut usize,
    addrtype: *mut c_int,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request and cells of its own.
    unsafe { address(r, Client::server_address, (addr, addrlen, addrtype), err) }
}

/// The client's address, as [`ngx_http_lua_ffi_ssl_raw_server_addr`] gives the server's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_raw_client_addr(
    r: *mut ngx_http_request_t,
    addr: *mut *const u8,
    addrlen: *mut usize,
    addrtype: *mut c_int,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request and cells of its own.
    unsafe { address(r, Client::client_address, (addr, addrlen, addrtype), err) }
}

/// The caller's cells for an address.
type Cells = (*mut *const u8, *mut usize, *mut c_int);

/// # Safety
/// As for the two above.
unsafe fn address(
    r: *mut ngx_http_request_t,
    of: impl FnOnce(&Client) -> Option<RawAddress<'_>>,
    (addr, addrlen, addrtype): Cells,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: the caller's.
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

/// OpenSSL's `SSL` of the connection, which stays nginx's; null where there is none, from release
/// 0.10.29 on with the error in `*err`, which is not read before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ngx_http_lua_ffi_get_req_ssl_pointer(
    r: *mut ngx_http_request_t,
    err: *mut *const c_char,
) -> *mut c_void {
    guard(null_mut(), || {
        // SAFETY: lua-resty-core passes the running request, and since that release a cell.
        unsafe {
            match connection(r) {
                Ok(ssl) => ssl.as_ptr().cast(),
                Err(text) => {
                    if resty_core::presented() >= WITH_ERROR {
                        set_message(err, text);
                    }
                    null_mut()
                }
            }
        }
    })
}
