//! The search for a match.

use super::PatternError;
use super::captures::{Capture, Captures};
use super::pattern::{ESCAPE, Pattern};

/// How deep attempts may nest.
const DEEPEST: u32 = 200;

impl Pattern {
    /// The start and the end of the first match that starts at `from` or later.
    pub(super) fn find(
        &self,
        subject: &[u8],
        from: usize,
        captures: &mut Captures,
    ) -> Result<Option<(usize, usize)>, PatternError> {
        if let Some(single) = self.single() {
            let start = self.skip(subject, from);
            captures.clear();
            if start < subject.len() && single.is_captured {
                captures.open(Capture::Text(start as u32, start as u32 + 1))?;
            }
            return Ok((start < subject.len()).then_some((start, start + 1)));
        }
        let mut search = Search { pattern: self, subject, captures, depth: 0 };
        let mut start = from;
        loop {
            start = self.skip(subject, start);
            search.captures.clear();
            if let Some(end) = search.attempt(start, 0)? {
                return Ok(Some((start, end)));
            }
            if self.is_anchored() || start >= subject.len() {
                return Ok(None);
            }
            start += 1;
        }
    }
}

/// A search that is under way.
struct Search<'a> {
    pattern: &'a Pattern,
    subject: &'a [u8],
    captures: &'a mut Captures,
    depth: u32,
}

type Attempt = Result<Option<usize>, PatternError>;

impl Search<'_> {
    /// Where the rest of the pattern, from `p`, has matched what starts at `s`.
    fn attempt(&mut self, s: usize, p: usize) -> Attempt {
        let (level, depth) = (self.captures.level(), self.depth);
        let mut closed = 0;
        self.go_deeper()?;
        let end = self.attempt_items(s, p, &mut closed)?;
        if end.is_none() {
            self.captures.undo(level, closed);
        }
        self.depth = depth;
        Ok(end)
    }

    /// Attempts nest deeper for a parenthesis too, as in LuaJIT.
    #[inline]
    fn go_deeper(&mut self) -> Result<(), PatternError> {
        self.depth += 1;
        if self.depth > DEEPEST { Err(PatternError::TooComplex) } else { Ok(()) }
    }

    /// Sets the bits of `closed` for the captures that it closes.
    #[inline]
    fn attempt_items(&mut self, mut s: usize, mut p: usize, closed: &mut u32) -> Attempt {
        let pattern = self.pattern;
        loop {
            match (pattern.byte(p), pattern.byte(p + 1)) {
                (0, _) => return Ok(Some(s)),
                (b'(', b')') => {
                    self.captures.open(Capture::Position(s as u32))?;
                    self.go_deeper()?;
                    p += 2;
                }
                (b'(', _) => {
                    self.captures.open(Capture::Unfinished(s as u32))?;
                    self.go_deeper()?;
                    p += 1;
                }
                (b')', _) => {
                    *closed |= 1 << self.captures.close(s)?;
                    self.go_deeper()?;
                    p += 1;
                }
                (b'$', 0) => return Ok((s == self.subject.len()).then_some(s)),
                (ESCAPE, b'b') => match self.balance(s, p + 2)? {
                    Some(end) => (s, p) = (end, p + 4),
                    None => return Ok(None),
                },
                (ESCAPE, b'f') => match self.frontier(s, p + 2)? {
                    Some(rest) => p = rest,
                    None => return Ok(None),
                },
                (ESCAPE, digit @ b'0'..=b'9') => match self.repeat_capture(s, digit)? {
                    Some(end) => (s, p) = (end, p + 2),
                    None => return Ok(None),
                },
                _ => {
                    let after = pattern.item_end(p)?;
                    match pattern.byte(after) {
                        b'*' => return self.most(s, p, after + 1),
                        b'-' => return self.fewest(s, p, after + 1),
                        quantifier => {
                            let is_match = self.matches_item(s, p);
                            match quantifier {
                                b'+' if is_match => return self.most(s + 1, p, after + 1),
                                b'?' => {
                                    if is_match && let Some(end) = self.attempt(s + 1, after + 1)? {
                                        return Ok(Some(end));
                                    }
                                    p = after + 1;
                                }
                                b'+' => return Ok(None),
                                _ if is_match => (s, p) = (s + 1, after),
                                _ => return Ok(None),
                            }
                        }
                    }
                }
            }
        }
    }

    #[inline]
    fn matches_item(&self, s: usize, p: usize) -> bool {
        self.subject.get(s).is_some_and(|&byte| self.pattern.is_match(byte, p))
    }

    /// `*` and `+`: first as many as there are, then fewer.
    fn most(&mut self, s: usize, p: usize, rest: usize) -> Attempt {
        let mut count = self.pattern.count(self.subject.get(s..).unwrap_or_default(), p);
        loop {
            if let Some(end) = self.attempt(s + count, rest)? {
                return Ok(Some(end));
            }
            if count == 0 {
                return Ok(None);
            }
            count -= 1;
        }
    }

    /// `-`: first none, then more.
    fn fewest(&mut self, mut s: usize, p: usize, rest: usize) -> Attempt {
        loop {
            if let Some(end) = self.attempt(s, rest)? {
                return Ok(Some(end));
            }
            if !self.matches_item(s, p) {
                return Ok(None);
            }
            s += 1;
        }
    }

    /// `%1`: the text of a capture once more.
    fn repeat_capture(&self, s: usize, digit: u8) -> Attempt {
        let index = usize::from(digit).checked_sub(usize::from(b'1'));
        let text = match index.and_then(|index| self.captures.as_slice().get(index)) {
            // A position has no text that could be repeated.
            Some(Capture::Position(_)) => return Ok(None),
            Some(&Capture::Text(start, end)) => {
                self.subject.get(start as usize..end as usize).unwrap_or_default()
            }
            Some(Capture::Unfinished(_)) | None => return Err(PatternError::InvalidIndex),
        };
        let rest = self.subject.get(s..).unwrap_or_default();
        Ok(rest.starts_with(text).then_some(s + text.len()))
    }

    /// `%b()`: where the text ends that starts with the first byte, and has as many of both.
    fn balance(&self, s: usize, p: usize) -> Attempt {
        let (open, close) = (self.pattern.byte(p), self.pattern.byte(p + 1));
        if open == 0 || close == 0 {
            return Err(PatternError::Unbalanced);
        }
        let mut depth = 0;
        for (at, &byte) in self.subject.get(s..).unwrap_or_default().iter().enumerate() {
            if at > 0 && byte == close {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(s + at + 1));
                }
            } else if byte == open {
                depth += 1;
            } else if at == 0 {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// `%f[…]`: what follows of the pattern, if a text of the set's bytes starts at `s`.
    fn frontier(&self, s: usize, p: usize) -> Result<Option<usize>, PatternError> {
        if self.pattern.byte(p) != b'[' {
            return Err(PatternError::MissingSet);
        }
        let after = self.pattern.set_end(p)?;
        let set = self.pattern.set_at(p);
        let byte = |s: Option<usize>| s.and_then(|s| self.subject.get(s)).copied().unwrap_or(0);
        let is_start = !set.contains(byte(s.checked_sub(1))) && set.contains(byte(Some(s)));
        Ok(is_start.then_some(after))
    }
}
