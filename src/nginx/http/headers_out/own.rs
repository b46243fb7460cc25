//! `Connection` and `Transfer-Encoding`, which nginx writes itself. What a script sets is kept in
//! the list for scripts to read, but not sent: so the header has no second line beside nginx's, and
//! none that is wrong about the body. In HTTP/2, these headers and similar ones are not allowed in
//! a response. In a subrequest, whose header is not sent, they are ordinary headers.

use codec::headers::{Name, has_token};

use super::list;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::http::framing::{close_connection, is_multiplexed};
use crate::nginx::http::headers::list::Node;
use crate::nginx::http::request::Request;
use crate::nginx::sys::ngx_str_t;

/// The hash that makes nginx skip a header of the list.
const OFF_THE_WIRE: usize = 0;

/// The headers in lower case, first those that nginx writes in HTTP/1.
pub const OWN: [&[u8]; 5] =
    [b"connection", b"transfer-encoding", b"keep-alive", b"proxy-connection", b"upgrade"];

/// Whether it is nginx that decides about the header `name` of this response.
pub(super) fn is_own(request: Request, name: &Name) -> bool {
    let own = if is_multiplexed(request) { OWN.as_slice() } else { &OWN[..2] };
    own.iter().any(|own| name.is_lowcase(own)) && !request.is_subrequest()
}

/// What scripts have set such a header to.
pub fn own_nodes(request: Request, name: &[u8]) -> impl Iterator<Item = Node> {
    let is_own =
        move |node: &Node| node.is_hidden() && !node.value().is_empty() && node.is_named(name);
    list(request).nodes().filter(is_own)
}

/// Sets such a header, or clears it with an empty `value`, which is in the request's pool.
/// `Connection: close` has nginx close the connection after the response.
pub(super) fn set_own(
    request: Request,
    name: &Name,
    value: ngx_str_t,
    replace: bool,
) -> Result<(), OutOfMemory> {
    if replace {
        own_nodes(request, name.text()).for_each(Node::hide);
    }
    if value.len == 0 {
        return Ok(());
    }
    let node = list(request).push(request.pool(), OFF_THE_WIRE, name.text(), value)?;
    if name.is_lowcase(b"connection") && has_token(node.value(), b"close") {
        close_connection(request);
    }
    Ok(())
}
