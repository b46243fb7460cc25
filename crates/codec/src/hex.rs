//! Hexadecimal digits, in the two cases that nginx prints.

const UPPER: &[u8; 16] = b"0123456789ABCDEF";

/// The two upper-case digits of a byte, as in `%2F` and `\x1B`.
#[inline]
#[expect(clippy::indexing_slicing, reason = "four bits, in a table of 16")]
pub(crate) fn upper(byte: u8) -> [u8; 2] {
    [UPPER[usize::from(byte >> 4)], UPPER[usize::from(byte & 15)]]
}

/// The value of one digit of either case.
#[inline]
pub(crate) fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Writes the lower-case digits of `src` into `dst`, which needs two bytes for each of `src`.
/// Returns the length written, or `None` when `dst` is too short.
pub fn encode_into(src: &[u8], dst: &mut [u8]) -> Option<usize> {
    let len = src.len().checked_mul(2)?;
    for (pair, &byte) in dst.get_mut(..len)?.as_chunks_mut().0.iter_mut().zip(src) {
        *pair = [lower(byte >> 4), lower(byte & 15)];
    }
    Some(len)
}

/// The lower-case digit of a value below 16. Computed rather than looked up, so that the compiler
/// can vectorise it.
#[inline]
fn lower(value: u8) -> u8 {
    value + if value > 9 { b'a' - 10 } else { b'0' }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn refuses_a_short_buffer() {
        assert_eq!(encode_into(b"ab", &mut [0; 3]), None);
    }

    proptest! {
        #[test]
        fn agrees_with_format(src: Vec<u8>) {
            let mut dst = vec![0; src.len() * 2 + 1];
            let len = encode_into(&src, &mut dst);
            let lower: String = src.iter().map(|b| format!("{b:02x}")).collect();
            prop_assert_eq!(len, Some(lower.len()));
            prop_assert_eq!(&dst[..lower.len()], lower.as_bytes());

            let pairs: Vec<u8> = src.iter().flat_map(|&b| upper(b)).collect();
            let upper = lower.to_uppercase();
            prop_assert_eq!(pairs.as_slice(), upper.as_bytes());
        }

        #[test]
        fn digits_agree_with_the_library(byte: u8) {
            prop_assert_eq!(digit(byte).map(u32::from), char::from(byte).to_digit(16));
        }
    }
}
