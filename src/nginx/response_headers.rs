//! The headers of a captured response, as nginx's header filter would write them.

use super::header_list::HeaderList;
use super::request::Request;
use super::strings;
use super::sys::{ngx_http_headers_out_t, ngx_http_time};

/// A header's value.
pub enum Value {
    Text(Vec<u8>),
    Number(i64),
}

/// The response's headers: those of its list, where a name may come again, and those that nginx
/// keeps in fields, which stand for themselves.
pub struct ResponseHeaders {
    pub listed: Vec<(Vec<u8>, Vec<u8>)>,
    pub fields: Vec<(&'static [u8], Value)>,
}

/// The headers of `request`'s response.
pub fn of(request: Request) -> ResponseHeaders {
    // SAFETY: the header list of a live request.
    let list = unsafe { HeaderList::from_ptr(&raw mut (*request.as_ptr()).headers_out.headers) };
    let listed = list
        .into_iter()
        .flat_map(HeaderList::nodes)
        .filter(|header| !header.is_hidden())
        .map(|header| (header.name().to_vec(), header.value().to_vec()))
        .collect();
    ResponseHeaders { listed, fields: fields(&request.get().headers_out) }
}

fn fields(out: &ngx_http_headers_out_t) -> Vec<(&'static [u8], Value)> {
    let mut fields: Vec<(&'static [u8], Value)> = Vec::new();
    // SAFETY: the strings live in the request's pool.
    let content_type = unsafe { strings::bytes(out.content_type) };
    if !content_type.is_empty() {
        fields.push((b"Content-Type", Value::Text(content_type.to_vec())));
    }
    if out.content_length.is_null() && out.content_length_n >= 0 {
        fields.push((b"Content-Length", Value::Number(out.content_length_n)));
    }
    // SAFETY: location is null or a node of the request's list.
    if let Some(location) = unsafe { out.location.as_ref() } {
        // SAFETY: as above.
        let value = unsafe { strings::bytes(location.value) };
        if !value.is_empty() {
            fields.push((b"Location", Value::Text(value.to_vec())));
        }
    }
    let keeps_last_modified = matches!(out.status, 200 | 204 | 206 | 304);
    let has_last_modified = keeps_last_modified && out.last_modified_time != -1;
    if has_last_modified && out.last_modified.is_null() {
        fields.push((b"Last-Modified", Value::Text(http_time(out.last_modified_time))));
    }
    fields
}

/// `Mon, 28 Sep 1970 06:00:00 GMT`.
fn http_time(seconds: i64) -> Vec<u8> {
    let mut text = [0u8; 29];
    // SAFETY: nginx writes exactly that many bytes.
    unsafe { ngx_http_time(text.as_mut_ptr(), seconds) };
    text.to_vec()
}
