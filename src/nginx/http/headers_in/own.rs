//! A subrequest's own list of headers.
//!
//! nginx gives a subrequest its parent's list: the same nodes, and even headers that are added end
//! up in the parent's list. So before Lua changes a header of a subrequest, the subrequest gets a
//! list of its own.

use std::mem::offset_of;

use codec::fallible::{self, Grow};

use super::{indexed, known, list};
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::http::headers::node::Node;
use crate::nginx::http::headers::values::HeaderValues;
use crate::nginx::http::request::Request;
use crate::nginx::sys::ngx_http_headers_in_t;

/// Extra capacity, for headers that are added later.
const MORE: usize = 8;

/// Gives `request` a list of its own, with copies of the nodes that it shares.
pub fn own(request: Request) -> Result<(), OutOfMemory> {
    let list = list(request);
    if !list.is_made() {
        return Ok(());
    }
    let shared = fallible::collect(list.nodes())?;
    let mut values = Vec::new();
    for field in known::with_values().filter_map(|known| known.values(request)) {
        values.try_push((field, field.nodes()?))?;
    }
    // SAFETY: plain fields of a live request.
    let saved = unsafe { (*request.as_ptr()).headers_in };
    match copy(request, &shared, &values) {
        Ok(()) => Ok(()),
        Err(OutOfMemory) => {
            // SAFETY: as above; the structure is as it was.
            unsafe { (*request.as_ptr()).headers_in = saved }
            Err(OutOfMemory)
        }
    }
}

fn copy(
    request: Request,
    shared: &[Node],
    values: &[(HeaderValues, Vec<Node>)],
) -> Result<(), OutOfMemory> {
    let (list, pool) = (list(request), request.pool());
    indexed(request).forget();
    list.start_anew(pool, shared.len() + MORE)?;
    let mut copies = fallible::with_capacity(shared.len())?;
    for old in shared {
        let new = list.push_blank()?;
        // SAFETY: two nodes of one pool; the links are set below.
        unsafe { *new.as_ptr() = *old.as_ptr() }
        copies.try_push((*old, new))?;
    }
    copies.sort_unstable_by_key(|(old, _)| old.as_ptr());
    point_at_copies(request, &copies);
    for (field, nodes) in values {
        field.clear();
        for node in nodes {
            if let Some(copy) = copy_of(&copies, node.as_ptr() as usize) {
                field.push(pool, copy)?;
            }
        }
    }
    Ok(())
}

/// The copy of the node at an address; the copies are in the order of the old nodes' addresses.
fn copy_of(copies: &[(Node, Node)], address: usize) -> Option<Node> {
    let at = copies.binary_search_by_key(&address, |(old, _)| old.as_ptr() as usize).ok()?;
    copies.get(at).map(|(_, new)| *new)
}

/// Redirects every field that points at an old node to its copy.
///
/// The fields between the list and `user` are pointers to nodes, and arrays of such pointers; which
/// ones there are depends on nginx's configuration. No other word there can equal a node's address.
fn point_at_copies(request: Request, copies: &[(Node, Node)]) {
    const FIRST: usize = offset_of!(ngx_http_headers_in_t, host);
    const END: usize = offset_of!(ngx_http_headers_in_t, user);
    // SAFETY: words of a live request's structure, all of them set.
    unsafe {
        let headers = &raw mut (*request.as_ptr()).headers_in;
        let first: *mut usize = headers.cast::<u8>().add(FIRST).cast();
        for index in 0..(END - FIRST) / size_of::<usize>() {
            let word = first.add(index);
            if let Some(new) = copy_of(copies, *word) {
                word.write(new.as_ptr() as usize);
            }
        }
        #[cfg(nginx_header_links)]
        for (_, new) in copies {
            let next = copy_of(copies, (*new.as_ptr()).next as usize);
            (*new.as_ptr()).next = next.map_or(std::ptr::null_mut(), Node::as_ptr);
        }
    }
}
