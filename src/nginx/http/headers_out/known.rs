//! The response headers that nginx keeps a field for.

use std::mem::offset_of;

use codec::headers::{Name, lowcase_hash};

use crate::nginx::http::headers::node::Node;
use crate::nginx::http::request::Request;
use crate::nginx::sys::{ngx_http_headers_out_t, ngx_table_elt_t};

/// What nginx does with a header, besides pointing at it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ResponseHeaderKind {
    Plain,
    Location,
    LastModified,
    ContentLength,
    /// Not in the list: nginx writes it from fields of its own.
    ContentType,
    /// All values are kept, not one.
    Values,
}

/// A header with a field of `ngx_http_headers_out_t`.
#[derive(Clone, Copy)]
pub(super) struct Known {
    /// In lower case.
    name: &'static [u8],
    /// nginx's hash of the name.
    hash: usize,
    offset: usize,
    pub kind: ResponseHeaderKind,
}

macro_rules! known {
    ($($name:literal $field:ident $kind:ident;)*) => {
        &[$(Known {
            name: $name,
            hash: lowcase_hash($name),
            offset: offset_of!(ngx_http_headers_out_t, $field),
            kind: ResponseHeaderKind::$kind,
        },)*]
    };
}

const KNOWN: &[Known] = known! {
    b"server" server Plain;
    b"date" date Plain;
    b"content-encoding" content_encoding Plain;
    b"location" location Location;
    b"refresh" refresh Plain;
    b"last-modified" last_modified LastModified;
    b"content-range" content_range Plain;
    b"accept-ranges" accept_ranges Plain;
    b"www-authenticate" www_authenticate Plain;
    b"expires" expires Plain;
    b"e-tag" etag Plain;
    b"etag" etag Plain;
    b"content-length" content_length ContentLength;
    b"content-type" content_type ContentType;
    b"cache-control" cache_control Values;
    b"link" link Values;
};

/// The row of the header `name`, whatever the case of its letters.
pub(super) fn find(name: &Name) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.hash == name.hash() && name.is_lowcase(known.name))
}

impl Known {
    /// The field of `request`.
    pub fn field(&self, request: Request) -> *mut std::ffi::c_void {
        // SAFETY: the offset is that of a field of the structure.
        unsafe { (&raw mut (*request.as_ptr()).headers_out).cast::<u8>().add(self.offset).cast() }
    }

    /// The header that the field points at. Not for `Content-Type`, nor for headers with more than
    /// one value.
    pub fn node(&self, request: Request) -> Option<Node> {
        // SAFETY: fields of the other kinds are pointers to nodes of the response's list.
        unsafe { Node::from_ptr(*self.field(request).cast::<*mut ngx_table_elt_t>()) }
    }

    pub fn set_node(&self, request: Request, node: Node) {
        // SAFETY: as in `node`.
        unsafe { *self.field(request).cast::<*mut ngx_table_elt_t>() = node.as_ptr() }
    }
}
