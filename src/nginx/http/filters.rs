//! nginx's chains of output filters: a filter of ours on top, and the one below it.

use std::cell::Cell;
use std::ptr::addr_of_mut;

use crate::nginx::core::chain::Chain;
use crate::nginx::core::own_thread::OwnThread;
use crate::nginx::core::status::Status;
use crate::nginx::http::callback::{BodyFilter, Handler};
use crate::nginx::http::request::Request;
use crate::nginx::sys::{
    ngx_http_filter_finalize_request, ngx_http_output_body_filter_pt,
    ngx_http_output_header_filter_pt, ngx_http_top_body_filter, ngx_http_top_header_filter,
};

// SAFETY: nginx reads its configuration, and filters responses, in its own thread.
static NEXT_HEADER: OwnThread<Cell<ngx_http_output_header_filter_pt>> =
    unsafe { OwnThread::new(Cell::new(None)) };
// SAFETY: as above.
static NEXT_BODY: OwnThread<Cell<ngx_http_output_body_filter_pt>> =
    unsafe { OwnThread::new(Cell::new(None)) };

/// Puts `filter` on top of the header filters. Once per configuration: nginx makes the chain anew
/// for each.
pub fn install_header_filter(filter: Handler) {
    // SAFETY: nginx reads its configuration in one thread.
    unsafe {
        let top = addr_of_mut!(ngx_http_top_header_filter);
        NEXT_HEADER.set(*top);
        *top = Some(filter);
    }
}

/// Puts `filter` on top of the body filters, as [`install_header_filter`] does.
pub fn install_body_filter(filter: BodyFilter) {
    // SAFETY: as above.
    unsafe {
        let top = addr_of_mut!(ngx_http_top_body_filter);
        NEXT_BODY.set(*top);
        *top = Some(filter);
    }
}

/// The header goes on, through the filters below ours.
pub fn next_header_filter(request: Request) -> Status {
    // SAFETY: a live request, and nginx's own filter.
    NEXT_HEADER.get().map_or(Status::ERROR, |next| Status(unsafe { next(request.as_ptr()) }))
}

/// A piece of the body goes on, through the filters below ours.
pub fn next_body_filter(request: Request, chain: Chain) -> Status {
    // SAFETY: a live request, a chain in its pool, and nginx's own filter.
    NEXT_BODY
        .get()
        .map_or(Status::ERROR, |next| Status(unsafe { next(request.as_ptr(), chain.as_ptr()) }))
}

/// Ends the response that a header filter looks at with another one, of status `rc`; this
/// module's context of the request stays.
pub fn finalize(request: Request, rc: Status) -> Status {
    let module = std::ptr::from_ref(crate::nginx::module()).cast_mut();
    // SAFETY: a live request whose header is being filtered; nginx only reads the module's index.
    Status(unsafe { ngx_http_filter_finalize_request(request.as_ptr(), module, rc.0) })
}

/// A body filter will look at the body: nginx reads files into memory for it.
pub fn need_in_memory(request: Request) {
    // SAFETY: a plain field of a live request.
    unsafe { (*request.as_ptr()).set_filter_need_in_memory(1) }
}
