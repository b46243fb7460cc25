//! The response's headers.

use std::ptr::null_mut;

use super::pool::OutOfMemory;
use super::request::Request;
use super::sys::{ngx_list_push, ngx_str_t, ngx_table_elt_t};

/// Adds a header to the response; name and value are copied into the request's pool.
///
/// # Errors
/// Out of memory.
pub fn add(
    request: Request,
    name: &[u8],
    value: &[u8],
) -> Result<*mut ngx_table_elt_t, OutOfMemory> {
    let pool = request.pool();
    let name = pool.copy_str(name)?;
    let value = pool.copy_str(value)?;
    // SAFETY: a live request's list; every field of the fresh node is set, the links of nginx
    // 1.23 and later included, for the node is zeroed first.
    unsafe {
        let node: *mut ngx_table_elt_t =
            ngx_list_push(&mut (*request.as_ptr()).headers_out.headers).cast();
        if node.is_null() {
            return Err(OutOfMemory);
        }
        std::ptr::write_bytes(node, 0, 1);
        (*node).hash = codec::headers::lowcase_hash(bytes(name));
        (*node).key = name;
        (*node).value = value;
        (*node).lowcase_key = null_mut();
        Ok(node)
    }
}

unsafe fn bytes<'a>(s: ngx_str_t) -> &'a [u8] {
    // SAFETY: the caller's.
    unsafe { super::strings::bytes(s) }
}

/// Adds a `Location` header. nginx completes it with the host only where it is not a path of its
/// own.
pub fn add_location(request: Request, uri: &[u8]) -> Result<(), OutOfMemory> {
    let node = add(request, b"Location", uri)?;
    if uri.first().is_some_and(|&b| b != b'/') {
        // SAFETY: a plain field of a live request.
        unsafe { (*request.as_ptr()).headers_out.location = node }
    }
    Ok(())
}
