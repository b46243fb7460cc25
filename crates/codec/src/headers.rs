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
