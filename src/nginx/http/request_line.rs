//! A request's method and URI, for reading and rewriting.

use std::ffi::CStr;

use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::core::strings;
use crate::nginx::http::request::Request;
use crate::nginx::sys::{
    NGX_HTTP_COPY, NGX_HTTP_DELETE, NGX_HTTP_GET, NGX_HTTP_HEAD, NGX_HTTP_LOCK, NGX_HTTP_MKCOL,
    NGX_HTTP_MOVE, NGX_HTTP_OPTIONS, NGX_HTTP_PATCH, NGX_HTTP_POST, NGX_HTTP_PROPFIND,
    NGX_HTTP_PROPPATCH, NGX_HTTP_PUT, NGX_HTTP_TRACE, NGX_HTTP_UNLOCK, ngx_http_set_exten,
    ngx_str_t,
};

/// nginx's methods. Each name is followed by a space, as nginx's own parser leaves it.
const METHODS: [(u32, &CStr); 15] = [
    (NGX_HTTP_GET, c"GET "),
    (NGX_HTTP_POST, c"POST "),
    (NGX_HTTP_PUT, c"PUT "),
    (NGX_HTTP_HEAD, c"HEAD "),
    (NGX_HTTP_DELETE, c"DELETE "),
    (NGX_HTTP_OPTIONS, c"OPTIONS "),
    (NGX_HTTP_MKCOL, c"MKCOL "),
    (NGX_HTTP_COPY, c"COPY "),
    (NGX_HTTP_MOVE, c"MOVE "),
    (NGX_HTTP_PROPFIND, c"PROPFIND "),
    (NGX_HTTP_PROPPATCH, c"PROPPATCH "),
    (NGX_HTTP_LOCK, c"LOCK "),
    (NGX_HTTP_UNLOCK, c"UNLOCK "),
    (NGX_HTTP_PATCH, c"PATCH "),
    (NGX_HTTP_TRACE, c"TRACE "),
];

/// The name of a method that nginx has a number for, as a request carries it.
pub fn method_name(number: u32) -> Option<ngx_str_t> {
    let (_, name) = METHODS.iter().find(|(method, _)| *method == number)?;
    Some(strings::borrowed(name.to_bytes().trim_ascii_end()))
}

/// Sets the method; false for a number that nginx does not know.
pub fn set_method(request: Request, number: u32) -> bool {
    let Some(name) = method_name(number) else { return false };
    // SAFETY: plain fields of a live request; the name is a static that nginx only reads.
    unsafe {
        (*request.as_ptr()).method = number as usize;
        (*request.as_ptr()).method_name = name;
    }
    true
}

/// The method's name as the client sent it, or as it was set.
pub fn current_method_name(request: &Request) -> &[u8] {
    // SAFETY: nginx keeps the name in the request's buffer, or it is a static.
    unsafe { strings::bytes(request.get().method_name) }
}

/// Whether nginx takes the request for an internal one: a subrequest, or one that was redirected
/// internally or got a new URI.
pub fn is_internal(request: Request) -> bool {
    request.get().internal() != 0
}

/// Where the request goes on after its URI was set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// In the location that it is in.
    Stay,
    /// In a location that nginx looks for after the running phase.
    Jump,
}

/// Sets the URI (decoded, without arguments) to a copy of `uri`.
pub fn set_uri(request: Request, uri: &[u8], next: Next) -> Result<(), OutOfMemory> {
    let uri = request.pool().copy_str(uri)?;
    // SAFETY: plain fields of a live request; the string is in its pool.
    unsafe {
        let r = request.as_ptr();
        (*r).uri = uri;
        (*r).set_internal(1);
        (*r).set_valid_unparsed_uri(0);
        ngx_http_set_exten(r);
        match next {
            Next::Jump => (*r).set_uri_changed(1),
            Next::Stay => {
                (*r).set_valid_location(0);
                (*r).set_uri_changed(0);
            }
        }
    }
    Ok(())
}

/// Sets the query string, which is escaped already, to a copy of `args`.
pub fn set_args(request: Request, args: &[u8]) -> Result<(), OutOfMemory> {
    let args = request.pool().copy_str(args)?;
    // SAFETY: plain fields of a live request; the string is in its pool.
    unsafe {
        (*request.as_ptr()).args = args;
        (*request.as_ptr()).set_valid_unparsed_uri(0);
    }
    Ok(())
}
