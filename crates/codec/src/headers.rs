//! Names and values of headers as Lua writes them, put into the forms that nginx works with.

use std::borrow::Cow;

use crate::fallible::{self, OutOfMemory};
use crate::uri::{self, EscapeType, HEADER_NAME, HEADER_VALUE};

/// A header's name as it goes onto the wire, with nginx's hash of its lower-case form
/// (`ngx_hash_key_lc`).
#[derive(Debug, PartialEq, Eq)]
pub struct Name<'a> {
    text: Cow<'a, [u8]>,
    hash: usize,
}

/// A buffer for [`Name::new`], used when the name differs from how it was written. Longer names are
/// possible: they get memory of their own.
pub const NAME_BUFFER: NameBuffer = [0; 64];
type NameBuffer = [u8; 64];

/// A one in each byte of a word.
const ONES: u64 = u64::MAX / 255;

static LOWER: [u8; 256] = lower_names();

/// For each byte that needs no change in a header's name: its lower case. 0 for all others and for
/// the underscore.
const fn lower_names() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        if !HEADER_NAME.contains(byte as u8) && byte != b'_' as usize {
            table[byte] = (byte as u8).to_ascii_lowercase();
        }
        byte += 1;
    }
    table
}

impl<'a> Name<'a> {
    /// The name that a script wrote as `written`. Bytes that must not reach the wire are escaped;
    /// with `dashes`, underscores become dashes (`lua_transform_underscores_in_response_headers`).
    #[inline]
    pub fn new(
        written: &'a [u8],
        dashes: bool,
        buffer: &'a mut NameBuffer,
    ) -> Result<Name<'a>, OutOfMemory> {
        match plain_hash(written) {
            Some(hash) => Ok(Name { text: Cow::Borrowed(written), hash }),
            None => Name::changed(written, dashes, buffer),
        }
    }

    fn changed(
        written: &'a [u8],
        dashes: bool,
        buffer: &'a mut NameBuffer,
    ) -> Result<Name<'a>, OutOfMemory> {
        if dashes && let Some(dashed) = buffer.get_mut(..written.len()) {
            dashed.copy_from_slice(written);
            underscores_to_dashes(dashed);
            if let Some(hash) = plain_hash(dashed) {
                return Ok(Name { text: Cow::Borrowed(dashed), hash });
            }
        }
        let mut text = uri::escape(written, EscapeType::HeaderName)?;
        if dashes {
            let mut dashed = fallible::copy(&text)?;
            underscores_to_dashes(&mut dashed);
            text = Cow::Owned(dashed);
        }
        let hash = lowcase_hash(&text);
        Ok(Name { text, hash })
    }

    pub fn text(&self) -> &[u8] {
        &self.text
    }

    pub fn hash(&self) -> usize {
        self.hash
    }

    /// Whether this is the header `name`, in any case of letters.
    #[inline]
    pub fn is(&self, name: &[u8]) -> bool {
        // Most scripts write a header in its usual case.
        self.text.len() == name.len()
            && (*self.text == *name || self.text.eq_ignore_ascii_case(name))
    }

    /// As [`Name::is`], where `name` consists of lower-case letters and dashes only.
    pub fn is_lowcase(&self, name: &[u8]) -> bool {
        // In an escaped name, setting bit 5 turns only capitals into lower-case letters, and
        // nothing into a dash.
        let (words, rest) = self.text.as_chunks();
        let (lower_words, lower_rest) = name.as_chunks();
        let lower = |word| u64::from_ne_bytes(word) | (ONES * 0x20);
        self.text.len() == name.len()
            && words.iter().zip(lower_words).all(|(a, b)| lower(*a) == u64::from_ne_bytes(*b))
            && rest.iter().zip(lower_rest).all(|(a, b)| a | 0x20 == *b)
    }
}

/// The hash of a name that needs no change; `None` if it needs one.
#[inline]
#[expect(clippy::indexing_slicing, reason = "a byte, in a table of 256")]
fn plain_hash(name: &[u8]) -> Option<usize> {
    let mut hash = 0usize;
    for &byte in name {
        let lower = LOWER[usize::from(byte)];
        if lower == 0 {
            return None;
        }
        hash = hash.wrapping_mul(31).wrapping_add(usize::from(lower));
    }
    Some(hash)
}

/// `value` with the bytes escaped that must not reach the wire.
#[inline]
pub fn escaped_value(value: &[u8]) -> Result<Cow<'_, [u8]>, OutOfMemory> {
    if is_plain_value(value) {
        return Ok(Cow::Borrowed(value));
    }
    uri::escape(value, EscapeType::HeaderValue)
}

/// A quick test of eight bytes at a time: true means that nothing in the value needs escaping.
/// False may be a false alarm, for a tab for example.
fn is_plain_value(value: &[u8]) -> bool {
    let (words, rest) = value.as_chunks();
    let suspicious = words.iter().fold(0, |found, word| {
        let word = u64::from_ne_bytes(*word);
        let delete = word ^ (ONES * 0x7f);
        // Sets the high bit of each byte that is below 32 or is 127, and perhaps of the byte above
        // one.
        found | (word.wrapping_sub(ONES * 0x20) & !word) | (delete.wrapping_sub(ONES) & !delete)
    });
    suspicious & (ONES * 0x80) == 0 && !rest.iter().any(|&byte| HEADER_VALUE.contains(byte))
}

/// Turns the underscores of a header's name into dashes, where it stands.
pub fn underscores_to_dashes(name: &mut [u8]) {
    for byte in name.iter_mut().filter(|byte| **byte == b'_') {
        *byte = b'-';
    }
}

/// nginx's hash of the lower-case form of `name` (`ngx_hash_key_lc`).
pub const fn lowcase_hash(name: &[u8]) -> usize {
    let mut hash = 0usize;
    let mut at = 0;
    while at < name.len() {
        hash = hash.wrapping_mul(31).wrapping_add(name[at].to_ascii_lowercase() as usize);
        at += 1;
    }
    hash
}

/// Length of the media type in the value of `Content-Type`: all that stands before a semicolon.
pub fn media_type_len(value: &[u8]) -> usize {
    memchr::memchr(b';', value).unwrap_or(value.len())
}

/// The server's name in the value of `Host`: in lower case, without port and final dot.
///
/// `None` where the C module refuses the value: an empty name or label, a slash, a NUL.
///
/// # Errors
/// Out of memory.
pub fn host_name(value: &[u8]) -> Result<Option<Vec<u8>>, OutOfMemory> {
    if value.iter().any(|&byte| byte == 0 || byte == b'/') || has_empty_label(value) {
        return Ok(None);
    }
    let end = match value {
        [b'[', ..] => memchr::memchr(b']', value).map_or(value.len(), |at| at + 1),
        _ => memchr::memchr(b':', value).unwrap_or(value.len()),
    };
    let name = value.get(..end).unwrap_or_default();
    let name = name.strip_suffix(b".").unwrap_or(name);
    if name.is_empty() {
        return Ok(None);
    }
    let mut name = fallible::copy(name)?;
    name.make_ascii_lowercase();
    Ok(Some(name))
}

/// Whether two dots stand side by side.
fn has_empty_label(value: &[u8]) -> bool {
    value.windows(2).any(|pair| pair == b"..")
}

/// A length as `Content-Length` writes it: decimal digits only.
pub fn content_length(value: &[u8]) -> Option<i64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0i64, |length, &byte| {
        let digit = byte.is_ascii_digit().then(|| i64::from(byte - b'0'))?;
        length.checked_mul(10)?.checked_add(digit)
    })
}

/// Whether `value` contains `token` (in lower case), whatever the case of its letters.
pub fn contains_ignore_case(value: &[u8], token: &[u8]) -> bool {
    value.windows(token.len()).any(|part| part.eq_ignore_ascii_case(token))
}

/// Whether `token` is one of the words, separated by commas, in a header's value.
pub fn has_token(value: &[u8], token: &[u8]) -> bool {
    value.split(|&byte| byte == b',').any(|word| word.trim_ascii().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_take_dashes() {
        let mut name = *b"content_type_-_";
        underscores_to_dashes(&mut name);
        assert_eq!(&name, b"content-type---");
    }

    #[test]
    fn a_name_as_it_goes_onto_the_wire() {
        let long = "x_".repeat(80);
        for (written, dashes, expected) in [
            ("X-Word", true, "X-Word"),
            ("content_type", true, "content-type"),
            ("content_type", false, "content_type"),
            ("a_b:c", true, "a-b%3Ac"),
            ("a:b", false, "a%3Ab"),
            ("", true, ""),
            (&long, true, &long.replace('_', "-")),
        ] {
            let mut buffer = NAME_BUFFER;
            let name = Name::new(written.as_bytes(), dashes, &mut buffer).unwrap();
            assert_eq!(name.text(), expected.as_bytes(), "{written}");
            assert_eq!(name.hash(), lowcase_hash(expected.as_bytes()), "{written}");
        }
    }

    #[test]
    fn parameters_are_no_part_of_the_type() {
        assert_eq!(media_type_len(b"text/html; charset=utf-8"), 9);
        assert_eq!(media_type_len(b"text/html"), 9);
        assert_eq!(media_type_len(b";"), 0);
    }

    #[test]
    fn hosts_are_named_without_port() {
        for (value, expected) in [
            ("Example.COM", Some("example.com")),
            ("example.com:8080", Some("example.com")),
            ("example.com.", Some("example.com")),
            ("example.com.:80", Some("example.com")),
            ("[::1]:80", Some("[::1]")),
            ("[2001:DB8::1]", Some("[2001:db8::1]")),
            ("", None),
            (".", None),
            (":80", None),
            ("a..b", None),
            ("a/b", None),
            ("a\0b", None),
        ] {
            let expected = expected.map(|name| name.as_bytes().to_vec());
            assert_eq!(host_name(value.as_bytes()), Ok(expected), "{value}");
        }
    }

    #[test]
    fn lengths_are_plain_numbers() {
        assert_eq!(content_length(b"0"), Some(0));
        assert_eq!(content_length(b"1024"), Some(1024));
        assert_eq!(content_length(b"9223372036854775807"), Some(i64::MAX));
        for wrong in ["", "-1", "+1", " 1", "1 ", "0x1", "9223372036854775808"] {
            assert_eq!(content_length(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn tokens_are_found_in_any_case() {
        assert!(contains_ignore_case(b"Keep-Alive, Upgrade", b"upgrade"));
        assert!(!contains_ignore_case(b"clos", b"close"));
    }

    #[test]
    fn tokens_are_whole_words() {
        for value in ["close", "Close", "keep-alive, close", " close\t,x"] {
            assert!(has_token(value.as_bytes(), b"close"), "{value}");
        }
        for value in ["", "closed", "not close", "keep-alive"] {
            assert!(!has_token(value.as_bytes(), b"close"), "{value}");
        }
    }

    #[test]
    fn the_hash_of_a_known_name() {
        assert_eq!(lowcase_hash(b"host"), ((104 * 31 + 111) * 31 + 115) * 31 + 116);
    }

    proptest! {
        #[test]
        fn names_are_escaped_after_they_took_dashes(written: Vec<u8>, dashes: bool) {
            let mut dashed = written.clone();
            if dashes {
                underscores_to_dashes(&mut dashed);
            }
            let mut buffer = NAME_BUFFER;
            let name = Name::new(&written, dashes, &mut buffer).unwrap();
            prop_assert_eq!(name.text(), &*uri::escape(&dashed, EscapeType::HeaderName).unwrap());
            prop_assert_eq!(name.hash(), lowcase_hash(name.text()));
        }

        #[test]
        fn a_name_is_known_in_any_case(written in "[ -~\r]{0,3}[A-Za-z-]{0,20}[ -~]{0,1}") {
            let mut buffer = NAME_BUFFER;
            let name = Name::new(written.as_bytes(), false, &mut buffer).unwrap();
            let lower = written.to_ascii_lowercase();
            let is_plain = lower.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
            prop_assert!(!is_plain || name.is_lowcase(lower.as_bytes()));
            prop_assert!(name.is(name.text()) && name.is(&name.text().to_ascii_uppercase()));
            let wanted = lower.replace(|c: char| !c.is_ascii_lowercase(), "-");
            prop_assert_eq!(name.is_lowcase(wanted.as_bytes()), name.is(wanted.as_bytes()));
        }

        #[test]
        fn values_are_escaped(value in "[ -~]{0,20}[\\x00-\\xff]{0,2}[ -~\u{80}-\u{ff}]{0,20}") {
            let value = value.as_bytes();
            prop_assert_eq!(escaped_value(value).unwrap(), uri::escape(value, EscapeType::HeaderValue).unwrap());
        }

        #[test]
        fn values_of_any_bytes_are_escaped(value: Vec<u8>) {
            prop_assert_eq!(escaped_value(&value).unwrap(), uri::escape(&value, EscapeType::HeaderValue).unwrap());
        }

        #[test]
        fn the_hash_ignores_case_and_never_overflows(name in "[A-Za-z-]{0,80}") {
            let hash = lowcase_hash(name.as_bytes());
            prop_assert_eq!(hash, lowcase_hash(name.to_uppercase().as_bytes()));
            let wide = name.to_lowercase().bytes()
                .fold(0u128, |n, b| (n * 31 + u128::from(b)) % (1 << usize::BITS));
            prop_assert_eq!(hash as u128, wide);
        }
    }
}
