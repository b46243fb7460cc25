//! nginx's side of captured subrequests: the two filters, and the handler at the end.

use std::ffi::c_void;
use std::ptr::addr_of_mut;

use super::Place;
use crate::nginx::core::conf::Conf;
use crate::nginx::core::log::Shown;
use crate::nginx::http::{client, subrequest};
use crate::nginx::sys::{
    ngx_chain_t, ngx_http_output_body_filter_pt, ngx_http_output_header_filter_pt,
    ngx_http_request_t, ngx_http_top_body_filter, ngx_http_top_header_filter, ngx_int_t,
};
use crate::nginx::{Chain, Request, Status, guard};
use crate::ngx_debug;
use crate::runtime::Context;

/// The filters below ours.
static mut NEXT_HEADER: ngx_http_output_header_filter_pt = None;
static mut NEXT_BODY: ngx_http_output_body_filter_pt = None;

/// Puts the capturing filters on top of nginx's; once per configuration.
pub fn install_filters(_cf: Conf) {
    // SAFETY: nginx reads its configuration in one thread; the statics are written here only.
    unsafe {
        NEXT_HEADER = *addr_of_mut!(ngx_http_top_header_filter);
        ngx_http_top_header_filter = Some(header_filter);
        NEXT_BODY = *addr_of_mut!(ngx_http_top_body_filter);
        ngx_http_top_body_filter = Some(body_filter);
    }
}

/// The place of a subrequest that this module made.
fn place_of(request: &Request) -> Option<&Place> {
    let data = subrequest::post_data(*request, post_subrequest)?;
    // SAFETY: `create` was given a Place that the request's pool owns.
    Some(unsafe { &*data.cast::<Place>() })
}

/// Most responses are not captured: they pass without a guard, for no code of ours runs.
unsafe extern "C" fn header_filter(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx passes a live request; NEXT_HEADER is set once the filter is installed.
    unsafe {
        let Some(request) = Request::from_ptr(r) else { return Status::ERROR.0 };
        ngx_debug!(request.log(), "lua capture header filter, uri \"{}\"", Shown(request.uri()));
        match place_of(&request) {
            Some(_) => guard(Status::ERROR.0, || super::capture_header(request).0),
            None => NEXT_HEADER.map_or(Status::ERROR.0, |next| next(r)),
        }
    }
}

/// As [`header_filter`].
unsafe extern "C" fn body_filter(r: *mut ngx_http_request_t, chain: *mut ngx_chain_t) -> ngx_int_t {
    // SAFETY: nginx passes a live request and a live chain, or none.
    unsafe {
        let Some(request) = Request::from_ptr(r) else { return Status::ERROR.0 };
        ngx_debug!(request.log(), "lua capture body filter, uri \"{}\"", Shown(request.uri()));
        match place_of(&request) {
            Some(place) if !chain.is_null() => {
                let chain = Chain::from_ptr(chain);
                guard(Status::ERROR.0, || super::capture_body(place, request, chain).0)
            }
            _ => NEXT_BODY.map_or(Status::ERROR.0, |next| next(r, chain)),
        }
    }
}

/// Lets subrequests see what happens to the client's connection.
///
/// The connection's events reach the main request only, and one that runs Lua code blocks them. A
/// subrequest to another server looks for a client that left, unless its location says otherwise
/// (`proxy_ignore_client_abort` and its kin): so the events are passed on to it. A request that
/// watches its client itself (`lua_check_client_abort`) keeps its own handler.
pub fn pass_client_events_on(parent: Request) {
    let mut request = Some(parent);
    while let Some(r) = request {
        client::replace_blocked_reading(r, client_event);
        request = r.parent();
    }
}

/// nginx's read event of a request whose subrequests are under way.
unsafe extern "C" fn client_event(r: *mut ngx_http_request_t) {
    guard((), || {
        // SAFETY: nginx passes a live request.
        let Some(request) = (unsafe { Request::from_ptr(r) }) else { return };
        let Some(context) = Context::of(request) else { return };
        let subrequests = context.captures.requests.borrow().clone();
        for subrequest in subrequests {
            // One that left with the client may have taken all others along.
            if context.is_released() {
                return;
            }
            if context.captures.requests.borrow().contains(&subrequest) {
                client::run_read_handler(subrequest);
            }
        }
    });
}

/// nginx calls this when it finalizes the subrequest.
pub(super) unsafe extern "C" fn post_subrequest(
    r: *mut ngx_http_request_t,
    data: *mut c_void,
    rc: ngx_int_t,
) -> ngx_int_t {
    guard(Status::ERROR.0, || {
        // SAFETY: nginx passes a live request and the Place that `create` was given.
        unsafe {
            let (Some(request), Some(place)) =
                (Request::from_ptr(r), data.cast::<Place>().as_ref())
            else {
                return Status::ERROR.0;
            };
            super::finish(place, request, Status(rc)).0
        }
    })
}
