//! A part of one of nginx's lists of headers: an array of nodes, and what comes next.

use std::ptr::NonNull;

use super::node::Node;
use crate::nginx::sys::{ngx_list_part_t, ngx_table_elt_t};

/// A part of a list; copies are the same part. One that has left its list stays valid to look at.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Part(NonNull<ngx_list_part_t>);

impl Part {
    /// # Safety
    /// `part` must be null or a part of a live request's list.
    pub unsafe fn from_ptr(part: *mut ngx_list_part_t) -> Option<Part> {
        NonNull::new(part).map(Part)
    }

    pub fn as_ptr(self) -> *mut ngx_list_part_t {
        self.0.as_ptr()
    }

    /// How many nodes it has.
    pub fn len(self) -> usize {
        // SAFETY: `from_ptr`'s contract; the request's pool holds the part.
        unsafe { (*self.as_ptr()).nelts }
    }

    pub fn next(self) -> Option<Part> {
        // SAFETY: as in `len`; what follows is null or a part of the same list.
        unsafe { Part::from_ptr((*self.as_ptr()).next) }
    }

    pub fn nodes(self) -> impl Iterator<Item = Node> {
        // SAFETY: as in `len`.
        let first: *mut ngx_table_elt_t = unsafe { (*self.as_ptr()).elts.cast() };
        // SAFETY: a part has as many nodes as it says, in an array in the request's pool.
        (0..self.len()).filter_map(move |index| unsafe { Node::from_ptr(first.add(index)) })
    }
}
