//! A header in one of nginx's lists.

use std::ptr::{NonNull, null_mut};

use crate::nginx::core::strings;
use crate::nginx::sys::{ngx_str_t, ngx_table_elt_t};

/// A header in a list; copies are the same header.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Node(NonNull<ngx_table_elt_t>);

impl Node {
    /// # Safety
    /// `node` must be null or a node of a live request's list.
    pub(in crate::nginx) unsafe fn from_ptr(node: *mut ngx_table_elt_t) -> Option<Node> {
        NonNull::new(node).map(Node)
    }

    /// # Safety
    /// `node` must be a node of a live request's list.
    #[inline(always)]
    pub(super) unsafe fn from_ptr_unchecked(node: *mut ngx_table_elt_t) -> Node {
        // SAFETY: `node` is not null, the contract of this function.
        Node(unsafe { NonNull::new_unchecked(node) })
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
        // SAFETY: nginx keeps the name in memory that lives as long as the request.
        unsafe { strings::bytes(self.get().key) }
    }

    pub fn value(&self) -> &[u8] {
        // SAFETY: nginx keeps the value in memory that lives as long as the request.
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

    /// Whether the header is hidden and has no value.
    pub fn is_blank(&self) -> bool {
        self.is_hidden() && self.get().value.len == 0
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
