//! The response headers that nginx keeps a field for.

use std::mem::offset_of;

use crate::nginx::header_list::Node;
use crate::nginx::request::Request;
use crate::nginx::sys::{ngx_http_headers_out_t, ngx_table_elt_t};

/// What nginx makes of a header, beside pointing at it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
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
    name: &'static str,
    offset: usize,
    pub kind: Kind,
}

macro_rules! known {
    ($($name:literal $field:ident $kind:ident;)*) => {
        &[$(Known {
            name: $name,
            offset: offset_of!(ngx_http_headers_out_t, $field),
            kind: Kind::$kind,
        },)*]
    };
}

const KNOWN: &[Known] = known! {
    "Server" server Plain;
    "Date" date Plain;
    "Content-Encoding" content_encoding Plain;
    "Location" location Location;
    "Refresh" refresh Plain;
    "Last-Modified" last_modified LastModified;
    "Content-Range" content_range Plain;
    "Accept-Ranges" accept_ranges Plain;
    "WWW-Authenticate" www_authenticate Plain;
    "Expires" expires Plain;
    "E-Tag" etag Plain;
    "ETag" etag Plain;
    "Content-Length" content_length ContentLength;
    "Content-Type" content_type ContentType;
    "Cache-Control" cache_control Values;
    "Link" link Values;
};

/// The row of the header `name`, whatever the case of its letters.
pub(super) fn find(name: &[u8]) -> Option<&'static Known> {
    // Most names are told apart by their lengths.
    KNOWN
        .iter()
        .filter(|known| known.name.len() == name.len())
        .find(|known| is_same(known.name, name))
}

#[inline(never)]
fn is_same(known: &str, name: &[u8]) -> bool {
    known.as_bytes().eq_ignore_ascii_case(name)
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
