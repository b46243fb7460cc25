//! `ngx.crc32_short` and `ngx.crc32_long`: one checksum, the CRC-32 of zip and PNG.
//!
//! nginx has two functions for short and long input with the same result; here one serves both.

/// From this length on, the crate's faster method is worth its fixed cost.
const LONG: usize = 12;

/// The checksums of single bytes, followed by zero to three zero bytes.
static BYTES: [[u32; 256]; 4] = {
    let mut tables = [[0; 256]; 4];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut at = 256;
    while at < 1024 {
        let before = tables[at / 256 - 1][at % 256];
        tables[at / 256][at % 256] = before >> 8 ^ tables[0][(before & 0xff) as usize];
        at += 1;
    }
    tables
};

/// The checksum of `src`.
#[inline]
#[expect(clippy::indexing_slicing, reason = "bytes, in four tables of 256")]
pub fn checksum(src: &[u8]) -> u32 {
    if src.len() >= LONG {
        return crc32fast::hash(src);
    }
    let (words, rest) = src.as_chunks();
    let crc = words.iter().fold(u32::MAX, |crc, word| {
        let [a, b, c, d] = (crc ^ u32::from_le_bytes(*word)).to_le_bytes().map(usize::from);
        BYTES[3][a] ^ BYTES[2][b] ^ BYTES[1][c] ^ BYTES[0][d]
    });
    !rest.iter().fold(crc, |crc, byte| BYTES[0][usize::from(crc as u8 ^ byte)] ^ crc >> 8)
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
