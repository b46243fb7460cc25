//! nginx's lists of headers (`ngx_list_t` of `ngx_table_elt_t`): reading, adding, removing.
//!
//! Invariants: nodes never move, because nginx and its modules point at them. The place of a
//! removed node is not used again while the list has others. Every part but the first has at least
//! one node: nginx's own loops rely on that.

use std::ptr::{NonNull, null_mut};

use crate::nginx::core::pool::{OutOfMemory, Pool};
use crate::nginx::core::strings;
use crate::nginx::sys::{
    ngx_list_init, ngx_list_part_t, ngx_list_push, ngx_list_t, ngx_str_t, ngx_table_elt_t,
};

/// The capacity of a fresh part of a list, in nodes.
const PART_SIZE: usize = 4;

/// A header in a list; copies are the same header.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Node(NonNull<ngx_table_elt_t>);

impl Node {
    /// # Safety
    /// `node` must be null or a node of a live request's list.
    pub(in crate::nginx) unsafe fn from_ptr(node: *mut ngx_table_elt_t) -> Option<Node> {
        NonNull::new(node).map(Node)
    }

    pub(in crate::nginx) fn as_ptr(self) -> *mut ngx_table_elt_t {
        self.0.as_ptr()
    }

    fn get(&self) -> &ngx_table_elt_t {
        // SAFETY: `from_ptr`'s contract. No `&mut` is ever made of a node.
        unsafe { self.0.as_ref() }
    }

    /// The name as it was written.
    pub fn name(&self) -> &[u8] {
        // SAFETY: the request's pool holds it.
        unsafe { strings::bytes(self.get().key) }
    }

    pub fn value(&self) -> &[u8] {
        // SAFETY: the request's pool holds it.
        unsafe { strings::bytes(self.get().value) }
    }

    /// Name and value in nginx's form; with `lowcase`, the name in lower case, if nginx has made
    /// that.
    #[inline]
    pub fn raw(&self, lowcase: bool) -> (ngx_str_t, ngx_str_t) {
        let node = self.get();
        let mut name = node.key;
        if lowcase && !node.lowcase_key.is_null() {
            name.data = node.lowcase_key;
        }
        (name, node.value)
    }

    /// Whether the header counts as absent.
    pub fn is_hidden(&self) -> bool {
        self.get().hash == 0
    }

    /// Whether this is the header `name`, in any case of letters.
    pub fn is_named(&self, name: &[u8]) -> bool {
        self.name().eq_ignore_ascii_case(name)
    }

    /// Hides the header: it stays in the list, but counts as absent.
    pub fn hide(self) {
        // SAFETY: plain fields of a live node.
        unsafe {
            (*self.as_ptr()).hash = 0;
            (*self.as_ptr()).value = ngx_str_t { len: 0, data: null_mut() };
        }
    }

    /// Gives the header another value, and unhides it.
    pub(in crate::nginx) fn set_value(self, hash: usize, value: ngx_str_t) {
        // SAFETY: plain fields of a live node; the value is in the request's pool.
        unsafe {
            (*self.as_ptr()).hash = hash;
            (*self.as_ptr()).value = value;
        }
    }

    pub(in crate::nginx) fn set_name(self, name: ngx_str_t) {
        // SAFETY: a plain field of a live node; the name is in the request's pool.
        unsafe { (*self.as_ptr()).key = name }
    }
}

/// A request's or response's list of headers.
#[derive(Clone, Copy)]
pub struct HeaderList(NonNull<ngx_list_t>);

impl HeaderList {
    /// # Safety
    /// `list` must be the header list of a live request.
    pub(in crate::nginx) unsafe fn from_ptr(list: *mut ngx_list_t) -> Option<HeaderList> {
        NonNull::new(list).map(HeaderList)
    }

    /// Whether nginx has initialised the list. It has not for requests that it refused early.
    pub fn is_made(self) -> bool {
        // SAFETY: a live list.
        unsafe { !self.0.as_ref().last.is_null() }
    }

    /// All nodes in order, hidden ones too.
    pub fn nodes(self) -> Nodes {
        let part = match self.is_made() {
            // SAFETY: a live list; its first part is part of it.
            true => unsafe { &raw mut (*self.0.as_ptr()).part },
            false => null_mut(),
        };
        Nodes { part, next: 0 }
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

    /// Makes the list empty, with memory of its own for `capacity` nodes.
    pub(in crate::nginx) fn start_anew(
        self,
        pool: Pool,
        capacity: usize,
    ) -> Result<(), OutOfMemory> {
        let (size, capacity) = (size_of::<ngx_table_elt_t>(), capacity.max(PART_SIZE));
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
            if unsafe { self.cut(pool, before, part, index)? } {
                nodes = Nodes { part: next, next: 0 };
            }
        }
    }

    /// Removes node `index` of `part`: from an end of it, or by splitting it. Returns whether the
    /// part was removed with it.
    ///
    /// # Safety
    /// `part` must be a part of the list with more than `index` nodes, and `before` the one before it,
    /// or null for the first.
    unsafe fn cut(
        self,
        pool: Pool,
        before: *mut ngx_list_part_t,
        part: *mut ngx_list_part_t,
        index: usize,
    ) -> Result<bool, OutOfMemory> {
        // SAFETY: the part and the one before it are this list's, the contract of this function;
        // nginx's lists are singly linked, and `last` is one of its parts.
        unsafe {
            let list = self.0.as_ptr();
            let elements: *mut ngx_table_elt_t = (*part).elts.cast();
            let was_last = (*list).last == part;
            let behind = (*part).nelts - index - 1;
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
            }
            let is_empty = (*part).nelts == 0;
            if is_empty {
                (*part).elts = elements.cast();
            }
            let goes = is_empty && !before.is_null();
            if goes {
                (*before).next = (*part).next;
                if was_last {
                    (*list).last = before;
                }
            }
            if was_last {
                self.close();
            }
            Ok(goes)
        }
    }

    /// Makes the next node start a new part.
    fn close(self) {
        // SAFETY: a live list. nginx starts a new part if the last one has `nalloc` nodes, and
        // allocates `nalloc` nodes for it: so the number must not be zero. An empty first part has
        // a capacity of one.
        unsafe {
            let list = self.0.as_ptr();
            (*list).nalloc = (*(*list).last).nelts.max(1);
        }
    }
}

/// The nodes of a list, in order.
pub struct Nodes {
    part: *mut ngx_list_part_t,
    next: usize,
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
                folded = f(folded, Node(unsafe { NonNull::new_unchecked(nodes.add(at)) }));
            }
            (part, from) = (list.next, 0);
        }
        folded
    }
}
