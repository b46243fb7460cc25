//! Calls from nginx: one generic trampoline per kind of callback, each with a panic guard.
//!
//! The functions given here are items or closures without captures: their type alone says which one
//! to call.

use std::mem::size_of;

use export::callback;

use crate::nginx::core::function::instance;
use crate::nginx::core::guard::fault_point;
use crate::nginx::core::status::Status;
use crate::nginx::http::request::Request;
use crate::nginx::sys::{ngx_http_event_handler_pt, ngx_http_request_t, ngx_int_t};

/// A phase handler or content handler in nginx's form, which may be called with any live request.
#[derive(Clone, Copy)]
pub struct RequestHandler(
    pub(in crate::nginx) unsafe extern "C" fn(*mut ngx_http_request_t) -> ngx_int_t,
);
/// A read, write or body event of a request in nginx's form, which may be called with any live
/// request.
#[derive(Clone, Copy)]
pub struct Event(pub(in crate::nginx) unsafe extern "C" fn(*mut ngx_http_request_t));

impl Event {
    /// Whether `handler` of a request is this one.
    pub(in crate::nginx) fn is(self, handler: ngx_http_event_handler_pt) -> bool {
        handler.is_some_and(|handler| std::ptr::fn_addr_eq(handler, self.0))
    }
}

/// A phase handler or content handler: a panic becomes a 500.
pub const fn handler<F: Fn(Request) -> Status + Copy + 'static>(_function: F) -> RequestHandler {
    const { assert!(size_of::<F>() == 0, "a callback captures nothing") };
    RequestHandler(run_handler::<F, { Status::HTTP_INTERNAL_SERVER_ERROR.0 }>)
}

/// A handler of the log phase: a panic becomes `NGX_ERROR`.
pub const fn log_handler<F: Fn(Request) -> Status + Copy + 'static>(
    _function: F,
) -> RequestHandler {
    const { assert!(size_of::<F>() == 0, "a callback captures nothing") };
    RequestHandler(run_handler::<F, { Status::ERROR.0 }>)
}

/// An event of a request. A panic here does not end the request: code that may panic in an event
/// must end the request itself.
pub const fn event<F: Fn(Request) + Copy + 'static>(_function: F) -> Event {
    const { assert!(size_of::<F>() == 0, "a callback captures nothing") };
    Event(run_event::<F>)
}

/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback(FALLBACK)]
unsafe extern "C" fn run_handler<F, const FALLBACK: ngx_int_t>(
    r: *mut ngx_http_request_t,
) -> ngx_int_t
where
    F: Fn(Request) -> Status + Copy + 'static,
{
    fault_point::<F>();
    // SAFETY: nginx passes a live request; `handler` or `log_handler` was given the function.
    let (request, function) = unsafe { (Request::from_ptr(r), instance::<F>()) };
    request.map_or(FALLBACK, |request| function(request).0)
}

/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback]
unsafe extern "C" fn run_event<F>(r: *mut ngx_http_request_t)
where
    F: Fn(Request) + Copy + 'static,
{
    // SAFETY: nginx passes a live request; `event` was given the function.
    let (request, function) = unsafe { (Request::from_ptr(r), instance::<F>()) };
    if let Some(request) = request {
        function(request);
    }
}
