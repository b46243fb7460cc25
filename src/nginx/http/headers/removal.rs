//! Removing headers from nginx's lists. nginx forwards all of a request's headers that are in the
//! list: hiding one is not enough.

use std::ptr::null_mut;

use super::list::{HeaderList, Nodes};
use super::node::Node;
use super::part::Part;
use crate::nginx::core::pool::{OutOfMemory, Pool};
use crate::nginx::sys::{ngx_list_part_t, ngx_table_elt_t};

/// What happened to the part that a node was removed from.
pub enum Cut {
    Shorter,
    /// The nodes after the removed one are a new part.
    Split(Part),
    /// The node was the only one: the part was removed too.
    Gone,
}

impl HeaderList {
    /// Removes the nodes for which `unwanted` holds, in one walk through the list. Pointers to them
    /// stay valid.
    pub(in crate::nginx) fn remove(
        self,
        pool: Pool,
        unwanted: impl Fn(Node) -> bool,
    ) -> Result<(), OutOfMemory> {
        let mut nodes = self.nodes();
        let mut before = null_mut();
        loop {
            let part = nodes.part;
            // SAFETY: a part of a live list, or null behind the last one.
            let Some(list) = (unsafe { part.as_ref() }) else { return Ok(()) };
            if nodes.next >= list.nelts {
                before = part;
                nodes = Nodes { part: list.next, next: 0 };
                continue;
            }
            let index = nodes.next;
            if !nodes.next().is_some_and(&unwanted) {
                continue;
            }
            nodes.next = index;
            let next = list.next;
            // SAFETY: `part` is of this list, after `before`, and `index` is within it.
            if let Cut::Gone = unsafe { self.cut(pool, before, part, index)? } {
                nodes = Nodes { part: next, next: 0 };
            }
        }
    }

    /// Removes node `index` of `part`; `before` is the part before that, if there is one.
    ///
    /// # Errors
    /// Out of memory, or there is no such node.
    pub(super) fn take(
        self,
        pool: Pool,
        before: Option<Part>,
        part: Part,
        index: usize,
    ) -> Result<Cut, OutOfMemory> {
        let before = before.map_or(null_mut(), Part::as_ptr);
        // SAFETY: `Part`'s contract: both are, or were, parts of this list; that `part` has the
        // node and follows `before` is checked here.
        unsafe {
            let follows = match before.as_ref() {
                Some(before) => before.next == part.as_ptr(),
                None => self.first_part() == Some(part),
            };
            if !follows || index >= part.len() {
                return Err(OutOfMemory);
            }
            self.cut(pool, before, part.as_ptr(), index)
        }
    }

    /// Removes node `index` of `part`: from an end of it, or by splitting it.
    ///
    /// # Safety
    /// `part` must be a part of the list with more than `index` nodes, and `before` the one before
    /// it, or null for the first.
    unsafe fn cut(
        self,
        pool: Pool,
        before: *mut ngx_list_part_t,
        part: *mut ngx_list_part_t,
        index: usize,
    ) -> Result<Cut, OutOfMemory> {
        // SAFETY: the part and the one before it are this list's, the contract of this function;
        // nginx's lists are singly linked, and `last` is one of its parts.
        unsafe {
            let list = self.as_ptr();
            let elements: *mut ngx_table_elt_t = (*part).elts.cast();
            let was_last = (*list).last == part;
            let behind = (*part).nelts - index - 1;
            let mut cut = Cut::Shorter;
            if index == 0 {
                (*part).elts = elements.add(1).cast();
                (*part).nelts -= 1;
            } else if behind == 0 {
                (*part).nelts -= 1;
            } else {
                let tail = pool.zeroed::<ngx_list_part_t>()?.as_ptr();
                (*tail).elts = elements.add(index + 1).cast();
                (*tail).nelts = behind;
                (*tail).next = (*part).next;
                (*part).nelts = index;
                (*part).next = tail;
                if was_last {
                    (*list).last = tail;
                }
                cut = Cut::Split(Part::from_ptr(tail).ok_or(OutOfMemory)?);
            }
            let is_empty = (*part).nelts == 0;
            if is_empty {
                (*part).elts = elements.cast();
            }
            if is_empty && !before.is_null() {
                (*before).next = (*part).next;
                if was_last {
                    (*list).last = before;
                }
                cut = Cut::Gone;
            }
            if was_last {
                self.close();
            }
            Ok(cut)
        }
    }

    /// Makes the next node start a new part.
    fn close(self) {
        // SAFETY: a live list. nginx starts a new part if the last one has `nalloc` nodes, and
        // allocates `nalloc` nodes for it: so the number must not be zero. An empty first part has
        // a capacity of one.
        unsafe {
            let list = self.as_ptr();
            (*list).nalloc = (*(*list).last).nelts.max(1);
        }
    }
}
