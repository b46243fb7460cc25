//! nginx's chains of output filters: filters of ours on top, and the ones below them.

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

/// A header filter and a body filter of ours: what stands below them.
pub struct Filters {
    next_header: OwnThread<Cell<ngx_http_output_header_filter_pt>>,
    next_body: OwnThread<Cell<ngx_http_output_body_filter_pt>>,
}

/// The filters that run Lua code.
pub static CODE: Filters = Filters::new();
/// The filters that keep a response's framing.
pub static FRAMING: Filters = Filters::new();

impl Filters {
    const fn new() -> Filters {
        // SAFETY: nginx reads its configuration, and filters responses, in its own thread.
        unsafe {
            Filters {
                next_header: OwnThread::new(Cell::new(None)),
                next_body: OwnThread::new(Cell::new(None)),
            }
        }
    }

    /// Puts `filter` on top of the header filters. Once per configuration: nginx makes the chain
    /// anew for each.
    pub fn install_header(&self, filter: Handler) {
        // SAFETY: nginx reads its configuration in one thread.
        unsafe {
            let top = addr_of_mut!(ngx_http_top_header_filter);
            self.next_header.set(*top);
            *top = Some(filter);
        }
    }

    /// Puts `filter` on top of the body filters, as [`Filters::install_header`] does.
    pub fn install_body(&self, filter: BodyFilter) {
        // SAFETY: as above.
        unsafe {
            let top = addr_of_mut!(ngx_http_top_body_filter);
            self.next_body.set(*top);
            *top = Some(filter);
        }
    }

    /// The header goes on, through the filters below.
    pub fn next_header(&self, request: Request) -> Status {
        // SAFETY: a live request, and nginx's own filter.
        self.next_header
            .get()
            .map_or(Status::ERROR, |next| Status(unsafe { next(request.as_ptr()) }))
    }

    /// A piece of the body goes on, through the filters below.
    pub fn next_body(&self, request: Request, chain: Chain) -> Status {
        let next = self.next_body.get();
        // SAFETY: a live request, a chain in its pool, and nginx's own filter.
        next.map_or(Status::ERROR, |next| Status(unsafe { next(request.as_ptr(), chain.as_ptr()) }))
    }
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
