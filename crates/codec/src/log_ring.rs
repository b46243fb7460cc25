//! The last lines of a log, in a ring of a fixed number of bytes: new lines push out the oldest.
//!
//! Adding a line allocates nothing.

use crate::fallible::{self, Grow, OutOfMemory};

/// What a line takes beside its text: time, length and level.
const HEAD: usize = 16;

/// A line that was captured.
pub struct CapturedLine {
    pub level: i32,
    /// Seconds since the epoch.
    pub time: f64,
    pub text: Vec<u8>,
}

/// A ring buffer of lines; new lines push out the oldest.
pub struct LogRing {
    /// Its capacity is there from the start; it gets longer until it has `size` bytes.
    data: Vec<u8>,
    size: usize,
    first: usize,
    used: usize,
}

impl LogRing {
    /// A ring of `size` bytes, with nothing in it.
    ///
    /// # Errors
    /// Out of memory.
    pub fn new(size: usize) -> Result<LogRing, OutOfMemory> {
        let size = size.max(1);
        Ok(LogRing { data: fallible::with_capacity(size)?, size, first: 0, used: 0 })
    }

    /// Adds a line; one that is longer than the whole ring is left out.
    pub fn push(&mut self, level: u32, time: f64, text: &[u8]) {
        let need = HEAD.saturating_add(text.len());
        let Ok(len) = u32::try_from(text.len()) else { return };
        if need > self.size {
            return;
        }
        while self.size - self.used < need {
            self.drop_first();
        }
        self.append(&time.to_le_bytes());
        self.append(&len.to_le_bytes());
        self.append(&level.to_le_bytes());
        self.append(text);
    }

    /// Takes the oldest line out; none where there is none, or no memory for its text.
    pub fn pop(&mut self) -> Option<CapturedLine> {
        let (time, len, level) = self.head()?;
        let mut text = fallible::zeroes(len).ok()?;
        self.copy(HEAD, &mut text);
        self.drop_first();
        Some(CapturedLine { level: level as i32, time, text })
    }

    fn head(&self) -> Option<(f64, usize, u32)> {
        if self.used == 0 {
            return None;
        }
        let (mut time, mut len, mut level) = ([0; 8], [0; 4], [0; 4]);
        self.copy(0, &mut time);
        self.copy(8, &mut len);
        self.copy(12, &mut level);
        let len = u32::from_le_bytes(len) as usize;
        Some((f64::from_le_bytes(time), len, u32::from_le_bytes(level)))
    }

    fn drop_first(&mut self) {
        let size = self.head().map_or(self.used, |(_, len, _)| HEAD + len).min(self.used);
        self.first = (self.first + size) % self.size;
        self.used -= size;
    }

    /// Copies bytes into `target`, starting `offset` bytes after the start of the oldest line.
    fn copy(&self, offset: usize, target: &mut [u8]) {
        let (before, behind) = self.data.split_at(self.first);
        let bytes = behind.iter().chain(before).skip(offset);
        for (to, from) in target.iter_mut().zip(bytes) {
            *to = *from;
        }
    }

    /// Appends `bytes`, which must fit.
    fn append(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let at = (self.first + self.used) % self.size;
            match self.data.get_mut(at) {
                Some(slot) => *slot = *byte,
                // The first time round, this is the place behind the last one.
                None => {
                    let _ = self.data.try_push(*byte);
                }
            }
            self.used += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(ring: &mut LogRing) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| ring.pop()).map(|line| line.text).collect()
    }

    #[test]
    fn lines_come_out_as_they_went_in() {
        let mut ring = LogRing::new(100).unwrap();
        ring.push(4, 1.5, b"first");
        ring.push(8, 2.25, b"");
        let line = ring.pop().unwrap();
        assert_eq!((line.level, line.time, line.text.as_slice()), (4, 1.5, b"first".as_slice()));
        let line = ring.pop().unwrap();
        assert_eq!((line.level, line.time, line.text.len()), (8, 2.25, 0));
        assert!(ring.pop().is_none());
    }

    #[test]
    fn new_lines_push_out_the_oldest() {
        let mut ring = LogRing::new(3 * (HEAD + 2)).unwrap();
        for text in [b"aa", b"bb", b"cc", b"dd"] {
            ring.push(1, 0.0, text);
        }
        assert_eq!(texts(&mut ring), [b"bb", b"cc", b"dd"]);
        // One long line takes the place of several.
        for text in [b"ee".as_slice(), b"ff", b"gg", b"a line of 20 bytes.."] {
            ring.push(1, 0.0, text);
        }
        assert_eq!(texts(&mut ring), [b"gg".as_slice(), b"a line of 20 bytes.."]);
    }

    #[test]
    fn a_line_longer_than_the_ring_is_left_out() {
        let mut ring = LogRing::new(HEAD + 3).unwrap();
        ring.push(1, 0.0, b"abc");
        ring.push(1, 0.0, b"abcd");
        assert_eq!(texts(&mut ring), [b"abc"]);
        let mut none = LogRing::new(0).unwrap();
        none.push(1, 0.0, b"");
        assert!(none.pop().is_none());
    }

    #[test]
    fn one_that_does_not_fit_is_refused() {
        assert!(LogRing::new(usize::MAX).is_err());
    }

    #[test]
    fn it_is_used_round_and_round() {
        let mut ring = LogRing::new(61).unwrap();
        for turn in 0..1000u32 {
            let text = turn.to_string();
            ring.push(turn % 9, f64::from(turn), text.as_bytes());
            if turn % 3 == 2 {
                let line = ring.pop().unwrap();
                assert!(line.time <= f64::from(turn));
                assert_eq!(line.text, line.time.to_string().as_bytes());
            }
        }
    }
}
