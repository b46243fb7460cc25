//! Searches in what is short most times, where vectors would not pay.

use memchr::{memchr, memchr2};

/// Bytes that are looked at one by one before anything else is tried.
const SHORT: usize = 16;

/// Where the first `byte` is.
#[inline]
pub(crate) fn find(byte: u8, bytes: &[u8]) -> Option<usize> {
    let (start, rest) = bytes.split_at(bytes.len().min(SHORT));
    let found = start.iter().position(|&b| b == byte);
    found.or_else(|| if rest.is_empty() { None } else { Some(memchr(byte, rest)? + SHORT) })
}

/// Where the first of two bytes is.
#[inline]
pub(crate) fn find_either(one: u8, other: u8, bytes: &[u8]) -> Option<usize> {
    let (start, rest) = bytes.split_at(bytes.len().min(SHORT));
    let found = start.iter().position(|&b| b == one || b == other);
    found.or_else(|| if rest.is_empty() { None } else { Some(memchr2(one, other, rest)? + SHORT) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_position(bytes in "[a-d]{0,12}[a-c]{0,30}[a-d]{0,12}") {
            let bytes = bytes.as_bytes();
            prop_assert_eq!(find(b'd', bytes), bytes.iter().position(|&b| b == b'd'));
            let either = bytes.iter().position(|&b| b == b'd' || b == b'c');
            prop_assert_eq!(find_either(b'd', b'c', bytes), either);
        }
    }
}
