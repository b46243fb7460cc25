//! Headers for which nginx keeps a field, besides the list.

use std::ptr::NonNull;

use codec::headers::{Name, lowcase_hash};

use crate::nginx::http::headers::node::Node;
use crate::nginx::http::headers::values::HeaderValues;
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

/// What a field is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::nginx) enum Field {
    /// A pointer to a node of the list, or null.
    Node,
    /// That of a [`HeaderValues`].
    Values,
    /// The header is not in the list.
    Other,
}

/// What nginx does with a header tells what its field is.
pub(in crate::nginx) trait HeaderKind: Copy {
    fn field(self) -> Field;
}

impl<K: HeaderKind> Known<K> {
    /// The header `name`, in lower case.
    ///
    /// # Safety
    /// `offset` must be that of a field of `ngx_http_request_t` which is what `kind` tells.
    pub const unsafe fn new(name: &'static [u8], offset: usize, kind: K) -> Known<K> {
        Known { name, hash: lowcase_hash(name), offset, kind }
    }

    /// The row of the header `name`, whatever the case of its letters.
    pub fn find(rows: &'static [Known<K>], name: &Name) -> Option<&'static Known<K>> {
        rows.iter().find(|known| known.hash == name.hash() && name.is_lowcase(known.name))
    }

    /// The address of the field in `request`, if it is a `field`.
    fn address<T>(&self, request: Request, field: Field) -> Option<NonNull<T>> {
        if self.kind.field() != field {
            return None;
        }
        // SAFETY: the offset is that of a field of the structure, `new`'s contract.
        NonNull::new(unsafe { request.as_ptr().cast::<u8>().add(self.offset).cast() })
    }

    /// The header that the field points at.
    pub fn node(&self, request: Request) -> Option<Node> {
        let address = self.address::<*mut ngx_table_elt_t>(request, Field::Node)?;
        // SAFETY: a pointer to a node of the list, or null, `new`'s contract.
        unsafe { Node::from_ptr(*address.as_ptr()) }
    }

    /// Points the field at `node`, if it is one that points at a node.
    pub fn set_node(&self, request: Request, node: Option<Node>) {
        let node = node.map_or(std::ptr::null_mut(), Node::as_ptr);
        if let Some(address) = self.address::<*mut ngx_table_elt_t>(request, Field::Node) {
            // SAFETY: as in `node`; the node is one of the request's list, or null.
            unsafe { *address.as_ptr() = node }
        }
    }

    /// The headers that the field keeps all of, for a header with more than one value.
    pub fn values(&self, request: Request) -> Option<HeaderValues> {
        // SAFETY: such a field of a live request, `new`'s contract.
        self.address(request, Field::Values)
            .map(|address| unsafe { HeaderValues::from_ptr(address.as_ptr()) })
    }
}
