//! nginx's lists of headers (`ngx_list_t` of `ngx_table_elt_t`): reading and adding.
//!
//! Invariants: nodes never move, because nginx and its modules point at them. The place of a
//! removed node is not used again while the list has others. Every part but the first has at least
//! one node: nginx's own loops rely on that.

use std::ptr::NonNull;

use super::node::Node;
use super::part::Part;
use crate::nginx::core::pool::{OutOfMemory, Pool};
use crate::nginx::sys::{
    ngx_list_init, ngx_list_part_t, ngx_list_push, ngx_list_t, ngx_str_t, ngx_table_elt_t,
};

/// The least and the greatest capacity of a fresh part of a list, in nodes: removing a node may
/// have to look at all others of its part.
const CAPACITIES: std::ops::RangeInclusive<usize> = 4..=64;

/// A request's or response's list of headers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HeaderList(NonNull<ngx_list_t>);

impl HeaderList {
    /// # Safety
    /// `list` must be the header list of a live request.
    pub(in crate::nginx) unsafe fn from_ptr(list: *mut ngx_list_t) -> Option<HeaderList> {
        NonNull::new(list).map(HeaderList)
    }

    /// Whether nginx has initialised the list. It has not for requests that it refused early.
    pub fn is_made(self) -> bool {
        // SAFETY: the list is live, `from_ptr`'s contract.
        unsafe { !self.0.as_ref().last.is_null() }
    }

    /// All nodes in order, hidden ones too. A list that is not made is all zero: it has none.
    pub fn nodes(self) -> Nodes {
        // SAFETY: the list is live, `from_ptr`'s contract; its first part is inside it.
        Nodes { part: unsafe { &raw mut (*self.0.as_ptr()).part }, next: 0 }
    }

    pub(super) fn as_ptr(self) -> *mut ngx_list_t {
        self.0.as_ptr()
    }

    pub(super) fn first_part(self) -> Option<Part> {
        // SAFETY: a part of a live list, or null.
        unsafe { Part::from_ptr(self.nodes().part) }
    }

    pub(super) fn last_part(self) -> Option<Part> {
        // SAFETY: a live list; its last part is one of it, or null.
        unsafe { Part::from_ptr((*self.as_ptr()).last) }
    }

    /// Whether there are more than `bound` nodes.
    #[inline]
    pub(super) fn is_longer_than(self, bound: usize) -> bool {
        let (mut part, mut len) = (self.first_part(), 0);
        while let Some(list) = part {
            len += list.len();
            if len > bound {
                return true;
            }
            part = list.next();
        }
        false
    }

    /// How many nodes there are, hidden ones too.
    pub fn len(self) -> usize {
        let mut part = self.nodes().part.cast_const();
        let mut len = 0;
        // SAFETY: the parts of a live list.
        while let Some(list) = unsafe { part.as_ref() } {
            len += list.nelts;
            part = list.next;
        }
        len
    }

    /// Adds a header. All fields of the node are set, the links of nginx 1.23 and later included.
    pub(in crate::nginx) fn push(
        self,
        pool: Pool,
        hash: usize,
        name: &[u8],
        value: ngx_str_t,
    ) -> Result<Node, OutOfMemory> {
        let (name, lowcase) = pool.copy_name(name)?;
        let node = self.push_blank()?;
        // SAFETY: a fresh node of the list, zeroed.
        unsafe {
            (*node.as_ptr()).hash = hash;
            (*node.as_ptr()).key = name;
            (*node.as_ptr()).value = value;
            (*node.as_ptr()).lowcase_key = lowcase;
        }
        Ok(node)
    }

    /// Adds a zeroed node.
    pub(in crate::nginx) fn push_blank(self) -> Result<Node, OutOfMemory> {
        // SAFETY: a live list; zero is valid for every field of a node.
        unsafe {
            let node: *mut ngx_table_elt_t = ngx_list_push(self.0.as_ptr()).cast();
            if !node.is_null() {
                std::ptr::write_bytes(node, 0, 1);
            }
            Node::from_ptr(node).ok_or(OutOfMemory)
        }
    }

    /// Makes the list empty, with memory of its own for `capacity` nodes, or for
    /// as many as fit in one part.
    pub(in crate::nginx) fn start_anew(
        self,
        pool: Pool,
        capacity: usize,
    ) -> Result<(), OutOfMemory> {
        let capacity = capacity.clamp(*CAPACITIES.start(), *CAPACITIES.end());
        let size = size_of::<ngx_table_elt_t>();
        // SAFETY: a live list; without memory, only the pointer to its elements has changed, and
        // that is restored.
        unsafe {
            let list = self.0.as_ptr();
            let elements = (*list).part.elts;
            if ngx_list_init(list, pool.as_ptr(), capacity, size) != 0 {
                (*list).part.elts = elements;
                return Err(OutOfMemory);
            }
        }
        Ok(())
    }
}

/// The nodes of a list, in order.
pub struct Nodes {
    pub(super) part: *mut ngx_list_part_t,
    pub(super) next: usize,
}

impl Iterator for Nodes {
    type Item = Node;

    fn next(&mut self) -> Option<Node> {
        // SAFETY: the parts of a live list, which is not changed while this runs.
        unsafe {
            while let Some(part) = self.part.as_ref() {
                if self.next < part.nelts {
                    let node = part.elts.cast::<ngx_table_elt_t>().add(self.next);
                    self.next += 1;
                    return Node::from_ptr(node);
                }
                self.part = part.next;
                self.next = 0;
            }
        }
        None
    }

    /// Part by part, which takes fewer instructions than [`Iterator::next`].
    #[inline]
    fn fold<B, F: FnMut(B, Node) -> B>(self, start: B, mut f: F) -> B {
        let (mut part, mut from) = (self.part.cast_const(), self.next);
        let mut folded = start;
        // SAFETY: as in `next`.
        while let Some(list) = unsafe { part.as_ref() } {
            let nodes: *mut ngx_table_elt_t = list.elts.cast();
            for at in from..list.nelts {
                // SAFETY: a node of the part; a part that has nodes has elements.
                folded = f(folded, unsafe { Node::from_ptr_unchecked(nodes.add(at)) });
            }
            (part, from) = (list.next, 0);
        }
        folded
    }
}
