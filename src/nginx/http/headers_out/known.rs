//! The response headers that nginx keeps a field for.

use std::mem::offset_of;

use codec::headers::Name;

use crate::nginx::http::headers::known::{self, Field, HeaderKind};
use crate::nginx::sys::ngx_http_request_t;

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

impl HeaderKind for ResponseHeaderKind {
    fn field(self) -> Field {
        match self {
            ResponseHeaderKind::Values => Field::Values,
            ResponseHeaderKind::ContentType => Field::Other,
            _ => Field::Node,
        }
    }
}

pub(super) type Known = known::Known<ResponseHeaderKind>;

macro_rules! known {
    ($($name:literal $field:ident $kind:ident;)*) => {
        &[$({
            let offset = offset_of!(ngx_http_request_t, headers_out.$field);
            // SAFETY: the rows below name nginx's own field for each header, `Values` for those of
            // which it keeps all values, and `ContentType` for the one that is not in the list.
            unsafe { Known::new($name, offset, ResponseHeaderKind::$kind) }
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
    Known::find(KNOWN, name)
}
