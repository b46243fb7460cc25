//! Sending a response through nginx's filter chain, and the flags of its header.

use crate::nginx::core::status::Status;
use crate::nginx::core::strings;
use crate::nginx::http::request::Request;
use crate::nginx::sys::{
    NGX_HTTP_LAST, ngx_buf_tag_t, ngx_http_complex_value_t, ngx_http_send_response,
    ngx_http_send_special, ngx_http_set_content_type,
};

/// The tag of this module's buffers.
pub fn tag() -> ngx_buf_tag_t {
    std::ptr::from_ref(crate::nginx::module()).cast_mut().cast()
}

/// The tag of the buffers that `body_filter_by_lua*` makes.
pub fn filter_tag() -> ngx_buf_tag_t {
    static TAG: u8 = 0;
    std::ptr::from_ref(&TAG).cast_mut().cast()
}

/// Turns off range requests, which make no sense for a response that a script makes.
pub fn clear_accept_ranges(request: Request) {
    // SAFETY: plain fields of a live request; nginx's own idiom.
    unsafe {
        (*request.as_ptr()).set_allow_ranges(0);
        let out = &mut (*request.as_ptr()).headers_out;
        if let Some(header) = out.accept_ranges.as_mut() {
            header.hash = 0;
            out.accept_ranges = std::ptr::null_mut();
        }
    }
}

/// Sets Content-Type by the location's `types` and `default_type`; false without memory.
pub fn set_content_type(request: Request) -> bool {
    // SAFETY: the request is live, the contract of `Request::from_ptr`.
    unsafe { ngx_http_set_content_type(request.as_ptr()) == 0 }
}

/// Has nginx send the header only, as for HEAD.
pub fn set_header_only(request: Request) {
    // SAFETY: a plain field of a live request.
    unsafe { (*request.as_ptr()).set_header_only(1) }
}

/// Takes [`set_header_only`] back.
pub fn clear_header_only(request: Request) {
    // SAFETY: a plain field of a live request.
    unsafe { (*request.as_ptr()).set_header_only(0) }
}

/// Makes nginx believe that the header has been sent.
pub fn set_header_sent(request: Request) {
    // SAFETY: a plain field of a live request.
    unsafe { (*request.as_ptr()).set_header_sent(1) }
}

/// Sets the status for the access log, whatever was sent.
pub fn set_error_status(request: Request, rc: Status) {
    // SAFETY: a plain field of a live request.
    unsafe { (*request.as_ptr()).err_status = rc.0.max(0) as usize }
}

/// Does to a request what nginx does before it makes a page of its own for the status `rc`; if `keeps_type`, its
/// Content-Type stays.
pub fn set_special_response(request: Request, rc: Status, keeps_type: bool) {
    clear_accept_ranges(request);
    // SAFETY: plain fields of a live request.
    unsafe {
        let r = request.as_ptr();
        (*r).err_status = rc.0.max(0) as usize;
        (*r).set_expect_tested(1);
        let out = &mut (*r).headers_out;
        if !keeps_type {
            out.content_type.len = 0;
        }
        out.content_length_n = 0;
        out.last_modified_time = -1;
        if let Some(header) = out.last_modified.as_mut() {
            header.hash = 0;
            out.last_modified = std::ptr::null_mut();
        }
    }
}

/// Sends a whole response.
pub fn respond(
    request: Request,
    status: Status,
    content_type: &'static [u8],
    body: &[u8],
) -> Status {
    let Ok(body) = request.pool().copy_str(body) else { return Status::HTTP_INTERNAL_SERVER_ERROR };
    let mut content_type = strings::borrowed(content_type);
    let status = status.0.max(0) as usize;
    // SAFETY: a live request; nginx keeps the static type, and the body, which is in the request's
    // pool. All zero is a value without variables.
    unsafe {
        let mut value: ngx_http_complex_value_t = std::mem::zeroed();
        value.value = body;
        Status(ngx_http_send_response(request.as_ptr(), status, &mut content_type, &mut value))
    }
}

/// Sends the last buffer (of a subrequest: the last of its chain).
pub fn send_last(request: Request) -> Status {
    // SAFETY: the request is live, the contract of `Request::from_ptr`.
    Status(unsafe { ngx_http_send_special(request.as_ptr(), NGX_HTTP_LAST as usize) })
}
