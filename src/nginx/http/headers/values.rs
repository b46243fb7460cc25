//! Headers of which nginx keeps all values: an array of nodes up to nginx 1.22, a linked list
//! since.

#[cfg(not(nginx_header_links))]
use codec::fallible;
#[cfg(nginx_header_links)]
use {super::indexed, crate::own_thread, codec::fallible::Grow, std::cell::Cell};

use crate::nginx::core::pool::{OutOfMemory, Pool};
use crate::nginx::http::headers::node::Node;

#[cfg(nginx_header_links)]
type Field = *mut crate::nginx::sys::ngx_table_elt_t;
#[cfg(not(nginx_header_links))]
type Field = crate::nginx::sys::ngx_array_t;

/// After so many steps along a chain, its end is remembered.
#[cfg(nginx_header_links)]
const LONG: usize = 64;

#[cfg(nginx_header_links)]
own_thread! {
    /// A field, and the last node of its long chain, until the run of Lua code ends: no other
    /// module shortens a chain in it.
    static END: Cell<Option<(HeaderValues, Node)>> = Cell::new(None);
}

/// A run of Lua code has ended.
#[cfg(nginx_header_links)]
pub(super) fn forget_end() {
    END.set(None);
}

/// Such a field of a request; copies are the same field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::nginx) struct HeaderValues(*mut Field);

impl HeaderValues {
    /// # Safety
    /// `field` must be such a field of a live request.
    pub unsafe fn from_ptr(field: *mut std::ffi::c_void) -> HeaderValues {
        HeaderValues(field.cast())
    }
}

#[cfg(nginx_header_links)]
impl HeaderValues {
    pub fn nodes(self) -> Result<Vec<Node>, OutOfMemory> {
        let mut nodes = Vec::new();
        // SAFETY: a live request's field, and nodes of its list; each but the last links to one.
        unsafe {
            let mut next = *self.0;
            while let Some(node) = Node::from_ptr(next) {
                nodes.try_push(node)?;
                next = (*next).next;
            }
        }
        Ok(nodes)
    }

    pub fn first(self) -> Option<Node> {
        // SAFETY: as in `nodes`.
        unsafe { Node::from_ptr(*self.0) }
    }

    /// Forgets all nodes but the first; they stay in the list.
    pub fn keep_first(self) {
        forget_end();
        // SAFETY: as in `nodes`.
        unsafe {
            if let Some(first) = (*self.0).as_mut() {
                first.next = std::ptr::null_mut();
            }
        }
    }

    /// Forgets all nodes; they stay in the list.
    pub fn clear(self) {
        forget_end();
        // SAFETY: a live request's field.
        unsafe { *self.0 = std::ptr::null_mut() }
    }

    pub fn push(self, _pool: Pool, node: Node) -> Result<(), OutOfMemory> {
        let end = END.get().filter(|(field, _)| *field == self).map(|(_, end)| end);
        let mut steps = 0;
        // SAFETY: as in `nodes`; `end` is one of them.
        unsafe {
            let mut link = end.map_or(self.0, |end| &raw mut (*end.as_ptr()).next);
            while !(*link).is_null() {
                link = &raw mut (**link).next;
                steps += 1;
            }
            *link = node.as_ptr();
            (*node.as_ptr()).next = std::ptr::null_mut();
        }
        if end.is_some() || steps > LONG {
            indexed::forget_later();
            END.set(Some((self, node)));
        }
        Ok(())
    }
}

#[cfg(not(nginx_header_links))]
impl HeaderValues {
    pub fn nodes(self) -> Result<Vec<Node>, OutOfMemory> {
        // SAFETY: a live request's array; its elements point at nodes of the list.
        unsafe {
            let elements: *const *mut crate::nginx::sys::ngx_table_elt_t = (*self.0).elts.cast();
            if elements.is_null() {
                return Ok(Vec::new());
            }
            fallible::collect((0..(*self.0).nelts).filter_map(|i| Node::from_ptr(*elements.add(i))))
        }
    }

    pub fn first(self) -> Option<Node> {
        // SAFETY: as in `nodes`.
        unsafe {
            let elements: *const *mut crate::nginx::sys::ngx_table_elt_t = (*self.0).elts.cast();
            if elements.is_null() || (*self.0).nelts == 0 {
                return None;
            }
            Node::from_ptr(*elements)
        }
    }

    /// Forgets all nodes but the first; they stay in the list.
    pub fn keep_first(self) {
        // SAFETY: a live request's array; to be shorter is fine for it.
        unsafe { (*self.0).nelts = (*self.0).nelts.min(1) }
    }

    /// Forgets all nodes; they stay in the list. The array's memory is left alone, because a
    /// subrequest may share it with its parent.
    pub fn clear(self) {
        // SAFETY: a live request's array; zero is an array that is not set up.
        unsafe { std::ptr::write_bytes(self.0, 0, 1) }
    }

    pub fn push(self, pool: Pool, node: Node) -> Result<(), OutOfMemory> {
        const CAPACITY: usize = 2;
        // SAFETY: a live request's array, set up before its first use.
        unsafe {
            if (*self.0).elts.is_null() || (*self.0).nalloc == 0 {
                let size = size_of::<*mut crate::nginx::sys::ngx_table_elt_t>();
                let fresh = crate::nginx::sys::ngx_array_create(pool.as_ptr(), CAPACITY, size);
                *self.0 = *fresh.as_ref().ok_or(OutOfMemory)?;
            }
            let slot: *mut *mut crate::nginx::sys::ngx_table_elt_t =
                crate::nginx::sys::ngx_array_push(self.0).cast();
            *slot.as_mut().ok_or(OutOfMemory)? = node.as_ptr();
        }
        Ok(())
    }
}
