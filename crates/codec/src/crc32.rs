//! `ngx.crc32_short` and `ngx.crc32_long`: one checksum, the CRC-32 of zip and PNG.
//!
//! nginx has two functions for short and long input with the same result; here one serves both.

/// From so many bytes on, what is faster is worth its preparations.
const LONG: usize = 12;

/// The checksums of single bytes.
static BYTES: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// The checksum of `src`.
#[inline]
pub fn checksum(src: &[u8]) -> u32 {
    if src.len() >= LONG {
        return crc32fast::hash(src);
    }
    let step = |crc: u32, byte: &u8| BYTES[usize::from(crc as u8 ^ byte)] ^ crc >> 8;
    !src.iter().fold(u32::MAX, step)
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
