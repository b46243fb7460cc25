//! Subrequests whose response is captured instead of sent.
//!
//! nginx's own `ngx_http_subrequest` queues the output after the parent's. A captured response has
//! no such output, so the subrequest is made here: posted to run at once, never postponed.

use std::ffi::c_void;
use std::ptr::null_mut;

use export::callback;

use crate::nginx::Status;
use crate::nginx::core::bits;
use crate::nginx::core::log::{Level, Shown};
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::core::strings::PoolStr;
use crate::nginx::http::configuration::Configuration;
use crate::nginx::http::request::Request;
use crate::nginx::http::request_body::buffers;
use crate::nginx::http::subrequest_headers;
use crate::nginx::sys::{
    NGX_HTTP_GET, NGX_HTTP_MAX_URI_CHANGES, NGX_HTTP_MODULE, ngx_http_core_get_method,
    ngx_http_core_main_conf_t, ngx_http_core_srv_conf_t, ngx_http_handler, ngx_http_max_module,
    ngx_http_post_request, ngx_http_post_subrequest_t, ngx_http_posted_request_t,
    ngx_http_request_body_t, ngx_http_request_empty_handler, ngx_http_request_t,
    ngx_http_set_exten, ngx_http_variable_value_t, ngx_int_t, ngx_list_init, ngx_palloc,
    ngx_pcalloc, ngx_table_elt_t, ngx_timeofday,
};
use crate::ngx_debug;

/// How many references a main request may have before a subrequest takes one more. nginx counts
/// them in 16 bits, and leaves 1000 for other purposes. Tests with injected faults get that far.
const MAX_REFERENCES: u32 =
    if cfg!(feature = "fault-injection") { 200 } else { u16::MAX as u32 - 1000 };

/// Which variables a subrequest starts with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Variables {
    /// None are evaluated yet.
    Fresh,
    /// The parent's values, as a copy.
    Copied,
    /// The parent's own.
    Shared,
}

/// Why a subrequest could not be made; what nginx would log has been logged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SubrequestFailure {
    /// Too many subrequests within each other.
    Cycle,
    /// Too many subrequests of one request at the same time.
    TooMany,
    OutOfMemory,
}

impl From<OutOfMemory> for SubrequestFailure {
    fn from(_: OutOfMemory) -> Self {
        SubrequestFailure::OutOfMemory
    }
}

/// The data of a subrequest for the code that made it.
pub trait SubrequestData: 'static {
    /// nginx has finalized the subrequest with `rc`; returns the status for nginx to go on with.
    fn finished(&self, request: Request, rc: Status) -> Status;

    /// Whether the subrequest is done but for subrequests of its own.
    fn waits(&self) -> bool;
}

/// Makes a subrequest of `parent` and posts it; it runs when nginx runs the posted requests of the
/// connection. `uri` and `args` are in the pool of `parent`, which `place` is moved to.
pub fn create<P: SubrequestData>(
    parent: Request,
    uri: PoolStr,
    args: PoolStr,
    place: P,
) -> Result<Request, SubrequestFailure> {
    check(parent, uri)?;
    ngx_debug!(
        parent.log(),
        "lua http subrequest \"{}?{}\"",
        Shown(uri.bytes()),
        Shown(args.bytes())
    );
    let pool = parent.pool();
    // SAFETY: all structures are zeroed nginx structures in the parent's pool, filled from a live
    // parent as nginx fills them; zero is valid for each.
    unsafe {
        let sr = pool.zeroed::<ngx_http_request_t>()?.as_ptr();
        let r = parent.as_ptr();
        let slots = *std::ptr::addr_of!(ngx_http_max_module) * size_of::<*mut c_void>();
        (*sr).ctx = ngx_pcalloc(pool.as_ptr(), slots).cast();
        if (*sr).ctx.is_null() {
            return Err(SubrequestFailure::OutOfMemory);
        }
        init_header_list(&mut (*sr).headers_out.headers, parent)?;
        init_header_list(&mut (*sr).headers_in.headers, parent)?;
        let post = pool.zeroed::<ngx_http_post_subrequest_t>()?.as_ptr();
        (*post).handler = Some(finished::<P>);
        (*post).data = pool.own(place)?.as_ptr().cast();

        (*sr).signature = NGX_HTTP_MODULE;
        (*sr).connection = (*r).connection;
        (*sr).pool = (*r).pool;
        (*sr).main = (*r).main;
        (*sr).parent = r;
        (*sr).post_subrequest = post;
        (*sr).stream = (*r).stream;
        (*sr).http_connection = (*r).http_connection;
        set_location_of_server(sr, parent);

        take_after(sr, r);
        (*sr).uri = uri.raw();
        (*sr).args = args.raw();
        ngx_http_set_exten(sr);
        if ngx_http_post_request(sr, null_mut()) != 0 {
            return Err(SubrequestFailure::OutOfMemory);
        }
        parent.add_reference();
        Request::from_ptr(sr).ok_or(SubrequestFailure::OutOfMemory)
    }
}

/// Whether `parent` may have one more subrequest, as nginx's own function checks it.
fn check(parent: Request, uri: PoolStr) -> Result<(), SubrequestFailure> {
    let refuse = |level, text: &[u8]| {
        parent.log().write_pieces(level, &[text, b" while processing \"", uri.bytes(), b"\""]);
    };
    if parent.get().subrequests() == 0 {
        refuse(Level::Err, b"lua subrequests cycle");
        return Err(SubrequestFailure::Cycle);
    }
    if parent.references() >= MAX_REFERENCES {
        refuse(Level::Crit, b"request reference counter overflow");
        return Err(SubrequestFailure::TooMany);
    }
    Ok(())
}

/// Fills a fresh subrequest `sr` with what it inherits from `r`, its parent, and with initial
/// values.
///
/// # Safety
/// Both must be live requests.
unsafe fn take_after(sr: *mut ngx_http_request_t, r: *mut ngx_http_request_t) {
    // SAFETY: plain fields of two live requests, the contract of this function.
    unsafe {
        (*sr).headers_in.content_length_n = -1;
        (*sr).headers_in.keep_alive_n = -1;
        (*sr).headers_out.content_length_n = -1;
        (*sr).headers_out.last_modified_time = -1;

        (*sr).method = NGX_HTTP_GET as usize;
        (*sr).method_name = *std::ptr::addr_of!(ngx_http_core_get_method);
        (*sr).http_version = (*r).http_version;
        (*sr).http_protocol = (*r).http_protocol;
        (*sr).request_line = (*r).request_line;
        (*sr).unparsed_uri = (*r).unparsed_uri;
        (*sr).header_in = (*r).header_in;

        (*sr).read_event_handler = Some(ngx_http_request_empty_handler);
        (*sr).write_event_handler = Some(ngx_http_handler);
        (*sr).log_handler = (*r).log_handler;
        (*sr).variables = (*r).variables;
        (*sr).set_internal(1);
        (*sr).set_discard_body((*r).discard_body());
        (*sr).set_expect_tested(1);
        (*sr).set_main_filter_need_in_memory((*r).main_filter_need_in_memory());
        (*sr).set_uri_changes(NGX_HTTP_MAX_URI_CHANGES + 1);
        (*sr).set_subrequests((*r).subrequests() - 1);
        let now = ngx_timeofday();
        (*sr).start_sec = now.sec;
        (*sr).start_msec = now.msec;
    }
}

/// # Safety
/// `list` must be a list of a fresh request.
unsafe fn init_header_list(
    list: *mut crate::nginx::sys::ngx_list_t,
    parent: Request,
) -> Result<(), OutOfMemory> {
    // SAFETY: the list is a fresh request's, the contract of this function.
    let rc =
        unsafe { ngx_list_init(list, parent.pool().as_ptr(), 20, size_of::<ngx_table_elt_t>()) };
    if rc == 0 { Ok(()) } else { Err(OutOfMemory) }
}

/// Gives the subrequest the configuration of its server, with which nginx looks for its location.
///
/// # Safety
/// `sr` must be live.
unsafe fn set_location_of_server(sr: *mut ngx_http_request_t, parent: Request) {
    // SAFETY: the core module has a configuration for every server; `sr` is live, the contract of
    // this function.
    unsafe {
        let server: *mut ngx_http_core_srv_conf_t = Configuration::of(parent).core_server();
        let conf = (*server).ctx;
        (*sr).main_conf = (*conf).main_conf;
        (*sr).srv_conf = (*conf).srv_conf;
        (*sr).loc_conf = (*conf).loc_conf;
    }
}

/// Cancels a subrequest that has not run yet.
pub fn cancel(request: Request) {
    let main = request.main().as_ptr();
    // SAFETY: a live main request; its list of posted requests lives in its pool.
    unsafe {
        let mut link: *mut *mut ngx_http_posted_request_t = &mut (*main).posted_requests;
        while let Some(posted) = (*link).as_mut() {
            if std::ptr::eq(posted.request, request.as_ptr()) {
                *link = posted.next;
                bits::set_count(main, bits::count(main).saturating_sub(1));
                return;
            }
            link = &mut posted.next;
        }
    }
}

/// Has `parent` run before other posted requests, because a subrequest of it has finished.
pub fn post_to_head(parent: Request) -> Result<(), OutOfMemory> {
    let main = parent.main().as_ptr();
    // SAFETY: a fresh nginx structure in the pool, linked into the main request's list.
    unsafe {
        let posted: *mut ngx_http_posted_request_t =
            ngx_palloc(parent.pool().as_ptr(), size_of::<ngx_http_posted_request_t>()).cast();
        let Some(posted) = posted.as_mut() else { return Err(OutOfMemory) };
        posted.request = parent.as_ptr();
        posted.next = (*main).posted_requests;
        (*main).posted_requests = posted;
    }
    Ok(())
}

/// Lets nginx end `request`, a captured subrequest. It is not part of the page, so it never becomes
/// the active request (the one whose output goes to the client now), for which nginx would wait. A
/// subrequest of its own that ends later does not end it once more.
pub fn let_end(request: Request) {
    let r = request.as_ptr();
    // SAFETY: plain fields of a live request.
    unsafe {
        (*r).set_background(1);
        // The main request goes on discarding the body.
        (*r).set_discard_body(0);
        (*r).write_event_handler = Some(ngx_http_request_empty_handler);
    }
}

/// Whether output of `request` waits for other requests, whose output comes before it in the page.
pub fn has_postponed(request: Request) -> bool {
    !request.get().postponed.is_null()
}

/// The data that [`create`] was given for `request`, if it is of this type.
#[inline]
pub fn data_of<P: SubrequestData>(request: &Request) -> Option<&P> {
    // SAFETY: post_subrequest is null or a structure in the request's pool; if its handler is ours,
    // its data is a `P` in the same pool.
    unsafe {
        let post = request.get().post_subrequest.as_ref()?;
        let ours: PostHandler = finished::<P>;
        if !post.handler.is_some_and(|other| std::ptr::fn_addr_eq(other, ours)) {
            return None;
        }
        post.data.cast::<P>().as_ref()
    }
}

type PostHandler =
    unsafe extern "C" fn(*mut ngx_http_request_t, *mut c_void, ngx_int_t) -> ngx_int_t;

/// nginx calls this when it finalizes the subrequest.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback(Status::ERROR.0)]
unsafe extern "C" fn finished<P: SubrequestData>(
    r: *mut ngx_http_request_t,
    data: *mut c_void,
    rc: ngx_int_t,
) -> ngx_int_t {
    // SAFETY: nginx passes a live request and the data that `create` put into its pool.
    let (request, place) = unsafe { (Request::from_ptr(r), data.cast::<P>().as_ref()) };
    let (Some(request), Some(place)) = (request, place) else { return Status::ERROR.0 };
    place.finished(request, Status(rc)).0
}

/// Gives the subrequest its variables.
pub fn set_variables(request: Request, variables: Variables) -> Result<(), OutOfMemory> {
    if variables == Variables::Shared {
        return Ok(());
    }
    // SAFETY: nginx's core configuration tells how many variables each request's array has; until
    // now, the subrequest has its parent's array.
    unsafe {
        let conf: *const ngx_http_core_main_conf_t = Configuration::of(request).core_main();
        let count = (*conf).variables.nelts;
        let size = count * size_of::<ngx_http_variable_value_t>();
        let values: *mut ngx_http_variable_value_t =
            ngx_pcalloc(request.pool().as_ptr(), size).cast();
        if values.is_null() {
            return Err(OutOfMemory);
        }
        if variables == Variables::Copied {
            std::ptr::copy_nonoverlapping(request.get().variables, values, count);
        }
        (*request.as_ptr()).variables = values;
    }
    Ok(())
}

/// The body that a subrequest gets.
pub enum Body<'a> {
    /// This one.
    Given(&'a [u8]),
    /// The parent's, as it has been read.
    Forwarded,
    None,
}

/// Gives the subrequest a body and the parent's headers, with framing headers of its own: one
/// Content-Length if there is a body, none otherwise, and never a Transfer-Encoding.
pub fn set_body_and_headers(request: Request, body: Body) -> Result<(), OutOfMemory> {
    let Some(parent) = request.parent() else { return Ok(()) };
    let given: *mut ngx_http_request_body_t = match body {
        Body::Given(bytes) => buffers::in_memory(request, bytes)?,
        Body::Forwarded => buffers::forwarded(parent)?,
        Body::None => null_mut(),
    };
    // With no structure at all, a subrequest seems to have a body that is still to be read, and
    // never comes: the echo module would ask for it forever.
    let body = if given.is_null() { buffers::in_memory(request, b"")? } else { given };
    // SAFETY: a plain field of a live request; the body lives in its pool.
    unsafe { (*request.as_ptr()).request_body = body }
    subrequest_headers::copy(parent, request)?;
    if !given.is_null() {
        // SAFETY: just made, or the parent's live one.
        let length = unsafe { buffers::length(given) };
        subrequest_headers::set_content_length(request, length)?;
    }
    Ok(())
}
