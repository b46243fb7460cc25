//! The headers of a captured response, as nginx's header filter would write them: those of its
//! list, where a name may occur several times, and those that nginx keeps in fields, which occur
//! once.

use crate::nginx::core::strings;
use crate::nginx::http::headers::list::HeaderList;
use crate::nginx::http::headers::node::Node;
use crate::nginx::http::request::Request;
use crate::nginx::sys::ngx_http_time;

/// A header's value.
pub enum FieldValue<'a> {
    Text(&'a [u8]),
    Number(i64),
}

/// About how many headers there are.
pub fn count(request: Request) -> usize {
    let mut count = shown(request).count();
    fields(request, |_, _| count += 1);
    count
}

fn shown(request: Request) -> impl Iterator<Item = Node> {
    // SAFETY: the header list of a live request.
    let list = unsafe { HeaderList::from_ptr(&raw mut (*request.as_ptr()).headers_out.headers) };
    list.into_iter().flat_map(HeaderList::nodes).filter(|header| !header.is_hidden())
}

/// Calls `each` with the name and value of every header of the list.
pub fn listed(request: Request, mut each: impl FnMut(&[u8], &[u8])) {
    for header in shown(request) {
        each(header.name(), header.value());
    }
}

/// The Content-Type, if there is one.
pub fn content_type(request: &Request) -> Option<&[u8]> {
    // SAFETY: the string lives in the request's pool.
    let content_type = unsafe { strings::bytes(request.get().headers_out.content_type) };
    Some(content_type).filter(|content_type| !content_type.is_empty())
}

/// The Content-Length, if there is one that is not in the list.
pub fn content_length(request: Request) -> Option<i64> {
    let out = &request.get().headers_out;
    let is_listed = !out.content_length.is_null();
    Some(out.content_length_n).filter(|length| !is_listed && *length >= 0)
}

/// Whether there may be other headers than these two.
pub fn has_others(request: Request) -> bool {
    let out = &request.get().headers_out;
    !out.location.is_null() || out.last_modified_time != -1 || shown(request).next().is_some()
}

/// Calls `each` for the headers in fields.
pub fn fields(request: Request, mut each: impl FnMut(&'static [u8], FieldValue)) {
    let out = &request.get().headers_out;
    if let Some(content_type) = content_type(&request) {
        each(b"Content-Type", FieldValue::Text(content_type));
    }
    if let Some(length) = content_length(request) {
        each(b"Content-Length", FieldValue::Number(length));
    }
    // SAFETY: location is null or a node of the request's list.
    if let Some(location) = unsafe { out.location.as_ref() } {
        // SAFETY: the value lives in the request's pool.
        let value = unsafe { strings::bytes(location.value) };
        if !value.is_empty() {
            each(b"Location", FieldValue::Text(value));
        }
    }
    let keeps_last_modified = matches!(out.status, 200 | 204 | 206 | 304);
    let has_last_modified = keeps_last_modified && out.last_modified_time != -1;
    if has_last_modified && out.last_modified.is_null() {
        each(b"Last-Modified", FieldValue::Text(&http_time(out.last_modified_time)));
    }
}

/// The time in the form `Mon, 28 Sep 1970 06:00:00 GMT`.
fn http_time(seconds: i64) -> [u8; 29] {
    let mut text = [0u8; 29];
    // SAFETY: nginx writes exactly that many bytes: to it, the last year is 9999.
    unsafe { ngx_http_time(text.as_mut_ptr(), seconds) };
    text
}
