//! Base64 in the flavours of `ngx.encode_base64`, `ngx.decode_base64` and `ngx.base64`.
//!
//! Decoding is as lenient as nginx's: it stops at the first `=`, whatever follows, needs no
//! padding, and ignores the unused bits of the last digit.

use base64_simd::{AsOut, STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::fallible;
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

/// Shorter strings are decoded here: for 24 digits, base64-simd takes 285 instructions instead of
/// 247, because it looks up first which vector instructions the processor has. From this length on
/// that pays.
const LONG: usize = 48;
/// The value of a byte that is no digit: four digits fill 24 bits, three bytes from the lowest on.
const NO_DIGIT: u32 = 1 << 24;
/// The digit of value zero, in every alphabet.
const ZERO: u8 = b'A';

/// For each of the four places in a group of digits, the value of each byte at that place.
struct Alphabet([[u32; 256]; 4]);

static STANDARD_DIGITS: Alphabet = Alphabet::new(*b"+/");
static URL_DIGITS: Alphabet = Alphabet::new(*b"-_");

const fn digits(last_two: [u8; 2]) -> [u8; 64] {
    let mut digits = *b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789  ";
    digits[62] = last_two[0];
    digits[63] = last_two[1];
    digits
}

impl Alphabet {
    const fn new(last_two: [u8; 2]) -> Alphabet {
        let digits = digits(last_two);
        let mut values = [[NO_DIGIT; 256]; 4];
        let mut value = 0;
        while value < 64 {
            let mut place = 0;
            while place < 4 {
                let [_, bytes @ ..] = ((value as u32) << (18 - 6 * place)).to_be_bytes();
                values[place][digits[value] as usize] =
                    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]);
                place += 1;
            }
            value += 1;
        }
        Alphabet(values)
    }

    /// The value of four digits; at least `NO_DIGIT` if one of them is not a digit.
    #[expect(clippy::indexing_slicing, reason = "bytes, in tables of 256")]
    fn decode(&self, digits: [u8; 4]) -> u32 {
        let [a, b, c, d] = digits.map(usize::from);
        let [first, second, third, fourth] = &self.0;
        first[a] | second[b] | third[c] | fourth[d]
    }
}

impl Flavour {
    fn alphabet(self) -> &'static Alphabet {
        match self {
            Flavour::Standard | Flavour::NoPadding => &STANDARD_DIGITS,
            Flavour::Url => &URL_DIGITS,
        }
    }

    fn without_padding(self) -> &'static base64_simd::Base64 {
        match self {
            Flavour::Standard | Flavour::NoPadding => &STANDARD_NO_PAD,
            Flavour::Url => &URL_SAFE_NO_PAD,
        }
    }
}

/// The exact length of `len` bytes once encoded, or `None` where it does not fit a `usize`.
#[inline]
pub fn encoded_len(len: usize, flavour: Flavour) -> Option<usize> {
    let digits = (len / 3).checked_mul(4)?;
    digits.checked_add(match (len % 3, flavour) {
        (0, _) => 0,
        (_, Flavour::Standard) => 4,
        (odd, _) => odd + 1,
    })
}

/// Writes `src`, encoded, to the start of `dst`. Returns the length written, or `None` when `dst`
/// is shorter than [`encoded_len`].
#[inline]
pub fn encode_into(src: &[u8], flavour: Flavour, dst: &mut [u8]) -> Option<usize> {
    let len = encoded_len(src.len(), flavour)?;
    let dst = dst.get_mut(..len)?;
    let encoder = match flavour {
        Flavour::Standard => &STANDARD,
        _ => flavour.without_padding(),
    };
    Some(encoder.encode(src, dst.as_out()).len())
}

/// A length that is always enough for the decoded form of `len` bytes.
#[inline]
pub fn max_decoded_len(len: usize) -> usize {
    len.div_ceil(4).saturating_mul(3)
}

/// Writes `src`, decoded, to the start of `dst`. Returns the length written, or `None` when `src`
/// is malformed or `dst` too short; [`max_decoded_len`] is always enough.
#[inline]
pub fn decode_into(src: &[u8], flavour: Flavour, dst: &mut [u8]) -> Option<usize> {
    let digits = match src {
        [digits @ .., b'=', b'='] | [digits @ .., b'='] => digits,
        digits => digits,
    };
    if let Some(len) = decode_digits(digits, flavour, dst) {
        return Some(len);
    }
    // The failure may be due to a `=` in the middle, which ends the digits.
    decode_digits(src.get(..memchr(b'=', src)?)?, flavour, dst)
}

fn decode_digits(digits: &[u8], flavour: Flavour, dst: &mut [u8]) -> Option<usize> {
    let (quads, odd) = digits.as_chunks::<4>();
    let (bytes, last) = dst.split_at_mut_checked(quads.len() * 3)?;
    let alphabet = flavour.alphabet();
    if digits.len() < LONG {
        let mut values = 0;
        for (bytes, digits) in bytes.as_chunks_mut().0.iter_mut().zip(quads) {
            let value = alphabet.decode(*digits);
            let [a, b, c, _] = value.to_le_bytes();
            *bytes = [a, b, c];
            values |= value;
        }
        if values >= NO_DIGIT {
            return None;
        }
    } else {
        flavour.without_padding().decode(quads.as_flattened(), bytes.as_out()).ok()?;
    }
    // Missing digits are filled up with the digit of value zero.
    let end = |digits| {
        let value = alphabet.decode(digits);
        (value < NO_DIGIT).then_some(value.to_le_bytes())
    };
    match *odd {
        [] => Some(bytes.len()),
        [a, b] => {
            let [byte, ..] = end([a, b, ZERO, ZERO])?;
            *last.first_mut()? = byte;
            Some(bytes.len() + 1)
        }
        [a, b, c] => {
            let [first, second, ..] = end([a, b, c, ZERO])?;
            *last.first_chunk_mut()? = [first, second];
            Some(bytes.len() + 2)
        }
        _ => None,
    }
}

/// Like [`decode_into`] for the standard alphabet, but skips every byte before the first `=` that
/// is not a digit, as MIME asks (RFC 2045).
pub fn decode_mime_into(src: &[u8], dst: &mut [u8]) -> Option<usize> {
    let digits = src
        .iter()
        .take_while(|&&byte| byte != b'=')
        .filter(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
        .copied();
    let digits = fallible::collect(digits).ok()?;
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

    /// A slow, simple encoder to compare with, one bit after the other.
    fn encode_slowly(src: &[u8], flavour: Flavour, last_two: &[u8; 2]) -> String {
        let bits: Vec<u8> =
            src.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
        let mut text: String = bits
            .chunks(6)
            .map(|bits| (0..6).fold(0, |n, i| n << 1 | bits.get(i).copied().unwrap_or(0)))
            .map(|value| char::from(digits(*last_two)[usize::from(value)]))
            .collect();
        while flavour == Flavour::Standard && !text.len().is_multiple_of(4) {
            text.push('=');
        }
        text
    }

    /// A slow, simple decoder to compare with, one bit after the other.
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
        fn encoding_agrees_with_bits(src in prop::collection::vec(any::<u8>(), 0..200)) {
            for (flavour, last_two) in FLAVOURS.into_iter().zip([b"+/", b"+/", b"-_"]) {
                prop_assert_eq!(encode(&src, flavour), encode_slowly(&src, flavour, last_two));
            }
        }

        #[test]
        fn decoding_agrees_with_bits(
            src in "[A-Za-z0-9+/_-]{0,20}(=|!)?[a-z]{0,3}|[A-Za-z0-9+/]{40,150}[!_\\PC]?[a-z]{0,90}=?[!]?"
        ) {
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
