//! A request: what all other code needs of it. What only some features use of `ngx_http_request_t`
//! is in other files of this folder.

use std::ptr::{NonNull, null_mut};

use crate::nginx::core::bits;
use crate::nginx::core::chain::Chain;
use crate::nginx::core::log::Log;
use crate::nginx::core::pool::Pool;
use crate::nginx::core::status::Status;
use crate::nginx::core::strings;
use crate::nginx::sys::{
    NGX_HTTP_GET, NGX_HTTP_HEAD, ngx_connection_t, ngx_http_core_run_phases,
    ngx_http_discard_request_body, ngx_http_finalize_request, ngx_http_output_filter,
    ngx_http_post_request, ngx_http_request_t, ngx_http_run_posted_requests, ngx_http_send_header,
};

const HTTP_VERSION_20: usize = 2000;
const HTTP_VERSION_30: usize = 3000;

/// A request or subrequest; copies are the same request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct Request(NonNull<ngx_http_request_t>);

impl Request {
    /// # Safety
    /// `r` must be null or a live request of nginx's; the value must not outlive its pool.
    pub unsafe fn from_ptr(r: *mut ngx_http_request_t) -> Option<Request> {
        NonNull::new(r).map(Request)
    }

    pub fn as_ptr(self) -> *mut ngx_http_request_t {
        self.0.as_ptr()
    }

    /// The structure itself, for reading.
    pub fn get(&self) -> &ngx_http_request_t {
        // SAFETY: `from_ptr`'s contract: the request is live. No `&mut` is ever made of it.
        unsafe { self.0.as_ref() }
    }

    pub fn pool(self) -> Pool {
        // SAFETY: a live request has a live pool.
        match unsafe { Pool::from_ptr(self.get().pool) } {
            Some(pool) => pool,
            None => unreachable!("nginx gives every request a pool"),
        }
    }

    pub fn connection(self) -> *mut ngx_connection_t {
        self.get().connection
    }

    /// The connection of its client, to be looked at.
    pub(in crate::nginx) fn client(&self) -> &ngx_connection_t {
        // SAFETY: a live request has a live connection; no `&mut` of it is made.
        unsafe { &*self.connection() }
    }

    /// The number of its connection, which nginx's log lines show after an asterisk.
    pub fn connection_number(self) -> u64 {
        // SAFETY: a live request has a live connection.
        unsafe { (*self.connection()).number }
    }

    pub fn log(self) -> Log {
        // SAFETY: a live request has a live connection, and that a log. The compiler is told, because each
        // debug line looks at it.
        unsafe {
            let log = (*self.connection()).log;
            std::hint::assert_unchecked(!log.is_null());
            Log::from_ptr(log)
        }
    }

    /// The main request (itself, where it is one).
    pub fn main(self) -> Request {
        NonNull::new(self.get().main).map_or(self, Request)
    }

    pub fn parent(self) -> Option<Request> {
        NonNull::new(self.get().parent).map(Request)
    }

    pub fn is_subrequest(self) -> bool {
        !std::ptr::eq(self.get().main, self.as_ptr())
    }

    /// Whether only the headers are to be sent: a HEAD request, or a status without a body.
    pub fn header_only(self) -> bool {
        self.get().header_only() != 0
    }

    pub fn header_sent(self) -> bool {
        self.get().header_sent() != 0
    }

    /// Whether nginx has made a page of its own in the middle of an output call.
    pub fn filter_finalized(self) -> bool {
        self.get().filter_finalize() != 0
    }

    /// The response status set so far (0: none).
    pub fn status(self) -> usize {
        self.get().headers_out.status
    }

    pub fn set_status(self, status: usize) {
        // SAFETY: a plain field of a live request.
        unsafe { (*self.as_ptr()).headers_out.status = status }
    }

    /// nginx's number: 9, 1000, 1001, 2000, 3000.
    pub fn http_version(self) -> usize {
        self.get().http_version
    }

    pub fn method(self) -> usize {
        self.get().method
    }

    pub fn is_get_or_head(self) -> bool {
        self.method() & (NGX_HTTP_GET | NGX_HTTP_HEAD) as usize != 0
    }

    /// Whether it is a stream of an HTTP/3 connection.
    pub fn is_http3(self) -> bool {
        self.http_version() >= HTTP_VERSION_30
    }

    /// Whether its connection carries other requests at the same time.
    pub fn is_multiplexed(self) -> bool {
        self.http_version() >= HTTP_VERSION_20
    }

    pub fn is_head(self) -> bool {
        self.method() & NGX_HTTP_HEAD as usize != 0
    }

    pub fn uri(&self) -> &[u8] {
        // SAFETY: nginx keeps the URI as long as the request.
        unsafe { strings::bytes(self.get().uri) }
    }

    pub fn args(&self) -> &[u8] {
        // SAFETY: nginx keeps the arguments as long as the request.
        unsafe { strings::bytes(self.get().args) }
    }

    /// Sends the header through the header filters.
    pub fn send_header(self) -> Status {
        // SAFETY: the request is live, `from_ptr`'s contract.
        Status(unsafe { ngx_http_send_header(self.as_ptr()) })
    }

    /// Sends a chain through the body filters.
    pub fn output_filter(self, chain: Chain) -> Status {
        // SAFETY: the request is live, `from_ptr`'s contract, and the chain's links and buffers are
        // in a pool that lives, as for each `Chain`.
        Status(unsafe { ngx_http_output_filter(self.as_ptr(), chain.as_ptr()) })
    }

    /// Hands the request back to nginx with the status `rc`. It may be freed afterwards.
    pub fn finalize(self, rc: Status) {
        let rc = self.result(rc);
        // SAFETY: a live request, `from_ptr`'s contract, which also forbids to use the value once
        // the request is freed.
        unsafe { ngx_http_finalize_request(self.as_ptr(), rc.0) }
    }

    /// The status to give nginx in place of `rc`. Where nginx has made a page of its own in the
    /// middle of an output call, it takes `OK` to mean that the connection has failed; in HTTP/3,
    /// the page would be lost. So it gets `ERROR`, which ends the request as well, or `AGAIN` as
    /// long as a filter holds the page back.
    pub fn result(self, rc: Status) -> Status {
        if rc != Status::OK || !self.filter_finalized() {
            return rc;
        }
        if self.get().buffered() == 0 { Status::ERROR } else { Status::AGAIN }
    }

    /// Runs nginx's phases from the request's current one.
    pub fn run_phases(self) {
        // SAFETY: the request is live, `from_ptr`'s contract.
        unsafe { ngx_http_core_run_phases(self.as_ptr()) }
    }

    /// Has nginx call the request's write event handler, whatever its connection does, as soon as
    /// it runs the posted requests; false without memory.
    pub fn post(self) -> bool {
        // SAFETY: the request is live, `from_ptr`'s contract.
        unsafe { ngx_http_post_request(self.as_ptr(), null_mut()) == 0 }
    }

    /// Keeps the main request alive until the matching [`Request::finalize`].
    pub fn add_reference(self) {
        let main = self.main().as_ptr();
        // SAFETY: a live main request; nginx's own idiom, `r->main->count++`.
        unsafe { bits::set_count(main, bits::count(main) + 1) }
    }

    /// References that nginx holds on the main request.
    pub fn references(self) -> u32 {
        // SAFETY: a live request has a live main request.
        unsafe { bits::count(self.main().as_ptr()) }
    }

    /// Discards an unread request body, so that it never becomes the next request.
    pub fn discard_body(self) -> Status {
        // SAFETY: the request is live, `from_ptr`'s contract.
        Status(unsafe { ngx_http_discard_request_body(self.as_ptr()) })
    }

    /// Whether nginx is still reading the request body, in order to discard it.
    pub fn is_discarding_body(self) -> bool {
        self.get().discard_body() != 0
    }
}

/// The requests that nginx posted on the connection of a request (subrequests that became active).
/// An event that may free its request takes this before: nginx frees the connection's memory no
/// sooner than at the end of the event.
#[derive(Clone, Copy)]
pub struct PostedRequests(*mut ngx_connection_t);

impl PostedRequests {
    /// Those of the connection of `request`; `None` if that is not nginx's, but goes with the request.
    pub fn of(request: Request) -> Option<PostedRequests> {
        let is_own = request.is_fake() || request.is_detached();
        (!is_own).then(|| PostedRequests(request.connection()))
    }

    /// Runs them.
    pub fn run(self) {
        // SAFETY: the connection of a request that was live when the running event began: its
        // memory is valid until nginx uses it for another one, after the event. Where the
        // connection has been closed, nginx does nothing.
        unsafe { ngx_http_run_posted_requests(self.0) }
    }
}
