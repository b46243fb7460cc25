//! Replacement templates: a template renders to the length announced.
#![no_main]

use codec::template::Template;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], &[u8])| {
    let (source, subject) = input;
    let template = match Template::parse(source) {
        Ok(template) => template,
        Err(error) => {
            assert!(source.contains(&b'$') && !error.to_string().is_empty());
            return;
        }
    };

    let group = |number: usize| if number < 2 { subject } else { b"" };
    let mut dst = Vec::new();
    template.render_with(group, |piece| dst.extend_from_slice(piece));
    assert_eq!(template.rendered_len(|number| group(number).len()), dst.len());
    if template.is_literal() {
        assert_eq!(dst, source);
    }
});
