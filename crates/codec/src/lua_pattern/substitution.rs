//! `string.gsub`: the matches one after the other, and the text with what is put in their place.

use super::PatternError;
use super::captures::{Capture, Captures};
use super::pattern::Pattern;
use crate::fallible::Grow;

/// How much memory for texts is kept for the next one.
const KEPT: usize = 64 * 1024;

/// A substitution that is under way. It goes on between matches; each step is given the same
/// subject.
#[derive(Default)]
pub struct Substitution {
    pattern: Pattern,
    captures: Captures,
    text: Vec<u8>,
    /// How many bytes of the subject have been copied to `text`, or replaced there.
    done: usize,
    /// The last match.
    start: usize,
    end: usize,
    /// Where the next match may start; nothing where none may follow.
    next: Option<usize>,
    count: usize,
    limit: usize,
}

impl Substitution {
    /// Begins to replace up to `limit` matches of `pattern`.
    ///
    /// Errors: no memory.
    pub fn begin(&mut self, pattern: &[u8], limit: usize) -> Result<(), PatternError> {
        self.pattern.set(pattern)?;
        self.text.clear();
        (self.done, self.start, self.end) = (0, 0, 0);
        (self.next, self.count, self.limit) = (Some(0), 0, limit);
        Ok(())
    }

    /// Looks for the next match.
    pub fn find(&mut self, subject: &[u8]) -> Result<bool, PatternError> {
        let Some(from) = self.next.filter(|_| self.count < self.limit) else { return Ok(false) };
        let Some((start, end)) = self.pattern.find(subject, from, &mut self.captures)? else {
            self.next = None;
            return Ok(false);
        };
        (self.start, self.end) = (start, end);
        self.count += 1;
        let next = if end > start { end } else { end + 1 };
        self.next = (next <= subject.len() && !self.pattern.is_anchored()).then_some(next);
        Ok(true)
    }

    /// The captures of the last match; its whole text if the pattern has no parentheses.
    ///
    /// Errors: one of them has no end.
    pub fn captures(&self) -> Result<impl Iterator<Item = Capture>, PatternError> {
        let captures = self.captures.as_slice();
        if captures.iter().any(|capture| matches!(capture, Capture::Unfinished(_))) {
            return Err(PatternError::UnfinishedCapture);
        }
        let whole = captures.is_empty().then(|| self.whole());
        Ok(captures.iter().copied().chain(whole))
    }

    /// The first of the captures.
    pub fn first_capture(&self) -> Result<Capture, PatternError> {
        match self.captures.as_slice().first() {
            None => Ok(self.whole()),
            Some(Capture::Unfinished(_)) => Err(PatternError::UnfinishedCapture),
            Some(capture) => Ok(*capture),
        }
    }

    /// All of the last match.
    pub fn whole(&self) -> Capture {
        Capture::Text(self.start as u32, self.end as u32)
    }

    /// Puts `text` in the place of the last match.
    pub fn replace(&mut self, subject: &[u8], text: &[u8]) -> Result<(), PatternError> {
        self.text.try_append(subject.get(self.done..self.start).unwrap_or_default())?;
        self.text.try_append(text)?;
        self.done = self.end;
        Ok(())
    }

    /// The subject with its replacements; nothing if these change nothing, so that the subject
    /// itself is the result.
    pub fn finish(&mut self, subject: &[u8]) -> Result<Option<&[u8]>, PatternError> {
        if self.done == 0 && self.text.is_empty() {
            return Ok(None);
        }
        self.text.try_append(subject.get(self.done..).unwrap_or_default())?;
        Ok(Some(&self.text))
    }

    /// How many matches there were.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Gives back a large text's memory.
    pub fn release(&mut self) {
        if self.text.capacity() > KEPT {
            self.text = Vec::new();
        }
    }
}
