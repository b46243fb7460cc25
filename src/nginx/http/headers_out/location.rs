//! The `Location` header. nginx adds scheme and host to one that is a path, unless it does not know
//! of the header.

use super::list;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::core::strings;
use crate::nginx::http::headers::node::Node;
use crate::nginx::http::request::Request;

const NAME: &[u8] = b"Location";

/// Adds a `Location` header for a redirect. nginx must not complete a path, so it is not told of
/// one.
pub fn add_location(request: Request, uri: &[u8]) -> Result<(), OutOfMemory> {
    let pool = request.pool();
    let hash = codec::headers::lowcase_hash(NAME);
    let node = list(request).push(pool, hash, NAME, pool.copy_str(uri)?)?;
    if uri.first().is_some_and(|&byte| byte != b'/') {
        // SAFETY: a plain field of a live request.
        unsafe { (*request.as_ptr()).headers_out.location = node.as_ptr() }
    }
    Ok(())
}

/// When nginx redirects to a path, it may leave the header's name unset: sets it, so that the list
/// can be read.
pub(super) fn complete(request: Request) {
    // SAFETY: `location` is null or a node of the response's list, whose value is set; the name is
    // static, and nginx only reads it.
    unsafe {
        let Some(node) = Node::from_ptr(request.get().headers_out.location) else { return };
        if node.value().starts_with(b"/") {
            node.set_name(strings::borrowed(NAME));
            node.set_value(codec::headers::lowcase_hash(NAME), (*node.as_ptr()).value);
        }
    }
}

/// Keeps nginx from completing a path that a script has set.
pub(super) fn hide_path_from_nginx(request: Request) {
    // SAFETY: as in `complete`; a plain field of a live request.
    unsafe {
        let location = &raw mut (*request.as_ptr()).headers_out.location;
        if Node::from_ptr(*location).is_some_and(|node| node.value().starts_with(b"/")) {
            *location = std::ptr::null_mut();
        }
    }
}
