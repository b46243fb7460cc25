//! The symbols behind `ngx.balancer`. Texts in `*err` are static.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::{CStr, c_char, c_int, c_long, c_uint, c_ulong};

use codec::fallible::{self, Shown};
use export::export;

use crate::api::ffi::{self, set_message, write_error};
use crate::lua::resty_core;
use crate::nginx::Status;
use crate::nginx::core::strings;
use crate::nginx::http::upstream;
use crate::nginx::http::upstream::{BindError, Keepalive, Peer, Timeouts};
use crate::nginx::sys::ngx_http_request_t;
use crate::runtime::Phase;

/// The first release whose lua-resty-core passes a host to
/// [`ngx_http_lua_ffi_balancer_set_current_peer`].
const WITH_HOST: u32 = 10_027;

/// The try that the running code decides on.
fn running_try(r: *mut ngx_http_request_t) -> Result<Peer, &'static CStr> {
    let request = ffi::request(r).ok_or(c"no request found")?;
    upstream::of(request).ok_or(c"no upstream found")?;
    let context = ffi::context(r).ok_or(c"no ctx found")?;
    if context.phase.get() != Phase::Balancer {
        return Err(c"API disabled in the current context");
    }
    context.upstream_peer.get().ok_or(c"no upstream peer data found")
}

/// Runs `work` on the try. Returns its code, or -1 with the error in `*err`.
///
/// # Safety
/// As for [`ffi::set_message`].
unsafe fn with_try(
    r: *mut ngx_http_request_t,
    err: *mut *const c_char,
    work: impl FnOnce(Peer) -> Result<c_int, &'static CStr>,
) -> c_int {
    // SAFETY: the contract of this function, that of `ffi::set_message`.
    unsafe {
        match running_try(r).and_then(work) {
            Ok(code) => code,
            Err(text) => {
                set_message(err, text);
                ffi::ERROR
            }
        }
    }
}

/// Clears the out-parameter for an error message.
///
/// # Safety
/// `err` must be null or valid for one pointer.
unsafe fn clear_message(err: *mut *const c_char) {
    // SAFETY: `err` is null or valid for one pointer, the contract of this function.
    if let Some(err) = unsafe { err.as_mut() } {
        *err = std::ptr::null();
    }
}

/// Sets the server of this try: `addr_len` bytes at `addr`, an IP address or a `unix:` path, with
/// `port` for an address that contains none. Returns 0, or -1 with the error in `*err`.
///
/// The `host_len` bytes at `host` (or null) are the server's host name: the name for the TLS
/// handshake, unless `proxy_ssl_name` or a similar directive sets one, and part of what tells kept
/// connections apart. Everything is copied. Up to release 0.10.26, `err` takes the place of `host`,
/// and is the last argument.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_balancer_set_current_peer(
    r: *mut ngx_http_request_t,
    addr: *const u8,
    addr_len: usize,
    port: c_int,
    host: *mut *const c_char,
    host_len: isize,
    err: *mut *const c_char,
) -> c_int {
    let has_host = resty_core::presented() >= WITH_HOST;
    let err = if has_host { err } else { host };
    // SAFETY: lua-resty-core passes the running request, Lua strings and its own out-parameter. If
    // it is of a release that passes only five arguments, the last two are not read.
    unsafe {
        with_try(r, err, |peer| {
            let host = match has_host {
                true => strings::raw(host.cast(), usize::try_from(host_len).unwrap_or(0)),
                false => &[],
            };
            let port = u16::try_from(port).map_err(|_| c"invalid port")?;
            peer.set_address(strings::raw(addr, addr_len), port, host).map(|()| ffi::OK)
        })
    }
}

/// Keeps the connection to this try's server alive after the try, so that other requests can use
/// it: for `timeout` milliseconds (0: until the server closes it) and for at most `max_requests`
/// requests (0: any number). Returns 0, or -1 with the error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_balancer_enable_keepalive(
    r: *mut ngx_http_request_t,
    timeout: c_ulong,
    max_requests: c_uint,
    err: *mut *const c_char,
) -> c_int {
    let milliseconds = usize::try_from(timeout).unwrap_or(usize::MAX);
    let max_requests = usize::try_from(max_requests).unwrap_or(usize::MAX);
    let keepalive = Keepalive { milliseconds, max_requests };
    // SAFETY: lua-resty-core passes the running request and its own out-parameter.
    unsafe { with_try(r, err, |peer| peer.enable_keepalive(keepalive).map(|()| ffi::OK)) }
}

/// Turns TLS to the upstream on, or off (0), for this request from now on. Returns 0, or -1 with
/// the error in `*err`: the location has no TLS settings, because its `proxy_pass` or the like does
/// not begin with `https://`, or nginx was built without TLS.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_balancer_set_upstream_tls(
    r: *mut ngx_http_request_t,
    on: c_int,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request and its own out-parameter.
    unsafe { with_try(r, err, |peer| peer.set_tls(on != 0).map(|()| ffi::OK)) }
}

/// Binds this try's connection to the upstream, and those of later tries, to a local address: the
/// `addr_len` bytes at `addr` (copied), an IP address with or without a port. Returns 0, or -1 with
/// the error in `errbuf`, which has a capacity of `*errbuf_size` bytes, and its length in
/// `*errbuf_size`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_balancer_bind_to_local_addr(
    r: *mut ngx_http_request_t,
    addr: *const u8,
    addr_len: usize,
    errbuf: *mut u8,
    errbuf_size: *mut usize,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request, a Lua string, and a buffer with its size.
    unsafe {
        let addr = strings::raw(addr, addr_len);
        let refuse = |error| match error {
            BindError::NoRequest => write_error(errbuf, errbuf_size, "no request found"),
            BindError::NoMemory => write_error(errbuf, errbuf_size, "no memory"),
            BindError::Invalid => {
                let text = fallible::text(format_args!("invalid addr {}", Shown(addr)));
                write_error(errbuf, errbuf_size, text);
            }
        };
        match running_try(r).map(|peer| peer.bind_to(addr)) {
            Ok(Ok(())) => return ffi::OK,
            Ok(Err(error)) => refuse(error),
            Err(text) => write_error(errbuf, errbuf_size, text.to_bytes()),
        }
        ffi::ERROR
    }
}

/// Allows `count` more tries after this one. Returns 0 with a warning or null in `*err`, or -1 with
/// the error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_balancer_set_more_tries(
    r: *mut ngx_http_request_t,
    count: c_int,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request and its own out-parameter.
    unsafe {
        with_try(r, err, |peer| {
            clear_message(err);
            if peer.set_more_tries(count) {
                set_message(err, c"reduced tries due to limit");
            }
            Ok(ffi::OK)
        })
    }
}

/// How the last try at a server that Lua code set has ended. Returns nginx's `NGX_PEER_*` bits,
/// with the status (or 0) in `*status`; 0 if this is the first try; -1 with the error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_balancer_get_last_failure(
    r: *mut ngx_http_request_t,
    status: *mut c_int,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request and its own out-parameters.
    unsafe {
        with_try(r, err, |peer| {
            let (state, last_status) = peer.last_failure();
            if let Some(status) = status.as_mut() {
                *status = c_int::try_from(last_status).unwrap_or(0);
            }
            c_int::try_from(state).map_err(|_| c"unknown peer state")
        })
    }
}

/// Sets this request's timeouts, in milliseconds; one that is not positive stays as it is. Returns
/// 0, or -1 with the error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_balancer_set_timeouts(
    r: *mut ngx_http_request_t,
    connect_timeout: c_long,
    send_timeout: c_long,
    read_timeout: c_long,
    err: *mut *const c_char,
) -> c_int {
    let time = |ms: c_long| usize::try_from(ms).ok().filter(|ms| *ms > 0);
    let times = Timeouts {
        connect: time(connect_timeout),
        send: time(send_timeout),
        read: time(read_timeout),
    };
    // SAFETY: lua-resty-core passes the running request and its own out-parameter.
    unsafe {
        with_try(r, err, |peer| match peer.set_timeouts(times) {
            true => Ok(ffi::OK),
            false => Err(c"no memory"),
        })
    }
}

/// Makes the request to the upstream anew. Returns 0; the return code of nginx's module for the
/// protocol if that fails, with null in `*err`; or -1 with the error in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_balancer_recreate_request(
    r: *mut ngx_http_request_t,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request and its own out-parameter.
    unsafe {
        with_try(r, err, |peer| {
            clear_message(err);
            let Status(code) = peer.recreate_request();
            Ok(c_int::try_from(code).unwrap_or(ffi::ERROR))
        })
    }
}
