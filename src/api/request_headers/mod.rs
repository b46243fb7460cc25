//! The request's headers: `ngx.req.get_headers`, `ngx.req.set_header`, `ngx.req.raw_header`,
//! `ngx.req.http_version`.

mod ffi;
mod lua;

pub use lua::inject;

use crate::nginx::Request;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::http::headers_in;
use crate::runtime::Context;

/// To be called before a header of the request is changed: gives a subrequest headers of its own,
/// once, and keeps a copy of a main request's header for `ngx.req.raw_header` where nginx has none.
///
/// # Errors
/// Out of memory; the headers are as they were.
pub fn own(request: Request) -> Result<(), OutOfMemory> {
    let is_subrequest = request.is_subrequest();
    if !is_subrequest && !request.is_multiplexed() {
        return Ok(());
    }
    let context = Context::of(request).or_else(|| Context::running(request));
    if context.as_ref().is_some_and(|context| context.owns_request_headers.get()) {
        return Ok(());
    }
    if is_subrequest {
        headers_in::own(request)?;
    } else {
        headers_in::keep_original(request)?;
    }
    if let Some(context) = context {
        context.owns_request_headers.set(true);
    }
    Ok(())
}
