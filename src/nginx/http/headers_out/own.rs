//! `Connection` and `Transfer-Encoding`, which nginx writes itself. What a script sets is kept in
//! the list for scripts to read, but not sent: so the header has no second line beside nginx's, and
//! none that is wrong about the body. In HTTP/2, these headers and similar ones are not allowed in
//! a response. In a subrequest, whose header is not sent, they are ordinary headers.

use codec::headers::{Name, has_token};

use super::indexed;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::http::framing::close_connection;
use crate::nginx::http::headers::node::Node;
use crate::nginx::http::request::Request;
use crate::nginx::sys::ngx_str_t;

/// The hash that makes nginx skip a header of the list.
const OFF_THE_WIRE: usize = 0;

/// The headers in lower case, first those that nginx writes in HTTP/1.
pub const OWN: [&[u8]; 5] =
    [b"connection", b"transfer-encoding", b"keep-alive", b"proxy-connection", b"upgrade"];

/// Whether it is nginx that decides about the header `name` of this response.
pub(super) fn is_own(request: Request, name: &Name) -> bool {
    let own = if request.is_multiplexed() { OWN.as_slice() } else { &OWN[..2] };
    own.iter().any(|own| name.is_lowcase(own)) && !request.is_subrequest()
}

/// Calls `each` with what scripts have set such a header to.
pub fn for_each_own(request: Request, name: &[u8], mut each: impl FnMut(Node)) {
    indexed(request).for_each(name, |node| {
        if node.is_hidden() && !node.value().is_empty() && node.is_named(name) {
            each(node);
        }
    });
}

/// Sets such a header, or clears it with an empty `value`, which is in the request's pool.
/// `Connection: close` has nginx close the connection after the response.
pub(super) fn set_own(
    request: Request,
    name: &Name,
    value: ngx_str_t,
    replace: bool,
) -> Result<(), OutOfMemory> {
    let mut old = None;
    if replace {
        for_each_own(request, name.text(), |node| {
            node.hide();
            old = old.or(Some(node));
        });
    }
    if value.len == 0 {
        return Ok(());
    }
    let node = match old {
        Some(node) => {
            node.set_value(OFF_THE_WIRE, value);
            indexed(request).shown(node);
            node
        }
        None => indexed(request).push(request.pool(), OFF_THE_WIRE, name.text(), value)?,
    };
    if name.is_lowcase(b"connection") && has_token(node.value(), b"close") {
        close_connection(request);
    }
    Ok(())
}
