//! Sets of bytes for the tables that say what must be escaped.
//!
//! Built at compile time from ranges and lists, so that a table reads like its specification.

/// A set of bytes with a constant-time test.
pub(crate) struct ByteSet([bool; 256]);

impl ByteSet {
    pub(crate) const fn new() -> Self {
        ByteSet([false; 256])
    }

    /// Adds `first` to `last`, both included.
    pub(crate) const fn range(mut self, first: u8, last: u8) -> Self {
        let mut byte = first as usize;
        while byte <= last as usize {
            self.0[byte] = true;
            byte += 1;
        }
        self
    }

    /// Adds every byte of `bytes`.
    pub(crate) const fn with(mut self, bytes: &[u8]) -> Self {
        let mut i = 0;
        while i < bytes.len() {
            self.0[bytes[i] as usize] = true;
            i += 1;
        }
        self
    }

    /// Turns the set into all the bytes that were not in it.
    pub(crate) const fn complement(mut self) -> Self {
        let mut byte = 0;
        while byte < 256 {
            self.0[byte] = !self.0[byte];
            byte += 1;
        }
        self
    }

    #[inline]
    pub(crate) const fn contains(&self, byte: u8) -> bool {
        self.0[byte as usize]
    }

    /// How many bytes of `bytes` are in the set.
    pub(crate) fn count_in(&self, bytes: &[u8]) -> usize {
        bytes.iter().filter(|&&byte| self.contains(byte)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_lists_and_complements_add_up() {
        const SET: ByteSet = ByteSet::new().range(b'a', b'c').with(b"xz").range(0xfe, 0xff);
        assert_eq!((0..=255).filter(|&b| SET.contains(b)).collect::<Vec<u8>>(), b"abcxz\xfe\xff");
        const REST: ByteSet = SET.complement();
        assert!((0..=255).all(|b| SET.contains(b) != REST.contains(b)));
        assert_eq!(SET.count_in(b"cabbage"), 5);
    }
}
