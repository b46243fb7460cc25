//! The request's headers: `ngx.req.get_headers`, `ngx.req.set_header`, `ngx.req.raw_header`,
//! `ngx.req.http_version`.

mod ffi;
mod lua;

pub use lua::inject;

use crate::nginx::Request;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::http::headers_in;
use crate::runtime::Context;

/// To be called before a header of the request changes: gives a subrequest headers of its own, once, and
/// keeps the header of a main request as it came.
///
/// # Errors
/// Out of memory; the headers are as they were.
pub fn own(request: Request) -> Result<(), OutOfMemory> {
    if !request.is_subrequest() {
        return headers_in::keep_original(request);
    }
    let context = Context::of(request).or_else(|| Context::running(request));
    match context {
        Some(context) if context.owns_request_headers.get() => Ok(()),
        Some(context) => {
            headers_in::own(request)?;
            context.owns_request_headers.set(true);
            Ok(())
        }
        None => headers_in::own(request),
    }
}
