//! The symbols behind `ngx.exit`, `ngx.get_phase` and the request's flags.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::{c_char, c_int};

use export::export;

use crate::api::ffi::{self, check_phase, set_message, write_error};
use crate::nginx::Level;
use crate::nginx::sys::ngx_http_request_t;
use crate::runtime::{Context, Phase, PhaseSet};
use crate::{ngx_debug, ngx_log};

const EXIT_PHASES: PhaseSet = PhaseSet(
    (PhaseSet::YIELDABLE.without(Phase::BodyFilter).without(Phase::Log).0 & !PhaseSet::WORKER.0)
        | PhaseSet::UPSTREAM_HANDSHAKE.0
        | PhaseSet::of(&[Phase::HeaderFilter, Phase::Balancer, Phase::SslSessionStore]).0,
);

const REQUEST_TIME_OUT: c_int = 408;
const CLIENT_CLOSED_REQUEST: c_int = 499;
const CLOSE: c_int = 444;

fn drops_connection(status: c_int) -> bool {
    matches!(status, REQUEST_TIME_OUT | CLIENT_CLOSED_REQUEST | CLOSE)
}

/// `ngx.exit(status)`. Returns 0 if the caller must yield now, -4 if it must return instead, or -1
/// with the error in `err` (a buffer of `*errlen` bytes, which becomes the text's length).
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_exit(
    r: *mut ngx_http_request_t,
    status: c_int,
    err: *mut u8,
    errlen: *mut usize,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request and its own buffer.
    unsafe {
        if status == ffi::AGAIN || status == ffi::DONE {
            let text = "bad argument to 'ngx.exit': does not accept NGX_AGAIN or NGX_DONE";
            write_error(err, errlen, text);
            return ffi::ERROR;
        }
        let Some(context) = ffi::context(r) else {
            write_error(err, errlen, "no request ctx found");
            return ffi::ERROR;
        };
        if let Err(code) = check_phase(&context, EXIT_PHASES, err, errlen) {
            return code;
        }
        match exit(&context, status) {
            Ok(code) => code,
            Err(text) => {
                write_error(err, errlen, text);
                ffi::ERROR
            }
        }
    }
}

/// Whether nginx's phases end a request that `status` is returned for. With any other status, the
/// client would get no answer, and the connection would stay open.
fn is_answer(status: c_int) -> bool {
    matches!(status, ffi::OK | ffi::ERROR | ffi::DECLINED | 100..=999)
}

fn exit(context: &Context, status: c_int) -> Result<c_int, &'static str> {
    if !context.is_fake() && context.phase.get() != Phase::Balancer && !is_answer(status) {
        return Err("bad argument to 'ngx.exit': invalid HTTP status code");
    }
    let ends_anyhow = status == ffi::ERROR || drops_connection(status);
    if (context.ending.no_abort.get() || context.filter_captures()) && !ends_anyhow {
        return Err("attempt to abort with pending subrequests");
    }
    let mut status = status;
    if context.is_header_sent() && status >= 300 && !drops_connection(status) {
        let request = context.request();
        if status as usize != request.status() {
            ngx_log!(
                request.log(),
                Level::Err,
                "attempt to set status {status} via ngx.exit after sending out the response \
                 status {}",
                request.status()
            );
        }
        status = 200;
    }
    ngx_debug!(context.request().log(), "lua exit with code {status}");
    context.ending.exit(status as isize);
    match context.phase.get() {
        Phase::HeaderFilter | Phase::Balancer | Phase::SslSessionStore => Ok(ffi::DONE),
        _ => Ok(ffi::OK),
    }
}

/// The running phase as a bit, or -1 with a static text in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export(unguarded = "it reads a number")]
pub unsafe extern "C" fn ngx_http_lua_ffi_get_phase(
    r: *mut ngx_http_request_t,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: this call does not end the request; lua-resty-core passes an out-parameter of its own.
    unsafe {
        match ffi::borrowed_context(r) {
            Some(context) => context.phase.get().bit() as c_int,
            None => {
                set_message(err, c"no request context");
                ffi::ERROR
            }
        }
    }
}

/// 1 in a subrequest, 0 in a main request, -101 without a client.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_is_subrequest(r: *mut ngx_http_request_t) -> c_int {
    match ffi::real_request(r) {
        Ok(request) => c_int::from(request.is_subrequest()),
        Err(code) => code,
    }
}

/// 1 once the response header has been sent, 0 before, -100 without a context, -101 without a
/// client.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_headers_sent(r: *mut ngx_http_request_t) -> c_int {
    // SAFETY: lua-resty-core passes the running request.
    unsafe {
        match (ffi::borrowed_context(r), ffi::real_request(r)) {
            (None, _) => ffi::NO_REQ_CTX,
            (_, Err(code)) => code,
            (Some(context), Ok(_)) => c_int::from(context.is_header_sent()),
        }
    }
}
