//! Fallible allocation, for memory whose size a script, a peer or a request decides.
//!
//! These helpers return [`OutOfMemory`] where the usual methods of the standard library would end
//! the process. `clippy.toml` refuses those methods.

use std::collections::TryReserveError;
use std::ffi::CString;
use std::fmt::{self, Write as _};

use smallvec::{Array, SmallVec};

/// No memory was left: a Lua error, or a 500 for the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

impl From<TryReserveError> for OutOfMemory {
    fn from(_: TryReserveError) -> Self {
        OutOfMemory
    }
}

/// An empty vector with a capacity of exactly `capacity` items.
pub fn with_capacity<T>(capacity: usize) -> Result<Vec<T>, OutOfMemory> {
    let mut made = Vec::new();
    may_fail(0, capacity)?;
    made.try_reserve_exact(capacity)?;
    Ok(made)
}

/// Fails where a test has injected a fault, and `more` items need more than the `room` that there
/// is.
#[cfg(feature = "fault-injection")]
fn may_fail(room: usize, more: usize) -> Result<(), OutOfMemory> {
    if room < more { crate::faults::HEAP.with(crate::faults::Countdown::allocate) } else { Ok(()) }
}

/// Without fault injection, only allocations themselves fail.
#[cfg(not(feature = "fault-injection"))]
#[inline(always)]
fn may_fail(_: usize, _: usize) -> Result<(), OutOfMemory> {
    Ok(())
}

/// A copy of `items`.
pub fn copy<T: Copy>(items: &[T]) -> Result<Vec<T>, OutOfMemory> {
    let mut made = with_capacity(items.len())?;
    made.try_append(items)?;
    Ok(made)
}

/// The pieces, one behind the other.
pub fn concat(pieces: &[&[u8]]) -> Result<Vec<u8>, OutOfMemory> {
    let mut made = with_capacity(pieces.iter().map(|piece| piece.len()).sum())?;
    for piece in pieces {
        made.try_append(piece)?;
    }
    Ok(made)
}

/// `len` zeroes.
pub fn zeroes(len: usize) -> Result<Vec<u8>, OutOfMemory> {
    let mut made = Vec::new();
    made.try_fill(len, 0)?;
    Ok(made)
}

/// `text` up to its first NUL, ended by one.
pub fn c_string(text: &[u8]) -> Result<CString, OutOfMemory> {
    let len = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    let mut made = with_capacity(len + 1)?;
    made.try_append(text.get(..len).unwrap_or_default())?;
    made.try_push(0)?;
    CString::from_vec_with_nul(made).map_err(|_| OutOfMemory)
}

/// Everything that `items` gives.
pub fn collect<T>(items: impl Iterator<Item = T>) -> Result<Vec<T>, OutOfMemory> {
    let mut made = with_capacity(items.size_hint().0)?;
    for item in items {
        made.try_push(item)?;
    }
    Ok(made)
}

/// What `format!` would make: `fallible::format(format_args!("bad name {name}"))`.
pub fn format(arguments: fmt::Arguments<'_>) -> Result<String, OutOfMemory> {
    let mut made = Text(String::new());
    fmt::write(&mut made, arguments).map_err(|_| OutOfMemory)?;
    Ok(made.0)
}

/// As [`format`], for the text of an error: [`NO_MEMORY`] if there is no memory for it.
pub fn text(arguments: fmt::Arguments<'_>) -> String {
    format(arguments).unwrap_or_else(|_| NO_MEMORY.into())
}

/// A copy of an error's text: [`NOT_ENOUGH`] if there is no memory for it.
pub fn reason(text: &[u8]) -> Vec<u8> {
    copy(text).unwrap_or_else(|_| NOT_ENOUGH.into())
}

/// The text of this error in this module and in nginx.
pub const NO_MEMORY: &str = "no memory";
/// Lua's text of it.
pub const NOT_ENOUGH: &[u8] = b"not enough memory";

struct Text(String);

impl fmt::Write for Text {
    #[expect(clippy::disallowed_methods, reason = "the capacity is reserved")]
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        may_fail(self.0.capacity() - self.0.len(), piece.len()).map_err(|_| fmt::Error)?;
        self.0.try_reserve(piece.len()).map_err(|_| fmt::Error)?;
        self.0.push_str(piece);
        Ok(())
    }
}

/// Displays bytes as text; what is not UTF-8 shows as U+FFFD.
pub struct Shown<'a>(pub &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            f.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                f.write_char(char::REPLACEMENT_CHARACTER)?;
            }
        }
        Ok(())
    }
}

/// Growing a vector fallibly. On failure the vector is unchanged.
pub trait Grow<T> {
    /// Appends copies of `items`.
    fn try_append(&mut self, items: &[T]) -> Result<(), OutOfMemory>
    where
        T: Copy;

    /// Appends one item.
    fn try_push(&mut self, item: T) -> Result<(), OutOfMemory>;

    /// Sets the length to `len`; new places get copies of `item`.
    fn try_fill(&mut self, len: usize, item: T) -> Result<(), OutOfMemory>
    where
        T: Copy;
}

#[expect(clippy::disallowed_methods, reason = "the capacity is reserved")]
impl<T> Grow<T> for Vec<T> {
    #[inline]
    fn try_append(&mut self, items: &[T]) -> Result<(), OutOfMemory>
    where
        T: Copy,
    {
        may_fail(self.capacity() - self.len(), items.len())?;
        self.try_reserve(items.len())?;
        self.extend_from_slice(items);
        Ok(())
    }

    #[inline]
    fn try_push(&mut self, item: T) -> Result<(), OutOfMemory> {
        if self.len() == self.capacity() {
            may_fail(0, 1)?;
            self.try_reserve(1)?;
        }
        self.push(item);
        Ok(())
    }

    fn try_fill(&mut self, len: usize, item: T) -> Result<(), OutOfMemory>
    where
        T: Copy,
    {
        let more = len.saturating_sub(self.len());
        may_fail(self.capacity() - self.len(), more)?;
        self.try_reserve_exact(more)?;
        self.resize(len, item);
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "the capacity is reserved")]
impl<A: Array> Grow<A::Item> for SmallVec<A> {
    #[inline]
    fn try_append(&mut self, items: &[A::Item]) -> Result<(), OutOfMemory>
    where
        A::Item: Copy,
    {
        if self.capacity() - self.len() < items.len() {
            may_fail(0, items.len())?;
            self.try_reserve(items.len()).map_err(|_| OutOfMemory)?;
        }
        self.extend_from_slice(items);
        Ok(())
    }

    #[inline]
    fn try_push(&mut self, item: A::Item) -> Result<(), OutOfMemory> {
        may_fail(self.capacity() - self.len(), 1)?;
        self.try_reserve(1).map_err(|_| OutOfMemory)?;
        self.push(item);
        Ok(())
    }

    fn try_fill(&mut self, len: usize, item: A::Item) -> Result<(), OutOfMemory>
    where
        A::Item: Copy,
    {
        let more = len.saturating_sub(self.len());
        may_fail(self.capacity() - self.len(), more)?;
        self.try_reserve(more).map_err(|_| OutOfMemory)?;
        self.resize(len, item);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_made() {
        assert_eq!(copy(b"ab"), Ok(vec![b'a', b'b']));
        assert_eq!(concat(&[b"ab", b"", b"c"]), Ok(b"abc".to_vec()));
        assert_eq!(c_string(b"ab\0c"), Ok(c"ab".to_owned()));
        assert_eq!(collect((0..3).filter(|n| n % 2 == 0)), Ok(vec![0, 2]));
        assert_eq!(zeroes(2), Ok(vec![0, 0]));
        assert_eq!(
            format(format_args!("{}", Shown(b"a\xff\xfeb\xc3"))).as_deref(),
            Ok("a\u{fffd}\u{fffd}b\u{fffd}")
        );
        assert_eq!(format(format_args!("{}-{:02}", "a", 7)), Ok("a-07".to_owned()));
    }

    #[test]
    fn what_does_not_fit_fails() {
        assert_eq!(with_capacity::<u64>(usize::MAX), Err(OutOfMemory));
        assert_eq!(zeroes(usize::MAX), Err(OutOfMemory));
        let mut held = b"abc".to_vec();
        assert_eq!(held.try_fill(usize::MAX, 0), Err(OutOfMemory));
        assert_eq!(held, b"abc");
    }

    #[test]
    fn a_vector_grows() {
        let mut held = Vec::new();
        held.try_push(1).unwrap();
        held.try_append(&[2, 3]).unwrap();
        held.try_fill(5, 9).unwrap();
        assert_eq!(held, [1, 2, 3, 9, 9]);
    }
}
