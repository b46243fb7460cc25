//! `Connection` and `Transfer-Encoding`, which nginx writes by itself. What a script sets stays in the
//! list for scripts to read, and off the wire: no second line stands beside nginx's, and none is wrong
//! about the body. In HTTP/2, they and their kin are none of a response's. In a subrequest, whose header goes nowhere, they are headers as all others.

use codec::headers::{Name, has_token};

use super::list;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::http::framing::{close_connection, is_multiplexed};
use crate::nginx::http::headers::list::Node;
use crate::nginx::http::request::Request;
use crate::nginx::sys::ngx_str_t;

/// What makes nginx pass over a header of the list.
const OFF_THE_WIRE: usize = 0;

/// The headers, in small letters: what nginx writes in HTTP/1 first.
pub const OWN: [&[u8]; 5] =
    [b"connection", b"transfer-encoding", b"keep-alive", b"proxy-connection", b"upgrade"];

/// Whether a header `name` of this response is nginx's to write, or not to.
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
