//! Reading the response's headers, including those that nginx keeps in fields only.

use super::{indexed, list, location};
use crate::nginx::core::strings;
use crate::nginx::http::headers::node::Node;
use crate::nginx::http::request::Request;

const SWITCHING_PROTOCOLS: usize = 101;

/// The headers of the list that will be sent, in order.
pub fn nodes(request: Request) -> impl Iterator<Item = Node> {
    location::complete(request);
    list(request).nodes().filter(|node| !node.is_hidden())
}

/// Calls `each` with headers that will be sent, in order: with all of that name, in any case of
/// letters, with dashes or underscores, and maybe with others.
#[inline]
pub fn for_each_named(request: Request, name: &[u8], mut each: impl FnMut(Node)) {
    indexed(request).for_each(name, |node| {
        if !node.is_hidden() {
            each(node);
        }
    });
}

/// `Content-Type` without the charset that nginx may add; empty if there is none.
pub fn content_type(request: &Request) -> &[u8] {
    // SAFETY: the type is in the request's pool or the configuration, and either lives as long as
    // the request.
    unsafe { strings::bytes(request.get().headers_out.content_type) }
}

/// The `Content-Length` that nginx writes itself; `None` if there is one in the list.
pub fn content_length(request: Request) -> Option<i64> {
    let out = &request.get().headers_out;
    (out.content_length.is_null() && out.content_length_n >= 0).then_some(out.content_length_n)
}

/// The time of `Last-Modified`, in seconds since the epoch.
pub fn last_modified(request: Request) -> Option<i64> {
    let time = request.get().headers_out.last_modified_time;
    (time >= 0).then_some(time)
}

/// The `Connection` header that nginx writes, as far as is known now.
pub fn connection(request: Request) -> &'static str {
    if request.status() == SWITCHING_PROTOCOLS {
        "upgrade"
    } else if request.get().keepalive() != 0 {
        "keep-alive"
    } else {
        "close"
    }
}

/// Whether the body is sent in chunks.
pub fn is_chunked(request: Request) -> bool {
    request.get().chunked() != 0
}
