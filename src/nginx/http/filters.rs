//! nginx's chains of output filters, and this module's filters in them.
//!
//! Most responses do not concern a filter: they pass at once, without a panic guard, because no
//! code runs that could panic.

use std::cell::Cell;
use std::ptr::{addr_of_mut, null_mut};

use export::callback;

use crate::nginx::core::chain::Chain;
use crate::nginx::core::function::instance;
use crate::nginx::core::guard::{fault_point, guard};
use crate::nginx::core::status::Status;
use crate::nginx::http::configuration::Configuration;
use crate::nginx::http::request::Request;
use crate::nginx::sys::{
    ngx_chain_t, ngx_http_clean_header, ngx_http_core_loc_conf_t, ngx_http_err_page_t,
    ngx_http_filter_finalize_request, ngx_http_output_body_filter_pt,
    ngx_http_output_header_filter_pt, ngx_http_request_t, ngx_http_top_body_filter,
    ngx_http_top_header_filter, ngx_int_t,
};
use crate::own_thread;

/// A header filter and a body filter of ours, number `N`.
#[derive(Clone, Copy)]
pub struct Filters<const N: usize>;

/// The filters that run Lua code.
pub const CODE: Filters<0> = Filters;
/// The filters that capture the responses of subrequests, and keep the framing of others.
pub const FRAMING: Filters<1> = Filters;
/// The filter that holds a body back whose header waits. It comes before all others, which prepare
/// themselves for the body when they see the header.
pub const HOLD: Filters<2> = Filters;

/// This module's bit in `r->buffered`, where filters note that they hold back output of the
/// request. nginx's own filters use the other three bits, and nginx does not end a request while
/// any is set.
const WAITS: u32 = 0x08;

/// Whether code of a filter of this module waits, and output of the request with it.
#[inline(always)]
pub fn waits(request: Request) -> bool {
    request.get().buffered() & WAITS != 0
}

/// Notes whether code of a filter waits.
pub fn set_waits(request: Request, waits: bool) {
    // SAFETY: a plain field of a live request.
    unsafe {
        let r = request.as_ptr();
        let others = (*r).buffered() & !WAITS;
        (*r).set_buffered(if waits { others | WAITS } else { others });
    }
}

/// The filters of nginx that come after a pair of ours.
struct Next {
    header: Cell<ngx_http_output_header_filter_pt>,
    body: Cell<ngx_http_output_body_filter_pt>,
}

own_thread! {
    static NEXT: [Next; 3] =
        [const { Next { header: Cell::new(None), body: Cell::new(None) } }; 3];
}

impl<const N: usize> Filters<N> {
    #[inline(always)]
    fn next(self) -> &'static Next {
        const { assert!(N < 3, "NEXT has a place for each pair of filters") };
        #[expect(clippy::indexing_slicing, reason = "asserted above")]
        &NEXT[N]
    }

    /// Installs `filter` as the first header filter, for the responses for which `concerns` is
    /// true. Once per configuration, because nginx builds the chain anew for each. `concerns` must
    /// not panic.
    pub fn install_header<C, F>(self, _concerns: C, _filter: F)
    where
        C: Fn(Request) -> bool + Copy + 'static,
        F: Fn(Request) -> Status + Copy + 'static,
    {
        const { assert!(size_of::<C>() + size_of::<F>() == 0, "a callback captures nothing") };
        // SAFETY: nginx reads its configuration in one thread.
        unsafe {
            let top = addr_of_mut!(ngx_http_top_header_filter);
            self.next().header.set(*top);
            *top = Some(run_header::<N, C, F>);
        }
    }

    /// Installs `filter` as the first body filter, as [`Filters::install_header`] does.
    pub fn install_body<C, F>(self, _concerns: C, _filter: F)
    where
        C: Fn(Request) -> bool + Copy + 'static,
        F: Fn(Request, Chain) -> Status + Copy + 'static,
    {
        const { assert!(size_of::<C>() + size_of::<F>() == 0, "a callback captures nothing") };
        // SAFETY: as in `install_header`.
        unsafe {
            let top = addr_of_mut!(ngx_http_top_body_filter);
            self.next().body.set(*top);
            *top = Some(run_body::<N, C, F>);
        }
    }

    /// Passes the header on to the next filters.
    #[inline]
    pub fn next_header(self, request: Request) -> Status {
        let next = self.next().header.get();
        // SAFETY: a live request, and nginx's own filter.
        next.map_or(Status::ERROR, |next| Status(unsafe { next(request.as_ptr()) }))
    }

    /// Passes a piece of the body on to the next filters.
    #[inline]
    pub fn next_body(self, request: Request, chain: Chain) -> Status {
        let next = self.next().body.get();
        // SAFETY: a live request, a chain in its pool, and nginx's own filter.
        next.map_or(Status::ERROR, |next| Status(unsafe { next(request.as_ptr(), chain.as_ptr()) }))
    }
}

/// What nginx calls for a header: a panic becomes `NGX_ERROR`.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback(unguarded = "`guarded_header` has a guard; a request without Lua code passes without")]
unsafe extern "C" fn run_header<const N: usize, C, F>(r: *mut ngx_http_request_t) -> ngx_int_t
where
    C: Fn(Request) -> bool + Copy + 'static,
    F: Fn(Request) -> Status + Copy + 'static,
{
    // SAFETY: nginx passes a live request.
    let Some(request) = (unsafe { Request::from_ptr(r) }) else { return Status::ERROR.0 };
    // SAFETY: `install_header` was given the functions.
    if !unsafe { instance::<C>() }(request) {
        return Filters::<N>.next_header(request).0;
    }
    // SAFETY: `install_header` was given the function.
    unsafe { guarded_header::<F>(request) }
}

/// Apart from its caller, so that the way past it stays short.
///
/// # Safety
/// `F` must be the type of a function that [`Filters::install_header`] was given.
#[inline(never)]
unsafe fn guarded_header<F: Fn(Request) -> Status + Copy + 'static>(request: Request) -> ngx_int_t {
    guard(Status::ERROR.0, || {
        fault_point::<F>();
        // SAFETY: there is a value of the type, the contract of this function.
        let function = unsafe { instance::<F>() };
        function(request).0
    })
}

/// What nginx calls for a piece of a body: a panic becomes `NGX_ERROR`.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback(unguarded = "`guarded_body` has a guard; a request without Lua code passes without")]
unsafe extern "C" fn run_body<const N: usize, C, F>(
    r: *mut ngx_http_request_t,
    chain: *mut ngx_chain_t,
) -> ngx_int_t
where
    C: Fn(Request) -> bool + Copy + 'static,
    F: Fn(Request, Chain) -> Status + Copy + 'static,
{
    // SAFETY: nginx passes a live request, and a live chain or none.
    let (request, chain) = unsafe { (Request::from_ptr(r), Chain::from_ptr(chain)) };
    let Some(request) = request else { return Status::ERROR.0 };
    // SAFETY: `install_body` was given the functions.
    if !unsafe { instance::<C>() }(request) {
        return Filters::<N>.next_body(request, chain).0;
    }
    // SAFETY: `install_body` was given the function.
    unsafe { guarded_body::<F>(request, chain) }
}

/// As [`guarded_header`].
///
/// # Safety
/// `F` must be the type of a function that [`Filters::install_body`] was given.
#[inline(never)]
unsafe fn guarded_body<F>(request: Request, chain: Chain) -> ngx_int_t
where
    F: Fn(Request, Chain) -> Status + Copy + 'static,
{
    guard(Status::ERROR.0, || {
        fault_point::<F>();
        // SAFETY: there is a value of the type, the contract of this function.
        let function = unsafe { instance::<F>() };
        function(request, chain).0
    })
}

/// To be called in a header filter: replaces the response by nginx's page for status `rc`. This
/// module's context of the request is kept.
pub fn finalize(request: Request, rc: Status) -> Status {
    let module = std::ptr::from_ref(crate::nginx::module()).cast_mut();
    // SAFETY: a live request whose header is being filtered; nginx only reads the module's index.
    Status(unsafe { ngx_http_filter_finalize_request(request.as_ptr(), module, rc.0) })
}

/// Whether nginx's page for status `rc`, made now, would be that of an `error_page`: it may come from another location.
pub fn has_error_page(request: Request, rc: Status) -> bool {
    let r = request.get();
    let core: *const ngx_http_core_loc_conf_t = Configuration::of(request).core_location();
    // SAFETY: nginx's core module has a configuration in every location, whose list has elements of that type.
    let pages = unsafe {
        let Some(list) = (*core).error_pages.as_ref() else { return false };
        std::slice::from_raw_parts(list.elts.cast::<ngx_http_err_page_t>(), list.nelts)
    };
    r.error_page() == 0 && r.uri_changes() != 0 && pages.iter().any(|page| page.status == rc.0)
}

/// Drops a main request's response, whose header no filter after this module's has seen: ends the
/// upstream that it comes from, and clears its header. The reference that the maker of the response
/// has on the request stays.
pub fn drop_response(request: Request) {
    let r = request.as_ptr();
    // SAFETY: a live main request. The upstream's cleanup is nginx's own, which gives back the
    // reference that is taken here.
    unsafe {
        let cleanup = (*r).upstream.as_ref().map_or(null_mut(), |upstream| upstream.cleanup);
        if let Some(end) = cleanup.as_ref().copied().flatten() {
            request.add_reference();
            end(r.cast());
        }
    }
    clear_header(request);
}

/// Clears the header of a response, as nginx does before it makes a page of its own.
pub fn clear_header(request: Request) {
    // SAFETY: a live request, whose header has not been sent.
    unsafe { ngx_http_clean_header(request.as_ptr()) }
}

/// Has nginx read files into memory, for a body filter that looks at the body.
pub fn need_in_memory(request: Request) {
    // SAFETY: a plain field of a live request.
    unsafe { (*request.as_ptr()).set_filter_need_in_memory(1) }
}
