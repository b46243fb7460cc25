//! The request headers that nginx keeps a field for.

use std::mem::offset_of;

use crate::nginx::header_list::Node;
use crate::nginx::request::Request;
use crate::nginx::sys::{ngx_http_headers_in_t, ngx_table_elt_t};

/// What nginx makes of a header, beside pointing at it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Plain,
    Host,
    Connection,
    UserAgent,
    ContentLength,
    /// All values are kept, not one.
    Values,
}

/// A header with a field of `ngx_http_headers_in_t`.
#[derive(Clone, Copy)]
pub(super) struct Known {
    name: &'static str,
    offset: usize,
    pub kind: Kind,
}

macro_rules! known {
    ($($(#[$cfg:meta])? $name:literal $field:ident $kind:ident;)*) => {
        &[$($(#[$cfg])? Known {
            name: $name,
            offset: offset_of!(ngx_http_headers_in_t, $field),
            kind: Kind::$kind,
        },)*]
    };
}

const KNOWN: &[Known] = known! {
    "Host" host Host;
    "Connection" connection Connection;
    "If-Modified-Since" if_modified_since Plain;
    "If-Unmodified-Since" if_unmodified_since Plain;
    "If-Match" if_match Plain;
    "If-None-Match" if_none_match Plain;
    "User-Agent" user_agent UserAgent;
    "Referer" referer Plain;
    "Content-Length" content_length ContentLength;
    "Content-Type" content_type Plain;
    "Range" range Plain;
    "If-Range" if_range Plain;
    "Transfer-Encoding" transfer_encoding Plain;
    "Expect" expect Plain;
    "Upgrade" upgrade Plain;
    #[cfg(ngx_feature = "http_gzip")] "Accept-Encoding" accept_encoding Plain;
    #[cfg(ngx_feature = "http_gzip")] "Via" via Plain;
    "Authorization" authorization Plain;
    "Keep-Alive" keep_alive Plain;
    #[cfg(ngx_feature = "http_x_forwarded_for")] "X-Forwarded-For" x_forwarded_for Values;
    #[cfg(ngx_feature = "http_realip")] "X-Real-IP" x_real_ip Plain;
    #[cfg(ngx_feature = "http_dav")] "Depth" depth Plain;
    #[cfg(ngx_feature = "http_dav")] "Destination" destination Plain;
    #[cfg(ngx_feature = "http_dav")] "Overwrite" overwrite Plain;
    #[cfg(ngx_feature = "http_dav")] "Date" date Plain;
    #[cfg(nginx_header_links)] "Cookie" cookie Values;
    #[cfg(not(nginx_header_links))] "Cookie" cookies Values;
};

/// The row of the header `name`, whatever the case of its letters.
pub(super) fn find(name: &[u8]) -> Option<&'static Known> {
    // Most names are told apart by their lengths.
    KNOWN
        .iter()
        .filter(|known| known.name.len() == name.len())
        .find(|known| is_same(known.name, name))
}

/// The rows of headers with more than one value.
pub(super) fn with_values() -> impl Iterator<Item = &'static Known> {
    KNOWN.iter().filter(|known| known.kind == Kind::Values)
}

#[inline(never)]
fn is_same(known: &str, name: &[u8]) -> bool {
    known.as_bytes().eq_ignore_ascii_case(name)
}

impl Known {
    /// The field of `request`.
    pub fn field(&self, request: Request) -> *mut std::ffi::c_void {
        // SAFETY: the offset is that of a field of the structure.
        unsafe { (&raw mut (*request.as_ptr()).headers_in).cast::<u8>().add(self.offset).cast() }
    }

    /// The header that the field points at. Not for headers with more than one value.
    pub fn node(&self, request: Request) -> Option<Node> {
        // SAFETY: fields of the other kinds are pointers to nodes of the request's list.
        unsafe { Node::from_ptr(*self.field(request).cast::<*mut ngx_table_elt_t>()) }
    }

    pub fn set_node(&self, request: Request, node: Option<Node>) {
        let node = node.map_or(std::ptr::null_mut(), Node::as_ptr);
        // SAFETY: as in `node`.
        unsafe { *self.field(request).cast::<*mut ngx_table_elt_t>() = node }
    }
}
