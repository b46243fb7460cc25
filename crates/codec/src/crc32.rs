//! `ngx.crc32_short` and `ngx.crc32_long`: one checksum, the CRC-32 of zip and PNG.
//!
//! nginx has two functions for short and long input with the same result; here one serves both.

/// The checksum of `src`.
pub fn checksum(src: &[u8]) -> u32 {
    crc32fast::hash(src)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_values() {
        assert_eq!(checksum(b""), 0);
        assert_eq!(checksum(b"123456789"), 0xcbf4_3926);
    }

    proptest! {
        #[test]
        fn agrees_with_long_division(src: Vec<u8>) {
            let mut crc = u32::MAX;
            for byte in &src {
                crc ^= u32::from(*byte);
                for _ in 0..8 {
                    crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
                }
            }
            prop_assert_eq!(checksum(&src), !crc);
        }
    }
}
