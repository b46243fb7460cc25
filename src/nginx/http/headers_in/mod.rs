//! The request's headers: reading, setting, and the header as it came over the wire.

mod effects;
mod known;
mod made;
mod own;
mod raw;
mod set;

pub(in crate::nginx::http) use made::Original;
pub use made::keep_original;
pub use own::own;
pub use raw::raw;
pub use set::set;

use crate::nginx::http::headers::indexed::Indexed;
use crate::nginx::http::headers::list::{HeaderList, Nodes};
use crate::nginx::http::request::Request;
use crate::nginx::sys::ngx_str_t;

/// The request's list of headers.
fn list(request: Request) -> HeaderList {
    // SAFETY: the list is a part of a live request.
    let list = unsafe { HeaderList::from_ptr(&raw mut (*request.as_ptr()).headers_in.headers) };
    match list {
        Some(list) => list,
        None => unreachable!("a part of a structure is nowhere near null"),
    }
}

/// The list, for finding headers in it by their names.
fn indexed(request: Request) -> Indexed {
    Indexed::of_request(list(request))
}

/// The request's headers, in order.
pub fn nodes(request: Request) -> Nodes {
    list(request).nodes()
}

/// How many headers the request has, without its [`authority`].
pub fn count(request: Request) -> usize {
    list(request).len()
}

/// The server's name of an HTTP/3 request that has no `Host` among its headers; nginx adds none to
/// the list, as it does in HTTP/2.
pub fn authority(request: &Request) -> Option<ngx_str_t> {
    let headers = &request.get().headers_in;
    let is_alone = request.is_http3() && headers.host.is_null() && headers.server.len > 0;
    is_alone.then_some(headers.server)
}
