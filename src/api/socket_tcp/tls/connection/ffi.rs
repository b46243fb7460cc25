//! The symbols behind lua-resty-core's `sock:settrustedstore`, `sock:getsslsession`,
//! `sock:getsslpointer` and `sock:getsslctx`, which it has from 0.1.33 on.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::null_mut;
use std::rc::Rc;

use export::export;

use crate::api::ffi::{self, set_message};
use crate::api::socket_tcp::socket::Socket;
use crate::lua::userdata;
use crate::nginx::event::tls::{Connection, Store};
use crate::nginx::sys::{SSL, SSL_CTX, SSL_SESSION, X509_STORE, ngx_http_request_t};

/// Has the next handshake of the cosocket at `u` trust the authorities of `store`, an `X509_STORE`,
/// or if that is null, the configured ones again. The socket takes a reference of its own, until it
/// connects again or is freed. 0, or -1 with a static text in `*errmsg`, also if the connection has
/// had its handshake.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_socket_tcp_settrustedstore(
    r: *mut ngx_http_request_t,
    u: *const c_void,
    store: *mut X509_STORE,
    errmsg: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request, a userdata, a store that is live during
    // the call and its own out-parameter.
    unsafe { answered(errmsg, trust(r, userdata::of_payload::<Rc<Socket>>(u), store)) }
}

/// Sets the trusted store of `socket`, for the running request `r`.
///
/// # Safety
/// `store` must be null or live.
unsafe fn trust(
    r: *mut ngx_http_request_t,
    socket: Option<Rc<Socket>>,
    store: *mut X509_STORE,
) -> Result<(), &'static CStr> {
    let open = |socket: &Rc<Socket>| {
        socket.is_connected() && !socket.read_closed.get() && !socket.write_closed.get()
    };
    let socket = socket.filter(open).ok_or(c"closed")?;
    // SAFETY: `store` is null or live, the contract of this function.
    let shared = unsafe { Store::share(store) };
    if ffi::request(r) != Some(socket.request.get()) {
        return Err(c"bad request");
    }
    if shared.is_none() && !store.is_null() {
        return Err(c"X509_STORE_up_ref() failed");
    }
    // `sslhandshake` compares a pooled connection with it, although it is too late for this
    // connection's handshake.
    socket.tls.borrow_mut().trust(shared);
    let connection = socket.stream.get().and_then(Connection::of);
    if connection.is_some_and(|connection| connection.is_established()) {
        return Err(
            c"ssl handshake already done; trusted store cannot be changed on an established \
                     TLS connection",
        );
    }
    Ok(())
}

/// A session of the cosocket's connection that another connection can resume, in `*sess`: the
/// caller's to free with `ngx_http_lua_ffi_ssl_free_session`. 0, or -1 with a static text in
/// `*errmsg` and null.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_socket_tcp_get_ssl_session(
    _r: *mut ngx_http_request_t,
    u: *const c_void,
    sess: *mut *mut SSL_SESSION,
    errmsg: *mut *const c_char,
) -> c_int {
    let find = |connection: Option<Connection>| {
        let session = connection.and_then(Connection::session).ok_or(c"no session")?;
        if session.is_resumable() { Ok(session.into_raw()) } else { Err(c"not resumable") }
    };
    // SAFETY: lua-resty-core passes a userdata and its own out-parameters.
    unsafe { of_connection(u, sess, errmsg, find) }
}

/// OpenSSL's `SSL` of the cosocket's connection in `*pssl`, which stays the connection's and lives
/// until it is closed. 0, or -1 with a static text in `*errmsg` and null.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_socket_tcp_get_ssl_pointer(
    _r: *mut ngx_http_request_t,
    u: *const c_void,
    pssl: *mut *mut SSL,
    errmsg: *mut *const c_char,
) -> c_int {
    let find = |connection: Option<Connection>| {
        connection.map(Connection::as_ptr).ok_or(c"no ssl connection")
    };
    // SAFETY: lua-resty-core passes a userdata and its own out-parameters.
    unsafe { of_connection(u, pssl, errmsg, find) }
}

/// As [`ngx_http_lua_ffi_socket_tcp_get_ssl_pointer`], the connection's `SSL_CTX`, which it shares
/// with others.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_socket_tcp_get_ssl_ctx(
    _r: *mut ngx_http_request_t,
    u: *const c_void,
    pctx: *mut *mut SSL_CTX,
    errmsg: *mut *const c_char,
) -> c_int {
    let find = |connection: Option<Connection>| {
        connection.map(Connection::context_ptr).ok_or(c"no ssl context")
    };
    // SAFETY: lua-resty-core passes a userdata and its own out-parameters.
    unsafe { of_connection(u, pctx, errmsg, find) }
}

/// Puts what `find` returns for the TLS of an open cosocket into `*found`; null after a failure. 0,
/// or -1 with the error in `*errmsg`.
///
/// # Safety
/// As for [`userdata::of_payload`] and [`set_message`]; `found` must be null or valid for a
/// pointer.
unsafe fn of_connection<T>(
    u: *const c_void,
    found: *mut *mut T,
    errmsg: *mut *const c_char,
    find: impl FnOnce(Option<Connection>) -> Result<*mut T, &'static CStr>,
) -> c_int {
    // SAFETY: `found` is null or valid for a pointer, and `u` and `errmsg` are as the two functions
    // ask: the contract of this function.
    unsafe {
        let Some(found) = found.as_mut() else { return ffi::ERROR };
        *found = null_mut();
        let socket = userdata::of_payload::<Rc<Socket>>(u);
        let open = |socket: &Rc<Socket>| {
            socket.is_connected() && !(socket.read_closed.get() && socket.write_closed.get())
        };
        let stream = socket.filter(open).and_then(|socket| socket.stream.get());
        let result = stream.ok_or(c"closed").and_then(|stream| find(Connection::of(stream)));
        answered(errmsg, result.map(|pointer| *found = pointer))
    }
}

/// 0, or -1 with the error in `*errmsg`.
///
/// # Safety
/// As for [`set_message`].
unsafe fn answered(errmsg: *mut *const c_char, result: Result<(), &'static CStr>) -> c_int {
    match result {
        Ok(()) => ffi::OK,
        Err(text) => {
            // SAFETY: the contract of this function, that of `set_message`.
            unsafe { set_message(errmsg, text) };
            ffi::ERROR
        }
    }
}
