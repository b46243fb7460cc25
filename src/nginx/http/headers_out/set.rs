//! Setting and clearing response headers, keeping nginx's fields for them consistent.

use codec::headers::{Name, content_length, escaped_value};

use super::known::{self, Known, ResponseHeaderKind};
use super::{indexed, location, own};
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::core::strings;
use crate::nginx::http::headers::change::set_all;
use crate::nginx::http::headers::error::HeaderError;
use crate::nginx::http::headers::node::Node;
use crate::nginx::http::headers::values::HeaderValues;
use crate::nginx::http::request::Request;
use crate::nginx::sys::ngx_str_t;

/// One checked value of a header, in the request's pool.
struct ResponseHeaderChange<'a> {
    request: Request,
    known: Option<&'static Known>,
    name: &'a Name<'a>,
    value: ngx_str_t,
    /// For `Content-Length`: the length; -1 if the header is removed.
    length: i64,
}

/// Sets the header `name` to `values`; removes it if there are none, or a single empty one. Returns
/// whether the header is `Content-Type`: then nginx must not choose one.
///
/// With `replace`, the old values are removed. A header of which nginx keeps only one value gets
/// the last one. Unsafe bytes are escaped. If a value is not valid for the header, nothing is
/// changed.
pub fn set(
    request: Request,
    name: &Name,
    values: &[&[u8]],
    replace: bool,
) -> Result<bool, HeaderError> {
    let known = known::find(name);
    set_all(
        values,
        replace,
        |value| ResponseHeaderChange::new(request, known, name, value),
        |change, replace| change.apply(replace),
    )?;
    Ok(known.is_some_and(|known| known.kind == ResponseHeaderKind::ContentType))
}

impl<'a> ResponseHeaderChange<'a> {
    fn new(
        request: Request,
        known: Option<&'static Known>,
        name: &'a Name<'a>,
        value: &[u8],
    ) -> Result<ResponseHeaderChange<'a>, HeaderError> {
        let value = escaped_value(value)?;
        let is_length = known.is_some_and(|known| known.kind == ResponseHeaderKind::ContentLength);
        let length = if is_length && !value.is_empty() {
            content_length(&value).ok_or(HeaderError::BadValue)?
        } else {
            -1
        };
        let value = request.pool().copy_str(&value)?;
        Ok(ResponseHeaderChange { request, known, name, value, length })
    }
}

impl ResponseHeaderChange<'_> {
    fn apply(&self, replace: bool) -> Result<(), OutOfMemory> {
        let Some(known) = self.known else {
            if own::is_own(self.request, self.name) {
                return own::set_own(self.request, self.name, self.value, replace);
            }
            return self.set_in_list(replace).map(drop);
        };
        if let Some(values) = known.values(self.request) {
            return self.set_values(values, replace);
        }
        if known.kind == ResponseHeaderKind::ContentType {
            return self.set_content_type();
        }
        self.set_field(known, replace)?;
        // SAFETY: plain fields of a live request.
        let out = unsafe { &mut (*self.request.as_ptr()).headers_out };
        match known.kind {
            ResponseHeaderKind::Location => location::hide_path_from_nginx(self.request),
            ResponseHeaderKind::ContentLength => out.content_length_n = self.length,
            ResponseHeaderKind::LastModified => {
                let time = codec::http_time::parse_http_time(self.value());
                out.last_modified_time = time.unwrap_or(-1);
            }
            _ => {}
        }
        Ok(())
    }

    fn value(&self) -> &[u8] {
        // SAFETY: the value is in the request's pool.
        unsafe { strings::bytes(self.value) }
    }

    fn clears(&self) -> bool {
        self.value.len == 0
    }

    /// Whether `node` is this header and not hidden.
    fn is_same(&self, node: Node) -> bool {
        !node.is_hidden() && self.name.is(node.name())
    }

    /// Gives `node` the value, or hides it.
    fn give_value(&self, node: Node) {
        if self.clears() {
            return node.hide();
        }
        let was_hidden = node.is_hidden();
        node.set_value(self.name.hash(), self.value);
        if was_hidden {
            indexed(self.request).shown(node);
        }
    }

    /// Hides all nodes of this header in the list, except `kept`.
    fn hide_others(&self, kept: Option<Node>) {
        indexed(self.request).for_each(self.name.text(), |node| {
            if Some(node) != kept && self.is_same(node) {
                node.hide();
            }
        });
    }

    /// Sets the header in the list, and returns its node, if there is one afterwards.
    fn set_in_list(&self, replace: bool) -> Result<Option<Node>, OutOfMemory> {
        if replace {
            let mut first = None;
            indexed(self.request).for_each(self.name.text(), |node| {
                if self.is_same(node) {
                    match first {
                        None => first = Some(node),
                        Some(_) => node.hide(),
                    }
                }
            });
            if let Some(first) = first {
                self.give_value(first);
                return Ok(Some(first));
            }
        }
        if self.clears() {
            return Ok(None);
        }
        self.push().map(Some)
    }

    /// Adds the header; an empty one is added hidden.
    fn push(&self) -> Result<Node, OutOfMemory> {
        let hash = if self.clears() { 0 } else { self.name.hash() };
        indexed(self.request).push(self.request.pool(), hash, self.name.text(), self.value)
    }

    /// Sets a header for which nginx points at one node. A hidden node there keeps nginx from
    /// writing a header of its own.
    fn set_field(&self, known: &Known, replace: bool) -> Result<(), OutOfMemory> {
        if let Some(node) = known.node(self.request) {
            if replace {
                self.hide_others(Some(node));
            }
            if node.name() != self.name.text() {
                if !self.name.is(node.name()) {
                    indexed(self.request).forget();
                }
                node.set_name(self.request.pool().copy_str(self.name.text())?);
            }
            self.give_value(node);
            return Ok(());
        }
        let node = match self.set_in_list(replace)? {
            Some(node) => node,
            None => self.push()?,
        };
        known.set_node(self.request, Some(node));
        Ok(())
    }

    /// Sets a header for which nginx keeps all nodes.
    fn set_values(&self, values: HeaderValues, replace: bool) -> Result<(), OutOfMemory> {
        let first = values.first();
        if replace {
            self.hide_others(first);
            if let Some(first) = first {
                self.give_value(first);
                values.keep_first();
                return Ok(());
            }
        } else if let Some(first) = first.filter(Node::is_hidden) {
            self.give_value(first);
            return Ok(());
        }
        if self.clears() {
            return Ok(());
        }
        values.push(self.request.pool(), self.push()?)
    }

    /// Sets `Content-Type`, which is not in the list: nginx writes it from fields.
    fn set_content_type(&self) -> Result<(), OutOfMemory> {
        // SAFETY: plain fields of a live request; the value is in its pool.
        unsafe {
            let out = &mut (*self.request.as_ptr()).headers_out;
            out.content_type_len = codec::headers::media_type_len(self.value());
            out.content_type = self.value;
            out.content_type_lowcase = std::ptr::null_mut();
        }
        self.hide_others(None);
        Ok(())
    }
}
