//! Base64 in the flavours of `ngx.encode_base64`, `ngx.decode_base64` and `ngx.base64`.
//!
//! Decoding is as lenient as nginx's: it stops at the first `=`, whatever follows, needs no
//! padding, and ignores the unused bits of the last digit.

use base64::Engine;
use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use memchr::memchr;

/// The digits in use, and whether an encoded string is padded with `=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// `+` and `/`, padded.
    Standard,
    /// `+` and `/`, without padding (`no_padding` of `ngx.encode_base64`).
    NoPadding,
    /// `-` and `_`, without padding.
    Url,
}

const fn engine(alphabet: &Alphabet, padded: bool) -> GeneralPurpose {
    let config = GeneralPurposeConfig::new()
        .with_encode_padding(padded)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(alphabet, config)
}

static PADDED_ENGINE: GeneralPurpose = engine(&STANDARD, true);
static NO_PADDING_ENGINE: GeneralPurpose = engine(&STANDARD, false);
static URL_ENGINE: GeneralPurpose = engine(&URL_SAFE, false);

impl Flavour {
    fn engine(self) -> &'static GeneralPurpose {
        match self {
            Flavour::Standard => &PADDED_ENGINE,
            Flavour::NoPadding => &NO_PADDING_ENGINE,
            Flavour::Url => &URL_ENGINE,
        }
    }
}

/// The exact length of `len` bytes once encoded, or `None` where it does not fit a `usize`.
pub fn encoded_len(len: usize, flavour: Flavour) -> Option<usize> {
    base64::encoded_len(len, flavour == Flavour::Standard)
}

/// Writes `src`, encoded, to the start of `dst`. Returns the length written, or `None` when `dst`
/// is shorter than [`encoded_len`].
pub fn encode_into(src: &[u8], flavour: Flavour, dst: &mut [u8]) -> Option<usize> {
    flavour.engine().encode_slice(src, dst).ok()
}

/// The length that is enough for `len` bytes once decoded.
pub fn max_decoded_len(len: usize) -> usize {
    len.div_ceil(4).saturating_mul(3)
}

/// Writes `src`, decoded, to the start of `dst`. Returns the length written, or `None` when `src`
/// is malformed or `dst` too short; [`max_decoded_len`] is always enough.
pub fn decode_into(src: &[u8], flavour: Flavour, dst: &mut [u8]) -> Option<usize> {
    let digits = memchr(b'=', src).and_then(|at| src.get(..at)).unwrap_or(src);
    flavour.engine().decode_slice(digits, dst).ok()
}

/// Like [`decode_into`] for the standard alphabet, but skips every byte before the first `=` that
/// is not a digit, as MIME asks (RFC 2045).
pub fn decode_mime_into(src: &[u8], dst: &mut [u8]) -> Option<usize> {
    let digits: Vec<u8> = src
        .iter()
        .take_while(|&&byte| byte != b'=')
        .filter(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
        .copied()
        .collect();
    decode_into(&digits, Flavour::Standard, dst)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FLAVOURS: [Flavour; 3] = [Flavour::Standard, Flavour::NoPadding, Flavour::Url];

    fn encode(src: &[u8], flavour: Flavour) -> String {
        let mut dst = vec![0; encoded_len(src.len(), flavour).unwrap()];
        assert_eq!(encode_into(src, flavour, &mut dst), Some(dst.len()));
        String::from_utf8(dst).unwrap()
    }

    fn decode(src: &[u8], flavour: Flavour) -> Option<Vec<u8>> {
        let mut dst = vec![0; max_decoded_len(src.len())];
        let len = decode_into(src, flavour, &mut dst)?;
        dst.truncate(len);
        Some(dst)
    }

    #[test]
    fn flavours_differ_in_two_digits_and_the_padding() {
        assert_eq!(encode(b"\xfb\xff\xfe\xff", Flavour::Standard), "+//+/w==");
        assert_eq!(encode(b"\xfb\xff\xfe\xff", Flavour::NoPadding), "+//+/w");
        assert_eq!(encode(b"\xfb\xff\xfe\xff", Flavour::Url), "-__-_w");
        assert_eq!(decode(b"-__-_w", Flavour::Standard), None);
        assert_eq!(decode(b"+//+/w", Flavour::Url), None);
    }

    #[test]
    fn decodes_leniently() {
        for src in ["aGVsbG8=", "aGVsbG8", "aGVsbG9", "aGVsbG8=\n!", "aGVsbG8====="] {
            assert_eq!(decode(src.as_bytes(), Flavour::Standard).as_deref(), Some(&b"hello"[..]));
        }
        for src in ["", "=", "=!"] {
            assert_eq!(decode(src.as_bytes(), Flavour::Standard).as_deref(), Some(&b""[..]));
        }
    }

    #[test]
    fn refuses_what_nginx_refuses() {
        for src in ["a", "aGVsb", "aGVs bG8=", "aGVsbG8\n", "a=", "\0\0"] {
            assert_eq!(decode(src.as_bytes(), Flavour::Standard), None, "{src:?}");
        }
    }

    #[test]
    fn mime_skips_what_is_not_a_digit() {
        let mut dst = [0; 12];
        assert_eq!(decode_mime_into(b"aGVs\r\n bG8_=x", &mut dst), Some(5));
        assert_eq!(&dst[..5], b"hello");
        assert_eq!(decode_mime_into(b"aGVsb\n", &mut dst), None);
    }

    #[test]
    fn short_buffers_are_refused() {
        assert_eq!(encode_into(b"abc", Flavour::Standard, &mut [0; 3]), None);
        assert_eq!(decode_into(b"YWJj", Flavour::Standard, &mut [0; 2]), None);
    }

    /// The slow obvious decoder, one bit after the other.
    fn decode_slowly(src: &[u8], last_two: &[u8; 2]) -> Option<Vec<u8>> {
        let mut digits: Vec<u8> = (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').collect();
        digits.extend_from_slice(last_two);

        let mut bits = Vec::new();
        for byte in src.iter().take_while(|&&byte| byte != b'=') {
            let value = digits.iter().position(|digit| digit == byte)?;
            bits.extend((0..6).rev().map(|bit| value >> bit & 1));
        }
        if bits.len() % 24 == 6 {
            return None;
        }
        Some(
            bits.chunks_exact(8)
                .map(|byte| byte.iter().fold(0, |n, &b| n << 1 | b as u8))
                .collect(),
        )
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes(src: Vec<u8>) {
            for flavour in FLAVOURS {
                let text = encode(&src, flavour);
                let decoded = decode(text.as_bytes(), flavour);
                prop_assert_eq!(decoded.as_deref(), Some(src.as_slice()));
                let mut exact = vec![0; src.len()];
                prop_assert_eq!(decode_into(text.as_bytes(), flavour, &mut exact), Some(src.len()));
            }
        }

        #[test]
        fn decoding_agrees_with_bits(src in "[A-Za-z0-9+/_-]{0,20}(=|!)?[a-z]{0,3}") {
            let src = src.as_bytes();
            prop_assert_eq!(decode(src, Flavour::Standard), decode_slowly(src, b"+/"));
            prop_assert_eq!(decode(src, Flavour::Url), decode_slowly(src, b"-_"));
        }

        #[test]
        fn mime_is_decoding_without_the_rest(src in "[A-Za-z0-9+/ \n_.=]{0,30}") {
            let clean: String = src.chars().filter(|c| !" \n_.".contains(*c)).collect();
            let mut dst = vec![0; max_decoded_len(src.len())];
            let decoded = decode_mime_into(src.as_bytes(), &mut dst).map(|len| dst[..len].to_vec());
            prop_assert_eq!(decoded, decode_slowly(clean.as_bytes(), b"+/"));
        }
    }
}
