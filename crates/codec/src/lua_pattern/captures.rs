//! What the parentheses of a pattern capture.

use super::PatternError;

const MOST: usize = 32;

/// What a pair of parentheses captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capture {
    /// The text from the first place to before the second.
    Text(u32, u32),
    /// A place, of `()`.
    Position(u32),
    /// Its `)` has not come.
    Unfinished(u32),
}

/// The captures of a match.
pub(super) struct Captures {
    level: usize,
    all: [Capture; MOST],
}

impl Default for Captures {
    fn default() -> Self {
        Captures { level: 0, all: [Capture::Unfinished(0); MOST] }
    }
}

impl Captures {
    #[inline]
    pub(super) fn clear(&mut self) {
        self.level = 0;
    }

    #[inline]
    pub(super) fn level(&self) -> usize {
        self.level
    }

    /// In their order; none if the pattern has no parentheses.
    pub(super) fn as_slice(&self) -> &[Capture] {
        self.all.get(..self.level).unwrap_or_default()
    }

    #[inline]
    pub(super) fn open(&mut self, what: Capture) -> Result<(), PatternError> {
        *self.all.get_mut(self.level).ok_or(PatternError::TooManyCaptures)? = what;
        self.level += 1;
        Ok(())
    }

    /// Closes the last one that is open, at `end`, and returns its index.
    #[inline]
    pub(super) fn close(&mut self, end: usize) -> Result<usize, PatternError> {
        let open = self.all.get_mut(..self.level).unwrap_or_default();
        for (index, capture) in open.iter_mut().enumerate().rev() {
            if let Capture::Unfinished(start) = *capture {
                *capture = Capture::Text(start, end as u32);
                return Ok(index);
            }
        }
        Err(PatternError::InvalidCapture)
    }

    /// Forgets those from `level` on, and opens those again whose bits `closed` has.
    #[inline]
    pub(super) fn undo(&mut self, level: usize, closed: u32) {
        self.level = level;
        let open = self.all.get_mut(..level).unwrap_or_default();
        if closed == 0 {
            return;
        }
        for (index, capture) in open.iter_mut().enumerate() {
            if closed >> index & 1 != 0
                && let Capture::Text(start, _) = *capture
            {
                *capture = Capture::Unfinished(start);
            }
        }
    }
}
