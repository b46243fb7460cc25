//! The matcher behind the cosocket's `receiveuntil`: reads a stream up to a pattern, in pieces.
//!
//! Bytes that may begin the pattern are held back until the stream tells whether they do; within
//! one call they are not looked at again. What is held back when a call ends counts as unread: the
//! next read, by this iterator or another one, begins with it. With a size the reader returns
//! early. As in the C module, such a chunk may exceed the size by the bytes that were held back.

use std::fmt;
use std::num::NonZeroUsize;

use memchr::memchr;
use smallvec::SmallVec;

use crate::fallible::{Grow, OutOfMemory};
use crate::vector_search::{Search, find};

/// Why a pattern is refused; the message is what `receiveuntil` returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadPattern {
    Empty,
    /// There is no memory for so long a pattern.
    NoMemory,
}

impl fmt::Display for BadPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadPattern::Empty => "pattern is empty",
            BadPattern::NoMemory => "no memory",
        })
    }
}

impl std::error::Error for BadPattern {}

impl From<OutOfMemory> for BadPattern {
    fn from(_: OutOfMemory) -> Self {
        BadPattern::NoMemory
    }
}

/// What a call of the iterator does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// It reads: feed the stream.
    Read,
    /// The last sized call found the pattern: this one returns three nils and reads nothing.
    End,
}

/// How far [`ReceiveUntil::feed`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The piece is used up; the call goes on.
    NeedMore,
    /// The size asked for was reached before the pattern.
    Chunk,
    /// The pattern was found; it is consumed.
    Found,
}

/// The answer to [`ReceiveUntil::scan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fed {
    /// Bytes of the piece that were taken.
    pub consumed: usize,
    pub status: Status,
    /// Handed out first: the number of bytes from the start of the pattern that had been held back.
    pub held: usize,
    /// Handed out after that: the number of bytes from the start of the piece.
    pub passed: usize,
}

/// By number of bytes matched: the length of the longest shorter match that ends there too.
type Fallbacks = SmallVec<[u32; INLINE]>;
/// The capacity that needs no memory of its own.
const INLINE: usize = 6;

/// The state of one `receiveuntil` iterator; short patterns need no memory beside it.
#[derive(Debug, Clone)]
pub struct ReceiveUntil {
    pattern: SmallVec<[u8; 16]>,
    /// Empty until it is first needed if the pattern is so short that it takes no memory: most
    /// reads never need it. Otherwise made with the reader.
    fallback: Fallbacks,
    inclusive: bool,
    /// How many bytes of the pattern are held back.
    matched: usize,
    /// Bytes still to come in this call, if it has a size.
    rest: Option<NonZeroUsize>,
    ended: bool,
}

impl ReceiveUntil {
    /// A reader up to `pattern`; `inclusive` has the pattern itself in the result.
    pub fn new(pattern: &[u8], inclusive: bool) -> Result<Self, BadPattern> {
        if pattern.is_empty() {
            return Err(BadPattern::Empty);
        }

        let mut kept = SmallVec::new();
        kept.try_append(pattern)?;
        let is_short = pattern.len() < INLINE;
        Ok(ReceiveUntil {
            pattern: kept,
            fallback: if is_short { Fallbacks::new() } else { fallbacks(pattern)? },
            inclusive,
            matched: 0,
            rest: None,
            ended: false,
        })
    }

    /// Whether the pattern takes no memory beside the state itself.
    pub fn is_small(&self) -> bool {
        !self.pattern.spilled()
    }

    /// Begins a call of the iterator at the current position of the stream; a `size` of zero reads
    /// up to the pattern.
    pub fn begin(&mut self, size: usize) -> Call {
        if std::mem::take(&mut self.ended) {
            return Call::End;
        }
        self.matched = 0;
        self.rest = NonZeroUsize::new(size);
        Call::Read
    }

    /// The bytes held back, the last ones that were fed: so far they match the beginning of the
    /// pattern. They are not part of what a call returns, and count as unread when it ends.
    pub fn held(&self) -> &[u8] {
        self.pattern.get(..self.matched).unwrap_or_default()
    }

    /// Reads `piece` and appends to `out` what lies before the pattern.
    pub fn feed(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<Fed, OutOfMemory> {
        let fed = self.scan(piece);
        self.append(fed, piece, out)?;
        Ok(fed)
    }

    /// Appends what `fed`, the answer to [`ReceiveUntil::scan`] for `piece`, hands out.
    pub fn append(&self, fed: Fed, piece: &[u8], out: &mut Vec<u8>) -> Result<(), OutOfMemory> {
        out.try_append(self.pattern.get(..fed.held).unwrap_or_default())?;
        out.try_append(piece.get(..fed.passed).unwrap_or_default())
    }

    /// Reads `piece`; the answer tells what lies before the pattern.
    pub fn scan(&mut self, piece: &[u8]) -> Fed {
        let held = self.matched;
        let (consumed, status) = self.advance(piece);
        let kept = match status {
            Status::Found if self.inclusive => 0,
            Status::Found => self.pattern.len(),
            Status::Chunk | Status::NeedMore => self.matched,
        };
        let out = (held + consumed).saturating_sub(kept);
        let held = held.min(out);
        Fed { consumed, status, held, passed: out - held }
    }

    /// How many bytes of `piece` are taken, and why no more.
    fn advance(&mut self, piece: &[u8]) -> (usize, Status) {
        let mut at = 0;

        while let Some(&byte) = piece.get(at) {
            if self.pattern.get(self.matched) == Some(&byte) {
                at += 1;
                self.matched += 1;
                if self.matched == self.pattern.len() {
                    self.matched = 0;
                    self.ended = self.rest.is_some();
                    return (at, Status::Found);
                }
                continue;
            }

            let full = if self.matched == 0 {
                let plain = self.plain(piece.get(at..).unwrap_or_default());
                at += plain;
                self.spend(plain)
            } else {
                let keep = self.longest_match_with(byte);
                let release = self.matched - keep;
                self.matched = keep;
                if keep > 0 {
                    at += 1;
                    self.matched += 1;
                }
                self.spend(release)
            };

            if full {
                return (at, Status::Chunk);
            }
        }

        (at, Status::NeedMore)
    }

    /// How many bytes there are up to where the pattern may begin or the size is reached.
    fn plain(&self, input: &[u8]) -> usize {
        match self.rest {
            Some(rest) => self.first(input.get(..rest.get()).unwrap_or(input)),
            // A long pattern would be compared with too much.
            None if self.pattern.spilled() => self.first(input),
            None => self.unless_refuted(input),
        }
    }

    /// How many bytes there are before the pattern's first one.
    fn first(&self, input: &[u8]) -> usize {
        let begins = self.pattern.first().and_then(|&first| memchr(first, input));
        begins.unwrap_or(input.len())
    }

    /// As [`ReceiveUntil::first`], but passes places where the input shows that the pattern does
    /// not begin there. With a size, those count: what they hold back may come on top of it.
    fn unless_refuted(&self, input: &[u8]) -> usize {
        let pattern: &[u8] = &self.pattern;
        let Some(last) = pattern.len().checked_sub(1) else { return input.len() };
        let mut at = match find(pattern, input) {
            Search::Found(at) => return at,
            // It may still begin where it would not end in this input.
            Search::Absent => input.len() - last,
            Search::Unknown => 0,
        };
        loop {
            let rest = input.get(at..).unwrap_or_default();
            at += self.first(rest);
            let rest = input.get(at..).unwrap_or_default();
            // Where it does not begin, mostly its last byte differs already.
            match rest.get(last) {
                Some(byte) if pattern.get(last) != Some(byte) || !rest.starts_with(pattern) => {
                    at += 1
                }
                _ => return at,
            }
        }
    }

    /// How much of the match stays when `byte` follows it, not counting `byte`; zero when none.
    fn longest_match_with(&mut self, byte: u8) -> usize {
        if self.fallback.is_empty() {
            self.fallback = fallbacks(&self.pattern).unwrap_or_default();
        }
        let mut len = self.matched;
        loop {
            len = self.fallback.get(len).map_or(0, |&len| len as usize);
            if len == 0 || self.pattern.get(len) == Some(&byte) {
                return len;
            }
        }
    }

    /// Counts bytes handed out; true when the size is reached.
    fn spend(&mut self, bytes: usize) -> bool {
        let Some(rest) = self.rest else { return false };
        let less = NonZeroUsize::new(rest.get().saturating_sub(bytes));
        self.rest = less.or(self.rest);
        less.is_none()
    }
}

/// For every prefix of `pattern`: the length of its longest proper prefix that is its suffix too.
fn fallbacks(pattern: &[u8]) -> Result<Fallbacks, OutOfMemory> {
    let mut table = Fallbacks::new();
    table.try_fill(pattern.len() + 1, 0)?;
    let mut len = 0;

    for (at, byte) in pattern.iter().enumerate().skip(1) {
        while len > 0 && pattern.get(len) != Some(byte) {
            len = table.get(len).map_or(0, |&len| len as usize);
        }
        if pattern.get(len) == Some(byte) {
            len += 1;
        }
        if let Some(slot) = table.get_mut(at + 1) {
            // Lua strings are shorter than 4 GB.
            *slot = len as u32;
        }
    }

    Ok(table)
}

#[cfg(test)]
#[path = "receive_until_tests.rs"]
mod tests;
