//! The request headers whose fields in nginx follow what scripts set: those of the C module's list.
//! nginx has fields for a few more.

use std::mem::offset_of;

use codec::headers::Name;

use crate::nginx::http::headers::known::{self, Field, HeaderKind};
use crate::nginx::sys::ngx_http_request_t;

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

impl HeaderKind for RequestHeaderKind {
    fn field(self) -> Field {
        if self == RequestHeaderKind::Values { Field::Values } else { Field::Node }
    }
}

pub(super) type Known = known::Known<RequestHeaderKind>;

macro_rules! known {
    ($($(#[$cfg:meta])? $name:literal $field:ident $kind:ident;)*) => {
        &[$($(#[$cfg])? {
            let offset = offset_of!(ngx_http_request_t, headers_in.$field);
            // SAFETY: the rows below name nginx's own field for each header, and `Values` for those
            // of which it keeps all values.
            unsafe { Known::new($name, offset, RequestHeaderKind::$kind) }
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
    Known::find(KNOWN, name)
}

/// The rows of headers with more than one value.
pub(super) fn with_values() -> impl Iterator<Item = &'static Known> {
    KNOWN.iter().filter(|known| known.kind == RequestHeaderKind::Values)
}
