//! Query strings and urlencoded bodies: parsing with a cap on the number of pairs, and building.
//!
//! A string is split at `&`, each piece at its first `=`, and names and values are unescaped after
//! that. A piece without `=` is a name whose value is `true` in Lua. A pair whose name is empty is
//! dropped; [`decode`] counts it towards the cap, [`parse_in_place`] does not.

use std::fmt;
use std::ops::Range;

use memchr::memchr_iter;

use crate::fallible::{Grow, OutOfMemory};
use crate::short::{SHORT, find_either};
use crate::uri::{self, EscapeType};

/// The cap where Lua gives none (`NGX_HTTP_LUA_MAX_ARGS`).
pub const MAX_ARGS: usize = 100;

/// One argument inside the unescaped buffer; `value` is `None` for a name without `=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arg {
    pub name: Range<usize>,
    pub value: Option<Range<usize>>,
}

/// How many slots [`parse_in_place`] needs for a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    pub slots: usize,
    /// The cap cuts the arguments short: Lua is told `"truncated"`.
    pub truncated: bool,
}

/// Counts the pieces of `args`. A negative `max` stands for [`MAX_ARGS`], zero for no cap.
pub fn count(args: &[u8], max: i32) -> Count {
    if args.is_empty() {
        return Count { slots: 0, truncated: false };
    }

    let slots = memchr_iter(b'&', args).count() + 1;
    let max = usize::try_from(max).unwrap_or(MAX_ARGS);

    match slots > max && max > 0 && slots > 1 {
        true => Count { slots: max, truncated: true },
        false => Count { slots, truncated: false },
    }
}

/// Unescapes `buf` where it stands and hands at most `slots` arguments to `sink`, as ranges of
/// `buf`. Returns how many there were.
pub fn parse_in_place(buf: &mut [u8], slots: usize, mut sink: impl FnMut(Arg)) -> usize {
    let mut pieces = Pieces::new();
    let mut found = 0;
    while found < slots
        && let Some(piece) = pieces.next(buf)
    {
        if let Some(arg) = piece {
            sink(arg);
            found += 1;
        }
    }
    found
}

/// The answer to [`decode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded {
    All,
    /// The cap was reached: Lua gets the string `"truncated"` as second result.
    Truncated,
}

/// Unescapes `buf` where it stands and hands each argument to `sink`, as `ngx.decode_args` and
/// `ngx.req.get_post_args` do. Zero or a negative `max` means no cap.
pub fn decode(buf: &mut [u8], max: i32, sink: impl FnMut(&[u8], Option<&[u8]>)) -> Decoded {
    Decoder::new(max).decode(buf, false, sink)
}

/// Decodes a string that comes in parts; in the whole string, there is an `&` between two parts.
#[derive(Debug)]
pub struct Decoder {
    /// The cap; 0 for none.
    max: usize,
    seen: usize,
}

impl Decoder {
    pub fn new(max: i32) -> Decoder {
        Decoder { max: usize::try_from(max).unwrap_or(0), seen: 0 }
    }

    /// As [`decode`], for the next part; `more` says whether it is followed by another one. Nothing
    /// is to come after `Truncated`.
    #[inline(always)]
    pub fn decode(
        &mut self,
        buf: &mut [u8],
        more: bool,
        mut sink: impl FnMut(&[u8], Option<&[u8]>),
    ) -> Decoded {
        let mut pieces = Pieces::new();
        while let Some(piece) = pieces.next(buf) {
            if let Some(arg) = piece {
                let name = buf.get(arg.name).unwrap_or_default();
                sink(name, arg.value.map(|value| buf.get(value).unwrap_or_default()));
            }
            self.seen += 1;
            if self.seen == self.max && (more || !pieces.is_finished()) {
                return Decoded::Truncated;
            }
        }
        Decoded::All
    }
}

/// The pieces between `&`s, one after the other.
struct Pieces {
    /// Where the next one starts, if there is one.
    start: Option<usize>,
}

impl Pieces {
    fn new() -> Pieces {
        Pieces { start: Some(0) }
    }

    fn is_finished(&self) -> bool {
        self.start.is_none()
    }

    /// Unescapes the next piece where it stands: an argument, or nothing where its name is empty.
    #[inline(always)]
    fn next(&mut self, buf: &mut [u8]) -> Option<Option<Arg>> {
        let start = self.start.take()?;
        let part = Part::before::<b'='>(buf.get(start..)?);
        let name = part.unescaped(buf, start);
        let (mut end, mut value) = (start + part.len, None);
        if buf.get(end) == Some(&b'=') {
            let from = end + 1;
            let part = Part::before::<b'&'>(buf.get(from..).unwrap_or_default());
            value = Some(part.unescaped(buf, from));
            end = from + part.len;
        }
        self.start = (end < buf.len()).then_some(end + 1);
        Some((!name.is_empty()).then_some(Arg { name, value }))
    }
}

fn is_escape(byte: u8) -> bool {
    byte == b'%' || byte == b'+'
}

/// A name or a value, before it is unescaped.
struct Part {
    len: usize,
    /// Whether there is something to unescape.
    escaped: bool,
}

impl Part {
    /// The bytes before the first `&` or `STOP`. Only the first few are compared one by one; in
    /// long strings the rest is searched with `memchr`.
    #[inline(always)]
    fn before<const STOP: u8>(rest: &[u8]) -> Part {
        let is_stop = |byte| byte == b'&' || byte == STOP;
        let near = rest.iter().take(SHORT);
        let mut near = near.enumerate().filter(|(_, byte)| is_stop(**byte) || is_escape(**byte));
        let escaped = match near.next() {
            Some((len, byte)) if is_stop(*byte) => return Part { len, escaped: false },
            Some(_) => true,
            None if rest.len() <= SHORT => return Part { len: rest.len(), escaped: false },
            None => false,
        };
        let len = find_either(b'&', STOP, rest).unwrap_or(rest.len());
        let part = rest.get(..len).unwrap_or_default();
        Part { len, escaped: escaped || find_either(b'%', b'+', part).is_some() }
    }

    /// Unescapes the part, which starts at `start`, in place; gives its new range.
    #[inline]
    fn unescaped(&self, buf: &mut [u8], start: usize) -> Range<usize> {
        let mut len = self.len;
        if self.escaped {
            len = buf.get_mut(start..start + len).map_or(0, uri::unescape_in_place);
        }
        start..start + len
    }
}

/// Builds a query string: `name=value` and `name` pairs joined by `&`, each part escaped.
#[derive(Debug, Default)]
pub struct Encoder {
    out: Vec<u8>,
    started: bool,
}

/// The capacity that a query string starts with; enough for most.
const INITIAL_CAPACITY: usize = 240;

impl Encoder {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a pair; `None` stands for Lua's `true`, which shows as the name alone.
    pub fn pair(&mut self, name: &[u8], value: Option<&[u8]>) -> Result<(), OutOfMemory> {
        if self.started {
            self.out.try_push(b'&')?;
        } else {
            self.out.try_reserve(INITIAL_CAPACITY)?;
        }
        self.started = true;

        uri::escape_to(name, EscapeType::UriComponent, &mut self.out)?;
        if let Some(value) = value {
            self.out.try_push(b'=')?;
            uri::escape_to(value, EscapeType::UriComponent, &mut self.out)?;
        }
        Ok(())
    }

    /// The query string built so far.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }
}

/// Raised for a table given as arguments that has a key other than a string.
pub const NON_STRING_KEY: &str = "attempt to use a non-string key in the \"args\" option table";

/// Raised for a value that is neither string, number, boolean nor a list of them.
pub struct BadValue<'a>(pub &'a str);

impl fmt::Display for BadValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "attempt to use {} as query arg value", self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Pairs = Vec<(String, Option<String>)>;

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    fn parse(args: &[u8], slots: usize) -> Pairs {
        let mut buf = args.to_vec();
        let mut ranges = Vec::new();
        let found = parse_in_place(&mut buf, slots, |arg| ranges.push(arg));
        assert_eq!(found, ranges.len());
        ranges
            .into_iter()
            .map(|arg| (text(&buf[arg.name]), arg.value.map(|value| text(&buf[value]))))
            .collect()
    }

    fn decode_all(args: &[u8], max: i32) -> (Pairs, Decoded) {
        let mut pairs = Vec::new();
        let decoded = decode(&mut args.to_vec(), max, |name, value| {
            pairs.push((text(name), value.map(text)));
        });
        (pairs, decoded)
    }

    fn pairs(expected: &[(&str, Option<&str>)]) -> Pairs {
        expected.iter().map(|(n, v)| (n.to_string(), v.map(str::to_string))).collect()
    }

    #[test]
    fn names_values_and_booleans() {
        let expected =
            pairs(&[("a b", Some("c&d=e")), ("f", None), ("g", Some("")), ("h", Some("i=j"))]);
        let args = b"a%20b=c%26d%3De&f&g=&h=i=j";
        assert_eq!(parse(args, 100), expected);
        assert_eq!(decode_all(args, 0), (expected, Decoded::All));
    }

    #[test]
    fn empty_names_are_dropped() {
        for args in ["", "&", "&&&", "=", "=a", "&=a&", "=a=b&"] {
            assert_eq!(parse(args.as_bytes(), 100), [], "{args}");
            assert_eq!(decode_all(args.as_bytes(), 0).0, [], "{args}");
        }
    }

    #[test]
    fn slots_count_the_pieces() {
        let of = |args: &str, max| {
            let count = count(args.as_bytes(), max);
            (count.slots, count.truncated)
        };
        assert_eq!(of("", -1), (0, false));
        assert_eq!(of("a", 1), (1, false));
        assert_eq!(of("a&b", 2), (2, false));
        assert_eq!(of("a&b", 1), (1, true));
        assert_eq!(of("a&b&", 2), (2, true));
        assert_eq!(of(&"a&".repeat(200), -1), (100, true));
        assert_eq!(of(&"a&".repeat(200), 0), (201, false));
    }

    #[test]
    fn the_cap_truncates() {
        assert_eq!(parse(b"a=1&b=2&c=3", 2), pairs(&[("a", Some("1")), ("b", Some("2"))]));
        assert_eq!(parse(b"a=1", 0), []);
        assert_eq!(
            decode_all(b"a&b&c", 2),
            (pairs(&[("a", None), ("b", None)]), Decoded::Truncated)
        );
        assert_eq!(decode_all(b"a&b", 2), (pairs(&[("a", None), ("b", None)]), Decoded::All));
        assert_eq!(decode_all(b"a&b&", 2).1, Decoded::Truncated);
        assert_eq!(decode_all(b"&&a", 2), (vec![], Decoded::Truncated));
    }

    #[test]
    fn parts_are_decoded_as_their_whole() {
        let decode_parts = |parts: &[&[u8]], max| {
            let (mut decoder, mut decoded) = (Decoder::new(max), Decoded::All);
            let mut pairs = Pairs::new();
            for (at, part) in parts.iter().enumerate() {
                let more = at + 1 < parts.len();
                decoded = decoder.decode(&mut part.to_vec(), more, |name, value| {
                    pairs.push((text(name), value.map(text)));
                });
                if decoded == Decoded::Truncated {
                    break;
                }
            }
            (pairs, decoded)
        };
        let parts: [&[&[u8]]; 5] =
            [&[b"a=1&b%20", b"c"], &[b"a", b""], &[b"", b"", b"a=2&&"], &[b"x"], &[b""]];
        for parts in parts {
            for max in 0..6 {
                let whole = parts.join(&b'&');
                assert_eq!(decode_parts(parts, max), decode_all(&whole, max), "{parts:?} {max}");
            }
        }
    }

    #[test]
    fn encodes_parts() {
        let mut encoder = Encoder::new();
        encoder.pair(b"a b", Some(b"c&d")).unwrap();
        encoder.pair(b"", None).unwrap();
        encoder.pair(b"e", Some(b"")).unwrap();
        assert_eq!(encoder.into_bytes(), b"a%20b=c%26d&&e=");
    }

    /// A slow, simple version to compare with: split first, then unescape.
    fn reference(args: &[u8]) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        args.split(|&c| c == b'&')
            .map(|piece| {
                let mut parts = piece.splitn(2, |&c| c == b'=');
                let name = uri::unescape(parts.next().unwrap()).unwrap();
                (name, parts.next().map(|value| uri::unescape(value).unwrap()))
            })
            .collect()
    }

    proptest! {
        #[test]
        fn agrees_with_splitting(args in "[ab=&%+26]{0,40}([ab]{20,30}[ab=&%+26]{0,9}){0,2}", max in -2i32..6) {
            let pieces = reference(args.as_bytes());
            let kept = |limit: usize| -> Pairs {
                pieces.iter().take(limit).filter(|(name, _)| !name.is_empty())
                    .map(|(n, v)| (text(n), v.as_deref().map(text))).collect()
            };

            let cap = if max > 0 { max as usize } else { usize::MAX };
            let decoded = if pieces.len() > cap { Decoded::Truncated } else { Decoded::All };
            prop_assert_eq!(decode_all(args.as_bytes(), max), (kept(cap), decoded));

            let count = count(args.as_bytes(), max);
            let mut expected = kept(usize::MAX);
            expected.truncate(count.slots);
            prop_assert_eq!(parse(args.as_bytes(), count.slots), expected);
        }

        #[test]
        fn what_is_encoded_decodes(input in prop::collection::vec((".{1,5}", proptest::option::of(".{0,5}")), 0..5)) {
            let mut encoder = Encoder::new();
            for (name, value) in &input {
                encoder.pair(name.as_bytes(), value.as_deref().map(str::as_bytes)).unwrap();
            }
            prop_assert_eq!(decode_all(&encoder.into_bytes(), 0).0, input);
        }
    }
}
