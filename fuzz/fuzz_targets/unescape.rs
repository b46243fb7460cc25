//! URIs: the two ways to unescape agree, and escaped text comes back.
#![no_main]

use codec::uri::{self, EscapeType};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|src: &[u8]| {
    let in_place = uri::unescape(src).unwrap();
    let mut dst = vec![0; src.len()];
    let len = uri::unescape_into(src, &mut dst).unwrap();
    assert_eq!(in_place, dst[..len]);

    for kind in (0..9).filter_map(EscapeType::from_code).chain([EscapeType::RawArgs]) {
        let escaped = uri::escape(src, kind).unwrap();
        assert_eq!(escaped.len(), uri::escaped_len(src, kind));
        let mut pieces = Vec::new();
        uri::escape_with(src, kind, |piece| pieces.extend_from_slice(piece));
        assert_eq!(pieces, *escaped);
    }

    assert_eq!(uri::unescape(&uri::escape(src, EscapeType::UriComponent).unwrap()).unwrap(), src);
    assert!(uri::check_unsafe_bytes(&uri::escape(src, EscapeType::HeaderValue).unwrap()).is_ok());
    assert!(uri::escape_log(src).unwrap().iter().all(|byte| (0x20..0x7f).contains(byte)));
});
