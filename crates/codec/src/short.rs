//! Searches in byte strings that are mostly short, where vector instructions do not pay.

use memchr::memchr2;

/// Strings up to this length are searched byte by byte.
pub(crate) const SHORT: usize = 24;

/// Where the first of two bytes is.
#[inline]
pub(crate) fn find_either(one: u8, other: u8, bytes: &[u8]) -> Option<usize> {
    if bytes.len() > SHORT {
        return memchr2(one, other, bytes);
    }
    bytes.iter().position(|&b| b == one || b == other)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_position(bytes in "[a-d]{0,12}[a-c]{0,30}[a-d]{0,12}") {
            let bytes = bytes.as_bytes();
            let either = bytes.iter().position(|&b| b == b'd' || b == b'c');
            prop_assert_eq!(find_either(b'd', b'c', bytes), either);
        }
    }
}
