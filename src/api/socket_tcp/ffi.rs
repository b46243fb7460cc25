//! The symbols behind lua-resty-core's socket options, and those that keep numbers with a
//! connection.
//!
//! `ngx_http_lua_socket_tcp_upstream_t *` is the memory of the userdata that owns a cosocket, as
//! LuaJIT's FFI passes a userdata; its layout is this module's own.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::io;
use std::rc::Rc;

use codec::fallible;
use export::export;

use super::socket::Socket;
use super::user_data::UserData;
use crate::api::ffi::{self, set_message, write_error};
use crate::lua::userdata;
use crate::nginx::core::strings::strerror;
use crate::nginx::event::stream::Stream;
use crate::nginx::sys::ngx_http_request_t;

/// The error for a client's connection in HTTP/3: all connections of the listener share one socket.
const SHARED: &CStr = c"no socket of its own in HTTP/3";

/// The memory of a cosocket's userdata.
type Handle = *const c_void;

/// The socket of a userdata.
///
/// # Safety
/// As for [`userdata::of_payload`].
unsafe fn socket(u: Handle) -> Option<Rc<Socket>> {
    // SAFETY: the contract of this function, that of `userdata::of_payload`.
    unsafe { userdata::of_payload::<Rc<Socket>>(u) }
}

/// The connection of the socket of a userdata, if it has a descriptor of its own; otherwise the
/// error for the caller.
///
/// # Safety
/// As for [`socket`].
unsafe fn stream(u: Handle) -> Result<Stream, &'static str> {
    // SAFETY: the contract of this function, that of `socket`.
    let socket = unsafe { socket(u) };
    let stream = socket.and_then(|socket| socket.stream.get()).ok_or("closed")?;
    if stream.shares_descriptor() {
        Err(SHARED.to_str().unwrap_or_default())
    } else if stream.fd() == -1 {
        Err("invalid socket fd")
    } else {
        Ok(stream)
    }
}

/// The kernel's level and name of an option, by lua-resty-core's number.
fn option(number: c_int) -> Option<(c_int, c_int)> {
    Some(match number {
        1 => (libc::SOL_SOCKET, libc::SO_KEEPALIVE),
        2 => (libc::SOL_SOCKET, libc::SO_REUSEADDR),
        3 => (libc::IPPROTO_TCP, libc::TCP_NODELAY),
        4 => (libc::SOL_SOCKET, libc::SO_SNDBUF),
        5 => (libc::SOL_SOCKET, libc::SO_RCVBUF),
        6 => (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL),
        7 => (libc::IPPROTO_TCP, libc::TCP_KEEPCNT),
        _ => return None,
    })
}

/// The system's words for an error number, which only the functions in Lua have in lower case.
fn described(error: c_int) -> String {
    strerror(&io::Error::from_raw_os_error(error))
}

/// The value of option `opt` (1 keepalive, 2 reuseaddr, 3 tcp-nodelay, 4 sndbuf, 5 rcvbuf, 6
/// keepintvl in seconds, 7 keepcnt; the last two by name in lua-resty-core from 0.1.29 on) goes to
/// `*val`. 0, or -1 with the error in `err` (a buffer of `*errlen` bytes).
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_socket_tcp_getoption(
    u: Handle,
    opt: c_int,
    val: *mut c_int,
    err: *mut u8,
    errlen: *mut usize,
) -> c_int {
    // SAFETY: lua-resty-core passes a userdata and its own out-parameters.
    unsafe {
        let text = match (stream(u), option(opt), val.as_mut()) {
            (Err(text), _, _) => text.into(),
            (_, None, _) => fallible::text(format_args!("unsupported option {opt}")),
            (_, _, None) => "no value".into(),
            (Ok(stream), Some((level, name)), Some(val)) => match stream.option(level, name) {
                Ok(value) => {
                    *val = value;
                    return ffi::OK;
                }
                Err(error) => described(error),
            },
        };
        write_error(err, errlen, &text);
    }
    ffi::ERROR
}

/// Sets option `opt`, numbered as for [`ngx_http_lua_ffi_socket_tcp_getoption`]. 0, or -1 with the
/// error in `err` (a buffer of `*errlen` bytes).
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_socket_tcp_setoption(
    u: Handle,
    opt: c_int,
    val: c_int,
    err: *mut u8,
    errlen: *mut usize,
) -> c_int {
    // SAFETY: lua-resty-core passes a userdata and its own buffer with its size.
    unsafe {
        let text = match (stream(u), option(opt)) {
            (Err(text), _) => text.into(),
            (_, None) => fallible::text(format_args!("unsupported option: {opt}")),
            (Ok(stream), Some((level, name))) => match stream.set_option(level, name, val) {
                Ok(()) => return ffi::OK,
                Err(error) => described(error),
            },
        };
        write_error(err, errlen, &text);
    }
    ffi::ERROR
}

/// For tests of failures: returns the connection's descriptor, and replaces it by `fd` unless that
/// is negative; the caller owns the old one then. -1 with the error in `err` (a buffer of `*errlen`
/// bytes).
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_socket_tcp_hack_fd(
    u: Handle,
    fd: c_int,
    err: *mut u8,
    errlen: *mut usize,
) -> c_int {
    // SAFETY: the tests that declare this symbol in Lua pass a cosocket's userdata, and a buffer of
    // theirs with its size.
    unsafe {
        match stream(u) {
            Ok(stream) => {
                let old = stream.fd();
                if fd >= 0 {
                    stream.set_fd(fd);
                }
                old
            }
            Err(text) => {
                write_error(err, errlen, text);
                ffi::ERROR
            }
        }
    }
}

/// The connection's descriptor, which the connection still owns; -1 with a static text in `*err`.
/// lua-resty-core calls it from 0.1.32 on.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_socket_tcp_getfd(
    _r: *mut ngx_http_request_t,
    u: Handle,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes a userdata and its own out-parameter.
    unsafe {
        let stream = socket(u).and_then(|socket| socket.stream.get());
        match stream.map(|stream| (stream.fd(), stream.shares_descriptor())) {
            Some((_, true)) => {
                set_message(err, SHARED);
                ffi::ERROR
            }
            Some((fd, false)) if fd >= 0 => fd,
            Some(_) => {
                set_message(err, c"faked connection");
                ffi::ERROR
            }
            None => {
                set_message(err, c"closed");
                ffi::ERROR
            }
        }
    }
}

/// Has the connection keep numbers, at most `capacity` of them (0: any number). They go with it
/// into the pool. 0, or -1 with a static text in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_socket_tcp_init_udata_queue(
    u: Handle,
    capacity: c_int,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: the Lua code that declares this symbol passes a cosocket's userdata and its own
    // out-parameter.
    unsafe {
        let Some(socket) = socket(u).filter(|socket| socket.is_connected()) else {
            set_message(err, c"closed");
            return ffi::ERROR;
        };
        let Ok(capacity) = usize::try_from(capacity) else {
            set_message(err, c"bad capacity");
            return ffi::ERROR;
        };
        socket.user_data.borrow_mut().get_or_insert_with(|| UserData::new(capacity));
    }
    ffi::OK
}

/// How many numbers are kept; -1 if [`ngx_http_lua_ffi_socket_tcp_init_udata_queue`] was not called
/// for the connection.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_socket_tcp_count_udata(u: Handle) -> c_int {
    // SAFETY: the Lua code that declares this symbol passes a cosocket's userdata.
    let socket = unsafe { socket(u) };
    let count = socket.and_then(|socket| socket.user_data.borrow().as_ref().map(UserData::len));
    count.and_then(|count| c_int::try_from(count).ok()).unwrap_or(ffi::ERROR)
}

/// Keeps `value` under `key`. 0; or -4 if the least recently used number was dropped for it, which
/// is in `*evicted_key` and `*evicted_value` then; or -1 with a static text in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_socket_tcp_add_udata(
    u: Handle,
    key: u64,
    value: u64,
    evicted_key: *mut u64,
    evicted_value: *mut u64,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: the Lua code that declares this symbol passes a cosocket's userdata and its own
    // out-parameters.
    unsafe {
        match with_user_data(u, |data| data.set(key, value)) {
            Some(Ok(None)) => ffi::OK,
            Some(Ok(Some((old_key, old_value)))) => {
                if let (Some(evicted_key), Some(evicted_value)) =
                    (evicted_key.as_mut(), evicted_value.as_mut())
                {
                    (*evicted_key, *evicted_value) = (old_key, old_value);
                }
                ffi::DONE
            }
            Some(Err(_)) => {
                set_message(err, c"no memory");
                ffi::ERROR
            }
            None => {
                set_message(err, c"no udata queue");
                ffi::ERROR
            }
        }
    }
}

/// The number under `key` goes to `*value`. 0, or -1 with a static text in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_socket_tcp_get_udata(
    u: Handle,
    key: u64,
    value: *mut u64,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: the Lua code that declares this symbol passes a cosocket's userdata and its own
    // out-parameters.
    unsafe {
        match (with_user_data(u, |data| data.get(key)), value.as_mut()) {
            (Some(Some(found)), Some(value)) => {
                *value = found;
                return ffi::OK;
            }
            (None, _) => set_message(err, c"no udata queue"),
            _ => set_message(err, c"not found"),
        }
    }
    ffi::ERROR
}

/// Forgets the number under `key`. 0, or -1 with a static text in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_socket_tcp_del_udata(
    u: Handle,
    key: u64,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: the Lua code that declares this symbol passes a cosocket's userdata and its own
    // out-parameter.
    unsafe {
        match with_user_data(u, |data| data.remove(key)) {
            Some(true) => return ffi::OK,
            Some(false) => set_message(err, c"not found"),
            None => set_message(err, c"no udata queue"),
        }
    }
    ffi::ERROR
}

/// Calls `work` with the numbers that a connection keeps; `None` if it keeps none.
///
/// # Safety
/// As for [`socket`].
unsafe fn with_user_data<T>(u: Handle, work: impl FnOnce(&mut UserData) -> T) -> Option<T> {
    // SAFETY: the contract of this function, that of `socket`.
    let socket = unsafe { socket(u) }?;
    let mut data = socket.user_data.borrow_mut();
    data.as_mut().map(work)
}
