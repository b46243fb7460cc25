//! A pattern, and the items that it is made of.

use memchr::memchr;

use super::PatternError;
use super::class::{ByteClass, named_class};
use crate::fallible::{Grow, OutOfMemory};

pub(super) const ESCAPE: u8 = b'%';

/// A pattern.
#[derive(Default)]
pub(super) struct Pattern {
    bytes: Vec<u8>,
    anchored: bool,
    first: First,
    /// How a match is made, where all of the pattern is one item, that of `first`.
    single: Option<Single>,
}

/// A pattern of one item, which every match consists of: `%-`, `[^%w]`, or the same in parentheses.
#[derive(Clone, Copy)]
pub(super) struct Single {
    pub(super) is_captured: bool,
}

/// What every match starts with, as far as that is known beforehand.
#[derive(Default)]
enum First {
    #[default]
    Anything,
    Byte(u8),
    OneOf(ByteClass),
}

impl Pattern {
    /// Becomes the pattern `source`, which ends before its first zero byte.
    ///
    /// Errors: no memory.
    pub(super) fn set(&mut self, source: &[u8]) -> Result<(), OutOfMemory> {
        let end = source.iter().position(|&byte| byte == 0).unwrap_or(source.len());
        let source = source.get(..end).unwrap_or_default();
        let rest = source.strip_prefix(b"^");
        self.anchored = rest.is_some();
        self.bytes.clear();
        self.bytes.try_append(rest.unwrap_or(source))?;
        self.first = if self.anchored { First::Anything } else { self.find_first() };
        self.single = self.find_single();
        Ok(())
    }

    /// Where each place that [`Pattern::skip`] finds is a match of one byte: how.
    #[inline]
    pub(super) fn single(&self) -> Option<Single> {
        self.single
    }

    fn find_single(&self) -> Option<Single> {
        if matches!(self.first, First::Anything) {
            return None;
        }
        let is_captured = self.byte(0) == b'(';
        let end = self.item_end(usize::from(is_captured)).ok()?;
        let rest: &[u8] = if is_captured { b")" } else { b"" };
        (self.bytes.get(end..)? == rest).then_some(Single { is_captured })
    }

    /// Whether it matches only at the start of the subject.
    pub(super) fn is_anchored(&self) -> bool {
        self.anchored
    }

    fn find_first(&self) -> First {
        let start = usize::from(self.byte(0) == b'(' && self.byte(1) != b')');
        match (self.byte(start), self.byte(start + 1)) {
            (0 | b'(' | b')' | b'.', _) | (b'$', 0) | (ESCAPE, b'b' | b'f' | b'0'..=b'9') => {
                First::Anything
            }
            // An item that need not be there, or an error in it.
            _ if self
                .item_end(start)
                .map_or(true, |end| matches!(self.byte(end), b'*' | b'?' | b'-')) =>
            {
                First::Anything
            }
            (ESCAPE, letter) => named_class(letter).map_or(First::Byte(letter), First::OneOf),
            (b'[', _) => First::OneOf(self.set_at(start)),
            (own, _) => First::Byte(own),
        }
    }

    /// The first place from `s` on where a match may start; the subject's end if there is none.
    #[inline]
    pub(super) fn skip(&self, subject: &[u8], s: usize) -> usize {
        let rest = subject.get(s..).unwrap_or_default();
        match &self.first {
            First::Anything => s,
            First::Byte(own) => s + memchr(*own, rest).unwrap_or(rest.len()),
            First::OneOf(class) => {
                s + rest.iter().position(|&byte| class.contains(byte)).unwrap_or(rest.len())
            }
        }
    }

    #[inline]
    pub(super) fn byte(&self, p: usize) -> u8 {
        self.bytes.get(p).copied().unwrap_or(0)
    }

    /// Where the item at `p` ends: a byte, an escape or a set.
    #[inline]
    pub(super) fn item_end(&self, p: usize) -> Result<usize, PatternError> {
        match self.byte(p) {
            ESCAPE if self.byte(p + 1) == 0 => Err(PatternError::EndsWithEscape),
            ESCAPE => Ok(p + 2),
            b'[' => self.set_end(p),
            _ => Ok(p + 1),
        }
    }

    /// Where the set whose bracket is at `p` ends.
    pub(super) fn set_end(&self, p: usize) -> Result<usize, PatternError> {
        let mut p = p + 1 + usize::from(self.byte(p + 1) == b'^');
        // A bracket that comes first is one of the set.
        loop {
            match self.byte(p) {
                0 => return Err(PatternError::MissingBracket),
                ESCAPE if self.byte(p + 1) != 0 => p += 2,
                _ => p += 1,
            }
            if self.byte(p) == b']' {
                return Ok(p + 1);
            }
        }
    }

    /// The set whose bracket is at `p`, and which has an end.
    pub(super) fn set_at(&self, p: usize) -> ByteClass {
        let end = self.set_end(p).unwrap_or(p + 1);
        let set = self.bytes.get(p + 1..end - 1).unwrap_or_default();
        let (is_negated, mut rest) = match set.strip_prefix(b"^") {
            Some(rest) => (true, rest),
            None => (false, set),
        };
        let mut class = ByteClass::default();
        loop {
            match *rest {
                [] => return if is_negated { class.complement() } else { class },
                [ESCAPE, letter, ref next @ ..] => {
                    match named_class(letter) {
                        Some(named) => class.add_all(&named),
                        None => class.add(letter),
                    }
                    rest = next;
                }
                [first, b'-', last, ref next @ ..] => {
                    (first..=last).for_each(|byte| class.add(byte));
                    rest = next;
                }
                [own, ref next @ ..] => {
                    class.add(own);
                    rest = next;
                }
            }
        }
    }

    /// Whether `byte` is what the item at `p` stands for.
    #[inline]
    pub(super) fn is_match(&self, byte: u8, p: usize) -> bool {
        match self.byte(p) {
            b'.' => true,
            ESCAPE => {
                let letter = self.byte(p + 1);
                named_class(letter).map_or(byte == letter, |class| class.contains(byte))
            }
            b'[' => self.set_at(p).contains(byte),
            own => own == byte,
        }
    }

    /// How many bytes at the start of `text` are what the item at `p` stands for.
    #[inline]
    pub(super) fn count(&self, text: &[u8], p: usize) -> usize {
        let class = match self.byte(p) {
            b'.' => return text.len(),
            ESCAPE => named_class(self.byte(p + 1)),
            b'[' => Some(self.set_at(p)),
            _ => None,
        };
        let is_end = |byte: &u8| match &class {
            Some(class) => !class.contains(*byte),
            None => !self.is_match(*byte, p),
        };
        text.iter().position(is_end).unwrap_or(text.len())
    }
}
