//! The request headers that nginx keeps a field for.

use std::mem::offset_of;

use codec::headers::{Name, lowcase_hash};

use crate::nginx::http::headers::node::Node;
use crate::nginx::http::request::Request;
use crate::nginx::sys::{ngx_http_headers_in_t, ngx_table_elt_t};

/// What nginx does with a header, besides pointing at it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RequestHeaderKind {
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
    /// In lower case.
    name: &'static [u8],
    /// nginx's hash of the name.
    hash: usize,
    offset: usize,
    pub kind: RequestHeaderKind,
}

macro_rules! known {
    ($($(#[$cfg:meta])? $name:literal $field:ident $kind:ident;)*) => {
        &[$($(#[$cfg])? Known {
            name: $name,
            hash: lowcase_hash($name),
            offset: offset_of!(ngx_http_headers_in_t, $field),
            kind: RequestHeaderKind::$kind,
        },)*]
    };
}

const KNOWN: &[Known] = known! {
    b"host" host Host;
    b"connection" connection Connection;
    b"if-modified-since" if_modified_since Plain;
    b"if-unmodified-since" if_unmodified_since Plain;
    b"if-match" if_match Plain;
    b"if-none-match" if_none_match Plain;
    b"user-agent" user_agent UserAgent;
    b"referer" referer Plain;
    b"content-length" content_length ContentLength;
    b"content-type" content_type Plain;
    b"range" range Plain;
    b"if-range" if_range Plain;
    b"transfer-encoding" transfer_encoding Plain;
    b"expect" expect Plain;
    b"upgrade" upgrade Plain;
    #[cfg(ngx_feature = "http_gzip")] b"accept-encoding" accept_encoding Plain;
    #[cfg(ngx_feature = "http_gzip")] b"via" via Plain;
    b"authorization" authorization Plain;
    b"keep-alive" keep_alive Plain;
    #[cfg(ngx_feature = "http_x_forwarded_for")] b"x-forwarded-for" x_forwarded_for Values;
    #[cfg(ngx_feature = "http_realip")] b"x-real-ip" x_real_ip Plain;
    #[cfg(ngx_feature = "http_dav")] b"depth" depth Plain;
    #[cfg(ngx_feature = "http_dav")] b"destination" destination Plain;
    #[cfg(ngx_feature = "http_dav")] b"overwrite" overwrite Plain;
    #[cfg(ngx_feature = "http_dav")] b"date" date Plain;
    #[cfg(nginx_header_links)] b"cookie" cookie Values;
    #[cfg(not(nginx_header_links))] b"cookie" cookies Values;
};

/// The row of the header `name`, whatever the case of its letters.
pub(super) fn find(name: &Name) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.hash == name.hash() && name.is_lowcase(known.name))
}

/// The rows of headers with more than one value.
pub(super) fn with_values() -> impl Iterator<Item = &'static Known> {
    KNOWN.iter().filter(|known| known.kind == RequestHeaderKind::Values)
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
