//! Base64: what is encoded decodes to itself, and nothing outgrows its announced length.
#![no_main]

use codec::base64::{self, Flavour};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|src: &[u8]| {
    for flavour in [Flavour::Standard, Flavour::NoPadding, Flavour::Url] {
        let mut text = vec![0; base64::encoded_len(src.len(), flavour).unwrap()];
        assert_eq!(base64::encode_into(src, flavour, &mut text), Some(text.len()));
        assert_eq!(decode(&text, flavour).as_deref(), Some(src));

        if let Some(decoded) = decode(src, flavour) {
            let digits = src.iter().take_while(|&&byte| byte != b'=').count();
            assert_eq!(decoded.len(), digits * 6 / 8);
        }
    }

    let mut dst = vec![0; base64::max_decoded_len(src.len())];
    let mime = base64::decode_mime_into(src, &mut dst).map(|len| dst[..len].to_vec());
    if let Some(strict) = decode(src, Flavour::Standard) {
        assert_eq!(mime, Some(strict));
    }
});

fn decode(src: &[u8], flavour: Flavour) -> Option<Vec<u8>> {
    let mut dst = vec![0; base64::max_decoded_len(src.len())];
    let len = base64::decode_into(src, flavour, &mut dst)?;
    dst.truncate(len);
    Some(dst)
}
