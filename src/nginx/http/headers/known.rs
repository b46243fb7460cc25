//! Headers for which nginx keeps a field, besides the list.

use codec::headers::{Name, lowcase_hash};

use crate::nginx::http::headers::node::Node;
use crate::nginx::http::request::Request;
use crate::nginx::sys::ngx_table_elt_t;

/// A header with a field in `ngx_http_headers_in_t` or `ngx_http_headers_out_t`; `kind` says what
/// nginx does with it, besides pointing at it.
#[derive(Clone, Copy)]
pub(in crate::nginx) struct Known<K> {
    /// In lower case.
    name: &'static [u8],
    /// nginx's hash of the name.
    hash: usize,
    /// In `ngx_http_request_t`.
    offset: usize,
    pub kind: K,
}

impl<K> Known<K> {
    /// The header `name`, in lower case.
    ///
    /// # Safety
    /// `offset` must be that of a field of `ngx_http_request_t`: for a header with more than one
    /// value, the field of a [`HeaderValues`](super::values::HeaderValues); for another header in
    /// the list, a pointer to a node of the list, or null.
    pub const unsafe fn new(name: &'static [u8], offset: usize, kind: K) -> Known<K> {
        Known { name, hash: lowcase_hash(name), offset, kind }
    }

    /// The row of the header `name`, whatever the case of its letters.
    pub fn find(rows: &'static [Known<K>], name: &Name) -> Option<&'static Known<K>> {
        rows.iter().find(|known| known.hash == name.hash() && name.is_lowcase(known.name))
    }

    /// The address of the field in `request`.
    pub fn field(&self, request: Request) -> *mut std::ffi::c_void {
        // SAFETY: the offset is that of a field of the structure, `new`'s contract.
        unsafe { request.as_ptr().cast::<u8>().add(self.offset).cast() }
    }

    /// The header that the field points at. Not for headers that are not in the list, nor for those
    /// with more than one value.
    pub fn node(&self, request: Request) -> Option<Node> {
        // SAFETY: fields of the other kinds are pointers to nodes of the list, `new`'s contract.
        unsafe { Node::from_ptr(*self.field(request).cast::<*mut ngx_table_elt_t>()) }
    }

    /// Points the field at `node`. Not for the headers that [`Known::node`] is not for.
    pub fn set_node(&self, request: Request, node: Option<Node>) {
        let node = node.map_or(std::ptr::null_mut(), Node::as_ptr);
        // SAFETY: as in `node`; the node is one of the request's list, or null.
        unsafe { *self.field(request).cast::<*mut ngx_table_elt_t>() = node }
    }
}
