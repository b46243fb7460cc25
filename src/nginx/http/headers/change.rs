//! What setting a header of a request and one of a response have in common.

use codec::fallible::{self, Grow};

use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::http::headers::error::HeaderError;

/// Sets a header to `values`, or to an empty one if there are none: first `check` makes a change of
/// each, then `apply` carries them out. With `replace`, the first one replaces the old values.
#[inline]
pub fn set_all<C>(
    values: &[&[u8]],
    replace: bool,
    check: impl Fn(&[u8]) -> Result<C, HeaderError>,
    apply: impl Fn(C, bool) -> Result<(), OutOfMemory>,
) -> Result<(), HeaderError> {
    let none: &[&[u8]] = &[b""];
    let values = if values.is_empty() { none } else { values };
    if let [value] = values {
        // The common case, without allocating a list.
        return Ok(apply(check(value)?, replace)?);
    }
    let mut changes = fallible::with_capacity(values.len())?;
    for value in values {
        changes.try_push(check(value)?)?;
    }
    for (number, change) in changes.into_iter().enumerate() {
        apply(change, replace && number == 0)?;
    }
    Ok(())
}
