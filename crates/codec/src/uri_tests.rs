//! Tests of URI escaping: the sets byte by byte, round trips, and slow, simple versions to compare
//! with.

use proptest::prelude::*;

use super::*;

const ALL: [EscapeType; 10] = [
    EscapeType::Uri,
    EscapeType::Args,
    EscapeType::UriComponent,
    EscapeType::Html,
    EscapeType::Refresh,
    EscapeType::Memcached,
    EscapeType::MailAuth,
    EscapeType::HeaderName,
    EscapeType::HeaderValue,
    EscapeType::RawArgs,
];

/// The printable ASCII bytes that a type escapes, the space included.
fn printable(kind: EscapeType) -> String {
    (0x20..0x7f).filter(|&b| kind.escaped().contains(b)).map(char::from).collect()
}

#[test]
fn every_type_escapes_its_own_printable_bytes() {
    assert_eq!(printable(EscapeType::Uri), " #%?");
    assert_eq!(printable(EscapeType::Args), " #%+?");
    assert_eq!(printable(EscapeType::UriComponent), " \"#$%&+,/:;<=>?@[\\]^`{|}");
    assert_eq!(printable(EscapeType::Html), " \"#%'");
    assert_eq!(printable(EscapeType::Refresh), " \"'");
    assert_eq!(printable(EscapeType::Memcached), " %");
    assert_eq!(printable(EscapeType::MailAuth), " %");
    assert_eq!(printable(EscapeType::HeaderName), " \"(),/:;<=>?@[\\]{}");
    assert_eq!(printable(EscapeType::HeaderValue), "");
    assert_eq!(printable(EscapeType::RawArgs), " ");
}

#[test]
fn every_type_escapes_controls_and_most_escape_what_is_not_ascii() {
    for kind in ALL {
        let set = kind.escaped();
        let tab_is_safe = kind == EscapeType::HeaderValue;
        assert!((0..0x20).all(|b| set.contains(b) != (b == b'\t' && tab_is_safe)), "{kind:?}");

        let memcached = matches!(kind, EscapeType::Memcached | EscapeType::MailAuth);
        assert_eq!(set.contains(0x7f), !memcached, "{kind:?}");

        let ascii_only = memcached || matches!(kind, EscapeType::HeaderValue | EscapeType::RawArgs);
        assert!((0x80..=0xff).all(|b| set.contains(b) != ascii_only), "{kind:?}");
    }
}

#[test]
fn numbers_are_nginx_s() {
    for (code, kind) in ALL.iter().enumerate().take(9) {
        assert_eq!(EscapeType::from_code(code as i32), Some(*kind));
    }
    assert_eq!(EscapeType::from_code(9), None);
    assert_eq!(EscapeType::from_code(-1), None);
}

#[test]
fn escapes_with_upper_case_digits() {
    assert_eq!(&*escape(b"a b/\xe4", EscapeType::UriComponent).unwrap(), b"a%20b%2F%E4");
    assert!(matches!(escape(b"abc", EscapeType::UriComponent).unwrap(), Cow::Borrowed(b"abc")));
}

#[test]
fn a_short_buffer_is_refused() {
    assert_eq!(unescape_into(b"ab", &mut [0; 1]), None);
}

#[test]
fn unescapes_leniently() {
    for (src, expected) in [
        ("a%20b+c", "a b c"),
        ("%", "%"),
        ("%2", "%2"),
        ("%%41%4", "%A%4"),
        ("%zz%4g%41", "%zz%4gA"),
        ("%e4%2b", "\u{fffd}+"),
        ("?%3f?", "???"),
    ] {
        assert_eq!(String::from_utf8_lossy(&unescape(src.as_bytes()).unwrap()), expected);
    }
}

#[test]
fn unsafe_bytes_are_named() {
    let error = check_unsafe_bytes(b"/a\"\r\nb").unwrap_err();
    assert_eq!(error.byte(), b'\r');
    assert_eq!(
        error.to_string(),
        "unsafe byte \"0x0d\" in uri \"/a\\x22\\x0D\\x0Ab\" \
         (maybe you want to set the 'binary' argument?)"
    );
    assert_eq!(
        error.in_redirect_uri().to_string(),
        "unsafe byte \"0x0d\" in redirect uri \"/a\\x22\\x0D\\x0Ab\""
    );
    assert_eq!(check_unsafe_bytes("/\t ü?%".as_bytes()), Ok(()));
    assert_eq!(check_unsafe_bytes(b"\x7f").unwrap_err().byte(), 0x7f);
}

#[test]
fn log_lines_stay_printable() {
    assert_eq!(escape_log(b"a \"\\\t\x7f\xff~").unwrap(), b"a \\x22\\x5C\\x09\\x7F\\xFF~");
}

fn kinds() -> impl Strategy<Value = EscapeType> {
    prop::sample::select(ALL.as_slice())
}

/// A slow, simple unescape to compare with.
fn unescape_slowly(src: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut i = 0;
    while i < src.len() {
        let digits = src.get(i + 1..i + 3).filter(|d| d.iter().all(u8::is_ascii_hexdigit));
        match (src[i], digits.and_then(|d| std::str::from_utf8(d).ok())) {
            (b'%', Some(digits)) => {
                out.push(u8::from_str_radix(digits, 16).unwrap());
                i += 3;
            }
            (byte, _) => {
                out.push(if byte == b'+' { b' ' } else { byte });
                i += 1;
            }
        }
    }
    out
}

proptest! {
    #[test]
    fn the_three_ways_to_escape_agree(src: Vec<u8>, kind in kinds()) {
        let slow: Vec<u8> = src.iter().flat_map(|&b| match kind.escaped().contains(b) {
            true => format!("%{b:02X}").into_bytes(),
            false => vec![b],
        }).collect();
        prop_assert_eq!(&*escape(&src, kind).unwrap(), slow.as_slice());
        prop_assert_eq!(escaped_len(&src, kind), slow.len());

        let mut pieces = Vec::new();
        escape_with(&src, kind, |piece| pieces.extend_from_slice(piece));
        prop_assert_eq!(pieces, slow);
    }

    #[test]
    fn components_come_back(src: Vec<u8>) {
        prop_assert_eq!(unescape(&escape(&src, EscapeType::UriComponent).unwrap()).unwrap(), src);
    }

    #[test]
    fn the_ways_to_unescape_agree(src in "[%+0-9a-gA-G?x]{0,30}") {
        let expected = unescape_slowly(src.as_bytes());
        prop_assert_eq!(unescape(src.as_bytes()).unwrap(), expected.as_slice());
        let mut dst = vec![0; src.len()];
        let len = unescape_into(src.as_bytes(), &mut dst).unwrap();
        prop_assert_eq!(&dst[..len], expected);
    }

    #[test]
    fn an_escaped_header_passes_the_check(src: Vec<u8>) {
        prop_assert!(check_unsafe_bytes(&escape(&src, EscapeType::HeaderValue).unwrap()).is_ok());
    }
}
