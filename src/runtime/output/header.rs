//! The response's header: sent when the first output is, or with the end for HTTP/1.0.

use std::rc::Rc;

use crate::nginx::Status;
use crate::nginx::http::framing;
use crate::nginx::http::send as wire;
use crate::ngx_debug;
use crate::runtime::context::Context;

const HTTP_OK: usize = 200;
const HTTP_NOT_MODIFIED: usize = 304;

/// Sends the header, unless it has been sent or is held back for HTTP/1.0.
pub fn send_header_if_needed(context: &Rc<Context>) -> Status {
    if context.is_header_sent() { Status::OK } else { make_header(context) }
}

/// Sends the header, unless it is held back for HTTP/1.0.
#[inline(always)]
pub(super) fn make_header(context: &Rc<Context>) -> Status {
    let request = context.request();
    if request.status() == 0 {
        request.set_status(HTTP_OK);
    }
    if !context.output.mime_set.get() && !set_default_type(context) {
        return Status::ERROR;
    }
    if !context.output.headers_set.get() {
        framing::clear_content_length(request);
        wire::clear_accept_ranges(request);
    }
    if context.output.buffering.get() {
        return Status::OK;
    }
    send_header(context)
}

fn send_header(context: &Context) -> Status {
    let request = context.request();
    framing::follow_status(request);
    // The flag is set first, because a header filter may run Lua code, or nginx may make a page of
    // its own, during the call.
    context.output.header_sent.set(true);
    request.send_header()
}

/// Sets Content-Type by the location's types, if `lua_use_default_type` is on.
fn set_default_type(context: &Rc<Context>) -> bool {
    context.output.mime_set.set(true);
    let request = context.request();
    !context.location().use_default_type()
        || request.status() == HTTP_NOT_MODIFIED
        || wire::set_content_type(request)
}

/// HTTP/1.0: the header, with the length of what is held back.
pub(super) fn send_http10_header(context: &Rc<Context>) -> Status {
    if context.is_header_sent() {
        return Status::OK;
    }
    let request = context.request();
    ngx_debug!(request.log(), "lua sending HTTP 1.0 response headers");
    framing::follow_status(request);
    if !request.header_only() && request.get().headers_out.content_length.is_null() {
        framing::set_content_length(request, context.output.held.get().len);
    }
    send_header(context)
}
