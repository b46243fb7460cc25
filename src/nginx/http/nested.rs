//! Nested subrequests: those that other modules (`auth_request`, echo, …) make of a captured
//! subrequest. nginx ends a subrequest once the output has come to its place in the page; the
//! output of nested ones is not part of the page, so here each ends as soon as it is done.
//!
//! nginx lists them in the `postponed` of their parents, which wait until the list is empty.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::null_mut;

use export::callback;

use crate::nginx::core::bits;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::core::status::Status;
use crate::nginx::http::client;
use crate::nginx::http::request::Request;
use crate::nginx::http::subrequest::{SubrequestData, data_of, has_postponed};
use crate::nginx::sys::{
    ngx_http_finalize_request, ngx_http_post_request, ngx_http_post_subrequest_t,
    ngx_http_request_empty_handler, ngx_http_request_t, ngx_int_t,
};

/// What this module keeps with a nested subrequest.
struct Nested {
    /// The handler of the module that made it, or null.
    original: *mut ngx_http_post_subrequest_t,
    /// It is done itself and waits for subrequests of its own.
    waits: Cell<bool>,
}

/// The captured subrequest that `request` is or belongs to, and its data.
#[inline]
pub fn captured_root<P: SubrequestData>(request: &Request) -> Option<(Request, &P)> {
    let mut current = *request;
    loop {
        if data_of::<P>(&current).is_some() {
            break;
        }
        current = current.parent()?;
    }
    // SAFETY: `data_of` has just found a `P` there, which lives in the pool of the main request, as
    // `request` does.
    let data = unsafe { current.get().post_subrequest.as_ref()?.data.cast::<P>().as_ref()? };
    Some((current, data))
}

/// The subrequests for which `request`, a captured or nested one, waits, in the order in which they
/// were made. Output of such a request's own is never in this list.
pub fn waited_for(request: Request) -> impl Iterator<Item = Request> {
    let mut next = request.get().postponed;
    std::iter::from_fn(move || {
        // SAFETY: nginx's list in the pool of a live request; the links stay there when they are
        // taken out.
        let entry = unsafe { next.as_ref()? };
        next = entry.next;
        // SAFETY: requests in the list have not been freed: they live in the same pool.
        unsafe { Request::from_ptr(entry.request) }
    })
}

/// Has a nested subrequest end as soon as it is done; to be called before nginx finalizes it.
pub fn end_when_done<P: SubrequestData>(request: Request) -> Result<(), OutOfMemory> {
    // A background subrequest ends as soon as it is done anyway.
    if request.get().background() != 0 || nested_data::<P>(&request).is_some() {
        return Ok(());
    }
    let original = request.get().post_subrequest;
    let pool = request.pool();
    let nested = pool.own(Nested { original, waits: Cell::new(false) })?;
    // SAFETY: a fresh structure in the pool, for which zero is valid, and a plain field of a live
    // request.
    unsafe {
        let post = pool.zeroed::<ngx_http_post_subrequest_t>()?.as_ptr();
        (*post).handler = Some(nested_finished::<P>);
        (*post).data = nested.as_ptr().cast();
        (*request.as_ptr()).post_subrequest = post;
    }
    Ok(())
}

/// `None` for a request that [`end_when_done`] has not seen.
fn nested_data<P: SubrequestData>(request: &Request) -> Option<&Nested> {
    let ours: unsafe extern "C" fn(*mut ngx_http_request_t, *mut c_void, ngx_int_t) -> ngx_int_t =
        nested_finished::<P>;
    // SAFETY: post_subrequest is null or a structure in the request's pool; if its handler is ours,
    // its data is a `Nested` there.
    unsafe {
        let post = request.get().post_subrequest.as_ref()?;
        if !post.handler.is_some_and(|other| std::ptr::fn_addr_eq(other, ours)) {
            return None;
        }
        post.data.cast::<Nested>().as_ref()
    }
}

/// nginx calls this when it finalizes a nested subrequest.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback(Status::ERROR.0)]
unsafe extern "C" fn nested_finished<P: SubrequestData>(
    r: *mut ngx_http_request_t,
    data: *mut c_void,
    rc: ngx_int_t,
) -> ngx_int_t {
    // SAFETY: nginx passes a live request and the data that `end_when_done` put into its pool.
    let (request, nested) = unsafe { (Request::from_ptr(r), data.cast::<Nested>().as_ref()) };
    let (Some(request), Some(nested)) = (request, nested) else { return Status::ERROR.0 };
    let mut rc = rc;
    // SAFETY: null or another module's structure, which it keeps as long as the request.
    if let Some(original) = unsafe { nested.original.as_ref() }
        && let Some(handler) = original.handler
    {
        // SAFETY: the other module's own handler and data, for a request that nginx finalizes.
        rc = unsafe { handler(r, original.data, rc) };
    }
    // nginx makes a page for a status and then finalizes again; a failure ends everything.
    if rc == Status::ERROR.0 || rc > 0 {
        return rc;
    }
    drop_done(request);
    if has_postponed(request) {
        nested.waits.set(true);
    } else if request.get().buffered() == 0 && end::<P>(request).is_err() {
        return Status::ERROR.0;
    }
    rc
}

/// Lets nginx end `request` now, and its parent go on.
fn end<P: SubrequestData>(request: Request) -> Result<(), OutOfMemory> {
    let r = request.as_ptr();
    let Some(parent) = request.parent() else { return Ok(()) };
    take_out(parent, |other| other == request);
    if !has_postponed(parent) && waits_only::<P>(parent) {
        // SAFETY: a plain field of a live request.
        unsafe { (*parent.as_ptr()).write_event_handler = Some(finalize_again) }
    }
    if !client::has_buffered_output(request) {
        // nginx set the timer while the request waited.
        client::stop_send_timer(request);
    }
    // SAFETY: plain fields of a live request, and its live parent.
    unsafe {
        (*r).set_background(1);
        // The main request goes on discarding the body.
        (*r).set_discard_body(0);
        (*r).write_event_handler = Some(ngx_http_request_empty_handler);
        if ngx_http_post_request(parent.as_ptr(), null_mut()) != 0 {
            return Err(OutOfMemory);
        }
    }
    Ok(())
}

/// Whether `request` is done but for its subrequests.
fn waits_only<P: SubrequestData>(request: Request) -> bool {
    if let Some(data) = data_of::<P>(&request) {
        return data.waits();
    }
    nested_data::<P>(&request).is_some_and(|nested| nested.waits.get())
}

/// The write event handler of a request that waited for its subrequests only, when they are done.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback(unguarded = "nginx does the work")]
unsafe extern "C" fn finalize_again(r: *mut ngx_http_request_t) {
    // SAFETY: nginx passes a live request. It may have been posted more than once: then the empty
    // handler is called.
    unsafe {
        (*r).write_event_handler = Some(ngx_http_request_empty_handler);
        ngx_http_finalize_request(r, Status::OK.0);
    }
}

/// Takes subrequests that are done out of the list of their parent: those that ended before they
/// had a header to filter, and for which nginx keeps a reference until their place has come.
pub fn drop_done(parent: Request) {
    let dropped = take_out(parent, |child| child.get().done() != 0);
    let main = parent.main().as_ptr();
    for _ in 0..dropped {
        // SAFETY: the live main request.
        unsafe { bits::set_count(main, bits::count(main).saturating_sub(1)) }
    }
}

/// Takes the subrequests for which `gone` holds out of the list of `parent`; returns how many there
/// were.
fn take_out(parent: Request, gone: impl Fn(Request) -> bool) -> usize {
    let mut count = 0;
    // SAFETY: nginx's list in the pool of a live request, and requests in the same pool.
    unsafe {
        let mut link = &raw mut (*parent.as_ptr()).postponed;
        while let Some(entry) = (*link).as_mut() {
            if Request::from_ptr(entry.request).is_some_and(&gone) {
                *link = entry.next;
                count += 1;
            } else {
                link = &raw mut entry.next;
            }
        }
    }
    count
}
