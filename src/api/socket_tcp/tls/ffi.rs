//! The symbols behind lua-resty-core's `sock:sslhandshake`.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::rc::Rc;

use export::export;

use super::handshake::{HandshakeProgress, WantedHandshake};
use crate::api::ffi::{self, set_message};
use crate::api::socket_tcp::socket::Socket;
use crate::lua::userdata;
use crate::nginx::core::log::cycle_log;
use crate::nginx::core::strings;
use crate::nginx::event::tls::{BorrowedSession, ClientCertificate, GivenSession, Session};
use crate::nginx::sys::{EVP_PKEY, SSL_SESSION, ngx_http_request_t, ngx_str_t, stack_st_X509};
use crate::ngx_debug;
use crate::runtime::{Context, PhaseSet};

/// Begins the TLS handshake of the cosocket whose userdata's memory is `u`.
///
/// `sess` is null or a session to resume, which stays the caller's; `enable_session_reuse` says
/// whether the caller wants this connection's session. `server_name`, if its data is not null, is
/// sent to the server, and if `verify` is not 0, compared with the server's certificate.
/// `ocsp_status_req` says whether to ask for the OCSP status of that. `chain` and `pkey` are the
/// client's certificates and key, or null; they stay the caller's.
///
/// 0 if the handshake is done: the result is there. -2 if the caller must yield, and ask for the
/// result when it is resumed. -4 if the connection has had its handshake and `sess` was passed: the
/// caller keeps using that session. -1 with a static text in `*errmsg`. -100 outside of a request.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_socket_tcp_sslhandshake(
    r: *mut ngx_http_request_t,
    u: *const c_void,
    sess: *mut SSL_SESSION,
    enable_session_reuse: c_int,
    server_name: *const ngx_str_t,
    verify: c_int,
    ocsp_status_req: c_int,
    chain: *mut stack_st_X509,
    pkey: *mut EVP_PKEY,
    errmsg: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request, a userdata, and strings and objects
    // that are live during the call.
    unsafe {
        let Some(context) = ffi::context(r) else { return ffi::NO_REQ_CTX };
        let name = server_name.as_ref().filter(|name| !name.data.is_null());
        let socket = userdata::of_payload::<Rc<Socket>>(u);
        let wanted = WantedHandshake {
            session: BorrowedSession::from_ptr(sess),
            keep_session: enable_session_reuse != 0,
            server_name: name.map(|name| strings::bytes(*name)),
            verify: verify != 0,
            status: ocsp_status_req != 0,
            certificate: ClientCertificate::from_ptr(chain, pkey),
            offer: socket.as_ref().and_then(|socket| socket.tls.borrow_mut().take_next_offer()),
        };
        match begin(socket, &context, &wanted) {
            Ok(HandshakeProgress::Complete) => ffi::OK,
            Ok(HandshakeProgress::Known) => ffi::DONE,
            Ok(HandshakeProgress::Waiting) => ffi::AGAIN,
            Err(text) => {
                set_message(errmsg, text);
                ffi::ERROR
            }
        }
    }
}

/// Begins the handshake, if the socket is open and free, and the running code may wait.
fn begin(
    socket: Option<Rc<Socket>>,
    context: &Rc<Context>,
    wanted: &WantedHandshake,
) -> Result<HandshakeProgress, &'static CStr> {
    let request = context.request();
    ngx_debug!(request.log(), "lua tcp socket ssl handshake");
    let open = |socket: &Rc<Socket>| {
        socket.is_connected() && !socket.read_closed.get() && !socket.write_closed.get()
    };
    let socket = socket.filter(open).ok_or(c"closed")?;
    if socket.request.get() != request {
        return Err(c"bad request");
    }
    if let Some(busy) = socket.busy(true, true) {
        return Err(busy.text());
    }
    if socket.is_downstream() {
        return Err(c"not supported for downstream sockets");
    }
    if !PhaseSet::YIELDABLE.has(context.phase.get()) {
        return Err(c"API disabled in the current context");
    }
    let task = context.current().ok_or(c"no co ctx found")?;
    socket.handshake(&task, wanted)
}

/// The result of the handshake of the cosocket at `u`. 0, with its session in `*sess`, which is the
/// caller's to free with [`ngx_http_lua_ffi_ssl_free_session`], or null if none was kept. -1 with
/// a static text in `*errmsg`, and OpenSSL's number of what is wrong with the server's certificate,
/// or 0, in `*openssl_error_code`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_socket_tcp_get_sslhandshake_result(
    r: *mut ngx_http_request_t,
    u: *const c_void,
    sess: *mut *mut SSL_SESSION,
    errmsg: *mut *const c_char,
    openssl_error_code: *mut c_int,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request, a userdata and its own out-parameters.
    unsafe {
        if let Some(request) = ffi::request(r) {
            ngx_debug!(
                request.log(),
                "lua cosocket get SSL handshake result for upstream: {:016X}",
                u as usize
            );
        }
        let (mut code, mut session) = (0, std::ptr::null_mut());
        let socket = userdata::of_payload::<Rc<Socket>>(u);
        let rc = match socket.map(|socket| socket.tls.borrow_mut().take_result()) {
            Some(Ok(taken)) => {
                session = taken.map_or(std::ptr::null_mut(), GivenSession::as_ptr);
                ffi::OK
            }
            Some(Err(failure)) => {
                code = failure.code;
                set_message(errmsg, failure.text);
                ffi::ERROR
            }
            None => {
                set_message(errmsg, c"closed");
                ffi::ERROR
            }
        };
        if let Some(sess) = sess.as_mut() {
            *sess = session;
        }
        if let Some(openssl_error_code) = openssl_error_code.as_mut() {
            *openssl_error_code = code;
        }
        rc
    }
}

/// Frees a session that [`ngx_http_lua_ffi_socket_tcp_get_sslhandshake_result`] gave; null is
/// nothing. Safe to call while the VM is closed.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_ssl_free_session(sess: *mut SSL_SESSION) {
    ngx_debug!(cycle_log(), "lua ssl free session: {:016X}", sess as usize);
    // SAFETY: lua-resty-core passes null, or a session whose reference `get_sslhandshake_result` or
    // `get_ssl_session` gave it; as a finalizer, this is called once for each.
    drop(unsafe { Session::from_raw(sess) });
}
