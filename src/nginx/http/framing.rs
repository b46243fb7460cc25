//! The framing of a response: whether it ends by its Content-Length, by its last chunk, with its
//! header, or with the connection.

use crate::nginx::core::chain::Chain;
use crate::nginx::core::strings;
use crate::nginx::http::request::Request;
use crate::nginx::http::response_status;
use crate::nginx::http::send;

const SWITCHING_PROTOCOLS: usize = 101;
const OK: usize = 200;
const NO_CONTENT: usize = 204;
const NOT_MODIFIED: usize = 304;
const HTTP_VERSION_10: usize = 1000;

/// The response's Content-Length; negative if it is not known.
pub fn content_length(request: Request) -> i64 {
    request.get().headers_out.content_length_n
}

/// Sets the Content-Length that the header filter writes.
pub fn set_content_length(request: Request, length: usize) {
    // SAFETY: plain fields of a live request.
    unsafe {
        let out = &mut (*request.as_ptr()).headers_out;
        out.content_length_n = i64::try_from(length).unwrap_or(-1);
        if let Some(header) = out.content_length.as_mut() {
            header.hash = 0;
            out.content_length = std::ptr::null_mut();
        }
    }
}

/// Clears the Content-Length: nginx chooses the framing.
pub fn clear_content_length(request: Request) {
    // SAFETY: plain fields of a live request; nginx's own idiom.
    unsafe {
        let out = &mut (*request.as_ptr()).headers_out;
        out.content_length_n = -1;
        if let Some(header) = out.content_length.as_mut() {
            header.hash = 0;
            out.content_length = std::ptr::null_mut();
        }
    }
}

/// Whether a response of this status ends with its header. (What follows a 101 belongs to another
/// protocol.)
fn ends_with_header(status: usize) -> bool {
    (status < OK && status != SWITCHING_PROTOCOLS) || status == NO_CONTENT || status == NOT_MODIFIED
}

/// Has nginx send no body if the status that a script chose allows none; nginx itself checks only
/// statuses for which it writes the reason. After a status below 200, the client still waits for
/// the answer, or speaks another protocol: so the connection is closed after it.
pub fn follow_status(request: Request) {
    let status = response_status::get(request);
    if status == OK || request.is_subrequest() || request.http_version() < HTTP_VERSION_10 {
        return;
    }
    if ends_with_header(status) {
        if status != NOT_MODIFIED {
            clear_content_length(request);
        }
        send::set_header_only(request);
    }
    if status < OK {
        close_connection(request);
    }
}

/// Has nginx close the connection after this request.
pub fn close_connection(request: Request) {
    // SAFETY: a plain field of a live request.
    unsafe { (*request.main().as_ptr()).set_keepalive(0) }
}

/// Whether `body` contains the end of the whole response.
pub fn ends_with(request: Request, body: Chain) -> bool {
    !request.is_subrequest()
        && !comes_in_parts(request)
        && body.bufs().any(|buf| buf.ends_response())
}

/// Whether nginx's `slice` module makes the response: then its first part ends with a mark of the
/// end, and so does the whole.
pub fn comes_in_parts(request: Request) -> bool {
    !request.is_subrequest() && request.get().subrequest_ranges() != 0
}

/// Whether the list of headers has a Content-Length.
#[inline]
pub fn has_listed_length(request: Request) -> bool {
    !request.get().headers_out.content_length.is_null()
}

/// To be called before the header is written: if a script has set or cleared a Content-Length,
/// makes nginx frame the body by the list of headers. Returns whether one was set.
pub fn settle_length(request: Request) -> bool {
    let status = response_status::get(request);
    if request.is_subrequest() {
        return false;
    }
    if ends_with_header(status) && status != NOT_MODIFIED {
        clear_content_length(request);
        return false;
    }
    let listed = listed_length(request);
    // SAFETY: a plain field of a live request.
    unsafe { (*request.as_ptr()).headers_out.content_length_n = listed.unwrap_or(-1) };
    listed.is_some()
}

/// The Content-Length in the list of headers.
fn listed_length(request: Request) -> Option<i64> {
    // SAFETY: null, or a header of the response's list, whose value is in the request's pool.
    unsafe {
        let header = request.get().headers_out.content_length.as_ref()?;
        if header.hash == 0 {
            return None;
        }
        codec::headers::content_length(strings::bytes(header.value))
    }
}

/// To be called after the header was written: how many bytes of body it promises; `None` if they
/// need not be counted.
pub fn promised_length(request: Request) -> Option<u64> {
    let r = request.get();
    let has_header = request.header_sent() && request.http_version() >= HTTP_VERSION_10;
    if !has_header || request.is_subrequest() || request.header_only() {
        return None;
    }
    if ends_with_header(r.headers_out.status) {
        return Some(0);
    }
    if r.chunked() != 0 || r.headers_out.status == SWITCHING_PROTOCOLS {
        return None;
    }
    u64::try_from(r.headers_out.content_length_n).ok()
}
