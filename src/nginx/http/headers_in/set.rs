//! Setting and clearing request headers, keeping nginx's fields for them consistent.

use codec::headers::{NAME_BUFFER, Name, escaped_value};

use super::effects::{self, Effect};
use super::known::{self, Known, RequestHeaderKind};
use super::{indexed, list};
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::http::headers::change::set_all;
use crate::nginx::http::headers::error::HeaderError;
use crate::nginx::http::headers::node::Node;
use crate::nginx::http::headers::values::HeaderValues;
use crate::nginx::http::request::Request;
use crate::nginx::sys::ngx_str_t;

const BAD_REQUEST: usize = 400;

/// One checked value of a header, in the request's pool.
struct RequestHeaderChange<'a> {
    request: Request,
    known: Option<&'static Known>,
    name: &'a Name<'a>,
    value: ngx_str_t,
    effect: Effect,
}

/// Sets the header `name` to `values`; removes it if there are none, or a single empty one.
///
/// With `replace`, the old values are removed. A header of which nginx keeps only one value gets
/// the last one. Unsafe bytes are escaped. If a value is not valid for the header, nothing is
/// changed.
///
/// A subrequest must [`own`](super::own) its list first.
pub fn set(
    request: Request,
    name: &[u8],
    values: &[&[u8]],
    replace: bool,
) -> Result<(), HeaderError> {
    let mut buffer = NAME_BUFFER;
    let name = Name::new(name, false, &mut buffer)?;
    let known = known::find(&name);
    // nginx may have refused the request before it had read the header.
    let is_refused = request.status() == BAD_REQUEST || !list(request).is_made();
    set_all(
        values,
        replace,
        |value| RequestHeaderChange::new(request, known, &name, value),
        |change, replace| if is_refused { Ok(()) } else { change.apply(replace) },
    )
}

impl<'a> RequestHeaderChange<'a> {
    fn new(
        request: Request,
        known: Option<&'static Known>,
        name: &'a Name<'a>,
        value: &[u8],
    ) -> Result<RequestHeaderChange<'a>, HeaderError> {
        let value = escaped_value(value)?;
        let kind = known.map_or(RequestHeaderKind::Plain, |known| known.kind);
        let effect = effects::of(request, kind, &value)?;
        let value = request.pool().copy_str(&value)?;
        Ok(RequestHeaderChange { request, known, name, value, effect })
    }
}

impl RequestHeaderChange<'_> {
    fn apply(self, replace: bool) -> Result<(), OutOfMemory> {
        match self.known {
            None => self.set_in_list(replace).map(drop),
            Some(known) => match known.values(self.request) {
                Some(values) => self.set_values(values, replace),
                None => self.set_field(known, replace),
            },
        }?;
        self.effect.apply(self.request);
        Ok(())
    }

    fn clears(&self) -> bool {
        self.value.len == 0
    }

    /// Sets the header in the list, and returns its node, if there is one afterwards.
    fn set_in_list(&self, replace: bool) -> Result<Option<Node>, OutOfMemory> {
        let (list, pool) = (indexed(self.request), self.request.pool());
        let name = self.name.text();
        let same_name = |node: Node| self.name.is(node.name());
        if replace && self.clears() {
            list.remove(pool, name, same_name)?;
            return Ok(None);
        }
        if replace && let (Some(first), is_only) = self.first() {
            if !is_only {
                list.remove(pool, name, |node| node != first && same_name(node))?;
            }
            first.set_value(self.name.hash(), self.value);
            return Ok(Some(first));
        }
        list.push(pool, self.name.hash(), name, self.value).map(Some)
    }

    /// The first node of this name, and whether there are no others.
    fn first(&self) -> (Option<Node>, bool) {
        let (mut first, mut is_only) = (None, true);
        indexed(self.request).for_each(self.name.text(), |node| {
            if self.name.is(node.name()) {
                is_only &= first.is_none();
                first = first.or(Some(node));
            }
        });
        (first, is_only)
    }

    /// Sets a header for which nginx points at one node.
    fn set_field(&self, known: &Known, replace: bool) -> Result<(), OutOfMemory> {
        let old = known.node(self.request);
        if let Some(node) = old
            && !self.clears()
        {
            node.set_value(self.name.hash(), self.value);
            return Ok(());
        }
        let node = self.set_in_list(replace || old.is_some())?;
        known.set_node(self.request, node);
        Ok(())
    }

    /// Sets a header for which nginx keeps all nodes.
    fn set_values(&self, values: HeaderValues, replace: bool) -> Result<(), OutOfMemory> {
        let node = self.set_in_list(replace)?;
        if replace {
            values.clear();
        }
        match node {
            Some(node) => values.push(self.request.pool(), node),
            None => Ok(()),
        }
    }
}
