//! Names and values of headers as Lua writes them, put into the forms that nginx works with.

/// Turns the underscores of a header's name into dashes, where it stands
/// (`lua_transform_underscores_in_response_headers`).
pub fn underscores_to_dashes(name: &mut [u8]) {
    for byte in name.iter_mut().filter(|byte| **byte == b'_') {
        *byte = b'-';
    }
}

/// nginx's hash of the lower-case form of `name` (`ngx_hash_key_lc`).
pub fn lowcase_hash(name: &[u8]) -> usize {
    name.iter().fold(0usize, |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(usize::from(byte.to_ascii_lowercase()))
    })
}

/// Length of the media type in the value of `Content-Type`: all that stands before a semicolon.
pub fn media_type_len(value: &[u8]) -> usize {
    memchr::memchr(b';', value).unwrap_or(value.len())
}

/// The server's name in the value of `Host`: in lower case, without port and final dot.
///
/// `None` where nginx would refuse the request: an empty name or label, a slash, a NUL.
pub fn host_name(value: &[u8]) -> Option<Vec<u8>> {
    if value.iter().any(|&byte| byte == 0 || byte == b'/') || has_empty_label(value) {
        return None;
    }
    let end = match value {
        [b'[', ..] => memchr::memchr(b']', value).map_or(value.len(), |at| at + 1),
        _ => memchr::memchr(b':', value).unwrap_or(value.len()),
    };
    let name = &value[..end];
    let name = name.strip_suffix(b".").unwrap_or(name);
    if name.is_empty() { None } else { Some(name.to_ascii_lowercase()) }
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
            assert_eq!(host_name(value.as_bytes()), expected, "{value}");
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
    fn the_hash_of_a_known_name() {
        assert_eq!(lowcase_hash(b"host"), ((104 * 31 + 111) * 31 + 115) * 31 + 116);
    }

    proptest! {
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
